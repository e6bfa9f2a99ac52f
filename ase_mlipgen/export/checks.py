"""Values of a file, one by one: what is there, of the right kind and in range, or an error that names its key."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ase_mlipgen.export.contents import ElementPair, Floats, YaceError


class Entry:
    """A mapping of the file and its place in it, for messages."""

    def __init__(self, content: Any, place: str) -> None:
        self.place = place
        if not isinstance(content, Mapping):
            raise YaceError(f"{place or 'the file'} is no mapping: expected `key: value` entries")
        self.content = content

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def _named(self, key: Any) -> str:
        return f"{self.place}: {key}" if self.place else str(key)

    def get(self, key: Any) -> Any:
        """Return a value that must be there."""
        if key not in self.content:
            raise YaceError(f"{self._named(key)} is missing: the file is truncated or of another kind")
        return self.content[key]

    def entry(self, key: Any) -> "Entry":
        """Return a mapping that must be there."""
        return Entry(self.get(key), self._named(key))

    def text(self, key: str) -> str:
        """Return a text."""
        value = self.get(key)
        if not isinstance(value, str):
            raise YaceError(f"{self._named(key)} = {value!r}: expected a text")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return a finite number."""
        if default is not None and key not in self.content:
            return default
        return number(self.get(key), self._named(key))

    def length(self, key: str) -> float:
        """Return a positive length below 1000 Å."""
        value = self.number(key)
        if not 0 < value < 1000:
            raise YaceError(f"{self._named(key)} = {value!r}: expected a length in Å, above 0 and below 1000")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """Return an integer from low to high."""
        return integer(self.get(key), low, high, self._named(key))

    def array(self, key: str, *shape: int | None) -> Floats:
        """Return finite numbers of a shape; None stands for any length."""
        return array(self.get(key), shape, self._named(key))

    def pairs(self, key: str, n_elements: int) -> "dict[ElementPair, Any]":
        """Return a mapping by ordered pairs of elements, all of which must be there."""
        found: dict[ElementPair, Any] = {}
        for pair, value in self.entry(key).content.items():
            found[_pair(pair, n_elements, self._named(key))] = value
        wanted = [(a, b) for a in range(n_elements) for b in range(n_elements)]
        if missing := [list(pair) for pair in wanted if pair not in found]:
            raise YaceError(
                f"{self._named(key)}: no entry for {missing}; expected every ordered pair of elements"
            )
        return {pair: found[pair] for pair in wanted}


def number(value: Any, place: str) -> float:
    """Return a finite number; PyYAML leaves those without a decimal point, such as 1e-07, as texts."""
    try:
        found = (
            float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else np.nan
        )
    except (ValueError, OverflowError):
        found = np.nan
    if not np.isfinite(found):
        raise YaceError(f"{place} = {value!r}: expected a finite number")
    return found


def integer(value: Any, low: int, high: int, place: str) -> int:
    """Return an integer from low to high."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise YaceError(f"{place} = {value!r}: expected a whole number from {low} to {high}")
    return value


def integers(value: Any, n: int | None, low: int, high: int, place: str) -> tuple[int, ...]:
    """Return n integers from low to high."""
    return tuple(integer(one, low, high, place) for one in sequence(value, n, place))


def sequence(value: Any, n: int | None, place: str) -> Sequence[Any]:
    """Return a list of n values."""
    if not isinstance(value, list | tuple) or (n is not None and len(value) != n):
        got = f"{len(value)}" if isinstance(value, list | tuple) else repr(value)
        raise YaceError(f"{place}: expected a list{'' if n is None else f' of {n} values'}, got {got}")
    return value


def array(value: Any, shape: tuple[int | None, ...], place: str) -> Floats:
    """Return finite numbers of a shape, as an array."""
    rows = sequence(value, shape[0], place)
    if len(shape) == 1:
        return np.array([number(one, place) for one in rows], dtype=float)
    return np.array([array(one, shape[1:], place) for one in rows], dtype=float)


def _pair(key: Any, n_elements: int, place: str) -> ElementPair:
    if not isinstance(key, tuple) or len(key) != 2:
        raise YaceError(f"{place}: the key {key!r} is no pair of elements such as [0, 1]")
    a, b = (integer(k, 0, n_elements - 1, f"{place}: {list(key)}") for k in key)
    return a, b
