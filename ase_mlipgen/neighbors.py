"""Atoms -> pairs: the skin list that every calculator and basis works from.

`NeighborList` keeps the pairs within cutoff + skin and builds them anew only when an atom has moved half
the skin, or the cell, the boundary conditions or the atoms themselves have changed (Verlet, Phys. Rev. 159,
98 (1967)). Pairs are sorted by (i, j, cell shift), so that sums over them are bitwise the same whenever the
list was built. Building is matscipy's cell list, O(n_atoms), 6-12 us an atom; a call between two builds
costs one pass over the atoms: distances are left to whoever evaluates the pairs. A pair is eight bytes, its neighbour
and which periodic image of it; the few distinct image vectors stand in a table.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.geometry import minkowski_reduce
from matscipy.neighbours import neighbour_list

from ase_mlipgen.jit import kernel
from ase_mlipgen.sanity import check_bins, check_count, check_structure

# Shifts in a box of up to this many are all tabulated.
SMALL_BOX = 1000
# Bins that matscipy may use along non-periodic directions; atoms beyond the last are searched more slowly.
MAX_BINS = 100_000
# Images of the cell within reach, beyond which other vectors are looked for: strongly skewed ones have millions.
MANY_IMAGES = 2000


Floats = npt.NDArray[np.float64]


class CoincidentAtomsError(ValueError):
    """Two atoms, or an atom and a periodic image, sit in one place."""


class Pairs(NamedTuple):
    """A full list: every pair appears from both ends, periodic images included, sorted by (i, j, image).

    Pair p of atom i is the vector d_p = positions[j_p] - positions[i] + shifts[s_p].

    Parameters
    ----------
    positions : (n_atoms, 3) array
        Å, of the atoms as they are now.
    first_i : (n_atoms + 1,) int64 array
        The pairs of atom i are ``first_i[i]:first_i[i + 1]``.
    j_p : (n_pairs,) int32 array
        Neighbour.
    s_p : (n_pairs,) int32 array
        Row of `shifts`.
    shifts : (n_shifts, 3) array
        Å, whole combinations of the cell vectors.
    """

    positions: Floats
    first_i: npt.NDArray[np.int64]
    j_p: npt.NDArray[np.int32]
    s_p: npt.NDArray[np.int32]
    shifts: Floats

    def centres(self) -> npt.NDArray[np.int64]:
        """Return the atom i of each pair, (n_pairs,)."""
        return np.repeat(np.arange(len(self.positions)), np.diff(self.first_i))

    def vectors(self) -> Floats:
        """Return the vectors from i to j, (n_pairs, 3), Å."""
        return _pair_vectors(*self)


class _Built(NamedTuple):
    """A list as it was built, and the atoms it was built for."""

    cell: Floats
    pbc: npt.NDArray[np.bool_]
    numbers: npt.NDArray[np.int64]
    pairs: Pairs


class NeighborList:
    """Neighbour list with a skin, rebuilt when needed; never stale.

    Parameters
    ----------
    cutoff : float
        Å.
    skin : float
        Å; zero rebuilds at every call.

    Raises
    ------
    ValueError
        Cutoff not positive or skin negative.
    """

    def __init__(self, cutoff: float, skin: float = 0.5) -> None:
        if not (np.isfinite(cutoff) and cutoff > 0):
            raise ValueError(f"cutoff = {cutoff!r}: expected a positive, finite distance in Å")
        if not (np.isfinite(skin) and skin >= 0):
            raise ValueError(f"skin = {skin!r}: expected a finite distance in Å, zero or more")
        self.cutoff = float(cutoff)
        self.skin = float(skin)
        self.n_builds = 0
        self._built: _Built | None = None

    def __repr__(self) -> str:
        return f"NeighborList(cutoff={self.cutoff}, skin={self.skin})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_built": None}

    def pairs(self, atoms: Atoms) -> Pairs:
        """Return the pairs of atoms closer than the cutoff, and some up to cutoff + skin: skip those.

        Raises
        ------
        ValueError
            No atoms; positions or cell not finite, or too far out; zero or dependent cell vectors along periodic
            directions, or images closer than 0.1 Å; atoms so dense that their pairs would fill the memory.
        CoincidentAtomsError
            Two atoms in one place when a list is built; while it is kept, `check_distinct` tells.
        """
        positions = np.array(atoms.positions, dtype=float, order="C")
        built = self._built
        if built is None or not self._still_good(built, atoms, positions):
            built = self._built = _build(atoms, positions, self.cutoff + self.skin)
            self.n_builds += 1
        return built.pairs._replace(positions=positions)

    def _still_good(self, built: _Built, atoms: Atoms, positions: Floats) -> bool:
        return (
            len(positions) == len(built.numbers)
            and np.array_equal(built.cell, atoms.cell.array)
            and np.array_equal(built.pbc, atoms.pbc)
            and np.array_equal(built.numbers, atoms.numbers)
            # The margin is for rounding; a NaN compares false and leads to the checks of _build.
            and 2 * _largest_move(positions, built.pairs.positions) < self.skin - 1e-10
        )


def pairs(atoms: Atoms, cutoff: float) -> Pairs:
    """Return the pairs of atoms closer than the cutoff (Å), from a list of their own without a skin.

    Raises
    ------
    ValueError
        As for `NeighborList` and `NeighborList.pairs`.
    """
    return NeighborList(cutoff, skin=0.0).pairs(atoms)


def check_distinct(pairs: Pairs) -> None:
    """Raise if two atoms of a list are in one place.

    Raises
    ------
    CoincidentAtomsError
    """
    p = _coincident(*pairs)
    if p >= 0:
        i, j = int(np.searchsorted(pairs.first_i, p, side="right")) - 1, pairs.j_p[p]
        raise CoincidentAtomsError(
            f"atoms {i} and {j} (or a periodic image) are both at {pairs.positions[i].tolist()} Å; "
            f"expected distinct places: remove or displace one of them"
        )


def _build(atoms: Atoms, positions: Floats, reach: float) -> _Built:
    check_structure(atoms, positions)
    check_bins(atoms, reach)
    origin, cell = _search_cell(positions, atoms.cell.array, atoms.pbc, reach)
    cell, combinations = _compact_cell(cell, atoms.pbc, reach)
    check_count(positions - origin, cell, atoms.pbc, reach)
    i_p, j_p, S_pc = neighbour_list(
        "ijS", positions=positions - origin, cell=cell, pbc=atoms.pbc, cutoff=reach, cell_origin=np.zeros(3)
    )
    if combinations is not None:
        S_pc = S_pc @ combinations
    first_i = np.zeros(len(positions) + 1, dtype=np.int64)
    np.cumsum(np.bincount(i_p, minlength=len(positions)), out=first_i[1:])
    del i_p
    j_p, S_pc = np.ascontiguousarray(j_p, dtype=np.int32), np.ascontiguousarray(S_pc, dtype=np.int32)
    s_p, images = _enumerate_images(S_pc)
    del S_pc
    _sort(first_i, j_p, s_p)
    shifts = _shift_vectors(images, np.ascontiguousarray(atoms.cell.array, dtype=float))
    found = Pairs(positions, first_i, j_p, s_p, shifts)
    check_distinct(found)
    return _Built(atoms.cell.array.copy(), atoms.pbc.copy(), atoms.numbers.copy(), found)


def _enumerate_images(S_pc: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return a number for the cell shift of each pair, in lexicographic order, and the shift of each number."""
    if len(S_pc) == 0:
        return np.zeros(0, np.int32), np.zeros((0, 3), np.int64)
    low = S_pc.min(axis=0).astype(np.int64)
    extent = S_pc.max(axis=0) - low + 1
    if np.prod(extent, dtype=float) <= SMALL_BOX:
        images = np.stack(np.unravel_index(np.arange(np.prod(extent)), extent), axis=1) + low
        return _box_numbers(S_pc, low, extent), images.astype(np.int64)
    images, s_p = np.unique(
        S_pc, axis=0, return_inverse=True
    )  # atoms far outside the cell: shifts are scattered
    return s_p.astype(np.int32).ravel(), images.astype(np.int64)


