"""Checks of arguments, with errors that name the argument, its value and what was expected instead.

`expected` is the end of the message, remedy included: "a positive force in eV/Å, such as 1e-5".
Enter at `number`, `whole`, `of_kind`.
"""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any


def number(name: str, value: Any, expected: str, holds: Callable[[float], bool] = lambda _: True) -> float:
    """Return a finite real number for which `holds` is true.

    Raises
    ------
    TypeError
        No number; a text or a truth value is none.
    ValueError
        Not finite, or it does not hold.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} = {value!r}: expected {expected}")
    if not (math.isfinite(value) and holds(float(value))):
        raise ValueError(f"{name} = {value!r}: expected {expected}")
    return float(value)


def whole(name: str, value: Any, expected: str, least: int = 0) -> int:
    """Return a whole number of at least `least`; 2.0 is none.

    Raises
    ------
    TypeError
        No number.
    ValueError
        Not whole, or too small.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} = {value!r}: expected {expected}")
    if not isinstance(value, Integral) or int(value) < least:
        raise ValueError(f"{name} = {value!r}: expected {expected}")
    return int(value)


def of_kind(name: str, value: Any, kind: type | tuple[type, ...], expected: str) -> None:
    """Refuse an argument of another class.

    Raises
    ------
    TypeError
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} = {value!r}: expected {expected}")
