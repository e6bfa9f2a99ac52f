"""The solver against numpy's lstsq and pinv, and scipy's pivoted QR of the whole matrix."""

import numpy as np
import pytest
from scipy.linalg import qr
from threadpoolctl import threadpool_limits

from ase_mlipgen.fit import TriangularFactor, solve, sweep


def decaying(m=400, n=60, decades=9.0, seed=0):
    """A matrix whose singular values fall by `decades`, columns of very different norm."""
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.normal(size=(k, n)))[0] for k in (m, n))
    A = U * np.logspace(0, -decades, n) @ V.T * np.logspace(0, -4, n)
    return A, A @ rng.normal(size=n) + 1e-3 * rng.normal(size=m)


def deficient(m=300, n=40, rank=25, seed=1):
    """Exactly rank-deficient, with columns of different norm."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(m, rank)) @ rng.normal(size=(rank, n)) * np.logspace(0, -3, n)
    return A, rng.normal(size=m)


def factor_of(A, b):
    return TriangularFactor(A.shape[1]).add(A, b)


def pivoted_whole(A, b, rtol):
    """Rank, predictions and diagonal of scipy's pivoted QR of the scaled whole matrix, truncated.

    Ties between unit columns go to the first, by steps of 1e-12.
    """
    scaled = A / np.linalg.norm(A, axis=0) / (1 + 1e-12 * np.arange(A.shape[1]))
    Q, T, order = qr(scaled, mode="economic", pivoting=True)
    diagonal = np.abs(np.diagonal(T))
    rank = int(np.sum(diagonal >= rtol * diagonal[0]))
    y = np.linalg.pinv(T[:rank], rcond=1e-15) @ (Q[:, :rank].T @ b)
    return rank, scaled[:, order] @ y, diagonal


def test_full_rank_is_least_squares():
    A, b = decaying(decades=3)
    fit = solve(factor_of(A, b), 1e-12)
    norms = np.linalg.norm(A, axis=0)
    x, residual, *_ = np.linalg.lstsq(A / norms, b)
    np.testing.assert_allclose(fit.coefficients, x / norms, rtol=1e-9)
    assert (fit.rank, fit.n_functions, fit.n_rows) == (60, 60, 400)
    assert fit.residual_norm == pytest.approx(np.sqrt(residual[0]), rel=1e-10)


@pytest.mark.parametrize("rtol", [1e-2, 1e-4, 1e-6, 1e-8])
def test_rank_and_predictions_of_pivoted_qr_of_the_whole(rtol):
    A, b = decaying(decades=12)
    fit = solve(factor_of(A, b), rtol)
    rank, predictions, diagonal = pivoted_whole(A, b, rtol)
    assert fit.rank == rank < 60
    np.testing.assert_allclose(fit.r_diagonal, diagonal, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(A @ fit.coefficients, predictions, atol=1e-8 * np.linalg.norm(b))
    assert fit.residual_norm == pytest.approx(np.linalg.norm(b - A @ fit.coefficients), rel=1e-8)


def test_rank_deficient_solution_is_pinv_in_scaled_variables():
    A, b = deficient()
    norms = np.linalg.norm(A, axis=0)
    fit = solve(factor_of(A, b), 1e-9)
    assert fit.rank == 25
    np.testing.assert_allclose(fit.coefficients, np.linalg.pinv(A / norms, rcond=1e-9) @ b / norms, rtol=1e-8)
    plain = solve(factor_of(A, b), 1e-9, scaling=None)
    np.testing.assert_allclose(plain.coefficients, np.linalg.pinv(A, rcond=1e-9) @ b, rtol=1e-7)


def test_fewer_rows_than_functions_gives_the_shortest_interpolant():
    A, b = decaying(m=400, n=60, decades=1)
    A, b = A[:20], b[:20]
    norms = np.linalg.norm(A, axis=0)
    fit = solve(factor_of(A, b), 1e-10)
    assert fit.rank == 20
    np.testing.assert_allclose(fit.coefficients, np.linalg.pinv(A / norms) @ b / norms, rtol=1e-8)
    assert fit.residual_norm < 1e-12 * np.linalg.norm(b)


def test_sweep_is_solve_at_each_tolerance():
    factor = factor_of(*decaying())
    rtols = [1e-3, 1e-6, 1e-9]
    for rtol, fit in zip(rtols, sweep(factor, rtols), strict=True):
        single = solve(factor, rtol)
        np.testing.assert_array_equal(fit.coefficients, single.coefficients)
        assert fit.rank == single.rank
    residuals = [fit.residual_norm for fit in sweep(factor, rtols)]
    assert residuals == sorted(residuals, reverse=True)


def test_scaling_of_columns_does_not_matter_with_column_scaling():
    A, b = decaying()
    scale = 2.0 ** np.arange(-10, 10).repeat(3)
    a, c = solve(factor_of(A, b), 1e-5), solve(factor_of(A * scale, b), 1e-5)
    assert a.rank == c.rank
    np.testing.assert_allclose(A @ a.coefficients, A * scale @ c.coefficients, atol=1e-8 * np.linalg.norm(b))
    assert solve(factor_of(A, b), 1e-5, scaling=None).rank < a.rank


def test_column_of_round_off_is_no_data():
    A, b = decaying(n=20, decades=1)
    noise = 1e-17 * np.random.default_rng(5).normal(size=(400, 1))
    fit = solve(factor_of(np.hstack([A, noise, np.zeros((400, 1))]), b), 1e-6)
    assert fit.rank == 20
    np.testing.assert_allclose(fit.coefficients[:20], solve(factor_of(A, b), 1e-6).coefficients, rtol=1e-9)
    assert np.abs(fit.coefficients[20:]).max() < 1e-6


def test_zero_matrix_has_zero_solution():
    fit = solve(factor_of(np.zeros((5, 3)), np.ones(5)))
    assert (fit.rank, fit.residual_norm) == (0, pytest.approx(np.sqrt(5)))
    np.testing.assert_array_equal(fit.coefficients, np.zeros(3))


def test_cores_do_not_change_a_bit():
    factor = factor_of(*decaying(n=300))
    with threadpool_limits(1, user_api="blas"):
        one = solve(factor).coefficients
    np.testing.assert_array_equal(solve(factor).coefficients, one)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="the factor has no rows"):
        solve(TriangularFactor(3))
    factor = factor_of(np.eye(3), np.ones(3))
    for rtol in (-1e-3, 1.0, np.nan):
        with pytest.raises(ValueError, match="rtol is"):
            solve(factor, rtol)
    with pytest.raises(ValueError, match="scaling is 'rows'"):
        solve(factor, scaling="rows")
