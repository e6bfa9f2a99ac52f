"""Numbers as people read them. Enter at `number` and `readable`."""

from typing import Any

PREFIXES = ((1.0, ""), (1e3, "m"), (1e6, "µ"), (1e9, "n"))


def number(value: Any) -> str:
    """Return three digits, with an exponent where there would be many zeros; a dash for None."""
    if value is None:
        return "–"
    return f"{value:.3g}" if 1e-2 <= abs(value) < 1e4 or value == 0 else f"{value:.2e}"


def readable(value: Any, unit: str) -> str:
    """Return three digits and a unit, in a thousandth or a millionth of an eV where that reads better."""
    for factor, prefix in PREFIXES:
        if abs(value) * factor >= 1.0 and unit.startswith("eV"):
            return f"{value * factor:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"
