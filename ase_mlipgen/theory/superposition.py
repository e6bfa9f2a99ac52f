"""Superposed single cores: what Theorem 2.1 of Ortner and Wang compares an equilibrium with many defects with.

A core's displacement comes from a cell with this defect alone. Cut off smoothly, it is

    (T_R u)(l) = eta(|l| / R) (u(l) - a),   a the weighted mean of u over the annulus R/2 < |l| < R,

eta one within R/2 and zero beyond R. The theorem: with cores at least L_D apart and R = L_D / 2, the equilibrium is
the sum of the T_R u, each at its core, and a rest with ||D rest|| <= C sqrt(n_D) L_D^(-d/2).
Enter at `core_field` and `superposed`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.geometry import get_distances
from scipy.spatial import cKDTree

from ase_mlipgen.defects import minimum_image, wrapped

Floats = npt.NDArray[np.float64]

SAME_PLACE = 0.1
"""Å: atoms of two cells this close, seen from their cores, are the same."""
NEAR = 1.1
"""Of the nearest distance: atoms this close give an added atom of another core its displacement."""


@dataclass(frozen=True, eq=False)
class CoreField:
    """The displacement around one core, with the periods of the cell it comes from.

    Attributes
    ----------
    offsets_xc : (n_atoms, 3) array, Å, unrelaxed atoms seen from the core
    u_xc : (n_atoms, 3) array, Å
    cell : (3, 3) array, Å
    """

    offsets_xc: Floats
    u_xc: Floats
    cell: Floats

    def at(self, offsets_xc: Floats) -> Floats:
        """Return the displacement at some offsets from the core, Å.

        Where the cell has no atom (an added one of another core), the mean over the nearest there.
        """
        inverse = np.linalg.inv(self.cell)
        places = wrapped(offsets_xc @ inverse)
        _, found = self._tree.query(places)
        off = places - self._tree.data[found]
        away = np.linalg.norm((off - np.round(off)) @ self.cell, axis=1)
        u_xc = self.u_xc[found]
        for k in np.flatnonzero(away > SAME_PLACE):
            off = self._tree.data - places[k]
            distances = np.linalg.norm((off - np.round(off)) @ self.cell, axis=1)
            u_xc[k] = self.u_xc[distances < NEAR * distances.min()].mean(axis=0)
        return np.asarray(u_xc)

    def truncated(self, offsets_xc: Floats, radius: float) -> Floats:
        """Return T_R u at some offsets, Å."""
        u_xc = np.zeros_like(offsets_xc)
        r = np.linalg.norm(offsets_xc, axis=1)
        inside = r < radius
        u_xc[inside] = cutoff(r[inside] / radius)[:, None] * (
            self.at(offsets_xc[inside]) - self._outside(radius)
        )
        return u_xc

    def _outside(self, radius: float) -> Floats:
        """Return a, the mean over the annulus, weighted by eta (1 - eta): no jump where sites are on its edges."""
        eta = cutoff(np.linalg.norm(self.offsets_xc, axis=1) / radius)
        weights = eta * (1.0 - eta)
        total = weights.sum()
        return np.asarray(weights @ self.u_xc / total) if total > 0.0 else np.zeros(3)

    @cached_property
    def _tree(self) -> Any:
        return cKDTree(wrapped(self.offsets_xc @ np.linalg.inv(self.cell)), boxsize=np.ones(3))


def core_field(unrelaxed: Atoms, relaxed: Atoms) -> CoreField:
    """Read the displacement around the one core of a cell.

    Parameters
    ----------
    unrelaxed : `info["defect_centres"]` says where the core is
    relaxed : the same atoms at the equilibrium

    Raises
    ------
    ValueError
        The cell has no core, or several.
    """
    centres = _centres(unrelaxed)
    if len(centres) != 1:
        raise ValueError(f"the cell has {len(centres)} cores in info['defect_centres']; expected one")
    offsets, _ = get_distances(centres, unrelaxed.positions, cell=unrelaxed.cell, pbc=unrelaxed.pbc)
    u_ic = minimum_image(relaxed.positions - unrelaxed.positions, unrelaxed)
    return CoreField(np.asarray(offsets[0]), u_ic, np.asarray(unrelaxed.cell.complete()))


def superposed(atoms: Atoms, fields: Sequence[CoreField], radius: float | None) -> Floats:
    """Sum the displacements of all cores of a cell.

    Parameters
    ----------
    atoms : the unrelaxed cell with its cores in `info["defect_centres"]`
    fields : one a core
    radius : Å, R of the truncation; None for fields as they are, which then are to come from a cell of these periods

    Returns
    -------
    (n_atoms, 3) array, Å

    Raises
    ------
    ValueError
        Another number of fields than of cores.
    """
    centres = _centres(atoms)
    if len(fields) != len(centres):
        raise ValueError(f"{len(fields)} fields for {len(centres)} cores; expected one each")
    offsets_dic, _ = get_distances(centres, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    total = np.zeros((len(atoms), 3))
    for field, offsets_ic in zip(fields, offsets_dic, strict=True):
        total += field.at(offsets_ic) if radius is None else field.truncated(offsets_ic, radius)
    return total


def cutoff(x: npt.ArrayLike) -> Floats:
    """Return eta: 1 up to 1/2, 0 from 1 on, and between them the smoothstep that is smooth to the second derivative."""
    t = np.clip(2.0 * np.asarray(x, dtype=float) - 1.0, 0.0, 1.0)
    return np.asarray(1.0 - t**3 * (10.0 - 15.0 * t + 6.0 * t**2))


def closest_cores(atoms: Atoms) -> float:
    """Return the smallest distance of two cores, or of one and an image, Å; inf without a core."""
    centres = _centres(atoms)
    several = np.concatenate([centres + shift for shift in _shifts(atoms)])
    distances = np.linalg.norm(several[None, :, :] - centres[:, None, :], axis=2)
    return float(distances[distances > SAME_PLACE].min(initial=np.inf))


def _shifts(atoms: Atoms) -> Floats:
    """Return translations that reach the nearest images, of a cell that is not too skewed; none first."""
    vectors = np.asarray(atoms.cell.complete())
    steps = [(0, 1, -1) if periodic else (0,) for periodic in atoms.pbc]
    return np.array([(i, j, k) for i in steps[0] for j in steps[1] for k in steps[2]]) @ vectors


def _centres(atoms: Atoms) -> Floats:
    return np.asarray(atoms.info.get("defect_centres", []), dtype=float).reshape(-1, 3)
