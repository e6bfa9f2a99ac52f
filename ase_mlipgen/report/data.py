"""The numbers that the figures show: predictions beside labels, distances from the core, binned means.

Everything here is plain arrays, computed once a report. Cost: one evaluation of the model for each test cell. Enter at
`predict`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.labels import LabelledCell
from ase_mlipgen.result import TrainingCell
from ase_mlipgen.theory.compare import core_distances

Floats = npt.NDArray[np.float64]


class Predictions(NamedTuple):
    """Reference and model on the cells of one defect.

    Attributes
    ----------
    defect : str
    energy_reference, energy_model : (n_cells,) arrays, eV/atom
    forces_reference, forces_model : (n_samples, 3) arrays, eV/Å, one row an atom of a cell
    distance : (n_samples,) array, Å, of the atom's unrelaxed site from the core; nan where that is unknown
    planar : bool
        Whether z components are zero by construction.
    """

    defect: str
    energy_reference: Floats
    energy_model: Floats
    forces_reference: Floats
    forces_model: Floats
    distance: Floats
    planar: bool

    @property
    def force_errors(self) -> Floats:
        """Length of the force error of each atom, (n_samples,), eV/Å."""
        return np.asarray(np.linalg.norm(self.forces_model - self.forces_reference, axis=1))

    @property
    def components(self) -> tuple[Floats, Floats]:
        """Force components of reference and model, flat; those in the plane of a planar crystal."""
        d = 2 if self.planar else 3
        return self.forces_reference[:, :d].ravel(), self.forces_model[:, :d].ravel()


def predict(model: Any, labelled: Sequence[LabelledCell], cells: Sequence[TrainingCell]) -> list[Predictions]:
    """Evaluate a calculator on labelled cells, defect by defect.

    Parameters
    ----------
    model : ASE calculator
    labelled : labelled cells; those of the perfect crystal are left out
    cells : the training cells, which say where the cores are
    """
    known = {(cell.defect, len(cell.unrelaxed)): core_distances(cell.unrelaxed) for cell in cells}
    names = list(dict.fromkeys(cell.defect for cell in labelled if cell.config_type == "defect"))
    return [
        _of_defect(model, name, [cell for cell in labelled if cell.defect == name], known) for name in names
    ]


def _of_defect(model: Any, name: str, labelled: Sequence[LabelledCell], known: Any) -> Predictions:
    from ase_mlipgen.defects import is_planar

    energies, forces, distances = [], [], []
    for cell in labelled:
        atoms = cell.atoms.copy()
        atoms.calc = model
        energies.append((cell.energy / len(atoms), atoms.get_potential_energy() / len(atoms)))
        forces.append((cell.forces, atoms.get_forces()))
        distance = known.get((name, len(atoms)))
        distances.append(np.full(len(atoms), np.nan) if distance is None else distance)
    reference, predicted = np.array(energies).T
    planar = all(is_planar(cell.atoms) for cell in labelled)
    both = [np.concatenate(parts) for parts in zip(*forces, strict=True)]
    return Predictions(name, reference, predicted, both[0], both[1], np.concatenate(distances), planar)


class Judged(NamedTuple):
    """Predictions of a posterior beside true errors, one entry an atom.

    Attributes
    ----------
    predicted, actual : (n,) arrays, eV/Å, standard deviation and error of the force on an atom
    grade : (n,) array
    floor : eV/Å, below which the errors are not known
    """

    predicted: Floats
    actual: Floats
    grade: Floats
    floor: float = 0.0

    @property
    def coverage(self) -> float:
        """Share of atoms whose error is at most twice the prediction, or below the floor."""
        return float(np.mean(self.actual <= 2.0 * self.predicted + self.floor))


def judge(model: Any, structures: Sequence[tuple[Atoms, Floats]], floor: float = 0.0) -> Judged | None:
    """Compare a model's posterior with its errors; None for a model without one, or no structures.

    Parameters
    ----------
    model : LinearACE
    structures : atoms and the reference's forces on them, (n_atoms, 3), eV/Å
    floor : eV/Å, to which the reference's forces are known
    """
    if getattr(model, "posterior", None) is None or not structures:
        return None
    parts = []
    for atoms, forces in structures:
        probe, found = atoms.copy(), model.get_uncertainty(atoms)
        probe.calc = model
        errors = np.linalg.norm(probe.get_forces(apply_constraint=False) - forces, axis=1)
        parts.append((np.linalg.norm(found.forces_std, axis=1), errors, found.grade_i))
    predicted, actual, grade = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Judged(predicted, actual, grade, floor)


def binned(x: Floats, y: Floats, n_bins: int = 16, logarithmic: bool = False) -> tuple[Floats, Floats]:
    """Root mean square of y in equal bins of x (of its logarithm); empty bins are left out.

    Returns
    -------
    mean x and root mean square y of each bin
    """
    good = np.isfinite(x) & np.isfinite(y) & ((x > 0) | (not logarithmic))
    x, y = x[good], y[good]
    if len(x) == 0:
        return x, y
    measure = np.log(x) if logarithmic else x
    edges = np.linspace(measure.min(), measure.max(), n_bins + 1)
    index = np.clip(np.searchsorted(edges, measure, side="right") - 1, 0, n_bins - 1)
    filled = np.unique(index)
    centre = np.array([x[index == k].mean() for k in filled])
    return centre, np.array([np.sqrt(np.mean(y[index == k] ** 2)) for k in filled])
