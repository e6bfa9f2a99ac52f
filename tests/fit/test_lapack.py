"""The fold of a block into a triangle against NumPy's QR of both stacked."""

import numpy as np
import pytest

from ase_mlipgen.fit.lapack import fold


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
