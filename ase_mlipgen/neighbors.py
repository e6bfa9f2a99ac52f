"""Atoms -> pairs: the skin list that every calculator and basis works from.

`NeighborList` keeps the pairs within cutoff + skin and builds them anew only when an atom has moved half
the skin, or the cell, the boundary conditions or the atoms themselves have changed (Verlet, Phys. Rev. 159,
98 (1967)). Pairs are sorted by (i, j, cell shift), so that sums over them are bitwise the same whenever the
list was built. Building is matscipy's cell list, O(n_atoms), 6-12 us an atom; a call between two builds
costs one pass over the pairs.
"""

from typing import Any, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt
from ase import Atoms
from matscipy.neighbours import neighbour_list

JIT = {"cache": True, "nogil": True, "error_model": "numpy"}

# Three unit vectors that span less than this volume count as dependent.
DEGENERATE = 1e-8
# Bins that matscipy may use along non-periodic directions; atoms beyond the last are searched more slowly.
MAX_BINS = 100_000


class CoincidentAtomsError(ValueError):
    """Two atoms, or an atom and a periodic image, sit in one place."""


class Pairs(NamedTuple):
    """A full list: every pair appears from both ends, periodic images included.

    Parameters
    ----------
    i_p : (n_pairs,) int64 array
        Atom, ascending.
    j_p : (n_pairs,) int64 array
        Its neighbour.
    d_pc : (n_pairs, 3) array
        Å, from atom i to neighbour j.
    first_i : (n_atoms + 1,) int64 array
        The pairs of atom i are ``first_i[i]:first_i[i + 1]``.
    """

    i_p: npt.NDArray[np.int64]
    j_p: npt.NDArray[np.int64]
    d_pc: npt.NDArray[np.float64]
    first_i: npt.NDArray[np.int64]


