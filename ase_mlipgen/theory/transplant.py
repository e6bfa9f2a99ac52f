"""A core of a large cell, moved into its training cell: displacements less their mean strain, made periodic.

A `TrainedCore` knows where the sites of a training cell are around its defect, periodic images on the boundary
included. `transplant` reads the displacements of a large cell there, takes out the mean strain of the boundary, and
leaves the training cell under that strain with the periodic rest on top: a cell that the reference can label.
`spread` takes forces on the training cell back onto the large one.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.defects import is_planar, minimum_image, spacing
from ase_mlipgen.theory.sites import Primitive, Sites, host_sites, nearest_images

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EDGE = 1e-6
"""Fraction of a cell: sites this close to a face are on it."""


@dataclass(frozen=True, eq=False)
class TrainedCore:
    """A training cell around its defect.

    Attributes
    ----------
    name : of the defect
    cell : Atoms, the unrelaxed training cell
    perfect : Atoms, the perfect cell on the same sites
    sites : its lattice
    centre : (3,) array, Å
    site_m : (n_images,) site of each image
    offset_mc : (n_images, 3) array, Å, of each image from the centre; images on the boundary come several times
    weight_m : (n_images,) one over the number of images of the site
    faces : offsets of sites near a face (n_faces, 3) and of their images beyond the opposite one, Å; weights
    added_offset_ac : (n_added, 3) array, Å, of atoms on no site
    reach : Å, length of the shortest vector of the cell's lattice
    """

    name: str
    cell: Atoms
    perfect: Atoms
    sites: Sites
    centre: Floats
    site_m: Ints
    offset_mc: Floats
    weight_m: Floats
    faces: tuple[Floats, Floats, Floats]
    added_offset_ac: Floats
    reach: float


def trained_core(name: str, cell: Atoms, host: Primitive) -> TrainedCore:
    """Lay out a training cell around its one defect.

    Parameters
    ----------
    name : of the defect
    cell : unrelaxed, with `info["defect_centres"]`
    host : primitive cell of the crystal

    Raises
    ------
    ValueError
        The cell does not say where its one defect is.
    """
    centres = np.asarray(cell.info.get("defect_centres", []), dtype=float).reshape(-1, 3)
    if len(centres) != 1:
        raise ValueError(
            f"the training cell of {name} names {len(centres)} defect centres in its info; expected one: "
            "build it with training_cell"
        )
    centre = centres[0]
    sites = host_sites(host, cell)
    vectors = np.asarray(cell.cell.complete())
    images = nearest_images(sites.positions_sc - centre, vectors, sites.pbc)
    counts = np.array([len(found) for found in images])
    added = cell.positions[sites.added_i] - centre
    perfect = Atoms(
        numbers=host.numbers_b[sites.sublattice_s], positions=sites.positions_sc, cell=cell.cell, pbc=cell.pbc
    )
    return TrainedCore(
        name=name,
        cell=cell,
        perfect=perfect,
        sites=sites,
        centre=centre,
        site_m=np.repeat(np.arange(len(images)), counts),
        offset_mc=np.concatenate(images),
        weight_m=1.0 / np.repeat(counts, counts),
        faces=_faces(sites, centre, vectors, spacing(perfect)),
        added_offset_ac=minimum_image(added, cell),
        reach=min(float(np.linalg.norm(v)) for v in _shortest_vectors(vectors, sites.pbc)),
    )


def _shortest_vectors(vectors: Floats, pbc: npt.NDArray[np.bool_]) -> Floats:
    from ase.geometry.minkowski_reduction import minkowski_reduce

    return np.asarray(minkowski_reduce(vectors, pbc)[0])[pbc]


def _faces(sites: Sites, centre: Floats, vectors: Floats, thickness: float) -> tuple[Floats, Floats, Floats]:
    """Pairs of places on opposite faces: each site within a layer of a face, its image a vector further, a weight.

    Sites on an edge count on all faces that meet there, with weights that sum to one, so that the symmetry of the
    training cell is kept.
    """
    inverse = np.linalg.inv(vectors)
    fractional = (sites.positions_sc - centre) @ inverse
    fractional = fractional - np.where(sites.pbc, np.floor(fractional + 0.5 - EDGE), 0.0)
    steps = np.array(list(product(*((0, -1) if p else (0,) for p in sites.pbc))))
    every = (fractional[:, None, :] + steps[None, :, :]).reshape(-1, 3)
    inside_x = np.all((every > -0.5 - EDGE) | ~sites.pbc, axis=1)
    count_s = inside_x.reshape(len(fractional), -1).sum(axis=1)
    weight_x = np.repeat(1.0 / np.maximum(count_s, 1), len(steps))[inside_x]
    every = every[inside_x]
    first, second, weight = [], [], []
    for axis in np.flatnonzero(sites.pbc):
        layer = thickness * float(np.linalg.norm(inverse[:, axis]))
        for sign in (1.0, -1.0):
            near = sign * every[:, axis] < -0.5 + layer
            first.append(every[near] @ vectors)
            second.append((every[near] + sign * np.eye(3)[axis]) @ vectors)
            weight.append(weight_x[near])
    return np.concatenate(first), np.concatenate(second), np.concatenate(weight)


@dataclass(frozen=True, eq=False)
class Transplant:
    """A core of a large cell in its training cell.

    Attributes
    ----------
    core : the training cell
    strain : (3, 3) array, displacement gradient of the large cell's relaxation over the training cell
    u_sc : (n_sites, 3) array, Å, periodic displacements of the training cell's sites, strain and mean taken off
    u_ac : (n_added, 3) array, Å, of its added atoms
    large_site_m : (n_images,) site of the large cell at each image
    large_added_a : (n_added,) atom of the large cell for each added one
    """

    core: TrainedCore
    strain: Floats
    u_sc: Floats
    u_ac: Floats
    large_site_m: Ints
    large_added_a: Ints

    @property
    def displacement(self) -> Floats:
        """Give the periodic displacements of the training cell's atoms, (n_atoms, 3), Å."""
        sites = self.core.sites
        u_ic = self.u_sc[sites.site_i]
        u_ic[sites.added_i] = self.u_ac
        return u_ic

    def defective(self) -> Atoms:
        """Return the training cell, strained and displaced."""
        return _deformed(self.core.cell, self.core.centre, self.strain, self.displacement)

    def strained_host(self) -> Atoms:
        """Return the perfect cell under the same strain alone."""
        return _deformed(self.core.perfect, self.core.centre, self.strain, np.zeros_like(self.u_sc))


