"""Fermi-Dirac occupations at a fixed number of electrons.

mu is where as many electrons are missing below as there are above. The two counts are compared by their logarithms, so
that a gap of a hundred kT, where both are far below rounding, has its mu all the same. Enter at `occupy`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

Floats = npt.NDArray[np.float64]
WHOLE = 1e-9
"""Electrons: a level short of full or empty by less than this counts as full or empty at T = 0."""


class ElectronCountError(ValueError):
    """More electrons than the orbitals can hold, or fewer than none."""


@dataclass(frozen=True, eq=False)
class Occupations:
    """How levels are filled.

    Attributes
    ----------
    fermi_level : mu, in the unit of the levels
    fractions_n : (n_levels,) Fermi-Dirac occupations between 0 and 1
    entropies_n : (n_levels,) -[f ln f + (1 - f) ln(1 - f)] of each
    highest_occupied, lowest_unoccupied : levels at T = 0; the same one if it is partly filled, infinite if none is
    """

    fermi_level: float
    fractions_n: Floats
    entropies_n: Floats
    highest_occupied: float
    lowest_unoccupied: float


def occupy(levels_n: Floats, weights_n: Floats, electrons: float, kT: float) -> Occupations:
    """Fill levels with electrons.

    Parameters
    ----------
    levels_n : (n_levels,) energies, any order
    weights_n : (n_levels,) electrons that each level holds: spin, degeneracy and weight of its k-point
    electrons : to be placed
    kT : smearing, in the unit of the levels, positive

    Raises
    ------
    ElectronCountError
        They do not fit.
    """
    capacity = float(weights_n.sum())
    if not 0.0 <= electrons <= capacity * (1 + 1e-12):
        raise ElectronCountError(f"{electrons:g} electrons in levels that hold 0 to {capacity:g}")
    step_n = _ground_filling(levels_n, weights_n, electrons)
    occupied, unoccupied = levels_n[step_n > 0], levels_n[step_n < 1]
    highest = float(occupied.max()) if occupied.size else -np.inf
    lowest = float(unoccupied.min()) if unoccupied.size else np.inf
    mu = _fermi_level(levels_n, weights_n, step_n, kT, highest, lowest)
    x_n = (levels_n - mu) / kT
    small = np.exp(-np.abs(x_n))
    f_n = np.where(x_n > 0, small, 1.0) / (1.0 + small)
    entropies_n = np.log1p(small) + np.abs(x_n) * small / (1.0 + small)
    return Occupations(mu, f_n, entropies_n, highest, lowest)


def _ground_filling(levels_n: Floats, weights_n: Floats, electrons: float) -> Floats:
    """Return fillings at T = 0; the last level may be partly filled."""
    order = np.argsort(levels_n, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(weights_n[order])[:-1]])
    left = electrons - before
    filled = np.where(np.abs(left) < WHOLE, 0.0, left / weights_n[order])
    filled = np.clip(np.where(np.abs(left - weights_n[order]) < WHOLE, 1.0, filled), 0.0, 1.0)
    step_n = np.empty_like(filled)
    step_n[order] = filled
    return step_n


def _fermi_level(
    levels_n: Floats, weights_n: Floats, step_n: Floats, kT: float, highest: float, lowest: float
) -> float:
    if not np.isfinite(highest):
        return float(lowest - 50 * kT)
    if not np.isfinite(lowest):
        return float(highest + 50 * kT)
    full, empty = step_n == 1, step_n == 0
    partial = ~(full | empty)

    def log_count(x_n: Floats, mask: npt.NDArray[np.bool_]) -> float:
        """Logarithm of the sum of weights / (1 + exp(x))."""
        if not mask.any():
            return -np.inf
        logs = -np.logaddexp(0.0, x_n[mask])
        largest = logs.max()
        return float(largest + np.log(np.dot(weights_n[mask], np.exp(logs - largest))))

    def excess(mu: float) -> float:
        x_n = (levels_n - mu) / kT
        above, below = log_count(x_n, empty), log_count(-x_n, full)
        if not partial.any():
            return above - below
        f_n = 1.0 / (1.0 + np.exp(np.clip(x_n[partial], -700, 700)))
        return float(np.sum(weights_n[partial] * (f_n - step_n[partial])) + np.exp(above) - np.exp(below))

    low, high = highest - kT, lowest + kT
    while excess(low) > 0:
        low -= 2 * (high - low)
    while excess(high) < 0:
        high += 2 * (high - low)
    return float(brentq(excess, low, high, xtol=1e-15 * max(1.0, abs(high)), rtol=1e-15))