def _search_cell(
    positions: Floats,
    cell: Floats,
    pbc: npt.NDArray[np.bool_],
    reach: float,
) -> tuple[Floats, Floats]:
    """Return an origin and a cell that holds all atoms along the non-periodic directions.

    Whatever vectors the user gave there (zero, or too short) do not matter to the pairs: they are replaced by
    perpendicular ones around the atoms.
    """
    n_open = 3 - int(pbc.sum())
    if n_open == 0:
        return np.zeros(3), cell
    axes = np.eye(3) if n_open == 3 else np.linalg.svd(cell[pbc])[2][3 - n_open :]
    along = positions @ axes.T
    low = along.min(axis=0)
    longest = reach * (MAX_BINS + 10 * len(positions)) ** (1 / n_open)
    lengths = np.minimum(along.max(axis=0) - low + 2.0, longest)
    full = cell.copy()
    full[~pbc] = axes * lengths[:, None]
    return (low - 1.0) @ axes, full


def _compact_cell(
    cell: Floats, pbc: npt.NDArray[np.bool_], reach: float
) -> tuple[Floats, npt.NDArray[np.int64] | None]:
    """Return vectors of the same lattice with few images within reach, as whole combinations of the cell's.

    The cell itself, without combinations, where its vectors are good enough.
    """
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    if np.prod(np.where(pbc, 2 * np.ceil(reach / heights) + 1, 1)) <= MANY_IMAGES:
        return cell, None
    found = minkowski_reduce(np.where(pbc[:, None], cell, 0.0), pbc=pbc)[1]
    combinations = np.where(pbc[:, None] & pbc, found, np.eye(3)).astype(np.int64)
    return combinations @ cell, combinations


