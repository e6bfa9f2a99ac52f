"""Homogeneous force constants: the Hessian of a perfect crystal, from the columns of one atom a sublattice.

All atoms that a lattice translation takes into one another have the same column up to that translation, so one
representative each is enough for |H - H~|_F / |H|_F, the force-constant error that Ortner and Wang report, and for
H u on larger cells. Columns come from the calculator's own Hessian if it has one, else from central differences of
forces, fourth order: four force calls for each component of each representative. Planar crystals: x and y only.
Enter at `force_constants`, `force_constants_percent`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import spglib
from ase import Atoms
from scipy.sparse import csc_array, issparse
from scipy.sparse.linalg import norm as sparse_norm

from ase_mlipgen.defects import is_planar

STEP = 0.01
"""Å: differences of exact forces are then good to about 1e-8 of the largest force constant."""

SAME_POSITION = 1e-4
"""Å: tolerance for the translations of the perfect crystal."""


@dataclass(frozen=True, eq=False)
class ForceConstants:
    """Columns of the Hessian of a perfect cell.

    Attributes
    ----------
    sites_s : (n_sublattices,) representative atoms
    multiplicity_s : (n_sublattices,) atoms in the cell that each stands for
    columns_sanb : (n_sublattices, d, n_atoms, d) array, eV/Å^2: d^2 E / (d x_{site s, a} d x_{n, b}); d = 3, planar 2
    """

    sites_s: npt.NDArray[np.int64]
    multiplicity_s: npt.NDArray[np.int64]
    columns_sanb: npt.NDArray[np.float64]


def translation_classes(perfect: Atoms) -> npt.NDArray[np.int64]:
    """Say which atoms of a perfect cell are lattice translations of one another.

    Returns
    -------
    (n_atoms,) array: the first atom of each atom's sublattice.

    Raises
    ------
    ValueError
        spglib finds no symmetry.
    """
    cell = (perfect.cell.complete().array, perfect.get_scaled_positions(), perfect.numbers)
    dataset = spglib.get_symmetry_dataset(cell, symprec=SAME_POSITION)
    if dataset is None:
        raise ValueError(
            f"spglib finds no symmetry in {perfect.get_chemical_formula()}; two atoms may coincide"
        )
    _, first, inverse = np.unique(dataset.mapping_to_primitive, return_index=True, return_inverse=True)
    return np.asarray(first[inverse], dtype=np.int64)


def force_constants(
    perfect: Atoms, calculator: Any, step: float = STEP, analytic: bool | None = None
) -> ForceConstants:
    """Compute the Hessian columns of one atom a sublattice.

    Parameters
    ----------
    perfect : cell of the perfect crystal, not changed
    calculator : an ASE calculator
    step : Å, displacement for central differences; larger where forces are noisy
    analytic : take the calculator's Hessian; None: if it has one

    Raises
    ------
    ValueError
        The Hessian has the wrong shape.
    """
    dimension = 2 if is_planar(perfect) else 3
    class_i = translation_classes(perfect)
    sites, multiplicity = np.unique(class_i, return_counts=True)
    if analytic is None:
        analytic = "hessian" in getattr(calculator, "implemented_properties", ())
    walker = perfect.copy()
    walker.set_constraint()
    walker.calc = calculator
    if analytic:
        columns = _analytic(walker, sites, dimension)
    else:
        columns = np.array(
            [[_difference(walker, s, a, step, dimension) for a in range(dimension)] for s in sites]
        )
    return ForceConstants(sites.astype(np.int64), multiplicity.astype(np.int64), columns)


def full_hessian(constants: ForceConstants, perfect: Atoms) -> npt.NDArray[np.float64]:
    """Assemble the Hessian of the whole cell by translating the columns.

    Returns
    -------
    (d n_atoms, d n_atoms) array, eV/Å^2, atom by atom; d = 2 for planar cells, else 3. Dense: for small cells.
    """
    class_i = translation_classes(perfect)
    n_atoms, d = constants.columns_sanb.shape[2:]
    rows = {
        int(site): columns for site, columns in zip(constants.sites_s, constants.columns_sanb, strict=True)
    }
    hessian = np.empty((n_atoms, d, n_atoms, d))
    for atom in range(n_atoms):
        site = int(class_i[atom])
        target_n = _translated(perfect, perfect.positions[atom] - perfect.positions[site])
        hessian[atom][:, target_n, :] = rows[site]
    return hessian.reshape(n_atoms * d, n_atoms * d)


def force_constants_percent(reference: Any, surrogate: Any) -> float:
    """Compute 100 |H - H~|_F / |H|_F.

    Parameters
    ----------
    reference, surrogate : both `ForceConstants` of the same cell, or both matrices (dense or sparse)

    Raises
    ------
    ValueError
        They do not belong to the same cell, or the reference's force constants vanish.
    """
    if isinstance(reference, ForceConstants) and isinstance(surrogate, ForceConstants):
        if not np.array_equal(reference.sites_s, surrogate.sites_s):
            raise ValueError(
                f"force constants of atoms {reference.sites_s.tolist()} and {surrogate.sites_s.tolist()}; "
                "compute both for the same cell"
            )
        weight = np.sqrt(reference.multiplicity_s)[:, None, None, None]
        reference, surrogate = weight * reference.columns_sanb, weight * surrogate.columns_sanb
    if reference.shape != surrogate.shape:
        raise ValueError(f"Hessians of shape {reference.shape} and {surrogate.shape}; they must be the same")
    size = _frobenius(reference)
    if size == 0.0:
        raise ValueError("the reference's force constants are all zero: the cell's atoms do not interact")
    return 100.0 * _frobenius(reference - surrogate) / size


def _frobenius(matrix: Any) -> float:
    norm: Any = sparse_norm if issparse(matrix) else np.linalg.norm
    return float(norm(matrix))


def _analytic(walker: Atoms, sites: npt.NDArray[np.int64], dimension: int) -> npt.NDArray[np.float64]:
    calculator = walker.calc
    if hasattr(calculator, "get_hessian"):
        hessian = calculator.get_hessian(walker, format="sparse")
    else:
        hessian = calculator.get_property("hessian", walker)
    size = 3 * len(walker)
    if hessian.shape != (size, size):
        raise ValueError(f"the calculator's Hessian has shape {hessian.shape}; expected ({size}, {size})")
    wanted = (3 * sites[:, None] + np.arange(3)).ravel()
    columns = csc_array(hessian)[:, wanted].toarray().T.reshape(len(sites), 3, len(walker), 3)
    return np.ascontiguousarray(columns[:, :dimension, :, :dimension])


def _difference(walker: Atoms, site: int, axis: int, step: float, dimension: int) -> npt.NDArray[np.float64]:
    """One column: minus the derivative of all forces, by differences over step/2 and step, extrapolated."""
    start = walker.get_positions()
    slopes = []
    for h in (0.5 * step, step):
        forces = []
        for signed in (h, -h):
            moved = start.copy()
            moved[site, axis] += signed
            walker.positions = moved
            forces.append(np.array(walker.get_forces(apply_constraint=False)))
        slopes.append((forces[1] - forces[0]) / (2.0 * h))
    walker.positions = start
    return np.asarray(((4.0 * slopes[0] - slopes[1]) / 3.0)[:, :dimension])


def _translated(perfect: Atoms, shift: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """For every atom the one on which a lattice translation puts it."""
    fractional = perfect.get_scaled_positions()
    moved = perfect.cell.scaled_positions(perfect.positions + shift)
    offsets = moved[:, None, :] - fractional[None, :, :]
    offsets -= np.round(offsets)
    distance = np.linalg.norm(offsets @ perfect.cell.complete().array, axis=2)
    return np.argmin(distance, axis=1).astype(np.int64)
