"""The perfect lattice behind a cell with defects: which atom stands on which site, and which site is where.

`primitive` reads the host's primitive cell off a perfect training cell; `host_sites` lays that lattice under any cell
of the same crystal, finds its origin by the site that most atoms agree on, and says who is on a site, which sites are
vacant, and which atoms were added. Cost: one search in a tree for each position that is looked up.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.geometry.minkowski_reduction import minkowski_reduce
from scipy.spatial import cKDTree

from ase_mlipgen.defects import wrapped
from ase_mlipgen.symmetry.operations import reduce_by_translations

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ON_SITE = 0.1
"""Å: an unrelaxed atom this close to a site stands on it."""

SAME_LENGTH = 1e-3
"""Å: images whose distances differ by less are equally near."""

SYMPREC = 1e-4
"""Å: tolerance for the translations of the perfect cell."""


@dataclass(frozen=True, eq=False)
class Primitive:
    """A crystal's primitive cell, one basis atom a sublattice.

    Attributes
    ----------
    cell : (3, 3) array, Å
    positions_bc : (n_basis, 3) array, Å
    numbers_b : (n_basis,) atomic numbers
    members_b : (n_basis,) the atoms of the perfect cell that stand for the sublattices
    pbc : (3,) array of bool
    """

    cell: Floats
    positions_bc: Floats
    numbers_b: Ints
    members_b: Ints
    pbc: npt.NDArray[np.bool_]


def primitive(perfect: Atoms) -> Primitive:
    """Read the primitive cell off a perfect cell; planar crystals keep their dummy vector."""
    cell = np.asarray(perfect.cell.complete())
    found = reduce_by_translations(perfect.positions, cell, np.ones(3, bool), perfect.numbers, SYMPREC)
    pbc = np.asarray(perfect.pbc, dtype=bool)
    everyone = np.arange(len(perfect), dtype=np.int64)
    vectors, members = (cell, everyone) if found is None else (found.cell, found.members_i)
    return Primitive(
        np.asarray(vectors),
        perfect.positions[members],
        perfect.numbers[members].astype(np.int64),
        members,
        pbc,
    )


@dataclass(frozen=True, eq=False)
class Sites:
    """The lattice sites of a cell and who stands on them.

    Attributes
    ----------
    positions_sc : (n_sites, 3) array, Å
    sublattice_s : (n_sites,) basis atom of the primitive cell
    atom_s : (n_sites,) atom on each site, -1 where there is none
    site_i : (n_atoms,) site of each atom, -1 for an added one
    cell : (3, 3) array, Å
    pbc : (3,) array of bool
    """

    positions_sc: Floats
    sublattice_s: Ints
    atom_s: Ints
    site_i: Ints
    cell: Floats
    pbc: npt.NDArray[np.bool_]

    @property
    def vacant_s(self) -> Ints:
        """Give the sites without an atom."""
        return np.flatnonzero(self.atom_s < 0)

    @property
    def added_i(self) -> Ints:
        """Give the atoms that stand on no site."""
        return np.flatnonzero(self.site_i < 0)

    def at(self, positions_xc: Floats) -> Ints:
        """Find the site at each position, -1 where the nearest is more than `ON_SITE` away."""
        return _looked_up(self._tree, self._inverse, self.cell, np.asarray(positions_xc, dtype=float))

    @cached_property
    def _inverse(self) -> Floats:
        return np.asarray(np.linalg.inv(self.cell), dtype=float)

    @cached_property
    def _tree(self) -> Any:
        return cKDTree(wrapped(self.positions_sc @ self._inverse), boxsize=np.ones(3))


def host_sites(host: Primitive, atoms: Atoms) -> Sites:
    """Lay the host's lattice under a cell.

    Parameters
    ----------
    host : the crystal
    atoms : unrelaxed, so that most atoms stand on sites

    Raises
    ------
    ValueError
        The cell is no whole multiple of the primitive one, or most atoms are off the sites.
    """
    cell = np.asarray(atoms.cell.complete())
    matrix = _multiples(host, cell)
    shift = _origin(host, atoms)
    positions_sc, sublattice_s = _tiled(host, matrix, shift)
    empty = np.full(len(positions_sc), -1, dtype=np.int64)
    sites = Sites(positions_sc, sublattice_s, empty, np.empty(0, np.int64), cell, host.pbc)
    site_i = sites.at(atoms.positions)
    on_site = np.flatnonzero(site_i >= 0)
    atom_s = empty.copy()
    atom_s[site_i[on_site]] = on_site
    twice = on_site[atom_s[site_i[on_site]] != on_site]
    if len(twice):
        raise ValueError(f"two atoms stand on one site, one of them atom {twice[0]}: give the cell unrelaxed")
    if 2 * len(on_site) < len(atoms):
        raise ValueError(
            f"only {len(on_site)} of {len(atoms)} atoms stand on sites of the crystal within {ON_SITE} Å; "
            "give the large cell unrelaxed, made of the crystal that was trained"
        )
    return Sites(positions_sc, sublattice_s, atom_s, site_i, cell, host.pbc)


def nearest_images(offsets_xc: Floats, cell: Floats, pbc: npt.NDArray[np.bool_]) -> list[Floats]:
    """Reduce vectors by a cell's periods to their shortest images: all of them where several are equally short.

    Returns
    -------
    list of (n_images, 3) arrays, Å, one a vector
    """
    reduced = np.asarray(minkowski_reduce(cell, pbc)[0])
    periodic = np.asarray(pbc, dtype=bool)
    fractional = offsets_xc @ np.linalg.inv(reduced)
    wrapped = (fractional - np.round(fractional) * periodic) @ reduced
    steps = np.array(list(product(*((-1, 0, 1) if p else (0,) for p in periodic)))) @ reduced
    candidates = wrapped[:, None, :] + steps[None, :, :]
    lengths = np.linalg.norm(candidates, axis=2)
    near = lengths < lengths.min(axis=1, keepdims=True) + SAME_LENGTH
    return [images[chosen] for images, chosen in zip(candidates, near, strict=True)]


def on_all_sites(sites: Sites, u_ic: Floats) -> Floats:
    """Give the atoms' displacements on all sites; a vacant one has the mean of its nearest neighbours.

    Parameters
    ----------
    u_ic : (n_atoms, 3) array, Å

    Returns
    -------
    (n_sites, 3) array, Å
    """
    u_sc = np.where(sites.atom_s[:, None] >= 0, u_ic[sites.atom_s], 0.0)
    known = sites.atom_s >= 0
    reach = 1.1 * _nearest_distance(sites)
    for site in sites.vacant_s:
        offsets = _short(sites.positions_sc - sites.positions_sc[site], sites)
        near = np.flatnonzero((np.linalg.norm(offsets, axis=1) < reach) & known)
        if len(near):
            u_sc[site] = u_sc[near].mean(axis=0)
    return u_sc


def _nearest_distance(sites: Sites) -> float:
    offsets = _short(sites.positions_sc[1:] - sites.positions_sc[0], sites)
    return float(np.linalg.norm(offsets, axis=1).min(initial=np.inf))


def _short(offsets_xc: Floats, sites: Sites) -> Floats:
    fractional = offsets_xc @ np.linalg.inv(sites.cell)
    return np.asarray((fractional - np.round(fractional) * sites.pbc) @ sites.cell)


def _multiples(host: Primitive, cell: Floats) -> Ints:
    ratio = cell @ np.linalg.inv(host.cell)
    whole = np.round(ratio)
    whole[~host.pbc] = np.eye(3)[~host.pbc]
    off = float(np.abs(ratio - whole)[host.pbc].max(initial=0.0))
    if off > 1e-3:
        raise ValueError(
            f"the cell is no whole multiple of the trained crystal's primitive cell (off by {off:.3f} of it); "
            "build it from the same crystal"
        )
    return whole.astype(np.int64)


def _tiled(host: Primitive, matrix: Ints, shift: Floats) -> tuple[Floats, Ints]:
    """Give all lattice sites of a supercell."""
    inverse = np.linalg.inv(matrix)
    corners = np.array(list(product((0, 1), repeat=3))) @ matrix
    spans = [
        np.arange(low, high + 1) for low, high in zip(corners.min(axis=0), corners.max(axis=0), strict=True)
    ]
    steps = np.stack(np.meshgrid(*spans, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = steps @ inverse
    steps = steps[np.all((inside > -1e-9) & (inside < 1.0 - 1e-9), axis=1)]
    origins = steps @ host.cell + shift
    positions = (origins[:, None, :] + host.positions_bc[None, :, :]).reshape(-1, 3)
    return positions, np.tile(np.arange(len(host.positions_bc)), len(steps)).astype(np.int64)


def _origin(host: Primitive, atoms: Atoms) -> Floats:
    """Find the shift that puts the sites under most atoms, of the same element."""
    inverse = np.linalg.inv(host.cell)
    best, most = np.zeros(3), -1
    for k in range(min(len(atoms), 100)):
        shift = atoms.positions[k] - host.positions_bc[0]
        offsets = (atoms.positions - shift)[:, None, :] - host.positions_bc[None, :, :]
        fractional = offsets @ inverse
        distance = np.linalg.norm((fractional - np.round(fractional) * host.pbc) @ host.cell, axis=2)
        matching = (distance < ON_SITE) & (atoms.numbers[:, None] == host.numbers_b[None, :])
        count = int(matching.any(axis=1).sum())
        if count > most:
            best, most = shift, count
        if most > 0.9 * len(atoms):
            break
    return best


def _looked_up(tree: Any, inverse: Floats, cell: Floats, positions_xc: Floats) -> Ints:
    fractional = wrapped(positions_xc @ inverse)
    _, found = tree.query(fractional)
    off = fractional - tree.data[found]
    distance = np.linalg.norm((off - np.round(off)) @ cell, axis=1)
    return np.where(distance < ON_SITE, found, -1).astype(np.int64)