class _Built(NamedTuple):
    """A list as it was built, and the atoms it was built for."""

    positions: npt.NDArray[np.float64]
    cell: npt.NDArray[np.float64]
    pbc: npt.NDArray[np.bool_]
    numbers: npt.NDArray[np.int64]
    i_p: npt.NDArray[np.int64]
    j_p: npt.NDArray[np.int64]
    shift_pc: npt.NDArray[np.float64]
    first_i: npt.NDArray[np.int64]


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
            No atoms; positions or cell not finite; zero or dependent cell vectors along periodic directions.
        CoincidentAtomsError
            Two atoms in one place.
        """
        positions = np.ascontiguousarray(atoms.positions, dtype=float)
        built = self._built
        if built is None or not self._still_good(built, atoms, positions):
            built = self._built = _build(atoms, positions, self.cutoff + self.skin)
            self.n_builds += 1
        d_pc, coincident = _pair_vectors(positions, built.i_p, built.j_p, built.shift_pc)
        if coincident >= 0:
            i, j = built.i_p[coincident], built.j_p[coincident]
            raise CoincidentAtomsError(
                f"atoms {i} and {j} (or a periodic image) are both at {positions[i].tolist()} Å; "
                f"expected distinct places: remove or displace one of them"
            )
        return Pairs(built.i_p, built.j_p, d_pc, built.first_i)

    def _still_good(self, built: _Built, atoms: Atoms, positions: npt.NDArray[np.float64]) -> bool:
        return (
            len(positions) == len(built.positions)
            and np.array_equal(built.cell, atoms.cell.array)
            and np.array_equal(built.pbc, atoms.pbc)
            and np.array_equal(built.numbers, atoms.numbers)
            # The margin is for rounding; a NaN compares false and leads to the checks of _build.
            and 2 * _largest_move(positions, built.positions) < self.skin - 1e-10
        )


def pairs(atoms: Atoms, cutoff: float) -> Pairs:
    """Return the pairs of atoms closer than the cutoff (Å), from a list of their own without a skin.

    Raises
    ------
    ValueError
        As for `NeighborList` and `NeighborList.pairs`.
    """
    return NeighborList(cutoff, skin=0.0).pairs(atoms)


def _build(atoms: Atoms, positions: npt.NDArray[np.float64], reach: float) -> _Built:
    _check(atoms, positions)
    origin, cell = _search_cell(positions, atoms.cell.array, atoms.pbc, reach)
    i_p, j_p, S_pc = neighbour_list(
        "ijS", positions=positions - origin, cell=cell, pbc=atoms.pbc, cutoff=reach, cell_origin=np.zeros(3)
    )
    first_i = np.zeros(len(positions) + 1, dtype=np.int64)
    np.cumsum(np.bincount(i_p, minlength=len(positions)), out=first_i[1:])
    j_p = np.ascontiguousarray(j_p, dtype=np.int64)
    S_pc = np.ascontiguousarray(S_pc, dtype=np.int64)
    _sort(first_i, j_p, S_pc)
    return _Built(
        positions.copy(),
        atoms.cell.array.copy(),
        atoms.pbc.copy(),
        atoms.numbers.copy(),
        np.ascontiguousarray(i_p, dtype=np.int64),
        j_p,
        _shift_vectors(S_pc, np.ascontiguousarray(atoms.cell.array, dtype=float)),
        first_i,
    )


def _check(atoms: Atoms, positions: npt.NDArray[np.float64]) -> None:
    if len(positions) == 0:
        raise ValueError("the Atoms object is empty: expected at least one atom")
    bad = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if len(bad):
        raise ValueError(
            f"position of atom {bad[0]} is {positions[bad[0]].tolist()} ({len(bad)} atoms in all): "
            f"expected finite numbers; look at the step that moved the atoms"
        )
    periodic = atoms.cell.array[atoms.pbc]
    if not np.isfinite(atoms.cell.array).all():
        raise ValueError(f"cell {atoms.cell.array.tolist()} is not finite: expected three vectors in Å")
    lengths = np.linalg.norm(periodic, axis=1)
    if (lengths == 0).any():
        raise ValueError(
            f"cell {atoms.cell.array.tolist()} has a zero vector along a periodic direction "
            f"(pbc {atoms.pbc.tolist()}): set the vector, or pbc to False there"
        )
    unit = periodic / lengths[:, None]
    if len(periodic) and np.linalg.svd(unit, compute_uv=False).min() < DEGENERATE:
        raise ValueError(
            f"cell vectors {periodic.tolist()} along the periodic directions are linearly dependent: "
            f"expected vectors that span {len(periodic)} dimensions"
        )


def _search_cell(
    positions: npt.NDArray[np.float64],
    cell: npt.NDArray[np.float64],
    pbc: npt.NDArray[np.bool_],
    reach: float,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
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


@nb.njit(**JIT)
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


@nb.njit(**JIT)
def _shift_vectors(S_pc, cell):  # type: ignore[no-untyped-def]
    """S @ cell, row by row: BLAS may round differently with the number of rows."""
    shift_pc = np.empty((S_pc.shape[0], 3))
    for p in range(S_pc.shape[0]):
        for c in range(3):
            shift_pc[p, c] = S_pc[p, 0] * cell[0, c] + S_pc[p, 1] * cell[1, c] + S_pc[p, 2] * cell[2, c]
    return shift_pc


@nb.njit(**JIT)
def _pair_vectors(positions, i_p, j_p, shift_pc):  # type: ignore[no-untyped-def]
    """Return the pair vectors and one pair of zero length, or -1."""
    d_pc = np.empty((i_p.shape[0], 3))
    coincident = -1
    for p in range(i_p.shape[0]):
        square = 0.0
        for c in range(3):
            d_pc[p, c] = positions[j_p[p], c] - positions[i_p[p], c] + shift_pc[p, c]
            square += d_pc[p, c] * d_pc[p, c]
        if square == 0.0:
            coincident = p
    return d_pc, coincident


@nb.njit(**JIT)
def _sort(first_i, j_p, S_pc):  # type: ignore[no-untyped-def]
    """Sort the pairs of each atom by (j, S) in place; insertion sort, for there are tens of them."""
    for i in range(first_i.shape[0] - 1):
        for p in range(first_i[i] + 1, first_i[i + 1]):
            j, s0, s1, s2 = j_p[p], S_pc[p, 0], S_pc[p, 1], S_pc[p, 2]
            q = p - 1
            while q >= first_i[i] and (
                j_p[q] > j
                or (
                    j_p[q] == j
                    and (
                        S_pc[q, 0] > s0
                        or (S_pc[q, 0] == s0 and (S_pc[q, 1] > s1 or (S_pc[q, 1] == s1 and S_pc[q, 2] > s2)))
                    )
                )
            ):
                j_p[q + 1] = j_p[q]
                S_pc[q + 1, 0], S_pc[q + 1, 1], S_pc[q + 1, 2] = S_pc[q, 0], S_pc[q, 1], S_pc[q, 2]
                q -= 1
            j_p[q + 1] = j
            S_pc[q + 1, 0], S_pc[q + 1, 1], S_pc[q + 1, 2] = s0, s1, s2


@nb.njit(**JIT)
def scatter(i_p, j_p, d_pc, gradient_pc, n_atoms):  # type: ignore[no-untyped-def]
    """Sum the derivatives by pair vectors: forces (n_atoms, 3), eV/Å, and the virial (6,), eV, in Voigt order."""
    forces = np.zeros((n_atoms, 3))
    W = np.zeros((3, 3))
    for p in range(i_p.shape[0]):
        for a in range(3):
            g = gradient_pc[p, a]
            forces[i_p[p], a] += g
            forces[j_p[p], a] -= g
            for b in range(3):
                W[b, a] += d_pc[p, b] * g
    virial = np.array(
        [W[0, 0], W[1, 1], W[2, 2], (W[1, 2] + W[2, 1]) / 2, (W[0, 2] + W[2, 0]) / 2, (W[0, 1] + W[1, 0]) / 2]
    )
    return forces, virial
