"""YAML text that every reader takes for the same numbers. Enter at `flow`.

ML-PACE reads with yaml-cpp, others with PyYAML, which takes `1e-07` for a text: floats always have a decimal point. All
digits are kept (at an energy of 600 eV, 14 digits are wrong by 2e-11 eV). Texts are quoted: `No` is no element else.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np


def number(value: float) -> str:
    """Return a float with every digit and a decimal point.

    Raises
    ------
    ValueError
        NaN or infinity.
    """
    if not np.isfinite(value):
        raise ValueError(f"{value!r} cannot be written: expected a finite number")
    text = repr(float(value))
    return text if "." in text else text.replace("e", ".0e")


def flow(value: Any) -> str:
    """Return a value as one line: numbers, texts, and mappings and sequences of them."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bool | None):
        raise TypeError(f"{value!r} has no place in a .yace file")
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return number(float(value))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)}: {flow(v)}" for k, v in value.items()) + "}"
    return "[" + ", ".join(flow(v) for v in value) + "]"


def _key(key: Any) -> str:
    return key if isinstance(key, str) else flow(key)


def block(name: str, entries: Mapping[Any, Any]) -> list[str]:
    """Return the lines of a mapping with one entry a line."""
    return [f"{name}:", *(f"  {_key(key)}: {flow(value)}" for key, value in entries.items())]
