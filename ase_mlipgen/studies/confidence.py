"""Exponents of power laws of several variables, with intervals of confidence. Enter at `exponents`."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

LEVEL = 0.95


class Estimate(NamedTuple):
    """A number and half the width of its interval of confidence; that is nan where nothing says how wide."""

    value: float
    half: float

    def __str__(self) -> str:
        return f"{self.value:.2f}" + (f" ± {self.half:.2f}" if np.isfinite(self.half) else "")


def exponents(y: npt.ArrayLike, *x: npt.ArrayLike, level: float = LEVEL) -> list[Estimate]:
    """Return p_1, p_2, ... of |y| ~ c x_1^p_1 x_2^p_2 ..., by least squares of logarithms, with Student's intervals.

    Raises
    ------
    ValueError
        The x do not determine the exponents.
    """
    logs = np.log(np.abs(np.asarray(y, dtype=float)))
    A = np.column_stack([np.ones(len(logs)), *(np.log(np.asarray(values, dtype=float)) for values in x)])
    if np.linalg.matrix_rank(A) < A.shape[1]:
        raise ValueError(f"{len(logs)} points do not determine {len(x)} exponents; give more of different x")
    found = np.linalg.lstsq(A, logs, rcond=None)[0]
    free = len(logs) - A.shape[1]
    half = np.full(len(found), np.nan)
    if free > 0:
        variance = float(np.sum((logs - A @ found) ** 2)) / free
        half = student.ppf(0.5 + 0.5 * level, free) * np.sqrt(variance * np.diag(np.linalg.inv(A.T @ A)))
    return [Estimate(float(p), float(h)) for p, h in zip(found[1:], half[1:], strict=True)]
