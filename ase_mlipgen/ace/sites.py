"""From a list of pairs to the sites that the lane kernels work on: pair vectors within the cutoff, block by block.

Entry points: :func:`padded` once a structure, :func:`collect_sites` for each block of atoms.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.ace.lane_collect import collect
from ase_mlipgen.simd import Lanes
from ase_mlipgen.workspace import Workspace

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Structure(NamedTuple):
    """Pairs of a structure: pair p of atom i is positions[j_p] - positions[i] + shifts[s_p] (see `neighbors.Pairs`).

    Attributes
    ----------
    positions : (n_atoms, 3) array, Å
    first_i : (n_atoms + 1,) ints
    j_p, s_p : (n_pairs,) 32-bit ints
    shifts : (n_shifts, 3) array, Å
    mu_i : (n_atoms,) ints
        Element index of every atom.
    """

    positions: Floats
    first_i: Ints
    j_p: npt.NDArray[np.int32]
    s_p: npt.NDArray[np.int32]
    shifts: Floats
    mu_i: Ints


class Sites(NamedTuple):
    """Pairs within the cutoff of the atoms start, start + 1, ...

    Attributes
    ----------
    start : int
    first_c : (n_sites + 1,) ints
        Pairs of site k are first_c[k]:first_c[k + 1].
    j_c : (n_pairs,) 32-bit ints
        Neighbouring atoms.
    d_cc : (n_pairs + 1, 4) array
        Vectors, Å, and a column of padding; the last row is a spare pair, out of reach, that pads short atoms.
    smallest_square : float
        Of the lengths of all pairs that were looked at, Å^2.
    """

    start: int
    first_c: Ints
    j_c: npt.NDArray[np.int32]
    d_cc: Floats
    smallest_square: float


def padded(structure: Structure) -> Structure:
    """Return the structure with rows of four numbers in the place of vectors, as the kernels load them."""
    return structure._replace(positions=rows_of(structure.positions), shifts=rows_of(structure.shifts))


def collect_sites(start: int, stop: int, structure: Structure, cutoff: float, space: Workspace) -> Sites:
    """Return the pairs of the atoms start:stop of a padded structure, in memory of `space`."""
    positions, first_i, j_p, s_p, shifts, _ = structure
    room = int(first_i[stop] - first_i[start])
    first_c, j_c = space.empty(stop - start + 1, dtype=np.int64), space.empty(room, dtype=np.int32)
    d_cc = space.empty(room + 1, 4)
    smallest = collect(
        Lanes(4), start, stop, cutoff, positions, first_i, j_p, s_p, shifts, first_c, j_c, d_cc
    )
    n_pairs = int(first_c[-1])
    d_cc[n_pairs] = spare_pair(cutoff)
    return Sites(start, first_c, j_c[:n_pairs], d_cc[: n_pairs + 1], smallest)


def spare_pair(cutoff: float) -> Floats:
    """Return a pair where all functions of models with this cutoff are zero, as a row."""
    return np.array([2.0 * cutoff, 0.0, 0.0, 0.0])


def rows_of(vectors: Floats, cutoff: float | None = None) -> Floats:
    """Return (n, 3) vectors as (n, 4) rows; with a cutoff, followed by the spare pair."""
    n = len(vectors)
    found = Workspace().empty(n + (cutoff is not None), 4)
    found[:n, :3] = vectors
    found[:n, 3] = 0.0
    if cutoff is not None:
        found[n] = spare_pair(cutoff)
    return found
