"""Parameters of a basis: their defaults for a material, and checks that say what was expected."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from ase.data import atomic_numbers, covalent_radii, reference_states

LONGEST_CUTOFF = 100.0
"""Å."""


def nearest_neighbor_distance(symbol: str) -> float:
    """Return the nearest-neighbour distance of the element's reference state in ASE's tables, Å.

    Elements without a usable entry get twice their covalent radius.
    """
    number = atomic_numbers[symbol]
    state = reference_states[number] or {}
    a = state.get("a")
    factor = {"fcc": np.sqrt(0.5), "bcc": np.sqrt(0.75), "diamond": np.sqrt(3.0) / 4.0, "hcp": 1.0, "sc": 1.0}
    if a is not None and state.get("symmetry") in factor:
        return float(a * factor[state["symmetry"]])
    if state.get("symmetry") == "diatom":
        return float(state["d"])
    return float(2.0 * covalent_radii[number])


def checked_elements(elements: str | Sequence[str]) -> tuple[str, ...]:
    """Return chemical symbols by rising atomic number."""
    symbols = [elements] if isinstance(elements, str) else list(elements)
    if not symbols:
        raise ValueError('elements is empty; give at least one chemical symbol, such as ["W"]')
    for symbol in symbols:
        if symbol not in atomic_numbers or atomic_numbers[symbol] == 0:
            raise ValueError(f"unknown element {symbol!r}; expected a chemical symbol such as 'W'")
    if len(set(symbols)) != len(symbols):
        raise ValueError(f"elements lists a symbol twice: {symbols}")
    return tuple(sorted(symbols, key=lambda s: atomic_numbers[s]))


def checked_size(order: int, degree: float, cutoff: float) -> tuple[int, float, float]:
    """Return order, degree and cutoff, if they are in range."""
    if not isinstance(order, int | np.integer) or not 1 <= order <= 6:
        raise ValueError(f"order must be an integer from 1 to 6, got {order!r}")
    if not (np.isfinite(degree) and 1 <= degree <= 60):
        raise ValueError(f"degree must lie between 1 and 60, got {degree!r}")
    if not (np.isfinite(cutoff) and cutoff > 0):
        raise ValueError(f"cutoff must be a positive length in Å, got {cutoff!r}")
    if cutoff > LONGEST_CUTOFF:
        raise ValueError(f"cutoff must be at most {LONGEST_CUTOFF:g} Å, got {cutoff!r}")
    return int(order), float(degree), float(cutoff)


def lengths_by_element(
    value: float | Mapping[str, float] | None,
    elements: tuple[str, ...],
    name: str,
    default: Callable[[str], float],
) -> dict[str, float]:
    """Return one positive length an element from a number, a mapping or the default."""
    if value is None:
        given = {symbol: default(symbol) for symbol in elements}
    elif isinstance(value, Mapping):
        missing = [symbol for symbol in elements if symbol not in value]
        if missing:
            raise ValueError(
                f"{name} gives no value for {', '.join(missing)}; expected one for each of {elements}"
            )
        given = {symbol: value[symbol] for symbol in elements}
    else:
        given = dict.fromkeys(elements, value)
    for symbol, length in given.items():
        if not (np.isfinite(length) and length > 0):
            raise ValueError(f"{name} of {symbol} must be a positive length in Å, got {length!r}")
    return {symbol: float(length) for symbol, length in given.items()}
