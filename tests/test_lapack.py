"""The fold of a block into a triangle against NumPy's QR of both stacked; eigenproblems against SciPy."""

import numpy as np
import pytest
import scipy.linalg

from ase_mlipgen.lapack import NotPositiveDefiniteError, fold, generalised_eigh


def triangle_of(A):
    R = np.linalg.qr(A, mode="r")
    return R * np.sign(np.diagonal(R))[:, None]


@pytest.mark.parametrize("m", [1, 7, 90, 300])
def test_block_in_a_buffer(m):
    rng = np.random.default_rng(m)
    R, buffer = np.asfortranarray(np.triu(rng.normal(size=(90, 90)))), np.zeros((400, 90), order="F")
    buffer[:m] = rng.normal(size=(m, 90))
    expected = triangle_of(np.vstack([R, buffer[:m]]))
    fold(R, buffer[:m], triangular=False)
    np.testing.assert_allclose(np.triu(R) * np.sign(np.diagonal(R))[:, None], expected, atol=1e-12)
    assert not buffer[m:].any()


def test_triangle_on_triangle():
    R, S = (np.asfortranarray(np.triu(np.random.default_rng(k).normal(size=(70, 70)))) for k in range(2))
    expected = triangle_of(np.vstack([R, S]))
    fold(R, S, triangular=True)
    np.testing.assert_allclose(np.triu(R) * np.sign(np.diagonal(R))[:, None], expected, atol=1e-12)


def test_arrays_that_lapack_cannot_take_are_refused():
    R = np.zeros((5, 5), order="F")
    with pytest.raises(ValueError, match=r"a block \(3, 4\) into a triangle \(5, 5\)"):
        fold(R, np.zeros((3, 4), order="F"), triangular=False)
    with pytest.raises(ValueError, match="contiguous columns"):
        fold(R, np.zeros((3, 5)), triangular=False)
    with pytest.raises(ValueError, match="contiguous columns"):
        fold(np.zeros((5, 5))[::-1], np.zeros((3, 5), order="F"), triangular=False)


@pytest.mark.parametrize("dtype", [float, complex])
@pytest.mark.parametrize("n", [1, 5, 130])
def test_generalised_eigenproblem_against_scipy(dtype, n):
    rng = np.random.default_rng(n)
    H, X = (
        rng.normal(size=(n, n)) + (1j * rng.normal(size=(n, n)) if dtype is complex else 0) for _ in range(2)
    )
    H, S = H + H.conj().T, X @ X.conj().T + n * np.eye(n)
    C, L = (np.asfortranarray(np.tril(A)) for A in (H, S))
    w = generalised_eigh(C, L)
    np.testing.assert_allclose(w, scipy.linalg.eigh(H, S, eigvals_only=True), atol=1e-12)
    np.testing.assert_allclose(H @ C, S @ C * w, atol=1e-10)
    np.testing.assert_allclose(C.conj().T @ S @ C, np.eye(n), atol=1e-12)
    w_only = generalised_eigh(*(np.asfortranarray(np.tril(A)) for A in (H, S)), vectors=False)
    np.testing.assert_allclose(w_only, w, atol=1e-12)


def test_generalised_eigenproblem_refuses():
    H, S = np.eye(3, order="F"), np.asfortranarray(np.diag([1.0, -1.0, 1.0]))
    with pytest.raises(NotPositiveDefiniteError, match="order 2 of 3"):
        generalised_eigh(H, S)
    with pytest.raises(ValueError, match="Fortran"):
        generalised_eigh(np.ones((3, 3)), np.ones((3, 3)))
    with pytest.raises(ValueError, match="cannot solve"):
        generalised_eigh(np.eye(3, order="F"), np.eye(4, order="F"))