@kernel
def _largest_move(a_ic, b_ic):  # type: ignore[no-untyped-def]
    """Return the largest distance between two sets of positions; NaN if there is one."""
    largest = 0.0
    for i in range(a_ic.shape[0]):
        square = 0.0
        for c in range(3):
            square += (a_ic[i, c] - b_ic[i, c]) ** 2
        if not square <= largest:
            largest = square
            if np.isnan(square):
                break
    return np.sqrt(largest)


@kernel
def _shift_vectors(S_pc, cell):  # type: ignore[no-untyped-def]
    """S @ cell, row by row: BLAS may round differently with the number of rows."""
    shift_pc = np.empty((S_pc.shape[0], 3))
    for p in range(S_pc.shape[0]):
        for c in range(3):
            shift_pc[p, c] = S_pc[p, 0] * cell[0, c] + S_pc[p, 1] * cell[1, c] + S_pc[p, 2] * cell[2, c]
    return shift_pc


@kernel
def _box_numbers(S_pc, low, extent):  # type: ignore[no-untyped-def]
    """Return the place of each shift in a box, in lexicographic order."""
    s_p = np.empty(S_pc.shape[0], np.int32)
    for p in range(S_pc.shape[0]):
        number = (S_pc[p, 0] - low[0]) * extent[1] + (S_pc[p, 1] - low[1])
        s_p[p] = number * extent[2] + (S_pc[p, 2] - low[2])
    return s_p


@kernel
def _pair_vectors(positions, first_i, j_p, s_p, shifts):  # type: ignore[no-untyped-def]
    d_pc = np.empty((j_p.shape[0], 3))
    for i in range(positions.shape[0]):
        for p in range(first_i[i], first_i[i + 1]):
            for c in range(3):
                d_pc[p, c] = positions[j_p[p], c] - positions[i, c] + shifts[s_p[p], c]
    return d_pc


@kernel
def _coincident(positions, first_i, j_p, s_p, shifts):  # type: ignore[no-untyped-def]
    """Return a pair of zero length, or -1."""
    for i in range(positions.shape[0]):
        for p in range(first_i[i], first_i[i + 1]):
            square = 0.0
            for c in range(3):
                square += (positions[j_p[p], c] - positions[i, c] + shifts[s_p[p], c]) ** 2
            if square == 0.0:
                return p
    return -1


@kernel
def _sort(first_i, j_p, s_p):  # type: ignore[no-untyped-def]
    """Sort the pairs of each atom by (j, image) in place; insertion sort, for there are tens of them."""
    for i in range(first_i.shape[0] - 1):
        for p in range(first_i[i] + 1, first_i[i + 1]):
            j, s = j_p[p], s_p[p]
            q = p - 1
            while q >= first_i[i] and (j_p[q] > j or (j_p[q] == j and s_p[q] > s)):
                j_p[q + 1], s_p[q + 1] = j_p[q], s_p[q]
                q -= 1
            j_p[q + 1], s_p[q + 1] = j, s


@kernel
def sum_gradients(positions, first_i, j_p, s_p, shifts, gradient_pc):  # type: ignore[no-untyped-def]
    """Sum derivatives of an energy by the pair vectors.

    Returns forces (n_atoms, 3), eV/Å, the virial (6,), eV, in Voigt order, and the length of the shortest pair, Å.
    """
    forces, W, smallest = np.zeros(positions.shape), np.zeros((3, 3)), np.inf
    d = np.empty(3)
    for i in range(positions.shape[0]):
        for p in range(first_i[i], first_i[i + 1]):
            for a in range(3):
                d[a] = positions[j_p[p], a] - positions[i, a] + shifts[s_p[p], a]
            smallest = min(smallest, d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
            for a in range(3):
                g = gradient_pc[p, a]
                forces[i, a] += g
                forces[j_p[p], a] -= g
                for b in range(3):
                    W[b, a] += d[b] * g
    virial = np.array(
        [W[0, 0], W[1, 1], W[2, 2], (W[1, 2] + W[2, 1]) / 2, (W[0, 2] + W[2, 0]) / 2, (W[0, 1] + W[1, 0]) / 2]
    )
    return forces, virial, np.sqrt(smallest)
