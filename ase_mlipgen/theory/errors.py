"""Errors of a surrogate on labelled cells: the paper's l2 figures and the norms of the theorem, named apart.

Ortner & Wang report RMSEs (energy per atom, force components, homogeneous force constants in per cent);
Theorem 3.1 speaks of eps_E = max |E - E~| over the samples (3.3) and eps_F = max ||F - F~||_* in the dual of
the strain norm (3.4). Entry point: :func:`measure`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.defects import nearest_distances
from ase_mlipgen.fit import LinearFit
from ase_mlipgen.labels import LabelledCell
from ase_mlipgen.theory.norms import DualNorm, bonds
from ase_mlipgen.theory.stability import Operators

DEFINITIONS = {
    "energy_rmse": ("energy RMSE", "eV/atom", "root mean square over cells of the total energy error per atom"),
    "force_rmse": ("force RMSE", "eV/Å", "root mean square over cells, atoms and three components of the force error"),
    "eps_E": ("eps_E", "eV", "largest total energy error of a cell (3.3)"),
    "eps_E_rmse": ("eps_E, RMSE", "eV", "root mean square over cells of the total energy error"),
    "eps_F": ("eps_F", "eV/Å", "largest force error of a cell in the dual of the strain norm (3.4)"),
    "eps_F_rmse": ("eps_F, RMSE", "eV/Å", "root mean square over cells of the same"),
    "eps_FC": (
        "eps_FC", "eV/Å^2",
        "norm of the difference of both Hessians, U to U*, at the relaxed training cell (3.5)",
    ),
    "eps_FC_hom": ("eps_FC_hom", "eV/Å^2", "the same on the perfect crystal (3.6)"),
    "stability": (
        "stability", "eV/Å^2",
        "smallest eigenvalue of the model's Hessians in the strain norm, training cells and hosts; (S): above zero",
    ),
    "reference_stability": ("stability, reference", "eV/Å^2", "the same of the reference"),
    "force_constants_percent": (
        "force constants", "%",
        "100 |H - H~| / |H|, Frobenius norms, Hessians of the perfect crystal (the paper's eps_FC_hom)",
    ),
}  # fmt: skip

NOT_MEASURED = Operators()


class TrainedOn(Protocol):
    """What is needed of a training cell."""

    @property
    def defect(self) -> str: ...  # noqa: D102
    @property
    def unrelaxed(self) -> Atoms: ...  # noqa: D102


@dataclass(frozen=True)
class Errors:
    """Errors over a set of labelled cells; see `DEFINITIONS` for each.

    Attributes
    ----------
    energy_rmse : float, eV/atom
    force_rmse : float, eV/Å
    eps_E, eps_E_rmse : float, eV
    eps_F, eps_F_rmse : float, eV/Å
    force_constants_percent : float
    n_cells : int
    n_functions, n_rows, rank : int
        Of the fit.
    closest_distance : float, Å
        Smallest distance of two atoms in the cells.
    eps_FC, eps_FC_hom, stability, reference_stability : float or None, eV/Å^2
        None where Hessians were not computed: the reference has none of its own, and differences of its forces were
        not asked for.
    """

    energy_rmse: float
    force_rmse: float
    eps_E: float
    eps_E_rmse: float
    eps_F: float
    eps_F_rmse: float
    force_constants_percent: float
    n_cells: int
    n_functions: int
    n_rows: int
    rank: int
    closest_distance: float
    eps_FC: float | None = None
    eps_FC_hom: float | None = None
    stability: float | None = None
    reference_stability: float | None = None


def measure(
    surrogate: Any,
    labelled: Sequence[LabelledCell],
    cells: Sequence[TrainedOn],
    fit: LinearFit,
    force_constants_percent: float,
    operators: Operators = NOT_MEASURED,
) -> Errors:
    """Compare a surrogate with labels.

    Parameters
    ----------
    surrogate : ASE calculator
    labelled : sequence of LabelledCell
        Samples around the training cells.
    cells : sequence of training cells
    fit : LinearFit
    force_constants_percent : float
        Error of the homogeneous force constants: one number for the crystal, whatever the samples.
    operators : Operators
        Force-constant errors as operators and stability constants, of the cells that the samples are of.

    Returns
    -------
    Errors
        NaN where there are no cells. eps_F is of the cells that are samples around one of `cells`.
    """
    duals = {(c.defect, len(c.unrelaxed)): DualNorm(bonds(c.unrelaxed)) for c in cells}
    energy, force, dual, n_atoms, closest = [], [], [], [], []
    for cell in labelled:
        predicted = cell.atoms.copy()
        predicted.calc = surrogate
        difference = cell.forces - predicted.get_forces()
        energy.append(cell.energy - predicted.get_potential_energy())
        force.append(difference)
        if (norm := duals.get((cell.defect, len(cell.atoms)))) is not None:
            dual.append(norm(difference))
        n_atoms.append(len(cell.atoms))
        closest.append(_closest(cell.atoms))
    components = np.concatenate([d.ravel() for d in force]) if force else np.array([])
    return Errors(
        energy_rmse=_rms(np.array(energy) / np.array(n_atoms)),
        force_rmse=_rms(components),
        eps_E=_largest(energy),
        eps_E_rmse=_rms(np.array(energy)),
        eps_F=_largest(dual),
        eps_F_rmse=_rms(np.array(dual)),
        force_constants_percent=force_constants_percent,
        n_cells=len(labelled),
        n_functions=fit.n_functions,
        n_rows=fit.n_rows,
        rank=fit.rank,
        closest_distance=min(closest, default=float("nan")),
        **operators._asdict(),
    )


def _rms(values: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else float("nan")


def _largest(values: Sequence[float]) -> float:
    return float(np.max(np.abs(values))) if len(values) else float("nan")


def _closest(atoms: Atoms) -> float:
    return float(np.min(nearest_distances(atoms), initial=np.inf))
