"""A training cell's defect in a larger cell: the middle tile of several, the others perfect.

Relaxed by the surrogate, the larger cell shows what the training cell cannot: how the core settles when its periodic
images are further away, and the far field. No reference label is needed. Enter at `embed`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.defects import minimum_image
from ase_mlipgen.theory.force_constants import translation_classes

SAME_SITE = 0.1
"""Å: an unrelaxed atom this close to a site of the host occupies it."""


class Embedded(NamedTuple):
    """A larger cell and where its atoms are in the training cell.

    Attributes
    ----------
    atoms : the unrelaxed larger cell
    index_i : (n_atoms,) array, the atom of the training cell that each is an image of; -1 for sites that the defect
        leaves empty there
    site_i : (n_atoms,) array, the atom of the perfect cell that it is an image of; -1 for added atoms
    middle_i : (n_atoms,) array, whether the atom is in the defect's own tile
    """

    atoms: Atoms
    index_i: npt.NDArray[np.int64]
    site_i: npt.NDArray[np.int64]
    middle_i: npt.NDArray[np.bool_]


def embed(unrelaxed: Atoms, perfect: Atoms, n_tiles: int) -> Embedded:
    """Surround a training cell by perfect ones.

    Parameters
    ----------
    unrelaxed : the training cell with its defect
    perfect : its host, in the same cell
    n_tiles : tiles along every periodic direction

    Raises
    ------
    ValueError
        The host's lattice does not fit the training cell.
    """
    centre = np.array(unrelaxed.info["defect_centres"][0])
    sites = perfect.copy()
    sites.positions += _shift(unrelaxed, perfect, centre)
    # The tile is the cell around the defect, so that the defect is in its middle.
    sites.positions = centre + minimum_image(sites.positions - centre, perfect)
    offset_sac = _offsets(sites, unrelaxed)
    distance_sa = np.linalg.norm(offset_sac, axis=2)
    nearest_s = np.argmin(distance_sa, axis=1)
    occupied_s = distance_sa[np.arange(len(sites)), nearest_s] < SAME_SITE
    index_s = np.where(occupied_s, nearest_s, -1)
    added = np.setdiff1d(np.arange(len(unrelaxed)), index_s)
    # Whatever tile represents a site, its copies in all tiles are the host's lattice.
    repeats = np.where(perfect.pbc, n_tiles, 1)
    large = sites.repeat(repeats)
    index_i = np.tile(index_s, int(np.prod(repeats)))
    middle_i = np.arange(len(large)) < len(sites)
    large.numbers[middle_i & (index_i >= 0)] = unrelaxed.numbers[index_s[occupied_s]]
    kept = ~(middle_i & (index_i < 0))
    large = large[kept] + Atoms(
        numbers=unrelaxed.numbers[added],
        positions=centre + minimum_image(unrelaxed.positions[added] - centre, perfect),
        cell=large.cell,
        pbc=large.pbc,
    )
    site_i = np.concatenate(
        [np.tile(np.arange(len(sites)), len(index_i) // len(sites))[kept], np.full_like(added, -1)]
    )
    index_i = np.concatenate([index_i[kept], added])
    middle_i = np.concatenate([middle_i[kept], np.ones(len(added), dtype=bool)])
    large.info = {
        key: unrelaxed.info[key] for key in ("defect_names", "defect_centres") if key in unrelaxed.info
    }
    return Embedded(large, index_i, site_i, middle_i)


def _shift(unrelaxed: Atoms, perfect: Atoms, centre: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the translation that puts the host's sites onto the atoms of the training cell, as many as possible."""
    away_a = np.linalg.norm(minimum_image(unrelaxed.positions - centre, perfect), axis=1)
    anchor = unrelaxed.positions[int(np.argmax(away_a))]
    best, most = np.zeros(3), 0
    for site in np.unique(translation_classes(perfect)):
        moved = perfect.copy()
        moved.positions += anchor - perfect.positions[site]
        near_sa = np.linalg.norm(_offsets(moved, unrelaxed), axis=2) < SAME_SITE
        hits = int(np.sum(near_sa & (moved.numbers[:, None] == unrelaxed.numbers[None, :])))
        if hits > most:
            best, most = anchor - perfect.positions[site], hits
    if most < 0.5 * len(perfect):
        raise ValueError(
            f"only {most} of the host's {len(perfect)} sites are occupied: it is not the host of this training cell"
        )
    return np.asarray(best)


def _offsets(sites: Atoms, atoms: Atoms) -> npt.NDArray[np.float64]:
    """Return the vectors from all sites to all atoms, (n_sites, n_atoms, 3), the nearest images where close."""
    return minimum_image(atoms.positions[None, :, :] - sites.positions[:, None, :], sites)
