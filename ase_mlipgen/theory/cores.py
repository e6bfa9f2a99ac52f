"""Where a large cell has its cores, which training cell each belongs to, and which stand too close.

A core is what the cell has that its host has not: vacant sites, added atoms, sites with a foreign atom, gathered around
`info["defect_centres"]` or, without that, by distance. Its kind is the training cell with the same composition in the
same places. Cores closer than a training cell's own images (`TrainedCore.reach`) are outside the theory: their forces
overlap in a way that no training cell has seen. Such a cluster can be trained as one defect (`cluster_cell`).
Enter at `find_cores`, `clusters`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.geometry import get_distances
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ase_mlipgen.defects import minimum_image, spacing
from ase_mlipgen.theory.sites import Primitive, Sites
from ase_mlipgen.theory.transplant import TrainedCore

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SAME_PLACE = 0.1
"""Å: parts of a core this close stand in the same place."""

ONE_CORE = 0.8
"""Average spacings: parts closer than this belong to one core where the cell does not say."""

VACANT = 0
"""Stands for the atomic number of a missing atom."""


class UnknownCoreError(ValueError):
    """A core of the large cell that is none of the training defects."""


@dataclass(frozen=True, eq=False)
class Core:
    """A core of a large cell.

    Attributes
    ----------
    centre : (3,) array, Å
    kind : index of the trained core
    """

    centre: Floats
    kind: int


@dataclass(frozen=True, eq=False)
class _Parts:
    """Vacant sites (number 0), added and foreign atoms: where, and which element."""

    positions_pc: Floats
    numbers_p: Ints


def _parts(sites: Sites, host: Primitive, atoms: Atoms) -> _Parts:
    occupied = np.flatnonzero(sites.atom_s >= 0)
    foreign = occupied[atoms.numbers[sites.atom_s[occupied]] != host.numbers_b[sites.sublattice_s[occupied]]]
    strangers = np.concatenate([sites.atom_s[foreign], sites.added_i])
    empty = np.concatenate([sites.vacant_s, foreign])
    return _Parts(
        np.concatenate([sites.positions_sc[empty], atoms.positions[strangers]]),
        np.concatenate([np.full(len(empty), VACANT), atoms.numbers[strangers]]).astype(np.int64),
    )


def find_cores(atoms: Atoms, sites: Sites, host: Primitive, trained: Sequence[TrainedCore]) -> list[Core]:
    """Find the cores of a large cell and the training cell of each.

    Raises
    ------
    UnknownCoreError
        A core is none of the training defects.
    ValueError
        The cell has no defect.
    """
    parts = _parts(sites, host, atoms)
    if len(parts.numbers_p) == 0:
        raise ValueError("the large cell has no defect: every atom stands on a site of the crystal")
    groups, centres = _gathered(parts, atoms)
    known = [_around(core.centre, _parts(core.sites, host, core.cell), core.cell) for core in trained]
    cores = []
    for group, centre in zip(groups, centres, strict=True):
        own = _around(centre, _Parts(parts.positions_pc[group], parts.numbers_p[group]), atoms)
        kinds = [k for k, other in enumerate(known) if _same(own, other)]
        if not kinds:
            raise UnknownCoreError(
                f"the core at {centre.round(3).tolist()} Å ({_composition(own)}) is none of the training defects "
                f"({', '.join(core.name for core in trained)}): train it as a defect too"
            )
        cores.append(Core(centre, kinds[0]))
    return cores


def _gathered(parts: _Parts, atoms: Atoms) -> tuple[list[Ints], list[Floats]]:
    """Parts of each core, and its centre."""
    centres = np.asarray(atoms.info.get("defect_centres", []), dtype=float).reshape(-1, 3)
    if len(centres):
        _, distance_pd = get_distances(parts.positions_pc, centres, cell=atoms.cell, pbc=atoms.pbc)
        nearest_p = distance_pd.argmin(axis=1)
        groups = [np.flatnonzero(nearest_p == d) for d in range(len(centres))]
        empty = [d for d, group in enumerate(groups) if len(group) == 0]
        if empty:
            raise ValueError(
                f'info["defect_centres"] names a core at {centres[empty[0]].round(3).tolist()} Å '
                "where the cell has none"
            )
        return groups, list(centres)
    _, distance_pp = get_distances(parts.positions_pc, cell=atoms.cell, pbc=atoms.pbc)
    label_p = connected_components(distance_pp < ONE_CORE * spacing(atoms), directed=False)[1]
    groups = [np.flatnonzero(label_p == label) for label in range(label_p.max() + 1)]
    found = []
    for group in groups:
        first = parts.positions_pc[group[0]]
        found.append(first + minimum_image(parts.positions_pc[group] - first, atoms).mean(axis=0))
    return groups, found


def _around(centre: Floats, parts: _Parts, cell: Atoms) -> _Parts:
    return _Parts(minimum_image(parts.positions_pc - centre, cell), parts.numbers_p)


def _same(one: _Parts, other: _Parts) -> bool:
    if sorted(one.numbers_p) != sorted(other.numbers_p):
        return False
    distance = np.linalg.norm(one.positions_pc[:, None, :] - other.positions_pc[None, :, :], axis=2)
    close = (distance < SAME_PLACE) & (one.numbers_p[:, None] == other.numbers_p[None, :])
    return bool(close.any(axis=0).all() and close.any(axis=1).all())


def _composition(parts: _Parts) -> str:
    n_vacant = int(np.sum(parts.numbers_p == VACANT))
    added = Atoms(numbers=parts.numbers_p[parts.numbers_p != VACANT]).get_chemical_formula()
    return ", ".join(
        text for text in (f"{n_vacant} sites empty" * bool(n_vacant), added and f"added {added}") if text
    )


def clusters(cores: Sequence[Core], trained: Sequence[TrainedCore], atoms: Atoms) -> list[list[int]]:
    """Group cores that stand closer than the reach of their training cells.

    Returns
    -------
    list of lists of cores, those with two or more only; a core too close to its own image is in a list alone.
    """
    centres = np.array([core.centre for core in cores])
    reach = np.array([trained[core.kind].reach for core in cores])
    _, distance_dd = get_distances(centres, cell=atoms.cell, pbc=atoms.pbc)
    close = distance_dd < np.maximum(reach[:, None], reach[None, :]) * (1.0 - 1e-4)
    np.fill_diagonal(close, False)
    label_d = connected_components(coo_array(close), directed=False)[1]
    groups = [np.flatnonzero(label_d == label).tolist() for label in range(label_d.max() + 1)]
    return [group for group in groups if len(group) > 1]


def cluster_cell(
    group: Sequence[int], cores: Sequence[Core], atoms: Atoms, sites: Sites, host: Primitive
) -> Atoms:
    """Build the large cell with one cluster alone: a ready-made defect, which `DefectTrainer` takes as it is."""
    parts = _parts(sites, host, atoms)
    centres = np.array([core.centre for core in cores])
    _, distance_pd = get_distances(parts.positions_pc, centres, cell=atoms.cell, pbc=atoms.pbc)
    own = np.isin(distance_pd.argmin(axis=1), group)
    vacant = sites.at(parts.positions_pc[own & (parts.numbers_p == VACANT)])
    added = own & (parts.numbers_p != VACANT)
    kept = np.setdiff1d(np.arange(len(sites.positions_sc)), vacant)
    cell = Atoms(
        numbers=np.concatenate([host.numbers_b[sites.sublattice_s[kept]], parts.numbers_p[added]]),
        positions=np.concatenate([sites.positions_sc[kept], parts.positions_pc[added]]),
        cell=atoms.cell,
        pbc=atoms.pbc,
    )
    cell.info["name"] = "cluster"
    return cell
