"""The streamed triangle against numpy's QR of the whole matrix."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_mlipgen.fit import TriangularFactor


def system(m, n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, n)) * np.logspace(0, -6, n), rng.normal(size=m)


def reference(A, b):
    R = np.linalg.qr(np.column_stack([A, b]), mode="r")
    R = np.vstack([R, np.zeros((A.shape[1] + 1 - len(R), A.shape[1] + 1))])
    return R * np.where(np.diagonal(R) < 0, -1.0, 1.0)[:, None]


def assert_triangles(a, b, tol=1e-12):
    scale = np.linalg.norm(b, axis=0)
    np.testing.assert_allclose(a / scale, b / scale, atol=tol)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=5), st.integers(1, 30), st.integers(0, 99))
def test_any_partition_gives_the_same_gram_matrix(sizes, n, seed):
    A, b = system(max(1, sum(sizes)), n, seed)
    factor = TriangularFactor(n)
    for part in np.split(np.arange(len(b)), np.cumsum(sizes)):
        factor.add(A[part], b[part])
    R, whole = factor.triangle(), np.column_stack([A, b])
    norms = np.linalg.norm(whole, axis=0)
    np.testing.assert_allclose((R / norms).T @ (R / norms), (whole / norms).T @ (whole / norms), atol=1e-13)
    assert (np.diagonal(R) >= 0).all()
    assert (np.tril(R, -1) == 0).all()
    assert factor.n_rows == len(b)


def test_is_the_triangle_of_numpy():
    A, b = system(3000, 40)
    assert_triangles(TriangularFactor(40).add(A, b).triangle(), reference(A, b))


def test_merging_is_adding():
    A, b = system(2000, 40)
    left, right = TriangularFactor(40).add(A[:700], b[:700]), TriangularFactor(40).add(A[700:], b[700:])
    before = right.triangle()
    merged = left.merge(right)
    assert_triangles(merged.triangle(), reference(A, b))
    assert merged.n_rows == 2000
    np.testing.assert_array_equal(right.triangle(), before)


def test_looking_at_it_changes_nothing_but_round_off():
    A, b = system(900, 20)
    factor = TriangularFactor(20)
    for part in np.split(np.arange(900), 9):
        factor.add(A[part], b[part]).triangle()
    assert_triangles(factor.triangle(), reference(A, b))


def test_survives_a_process_boundary():
    A, b = system(300, 20)
    factor = TriangularFactor(20).add(A, b)
    copy = pickle.loads(pickle.dumps(factor))
    np.testing.assert_array_equal(copy.triangle(), factor.triangle())
    assert len(pickle.dumps(factor)) < 8 * 21 * 21 + 1000
    assert_triangles(copy.add(A, b).triangle(), reference(np.tile(A, (2, 1)), np.tile(b, 2)))


def test_fewer_rows_than_columns():
    A, b = system(5, 20)
    assert_triangles(TriangularFactor(20).add(A, b).triangle(), reference(A, b))


def test_bad_rows_are_refused():
    factor = TriangularFactor(3)
    with pytest.raises(ValueError, match=r"rows have shape \(2, 4\); expected \(m, 3\)"):
        factor.add(np.zeros((2, 4)), np.zeros(2))
    with pytest.raises(ValueError, match=r"targets have shape \(3,\); expected \(2,\)"):
        factor.add(np.zeros((2, 3)), np.zeros(3))
    with pytest.raises(ValueError, match="1 of 2 rows are not finite, first row 1"):
        factor.add([[1, 2, 3], [1, np.nan, 3]], [1, 2])
    with pytest.raises(ValueError, match="factors of 3 and 4 functions"):
        factor.merge(TriangularFactor(4))
    with pytest.raises(ValueError, match="n_functions is 0"):
        TriangularFactor(0)
    assert factor.n_rows == 0


def test_rows_of_zeros_are_counted_and_change_nothing():
    A, b = system(300, 12)
    holes = np.zeros((600, 12)), np.zeros(600)
    holes[0][::2], holes[1][::2] = A, b
    holes[1][1] = 3.0  # a row of zeros with a target adds to the residual
    found, expected = TriangularFactor(12).add(*holes), TriangularFactor(12).add(A, b)
    assert found.n_rows == 600
    assert_triangles(found.triangle()[:12], expected.triangle()[:12])
    assert found.triangle()[12, 12] == pytest.approx(np.hypot(3.0, expected.triangle()[12, 12]), rel=1e-12)