def transplant(
    core: TrainedCore,
    centre: Floats,
    large: Atoms,
    sites: Sites,
    u_sc: Floats,
    u_ic: Floats,
) -> Transplant:
    """Move a core of a large cell into its training cell.

    Parameters
    ----------
    core : the training cell of this kind of defect
    centre : (3,) array, Å, of the core in the large cell
    large : the unrelaxed large cell
    sites : its lattice
    u_sc : (n_sites, 3) array, Å, displacements on its sites
    u_ic : (n_atoms, 3) array, Å, displacements of its atoms

    Raises
    ------
    ValueError
        The large cell has no site, or no added atom, where the training cell has one.
    """
    at = sites.at(core.offset_mc + centre)
    if np.any(at < 0):
        raise ValueError(
            f"the lattice around the {core.name} at {centre.round(3).tolist()} Å is not the trained one"
        )
    strain = _mean_strain(core, centre, sites, u_sc)
    u_mc = u_sc[at] - core.offset_mc @ strain.T
    shift = np.average(u_mc, axis=0, weights=core.weight_m)
    periodic = np.zeros_like(core.sites.positions_sc)
    np.add.at(periodic, core.site_m, core.weight_m[:, None] * (u_mc - shift))
    added = _added_atoms(core, centre, large)
    u_ac = u_ic[added] - core.added_offset_ac @ strain.T - shift
    return Transplant(core, strain, periodic, u_ac, at, added)


def _mean_strain(core: TrainedCore, centre: Floats, sites: Sites, u_sc: Floats) -> Floats:
    """Displacement gradient that opposite faces of the training cell see, least squares over the sites on them."""
    first, second, weight = core.faces
    root = np.sqrt(weight)[:, None]
    difference = u_sc[sites.at(second + centre)] - u_sc[sites.at(first + centre)]
    gradient, *_ = np.linalg.lstsq(root * (second - first), root * difference, rcond=None)
    return np.asarray(gradient.T)


def _added_atoms(core: TrainedCore, centre: Floats, large: Atoms) -> Ints:
    found = []
    for offset, own in zip(core.added_offset_ac, core.sites.added_i, strict=True):
        distance = np.linalg.norm(minimum_image(large.positions - centre - offset, large), axis=1)
        nearest = int(np.argmin(distance))
        if distance[nearest] > 0.1 or large.numbers[nearest] != core.cell.numbers[own]:
            raise ValueError(
                f"no atom of the {core.name} at {(centre + offset).round(3).tolist()} Å of the large cell"
            )
        found.append(nearest)
    return np.array(found, dtype=np.int64)


def grafted(core: TrainedCore, centre: Floats, large: Atoms, sites: Sites, u_ic: Floats) -> Floats:
    """Put displacements of a training cell's atoms, (n, 3) in Å, around a core of the large cell; images share.

    Returns
    -------
    (n_atoms, 3) array, Å, zero beyond the training cell
    """
    at = sites.at(core.offset_mc + centre)
    moves_sc = np.zeros_like(core.sites.positions_sc)
    occupied = np.flatnonzero(core.sites.atom_s >= 0)
    moves_sc[occupied] = u_ic[core.sites.atom_s[occupied]]
    on_sites = np.zeros_like(sites.positions_sc)
    np.add.at(on_sites, at, core.weight_m[:, None] * moves_sc[core.site_m])
    moves = np.where(sites.site_i[:, None] >= 0, on_sites[sites.site_i], 0.0)
    moves[_added_atoms(core, centre, large)] += u_ic[core.sites.added_i]
    return moves


def spread(moved: Transplant, f_sc: Floats, f_ac: Floats, large_sites: Sites, n_atoms: int) -> Floats:
    """Put forces of the training cell's sites and added atoms onto the large cell; images of one site share.

    Returns
    -------
    (n_atoms, 3) array
    """
    core = moved.core
    on_sites = np.zeros((len(large_sites.positions_sc), 3))
    np.add.at(on_sites, moved.large_site_m, core.weight_m[:, None] * f_sc[core.site_m])
    forces = np.zeros((n_atoms, 3))
    occupied = np.flatnonzero(large_sites.atom_s >= 0)
    forces[large_sites.atom_s[occupied]] = on_sites[occupied]
    np.add.at(forces, moved.large_added_a, f_ac)
    return forces


def _deformed(cell: Atoms, centre: Floats, strain: Floats, u_ic: Floats) -> Atoms:
    deformed = cell.copy()
    gradient = np.eye(3) + strain
    deformed.set_cell(np.asarray(cell.cell) @ gradient.T)
    deformed.positions = centre + (cell.positions - centre) @ gradient.T + u_ic
    if is_planar(cell):
        deformed.positions[:, 2] = cell.positions[:, 2]
    return deformed
