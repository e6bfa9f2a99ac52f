"""Exponents of power laws in what studies measured.

Enter at `slope`; with an interval of confidence at `slope_over_seeds`, or `slope_of_points` where there are no seeds.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import t

CONFIDENCE = 0.95
LEAST = 3
"""Points of a slope."""


class Slope(NamedTuple):
    """Exponent of a power law, half the width of its 95 % t-interval (nan where nothing says how wide), and of what.

    `n` is the number of seeds that it is the mean of, or of points.
    """

    mean: float
    half_width: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.2f}" + (f" ± {self.half_width:.2f}" if np.isfinite(self.half_width) else "")


def slope(x: Sequence[float], y: Sequence[float], span: float = 0.1) -> float | None:
    """Return the least-squares slope of log |y| over log x; None if the logarithms of x span less than `span`."""
    logs = np.log(np.asarray(x, dtype=float))
    if len(logs) < LEAST or np.ptp(logs) < span:
        return None
    return float(np.polyfit(logs, np.log(np.abs(np.asarray(y, dtype=float))), 1)[0])


def slope_over_seeds(
    x: Sequence[float], y: Sequence[float], seeds: Sequence[Any], groups: Sequence[Any] | None = None,
    span: float = 0.1,
) -> Slope | None:  # fmt: skip
    """Take the slope of log |y| over log x for each seed, and from these its mean and t-interval.

    Parameters
    ----------
    x, y : of each fit; pairs that are not finite, or have a zero, are left out
    seeds : of each fit
    groups : of each fit, such as how many defects: each has a factor of its own, and all have one slope
    span : least span of the logarithms of x in a seed; seeds with less, or less than three pairs, are left out

    Returns
    -------
    Slope, or None where no seed is left
    """
    pairs = np.abs(np.array([x, y], dtype=float))
    usable = np.all(np.isfinite(pairs) & (pairs > 0.0), axis=0)
    logs = np.log(pairs[:, usable])
    found = []
    for seed in dict.fromkeys(seeds):
        mine = np.array([s == seed for s, kept in zip(seeds, usable, strict=True) if kept], dtype=bool)
        if mine.sum() < LEAST or np.ptp(logs[0, mine]) < span:
            continue
        of = None if groups is None else np.array([str(g) for g in groups])[usable][mine]
        dx, dy = _within(logs[:, mine], of)
        if dx @ dx > 0.0:
            found.append(float(dx @ dy / (dx @ dx)))
    if not found:
        return None
    n = len(found)
    wide = t.ppf(0.5 + CONFIDENCE / 2.0, n - 1) * np.std(found, ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return Slope(float(np.mean(found)), float(wide), n)


def slope_of_points(x: npt.ArrayLike, y: npt.ArrayLike) -> Slope:
    """Return the least-squares slope of log |y| over log x, with the interval that the points' scatter gives.

    Raises
    ------
    ValueError
        The x are all the same.
    """
    logs = np.log(np.abs(np.array([x, y], dtype=float)))
    dx, dy = _within(logs, None)
    if not dx @ dx > 0.0:
        raise ValueError(f"{len(dx)} points do not determine a slope; give more of different x")
    found, free = float(dx @ dy / (dx @ dx)), len(dx) - 2
    wide = np.nan
    if free > 0:
        variance = float(np.sum((dy - found * dx) ** 2)) / free
        wide = t.ppf(0.5 + CONFIDENCE / 2.0, free) * np.sqrt(variance / (dx @ dx))
    return Slope(found, float(wide), len(dx))


def _within(logs: npt.NDArray[np.float64], groups: npt.NDArray[np.str_] | None) -> npt.NDArray[np.float64]:
    """Take off the mean of each group."""
    found = logs - logs.mean(axis=1, keepdims=True)
    for group in () if groups is None else np.unique(groups):
        own = groups == group
        found[:, own] -= found[:, own].mean(axis=1, keepdims=True)
    return found
