"""A finite group as a table of products: closing, generators, subgroups."""

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from ase_mlipgen.symmetry.lattice import Floats, Ints

# Rotations this close (Frobenius norm) are one; those of a group of a few hundred elements are farther apart.
SAME_ROTATION = 1e-2


def product_table(rotations_gcc: Floats, permutations_gi: Ints) -> Ints:
    """Return the index of "first h, then g" for each g, h; -1 where it is not among the operations.

    Two operations with one rotation differ by a translation, which moves every atom or none: one atom tells.
    """
    n = len(rotations_gcc)
    first, kind_g = np.unique(distinct(rotations_gcc), return_inverse=True)
    kinds = rotations_gcc[first]
    products = np.einsum("gab,hbc->ghac", kinds, kinds).reshape(-1, 9)
    distance, nearest = cKDTree(kinds.reshape(-1, 9)).query(products, distance_upper_bound=SAME_ROTATION)
    product_kk = np.where(np.isfinite(distance), nearest, -1).reshape(len(kinds), -1)
    n_atoms = permutations_gi.shape[1]
    keys = kind_g * n_atoms + permutations_gi[:, 0]
    order = np.argsort(keys)
    kind_gh = product_kk[kind_g[:, None], kind_g[None]]
    key_gh = kind_gh * n_atoms + permutations_gi[:, permutations_gi[:, 0]]
    place = np.minimum(np.searchsorted(keys, key_gh, sorter=order), n - 1)
    found = order[place]
    return np.where((keys[found] == key_gh) & (kind_gh >= 0), found, -1)


def distinct(rotations_gcc: Floats) -> Ints:
    """Return for each rotation the index of the first that is the same, (n_g,)."""
    flat = rotations_gcc.reshape(-1, 9)
    pairs = cKDTree(flat).query_pairs(SAME_ROTATION, output_type="ndarray")
    first = np.arange(len(flat))
    np.minimum.at(first, pairs.max(axis=1, initial=0), pairs.min(axis=1, initial=len(flat)))
    return first


def closed(rotations_gcc: Floats, permutations_gi: Ints) -> Ints:
    """Return operations that form a group: those given, less the ones with most products outside.

    Returns
    -------
    (n_kept,) int64 array
        Ascending; element 0, the identity, is kept.
    """
    kept = np.arange(len(rotations_gcc))
    while True:
        table = product_table(rotations_gcc[kept], permutations_gi[kept])
        missing = (table < 0) | ~_composes(table, permutations_gi[kept])
        if not missing.any():
            return kept
        misses = missing.sum(axis=0) + missing.sum(axis=1)
        misses[0] = 0
        kept = np.delete(kept, int(np.argmax(misses)) if misses.any() else len(kept) - 1)


def _composes(table: Ints, permutations_gi: Ints) -> npt.NDArray[np.bool_]:
    """Tell for which g, h the permutations multiply as the table says, over all atoms.

    All do if all g do with each of a few generators h: only then are the others looked at.
    """
    good = np.ones(table.shape, bool)
    if (table < 0).any():
        return good
    for h in generators(table):
        good[:, h] = (permutations_gi[:, permutations_gi[h]] == permutations_gi[table[:, h]]).all(axis=1)
    return good


def generators(table: Ints) -> list[int]:
    """Return elements that generate a group (or as much as its table has)."""
    found: list[int] = []
    inside = np.zeros(len(table), bool)
    inside[0] = True
    while not inside.all():
        found.append(int(np.argmin(inside)))
        inside = generated(table, found)
    return found


def generated(table: Ints, elements: list[int]) -> npt.NDArray[np.bool_]:
    """Tell which elements of a group products of some of them reach."""
    inside = np.zeros(len(table), bool)
    inside[0] = True
    inside[elements] = True
    n = 0
    while n < inside.sum():
        n = int(inside.sum())
        reached = table[np.flatnonzero(inside)[:, None], elements]
        inside[reached[reached >= 0]] = True
    return inside


def subgroup_within(table: Ints, most: int) -> Ints:
    """Return a subgroup of at most `most` elements, built up by one generator after the other."""
    chosen: list[int] = []
    inside = generated(table, chosen)
    for g in range(1, len(table)):
        if not inside[g]:
            larger = generated(table, [*chosen, g])
            if larger.sum() <= most:
                chosen, inside = [*chosen, g], larger
    return np.flatnonzero(inside)


def polished(rotations_gcc: Floats, table: Ints) -> Floats:
    """Return the rotations nearest to these that multiply exactly as the table says."""
    rotations = rotations_gcc
    for _ in range(4):
        mean = np.einsum("ghab,hcb->gac", rotations[table], rotations) / len(table)
        left, _, right = np.linalg.svd(mean)
        better = left @ right
        if abs(better - rotations).max() < 1e-15:
            break
        rotations = better
    clean = np.where(abs(rotations - np.round(rotations)) < 1e-13, np.round(rotations), rotations) + 0.0
    return np.where(abs(rotations_gcc - clean) < 1e-14, rotations_gcc, clean)
