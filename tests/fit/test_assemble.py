"""Assembly: the same bits on every executor, the same system as rows stacked by hand."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from ase_mlipgen.fit import Weights, assemble, count_rows, rows
from tests.fit.fakes import PowerBasis, cells_of

E0 = {"W": -2.5}
BY_DEFECT = {"vacancy": {"energy": 50, "forces": 2}, "perfect": {"energy": 9}}


@pytest.fixture(scope="module")
def basis():
    return PowerBasis(30)


@pytest.fixture(scope="module")
def cells(basis):
    return cells_of(basis, 40, E0=-2.5) + cells_of(basis, 9, E0=-2.5, defect="")


@pytest.fixture
def small_leaves(monkeypatch):
    monkeypatch.setattr("ase_mlipgen.fit.factor.SMALLEST_LEAF", 50)


def test_same_system_as_stacked_rows(basis, cells, small_leaves):
    factor = assemble(basis, cells, BY_DEFECT, E0, ("energy", "forces", "stress"))
    blocks = [
        rows(basis, c, Weights(50, 2) if c.defect else Weights(9), E0, ("energy", "forces", "stress"))
        for c in cells
    ]
    A, b = np.concatenate([p.A for p in blocks]), np.concatenate([p.b for p in blocks])
    assert factor.n_rows == len(b) == sum(count_rows(len(c.atoms)) + 6 for c in cells)
    whole, R = np.column_stack([A, b]), factor.triangle()
    norms = np.linalg.norm(whole, axis=0)
    np.testing.assert_allclose((R / norms).T @ (R / norms), (whole / norms).T @ (whole / norms), atol=1e-13)


def test_same_bits_on_every_executor(basis, cells, small_leaves):
    serial = assemble(basis, cells, Weights(), E0).triangle()
    with threadpool_limits(1, user_api="blas"):
        np.testing.assert_array_equal(assemble(basis, cells, Weights(), E0).triangle(), serial)
    for workers in (1, 2, 5):
        with ThreadPoolExecutor(workers) as pool:
            np.testing.assert_array_equal(
                assemble(basis, cells, Weights(), E0, executor=pool).triangle(), serial
            )
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        np.testing.assert_array_equal(assemble(basis, cells, Weights(), E0, executor=pool).triangle(), serial)


def test_blas_threads_are_left_as_they_were(basis, cells, small_leaves):
    def threads():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    before = threads()
    with ThreadPoolExecutor(2) as pool:
        assemble(basis, cells, Weights(), E0, executor=pool)
        with pytest.raises(ValueError, match="no E0"):
            assemble(basis, cells, Weights(), {}, executor=pool)
    assert threads() == before


def test_progress_counts_cells(basis, cells, small_leaves):
    seen = []
    assemble(basis, cells, Weights(), E0, progress=lambda *counts: seen.append(counts))
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert seen[-1] == (49, 49)


def test_nothing_to_fit_is_an_error(basis, cells):
    with pytest.raises(ValueError, match="no cells to fit"):
        assemble(basis, [], Weights(), E0)
    with pytest.raises(ValueError, match="no weights for the defect 'vacancy'"):
        assemble(basis, cells, {"dumbbell": Weights()}, E0)
