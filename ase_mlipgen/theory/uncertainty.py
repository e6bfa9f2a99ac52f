"""Uncertainties of a fit: its posterior, scaled to held-out errors, and predictions against true errors.

Enter at `posterior_of`, `calibration`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from ase_mlipgen.fit import Constraints, LinearFit, TriangularFactor
from ase_mlipgen.fit.posterior import leverage_root, posterior_root
from ase_mlipgen.labels import LabelledCell
from ase_mlipgen.posterior import Posterior

Floats = npt.NDArray[np.float64]

HELD_OUT = 20
"""Test samples that the posterior is scaled to."""

SITES = 2000
"""Rows of site energies that the extrapolation grade is measured by, at least."""


class Calibration(NamedTuple):
    """Atoms in bins of equal number, by predicted standard deviation of the force.

    Attributes
    ----------
    predicted, actual : (n_bins,) arrays, eV/Å
        Root mean squares of the predicted standard deviation and of the true error of a force vector.
    coverage : float
        Share of atoms whose error is below twice the prediction.
    correlation : float
        Rank correlation of predictions and errors, by Spearman.
    """

    predicted: Floats
    actual: Floats
    coverage: float
    correlation: float


def posterior_of(
    model: Any,
    fit: LinearFit,
    factor: TriangularFactor,
    constraints: Constraints | None,
    train: Sequence[LabelledCell],
    test: Sequence[LabelledCell],
) -> Posterior:
    """Compute the posterior of a fit, its scale and its grades.

    Parameters
    ----------
    model : LinearACE
        With the fit's coefficients.
    fit, factor, constraints : what was solved
    train : labelled cells
        Whose sites define the grade; evenly picked, as many as tell the span of all.
    test : labelled cells
        The first `HELD_OUT` with a defect set the scale.
    """
    root, sigma, tau = posterior_root(factor, fit, constraints)
    sites = _site_rows(model.basis, train)
    seen = TriangularFactor(len(model.basis)).add(sites, np.zeros(len(sites)))
    found = Posterior(root, leverage_root(seen, sites), sigma, tau)
    held_out = [cell for cell in test if cell.config_type == "defect"][:HELD_OUT]
    return replace(found, inflation=inflation(found, model, held_out))


def _site_rows(basis: Any, cells: Sequence[LabelledCell]) -> Floats:
    share = max(SITES, 4 * len(basis)) / max(1, sum(len(cell.atoms) for cell in cells))
    step = max(1, int(1.0 / share))
    return np.concatenate([basis.site_rows(cell.atoms) for cell in cells[::step]])


def inflation(posterior: Posterior, model: Any, held_out: Sequence[LabelledCell]) -> float:
    """Return the root mean square force error on held-out cells over that of the posterior; 1 where there is none.

    Parameters
    ----------
    posterior : Posterior
    model : LinearACE
        Whose posterior it is.
    held_out : labelled cells
    """
    errors, predicted = 0.0, 0.0
    for cell in held_out:
        atoms = cell.atoms.copy()
        atoms.calc = model
        errors += float(np.sum((atoms.get_forces() - cell.forces) ** 2))
        predicted += float(np.sum(posterior(model.basis, cell.atoms).forces_std ** 2))
    return float(np.sqrt(errors / predicted)) if errors > 0 and predicted > 0 else 1.0


def calibration(predicted: Floats, actual: Floats, n_bins: int = 10) -> Calibration:
    """Compare predicted standard deviations and true errors.

    Parameters
    ----------
    predicted, actual : (n,) arrays, eV/Å
        Lengths of force vectors: predicted standard deviation, and error.
    n_bins : int

    Raises
    ------
    ValueError
        Arrays of different lengths, or none.
    """
    if predicted.shape != actual.shape or predicted.size == 0:
        raise ValueError(
            f"{predicted.size} predictions and {actual.size} errors; expected as many, at least one"
        )
    order = np.argsort(predicted, kind="stable")
    parts = [part for part in np.array_split(order, n_bins) if len(part)]
    rms = [np.array([np.sqrt(np.mean(x[part] ** 2)) for part in parts]) for x in (predicted, actual)]
    correlation = (
        float(spearmanr(predicted, actual)[0]) if np.ptp(predicted) and np.ptp(actual) else float("nan")
    )
    return Calibration(rms[0], rms[1], float(np.mean(actual <= 2.0 * predicted)), correlation)
