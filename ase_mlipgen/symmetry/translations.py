"""Pure translations of a cell: the primitive lattice, and what a perfect supercell folds to."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ase_mlipgen.symmetry.lattice import Floats, Ints, frame, hermite, lattice_with
from ase_mlipgen.symmetry.matching import FAILURES, Matcher


@dataclass(frozen=True, eq=False)
class Reduction:
    """A perfect supercell as a primitive cell.

    A quantity of the big cell at Gamma, per primitive cell, is the mean over `scaled_k` of that of the primitive
    cell. At another point q of the big cell (in units of its reciprocal vectors) the points are
    ``scaled_k + q @ inv(matrix).T``.

    Parameters
    ----------
    cell : (3, 3) array
        Å, primitive; ``matrix @ cell`` is the big cell.
    members_i : (n_primitive,) int64 array
        Atoms of the big cell that stand for the primitive cell, where they are there (not wrapped).
    member_of_i : (n_atoms,) int64 array
        Place in `members_i` of the atom of which each is a translate.
    n_translations : int
        Of the big cell, the identity included.
    scaled_k : (n_translations, 3) array
        In units of the reciprocal vectors of the primitive cell, Gamma first, within (-1/2, 1/2].
    matrix : (3, 3) int64 array
    """

    cell: Floats
    members_i: Ints
    member_of_i: Ints
    n_translations: int
    scaled_k: Floats
    matrix: Ints


def reduce_by_translations(
    positions: Floats, cell: Floats, pbc: npt.NDArray[np.bool_], numbers: Ints, symprec: float = 1e-6
) -> Reduction | None:
    """Return the primitive cell of a supercell; None if there are open directions or no translations.

    Parameters
    ----------
    positions : (n_atoms, 3) array
        Å.
    cell : (3, 3) array
        Å, vectors in rows.
    pbc : (3,) array of bool
    numbers : (n_atoms,) array
        Atomic numbers.
    symprec : float
        Å, largest distance between an atom's image and the atom it falls on.
    """
    positions, cell, numbers = np.asarray(positions, float), np.asarray(cell, float), np.asarray(numbers)
    if len(positions) == 0 or not np.all(pbc):
        return None
    box = frame(positions, cell, np.ones(3, bool))
    primitive, permutations = translation_lattice(Matcher(positions, box, numbers, symprec))
    matrix = np.round(cell @ np.linalg.inv(primitive)).astype(np.int64)
    if np.linalg.det(matrix) < 0:
        matrix = -matrix
    n_translations = round(float(np.linalg.det(matrix)))
    if n_translations == 1:
        return None
    members_i, member_of_i = connected(permutations, len(positions))
    return Reduction(
        np.linalg.inv(matrix) @ cell, members_i, member_of_i, n_translations, folding_points(matrix), matrix
    )


def connected(permutations: list[Ints], n_atoms: int) -> tuple[Ints, Ints]:
    """Return the first atom of each set that permutations connect, and the set of each atom."""
    i, j = np.tile(np.arange(n_atoms), len(permutations)), np.concatenate(permutations)
    links = coo_array((np.ones(len(i), bool), (i, j)), shape=(n_atoms, n_atoms))
    component_i = connected_components(links, directed=False)[1]
    _, first, set_of_i = np.unique(component_i, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.argsort(order)
    return first[order].astype(np.int64), rank[set_of_i].astype(np.int64)


def folding_points(matrix: Ints) -> Floats:
    """Return the k-points of a primitive cell that fold to Gamma of the cell ``matrix @ primitive``.

    Returns
    -------
    (abs(det(matrix)), 3) array
        In units of the reciprocal vectors of the primitive cell, Gamma first, within (-1/2, 1/2].
    """
    steps = np.array(hermite([[int(c) for c in row] for row in matrix.T])).diagonal()
    integers = np.stack(np.meshgrid(*(np.arange(n) for n in steps), indexing="ij"), axis=-1).reshape(-1, 3)
    scaled = integers @ np.linalg.inv(matrix).T
    scaled -= np.ceil(scaled - 0.5 - 1e-9)
    return np.where(abs(scaled) < 1e-12, 0.0, scaled)


def translation_lattice(matcher: Matcher) -> tuple[Floats, list[Ints]]:
    """Return the lattice of all translations of a structure, and permutations by which they can be generated.

    Returns
    -------
    cell : (3, 3) array
        Å, reduced; those along open directions are the frame's.
    permutations : list of (n_atoms,) int64 arrays
        One for each translation that was found to be no combination of those before it.
    """
    box, y_ic = matcher.frame, matcher.y_ic
    first = matcher.rarest()
    shifts = box.wrapped(y_ic[matcher.peers(first)] - y_ic[first])
    shifts = shifts[np.linalg.norm(shifts @ box.open_axes.T, axis=1) <= 4 * matcher.symprec]
    shifts = matcher.plausible(np.eye(3), shifts)
    shifts = shifts[np.argsort(np.round(np.linalg.norm(shifts, axis=1), 6), kind="stable")]
    tolerance = 4 * matcher.symprec * np.linalg.norm(np.linalg.inv(box.cell), axis=0)
    primitive, permutations = box.cell, [np.arange(len(y_ic))]
    accepted, failures = np.zeros((0, 3)), 0
    while len(shifts) and failures < FAILURES:
        scaled = shifts @ np.linalg.inv(primitive)
        slack = 4 * matcher.symprec * np.linalg.norm(np.linalg.inv(primitive), axis=0) + 1e-9
        shifts = shifts[(abs(scaled - np.round(scaled)) > slack).any(axis=1)]
        if len(shifts) == 0:
            break
        shift, shifts = shifts[0], shifts[1:]
        image = matcher.permutation(np.eye(3), shift)
        if image is None:
            failures += 1
            continue
        more = np.concatenate([accepted, image[1][None] @ np.linalg.inv(box.cell)])
        larger = lattice_with(box.cell, more, tolerance, int(matcher.n_i[first]))
        if larger is not None:
            primitive, accepted = larger, more
            permutations.append(image[2])
    return primitive, permutations
