"""Parameters of a basis: their defaults for a material, and checks that say what was expected."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from ase.data import atomic_numbers, covalent_radii, reference_states

from ase_mlipgen.arguments import number

LONGEST = 100.0
"""Å: a cutoff beyond has millions of neighbours an atom and is a slip of units."""


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
    if not isinstance(elements, Iterable):
        raise TypeError(f'elements = {elements!r}: expected chemical symbols, such as ["W"]')
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
    degree = number("degree", degree, "a number from 1 to 60, such as 14", lambda x: 1 <= x <= 60)
    cutoff = number(
        "cutoff", cutoff, "a length in Å between 0 and 100, such as 5.5", lambda x: 0 < x <= LONGEST
    )
    return int(order), degree, cutoff


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
    wanted = "a positive length in Å, such as 2.5"
    return {symbol: number(f"{name} of {symbol}", x, wanted, lambda x: x > 0) for symbol, x in given.items()}
