"""Forces that wrong homogeneous force constants make in the far field of a defect, without a new label.

The columns of H~ - H, known on one perfect training cell, are folded to the nearest images (equally near ones share)
and applied to the surrogate's displacements in a larger cell. Enter at `far_forces`.
"""

from itertools import product

import numpy as np
import numpy.typing as npt
from ase import Atoms
from scipy.spatial import cKDTree

from ase_mlipgen.theory.force_constants import ForceConstants, translation_classes

Floats = npt.NDArray[np.float64]

SAME_LENGTH = 1e-3
"""Å: images that are this close in distance share a force constant."""

SAME_SITE = 0.1
"""Å"""


def far_forces(
    perfect: Atoms,
    surrogate: ForceConstants,
    reference: ForceConstants,
    large: Atoms,
    u_ic: Floats,
    site_i: npt.NDArray[np.int64],
    rows: npt.NDArray[np.bool_],
) -> Floats:
    """Compute (H~ - H) u on some atoms of a larger cell of the same crystal.

    Parameters
    ----------
    perfect : the cell of both models' force constants
    large : unrelaxed larger cell, of the same orientation
    u_ic : (n_atoms, 3) array, Å, displacements; sites without an atom count as not displaced
    site_i : (n_atoms,) array, the atom of `perfect` that each is an image of; -1 for others
    rows : (n_atoms,) array of bool, the atoms whose forces are wanted, if they are on a site

    Returns
    -------
    (n_atoms, 3) array, eV/Å, zero on the other atoms.

    Raises
    ------
    ValueError
        The force constants are of different cells.
    """
    if surrogate.columns_sanb.shape != reference.columns_sanb.shape:
        raise ValueError(
            f"force constants of {surrogate.columns_sanb.shape[2]} and {reference.columns_sanb.shape[2]} atoms; "
            "compute both for the same perfect cell"
        )
    difference_sanb = surrogate.columns_sanb - reference.columns_sanb
    d = difference_sanb.shape[1]
    tree = _tree(large)
    first_i = np.where(site_i >= 0, translation_classes(perfect)[site_i], -1)
    forces = np.zeros_like(u_ic)
    for s, site in enumerate(surrogate.sites_s):
        own = np.flatnonzero(rows & (first_i == site))
        for n, image_kc in enumerate(_images(perfect, int(site))):
            block = difference_sanb[s, :, n, :].T / len(image_kc)
            for offset in image_kc:
                target = _at(tree, large, large.positions[own] + offset)
                moved = np.where(
                    (target < len(large))[:, None], u_ic[np.minimum(target, len(large) - 1)], 0.0
                )
                forces[own, :d] += (moved - u_ic[own])[:, :d] @ block
    return forces


def _images(perfect: Atoms, site: int) -> list[Floats]:
    """Return the vectors from a site to the nearest images of every atom, (n_images, 3) each."""
    cell = perfect.cell.complete().array
    fractions = (perfect.positions - perfect.positions[site]) @ np.linalg.inv(cell)
    fractions -= np.round(fractions) * perfect.pbc
    shifts = np.array(list(product(*[(-1, 0, 1) if p else (0,) for p in perfect.pbc])))
    vectors_nkc = (fractions[:, None, :] + shifts[None, :, :]) @ cell
    lengths_nk = np.linalg.norm(vectors_nkc, axis=2)
    near_nk = lengths_nk < lengths_nk.min(axis=1, keepdims=True) + SAME_LENGTH
    return [vectors[near] for vectors, near in zip(vectors_nkc, near_nk, strict=True)]


def _tree(large: Atoms) -> cKDTree:
    """Return a tree of the fractional coordinates."""
    fractions = np.mod(large.get_scaled_positions(), 1.0)
    fractions[:, ~large.pbc] = 0.5
    return cKDTree(np.where(fractions >= 1.0, 0.0, fractions), boxsize=np.ones(3))


def _at(tree: cKDTree, large: Atoms, positions: Floats) -> npt.NDArray[np.int64]:
    """Return the atom at each position; their number where there is none."""
    fractions = np.mod(large.cell.scaled_positions(positions), 1.0)
    fractions[:, ~large.pbc] = 0.5
    reach = SAME_SITE / float(large.cell.lengths()[large.pbc].max())
    _, found = tree.query(np.where(fractions >= 1.0, 0.0, fractions), distance_upper_bound=reach)
    return np.asarray(found, dtype=np.int64)
