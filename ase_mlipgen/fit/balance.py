"""Weights by the theory: the weight of energies at which eps_E <= eps_F^2, if there is one that leaves forces alone.

Theorem 3.1 bounds the energy error by eps_F^2 + eps_E (units: eV and eV/Å), so that energies need to be no better than
eps_F^2 and should be no worse. Only the ratio W_E / W_F matters; W_F is 1. The iteration, bounded:

1. fit with W_E = 1, then 100, as the paper has it;
2. while eps_E > eps_F^2, multiply W_E by (eps_E / eps_F^2)^2, the factor by which squared residuals have to fall, at
   most by `LARGEST_STEP`, at most up to `LARGEST`;
3. a fit whose eps_F (largest or RMSE) is more than `SPOILT` above the best seen has paid with its forces: it is
   refused, and W_E goes half-way back (geometric mean with the last one that was not);
4. after `MOST` fits, or when nothing moves, take the admissible fit with the smallest eps_E and say that the balance is
   not reachable: often so, since one number cannot fall when the basis describes neither.

Every fit reuses the triangles of the rows. Enter at `balance`.
"""

from collections.abc import Callable
from dataclasses import dataclass

FIRST = (1.0, 100.0)
LARGEST_STEP = 100.0
LARGEST = 1e8
SMALLEST_STEP = 1.2
SPOILT = 0.1
MOST = 8


@dataclass(frozen=True)
class Trial:
    """One fit: weights in the convention of eq. (4.2), W_F = 1, and what it measured on the training samples.

    Attributes
    ----------
    W_E : float
    eps_E : float, eV, largest
    eps_F, eps_F_rmse : float, eV/Å, in the dual norm
    """

    W_E: float
    eps_E: float
    eps_F: float
    eps_F_rmse: float

    @property
    def balanced(self) -> bool:
        """Whether eps_E <= eps_F^2."""
        return self.eps_E <= self.eps_F**2


@dataclass(frozen=True)
class Balance:
    """The chosen trial, whether it is balanced, and all trials in their order."""

    chosen: Trial
    reached: bool
    trials: tuple[Trial, ...]

    def __str__(self) -> str:
        found = self.chosen
        state = "balance reached" if self.reached else "balance not reachable"
        relation = "<=" if self.reached else ">"
        return (
            f"weights by the theory: W_E = {found.W_E:.3g}, W_F = 1, of squared residuals of total energies and force "
            f"components, eq. (4.2); {state} in {len(self.trials)} fits: eps_E = {found.eps_E:.2e} eV {relation} "
            f"eps_F^2 = {found.eps_F**2:.2e}, eps_F = {found.eps_F:.2e} eV/Å"
        )


def balance(measure: Callable[[float], Trial]) -> Balance:
    """Look for the weight of energies.

    Parameters
    ----------
    measure : callable, W_E to Trial
        Fits with W_F = 1 and measures on the training samples.

    Returns
    -------
    Balance
    """
    trials: list[Trial] = []
    for W_E in FIRST:
        trials.append(measure(W_E))
        if trials[-1].balanced:
            return _choose(trials)
    while len(trials) < MOST and (following := _next(trials[-1], trials)) is not None:
        trials.append(measure(following))
        if trials[-1].balanced and trials[-1] in _admissible(trials):
            break
    return _choose(trials)


def _next(last: Trial, trials: list[Trial]) -> float | None:
    """Return the next weight; None where there is none worth a fit."""
    admissible = _admissible(trials)
    if last in admissible:
        refused = [t.W_E for t in trials if t.W_E > last.W_E]
        ratio = last.eps_E / max(last.eps_F**2, last.eps_E / LARGEST_STEP)
        wanted = last.W_E * min(max(ratio**2, SMALLEST_STEP), LARGEST_STEP)
        wanted = min([wanted, LARGEST, *((last.W_E * W) ** 0.5 for W in refused)])
        return wanted if wanted >= SMALLEST_STEP * last.W_E else None
    below = max(t.W_E for t in admissible)
    middle = (below * last.W_E) ** 0.5
    return middle if SMALLEST_STEP * below <= middle < last.W_E else None


def _admissible(trials: list[Trial]) -> list[Trial]:
    """Trials whose forces are about as good as the best seen."""
    names = ("eps_F", "eps_F_rmse")
    best = {name: min(getattr(t, name) for t in trials) for name in names}
    kept = [t for t in trials if all(getattr(t, name) <= (1.0 + SPOILT) * best[name] for name in names)]
    # The best in one norm may be spoilt in the other: then the best in the root mean square is the one.
    return kept or [min(trials, key=lambda t: t.eps_F_rmse)]


def _choose(trials: list[Trial]) -> Balance:
    admissible = _admissible(trials)
    balanced = [t for t in admissible if t.balanced]
    chosen = min(balanced, key=lambda t: t.eps_F) if balanced else min(admissible, key=lambda t: t.eps_E)
    return Balance(chosen, chosen.balanced, tuple(trials))
