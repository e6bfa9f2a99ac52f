"""Scratch memory: alignment, reuse, and a bound on what is kept."""

import numpy as np
import pytest

from ase_mlipgen import workspace
from ase_mlipgen.workspace import CACHE_LINE, Workspace, borrow, give_back


@pytest.fixture(autouse=True)
def nothing_kept():
    workspace._idle.clear()
    yield
    workspace._idle.clear()


def test_arrays_lie_on_cache_lines_and_apart():
    space = Workspace(100)
    arrays = [
        space.empty(3),
        space.empty(5, 2),
        space.empty(7, dtype=np.int32),
        space.empty(2, 3, dtype=np.int64),
    ]
    for array in arrays:
        assert array.ctypes.data % CACHE_LINE == 0
        assert array.flags.c_contiguous
    for k, array in enumerate(arrays):
        array[:] = k
    assert [set(array.ravel().tolist()) for array in arrays] == [{0}, {1}, {2}, {3}]


def test_more_than_there_is_comes_from_fresh_memory():
    space = Workspace(8)
    first, second = space.empty(8), space.empty(1000)
    first[:], second[:] = 1.0, 2.0
    assert first.sum() == 8
    assert second.shape == (1000,)


def test_what_is_given_back_serves_again_if_it_is_large_enough():
    small, large = borrow(10), borrow(1000)
    give_back(small)
    give_back(large)
    assert borrow(500) is large
    assert borrow(10) is small
    assert borrow(10) is not small


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(workspace, "KEPT", 1000)
    spaces = [borrow(400) for _ in range(5)]
    for space in spaces:
        give_back(space)
    assert sum(map(len, workspace._idle)) <= 1000
    assert borrow(400) in spaces[-2:]
    give_back(Workspace(5000))
    assert not workspace._idle
    for size in range(300):
        give_back(Workspace(size % 3))
    assert len(workspace._idle) <= workspace.MOST
