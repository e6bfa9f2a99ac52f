"""Homogeneous force constants: the Hessian of a perfect crystal, from the columns of one atom a sublattice.

All atoms that a lattice translation takes into one another have the same column up to that translation, so one
representative each is enough for |H - H~|_F / |H|_F, the force-constant error that Ortner and Wang report, and for
H u on larger cells. Columns come from the calculator's own Hessian if it has one, else from central differences of
forces, fourth order, with as few force calls as the space group allows (two for diamond, fcc and bcc). Planar
crystals: x and y only. Enter at `force_constants`, `force_constants_percent`; `difference_hessian` is for any cell.
"""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import spglib
from ase import Atoms
from scipy.sparse import csc_array, issparse
from scipy.sparse.linalg import norm as sparse_norm
from scipy.spatial import KDTree

from ase_mlipgen.defects import is_planar, wrapped
from ase_mlipgen.symmetry import differences
from ase_mlipgen.symmetry.sites import SiteSymmetry, find_site_symmetry
from ase_mlipgen.theory.cell_hessian import analytic_hessian, has_hessian

logger = logging.getLogger(__name__)

STEP = 0.01
"""Å: differences of exact forces are then good to about 1e-8 of the largest force constant."""

SAME_POSITION = 1e-4
"""Å: tolerance for the translations of the perfect crystal."""

SYMPREC = 1e-5
"""Å: tolerance for operations that save force calls. An error of this size times third derivatives may enter."""


@dataclass(frozen=True, eq=False)
class ForceConstants:
    """Columns of the Hessian of a perfect cell.

    Attributes
    ----------
    sites_s : (n_sublattices,) representative atoms
    multiplicity_s : (n_sublattices,) atoms in the cell that each stands for
    columns_sanb : (n_sublattices, d, n_atoms, d) array, eV/Å^2: d^2 E / (d x_{site s, a} d x_{n, b}); d = 3, planar 2
    n_calls : force calls made, 0 if the Hessian is the calculator's own
    """

    sites_s: npt.NDArray[np.int64]
    multiplicity_s: npt.NDArray[np.int64]
    columns_sanb: npt.NDArray[np.float64]
    n_calls: int = 0


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
    perfect: Atoms,
    calculator: Any,
    step: float = STEP,
    analytic: bool | None = None,
    symprec: float | None = SYMPREC,
) -> ForceConstants:
    """Compute the Hessian columns of one atom a sublattice.

    Parameters
    ----------
    perfect : cell of the perfect crystal, not changed
    calculator : an ASE calculator
    step : Å, displacement for central differences; larger where forces are noisy
    analytic : take the calculator's Hessian; None: if it has one
    symprec : Å, tolerance for symmetry that saves force calls; None to displace every sublattice in every direction

    Raises
    ------
    ValueError
        The Hessian has the wrong shape, or the step is not positive.

    Warns
    -----
    RuntimeWarning
        Forces contradict the symmetry of the structure.
    """
    dimension = 2 if is_planar(perfect) else 3
    class_i = translation_classes(perfect)
    sites, multiplicity = np.unique(class_i, return_counts=True)
    if analytic is None:
        analytic = has_hessian(calculator)
    if analytic:
        columns, n_calls = _analytic(_walker(perfect, calculator), sites, dimension), 0
    else:
        found = differences.columns(
            _forces_of(perfect, calculator),
            perfect.positions,
            _symmetry(perfect, calculator, symprec, dimension),
            sites,
            step,
            dimension,
        )
        columns, n_calls = found.columns_sanb, found.n_calls
        logger.info("force constants of %d sublattices from %d force calls", len(sites), n_calls)
    return ForceConstants(sites.astype(np.int64), multiplicity.astype(np.int64), columns, n_calls)


def difference_hessian(
    atoms: Atoms, calculator: Any, step: float = STEP, symprec: float | None = SYMPREC
) -> npt.NDArray[np.float64]:
    """Compute the whole Hessian of any cell, with a defect or without, by differences of forces.

    One atom of each orbit of the space group is displaced, in as few directions as its site symmetry needs. How many
    force calls that took is logged. An analytic Hessian (``calculator.get_hessian``) is cheaper where there is one.

    Parameters
    ----------
    atoms : where to differentiate; forces need not vanish; not changed, constraints do not matter
    calculator : an ASE calculator
    step : Å, largest displacement; larger where forces are noisy
    symprec : Å, tolerance for symmetry; None to do without

    Returns
    -------
    (3 n_atoms, 3 n_atoms) array, eV/Å^2, symmetric, atom by atom

    Raises
    ------
    ValueError
        A step that is not positive.

    Warns
    -----
    RuntimeWarning
        Forces contradict the symmetry of the structure.
    """
    symmetry = _symmetry(atoms, calculator, symprec, 3)
    H, n_calls = differences.hessian(_forces_of(atoms, calculator), atoms.positions, symmetry, step)
    logger.info("Hessian of %d atoms from %d force calls", len(atoms), n_calls)
    return H


def _symmetry(atoms: Atoms, calculator: Any, symprec: float | None, dimension: int) -> SiteSymmetry:
    """Return the symmetry that forces on the atoms have."""
    if symprec is None:
        return SiteSymmetry.none(len(atoms))

    def keeps(rotations_gcc: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        mixing = rotations_gcc[:, dimension:, :dimension], rotations_gcc[:, :dimension, dimension:]
        kept = np.array(
            [bool(np.all(abs(a) < 1e-8) and np.all(abs(b) < 1e-8)) for a, b in zip(*mixing, strict=True)]
        )
        if hasattr(calculator, "keeps_rotations"):
            kept &= calculator.keeps_rotations(atoms, rotations_gcc)
        return kept

    states = np.column_stack([atoms.numbers, atoms.get_initial_charges()])
    magnetic = atoms.get_initial_magnetic_moments().reshape(len(atoms), -1)
    labels_i = np.unique(np.column_stack([states, magnetic]), axis=0, return_inverse=True)[1].ravel()
    return find_site_symmetry(atoms.positions, atoms.cell.array, atoms.pbc, labels_i, symprec, keeps)


def _walker(atoms: Atoms, calculator: Any) -> Atoms:
    walker = atoms.copy()
    walker.set_constraint()
    walker.calc = calculator
    return walker


def _forces_of(atoms: Atoms, calculator: Any) -> differences.Forces:
    walker = _walker(atoms, calculator)

    def forces(positions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        walker.positions = positions
        return np.array(walker.get_forces(apply_constraint=False))

    return forces


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
    fractional = perfect.get_scaled_positions(wrap=False)
    tree = KDTree(wrapped(fractional), boxsize=np.ones(3))
    for atom in range(n_atoms):
        site = int(class_i[atom])
        target_n = tree.query(wrapped(fractional + fractional[atom] - fractional[site]))[1]
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
    hessian = analytic_hessian(walker, walker.calc)
    wanted = (3 * sites[:, None] + np.arange(3)).ravel()
    columns = csc_array(hessian)[:, wanted].toarray().T.reshape(len(sites), 3, len(walker), 3)
    return np.ascontiguousarray(columns[:, :dimension, :, :dimension])
