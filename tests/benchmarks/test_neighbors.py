"""Pairs of 4096 rattled silicon atoms at every step: our kept list beside lists built anew.

The peers give vectors too, which our kernels take on the way; `Pairs.vectors` is in our time, so that all do the same.
"""

from itertools import cycle

import numpy as np
import pytest
from ase.neighborlist import neighbor_list as ase_list
from matscipy.neighbours import neighbour_list as matscipy_list

from ase_mlipgen.neighbors import NeighborList
from tests.benchmarks.models import CUTOFF, crystal

GROUP = "Neighbour list a step, 4096 atoms, 5.5 Å, one thread"


def in_order(i_p, j_p, d_pc):
    """Sort pairs by (i, j, vector) and drop those beyond the cutoff."""
    near = np.linalg.norm(d_pc, axis=1) < CUTOFF
    i_p, j_p, d_pc = i_p[near], j_p[near], d_pc[near]
    rank = np.lexsort((*np.round(d_pc, 6).T, j_p, i_p))
    return i_p[rank], j_p[rank], d_pc[rank]


def agree(ours, theirs):
    (i, j, d), (i2, j2, d2) = in_order(*ours), in_order(*theirs)
    np.testing.assert_array_equal(i, i2)
    np.testing.assert_array_equal(j, j2)
    np.testing.assert_allclose(d, d2, rtol=0, atol=1e-11)


def trajectory(positions, steps):
    """Every atom walks straight on by 0.01 Å a step, and the whole way back."""
    directions = np.random.default_rng(3).normal(size=positions.shape)
    directions *= 0.01 / np.linalg.norm(directions, axis=1, keepdims=True)
    there = [positions + k * directions for k in range(steps)]
    return there + there[-2:0:-1]


@pytest.mark.parametrize(("steps", "case"), [(2, "list stays"), (101, "rebuilt every 25 steps or so")])
def test_list(race, steps, case):
    atoms = crystal(8)
    places = cycle(trajectory(atoms.positions.copy(), steps))
    kept = NeighborList(CUTOFF)

    def ours():
        atoms.positions = next(places)
        pairs = kept.pairs(atoms)
        return pairs, pairs.vectors()

    pairs, d_pc = ours()
    agree((pairs.centres(), pairs.j_p, d_pc), matscipy_list("ijD", atoms, CUTOFF))
    agree((pairs.centres(), pairs.j_p, d_pc), ase_list("ijD", atoms, CUTOFF))
    peers = {
        "matscipy": lambda: matscipy_list("ijD", atoms, CUTOFF),
        "ase": lambda: ase_list("ijD", atoms, CUTOFF),
    }
    race(GROUP, f"every atom moves 0.01 Å, {case}", ours, peers, units=len(atoms), seconds=8)
