"""Lengths of a cell that the other files of this room ask for: neighbour distances, widths, planarity.

A planar crystal is a flat sheet, periodic in x and y only (pbc (1, 1, 0)), with a dummy third cell vector; everything
about it (neighbours, displacements, forces) is in-plane.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.arguments import of_kind
from ase_mlipgen.neighbors import pairs

FLATNESS = 1e-6
"""Å: atoms of a planar crystal differ in z by less than this."""


def check_atoms(name: str, atoms: Any, expected: str) -> None:
    """Refuse what is no structure, has no atoms, or has a cell or positions that are not finite.

    Raises
    ------
    TypeError, ValueError
    """
    of_kind(name, atoms, Atoms, expected)
    if len(atoms) == 0:
        raise ValueError(f"{name} has no atoms: expected {expected}")
    if not (np.isfinite(atoms.cell.array).all() and np.isfinite(atoms.positions).all()):
        raise ValueError(f"{name} has a cell or positions with NaN or infinity: expected {expected}")


def is_planar(atoms: Atoms) -> bool:
    """Tell whether the atoms are one flat sheet: periodic in x and y only, all at the same z."""
    if tuple(bool(p) for p in atoms.pbc) != (True, True, False):
        return False
    in_xy_plane = np.abs(atoms.cell[:2, 2]).max() < FLATNESS
    return bool(in_xy_plane and (len(atoms) == 0 or np.ptp(atoms.positions[:, 2]) < FLATNESS))


def spacing(atoms: Atoms) -> float:
    """Give the edge of the cube (planar cells: square) that holds one atom on average, in Å; 3 without a cell."""
    if atoms.cell.rank < 3:
        return 3.0
    if is_planar(atoms):
        area = abs(float(np.linalg.det(atoms.cell[:2, :2])))
        return float(np.sqrt(area / len(atoms)))
    return float(np.cbrt(atoms.get_volume() / len(atoms)))


def nearest_distances(atoms: Atoms) -> npt.NDArray[np.float64]:
    """Distance of every atom to its nearest neighbour, periodic images included.

    Returns
    -------
    (n_atoms,) array, Å; inf where there is none within three average spacings.
    """
    found = pairs(atoms, 3.0 * spacing(atoms))
    nearest_i = np.full(len(atoms), np.inf)
    np.minimum.at(nearest_i, found.centres(), np.linalg.norm(found.vectors(), axis=1))
    return nearest_i


def cell_width(atoms: Atoms) -> float:
    """Smallest distance between opposite faces of the cell, over its periodic directions.

    A training cell should be at least twice the cutoff wide: in a narrower one an atom sees several images of the
    same neighbour, and the fit is worse on large cells in a way that held-out errors on the small one do not show.

    Returns
    -------
    Å; inf for a cell without periodic directions.
    """
    pbc = np.asarray(atoms.pbc, dtype=bool)
    vectors = np.array(atoms.cell.complete(), dtype=float)
    if pbc.sum() == 2:
        a, b = vectors[pbc]
        vectors[~pbc] = np.cross(a, b)
    elif pbc.sum() == 1:
        return float(np.linalg.norm(vectors[pbc]))
    widths = 1.0 / np.linalg.norm(np.linalg.inv(vectors), axis=0)
    return float(np.min(widths[pbc], initial=np.inf))


def wrapped(fractional_xc: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Bring fractional coordinates to [0, 1); round-off below zero becomes zero, not one, as trees of a box want it."""
    inside_xc = fractional_xc - np.floor(fractional_xc)
    return np.where(inside_xc < 1.0, inside_xc, 0.0)


def minimum_image(d_xc: npt.NDArray[np.float64], atoms: Atoms) -> npt.NDArray[np.float64]:
    """Reduce vectors by the cell's periods so that short ones come out short.

    Exact for vectors below half the width of the cell, which is what telling "the same site" needs; longer ones may
    stay longer than their nearest image in skewed cells.

    Parameters
    ----------
    d_xc : (..., 3) array, Å

    Returns
    -------
    (..., 3) array, Å
    """
    vectors = np.array(atoms.cell.complete(), dtype=float)
    fractional = np.asarray(d_xc) @ np.linalg.inv(vectors)
    fractional -= np.round(fractional) * np.asarray(atoms.pbc)
    return np.asarray(fractional @ vectors)
