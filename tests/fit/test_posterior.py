"""The posterior of a fit against closed forms, brute force with explicit matrices, and repeated experiments."""

import numpy as np
import pytest
from scipy.linalg import null_space

from ase_mlipgen.fit import Constraints, TriangularFactor, solve
from ase_mlipgen.fit.posterior import FLOOR, leverage_root, posterior_root
from tests.fit.test_solve import decaying, deficient


def factor_of(A, b):
    return TriangularFactor(A.shape[1]).add(A, b)


def precise():
    """Well-conditioned rows with little noise: the prior says nothing then. With constraints that the truth obeys."""
    A, _ = decaying(decades=1.0)
    rng = np.random.default_rng(5)
    x = rng.normal(size=60) / np.linalg.norm(A, axis=0)
    C = rng.normal(size=(8, 60)) * np.linalg.norm(A, axis=0)
    return A, A @ x + 1e-6 * rng.normal(size=400), Constraints(C, C @ x)


def test_full_rank_is_the_covariance_of_least_squares():
    """sigma^2 (A'A)^-1, sigma^2 = |residual|^2 / (rows - columns)."""
    A, b, _ = precise()
    factor = factor_of(A, b)
    found = posterior_root(factor, solve(factor, 1e-12))
    residual = A @ np.linalg.lstsq(A, b)[0] - b
    sigma = np.linalg.norm(residual) / np.sqrt(400 - 60)
    assert found.sigma == pytest.approx(sigma, rel=1e-6)
    norms = np.linalg.norm(A, axis=0)
    expected = sigma**2 * np.linalg.inv((A / norms).T @ (A / norms))
    root = norms[:, None] * found.root
    np.testing.assert_allclose(root @ root.T, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("make", [decaying, deficient])
def test_what_the_data_do_not_determine_keeps_the_prior(make):
    """Brute force: (S'S / sigma^2 + 1 / tau^2)^-1 with S the scaled columns."""
    A, b = make()
    factor = factor_of(A, b)
    fit = solve(factor, 1e-6)
    found = posterior_root(factor, fit)
    norms = np.linalg.norm(A, axis=0)
    S = A / norms
    y = norms * fit.coefficients
    assert found.tau == pytest.approx(np.linalg.norm(y) / np.sqrt(fit.rank), rel=1e-6)
    _, singular, vectors = np.linalg.svd(S)
    expected = vectors.T / ((singular / found.sigma) ** 2 + found.tau**-2) @ vectors
    covariance = (norms[:, None] * found.root) @ (norms[:, None] * found.root).T
    np.testing.assert_allclose(covariance, expected, atol=1e-6 * found.tau**2)
    if make is deficient:
        free = null_space(S, rcond=1e-9)
        assert free.shape[1] == 15
        np.testing.assert_allclose(
            free.T @ covariance @ free, found.tau**2 * np.eye(15), atol=1e-6 * found.tau**2
        )


def test_what_constraints_fix_has_no_variance():
    """Brute force in an orthonormal basis of the constraints' null space."""
    A, b, constraints = precise()
    factor = factor_of(A, b)
    fit = solve(factor, 1e-12, constraints=constraints)
    found = posterior_root(factor, fit, constraints)
    norms = np.linalg.norm(A, axis=0)
    root = norms[:, None] * found.root
    assert np.abs((constraints.C / norms) @ root).max() < 1e-12 * np.abs(root).max()
    assert found.sigma == pytest.approx(fit.residual_norm / np.sqrt(400 - 52), rel=1e-12)
    free = null_space(constraints.C / norms)
    inside = free @ np.linalg.inv(free.T @ (A / norms).T @ (A / norms) @ free) @ free.T
    np.testing.assert_allclose(
        root @ root.T, found.sigma**2 * inside, atol=1e-6 * found.sigma**2 * np.abs(inside).max()
    )


def test_silent_rows_are_no_data():
    """Rows of zeros, as forces across a plane, do not make a fit more certain."""
    A, b = decaying(decades=1.0)
    with_zeros = factor_of(A, b).add(np.zeros((500, 60)), np.zeros(500))
    plain = posterior_root(factor_of(A, b), solve(factor_of(A, b)))
    assert posterior_root(with_zeros, solve(with_zeros)).sigma == pytest.approx(plain.sigma, rel=1e-12)


def test_repeated_experiments_scatter_as_predicted():
    """Monte Carlo: new noise on the same rows; the spread of a prediction is the posterior's, within sampling error."""
    rng = np.random.default_rng(0)
    A, true = rng.normal(size=(150, 12)), rng.normal(size=12)
    row, spread, predicted = rng.normal(size=12), [], []
    for _ in range(400):
        factor = factor_of(A, A @ true + 0.3 * rng.normal(size=150))
        fit = solve(factor, 1e-12)
        spread.append(row @ fit.coefficients)
        predicted.append(np.linalg.norm(row @ posterior_root(factor, fit).root))
    assert np.std(spread) == pytest.approx(np.mean(predicted), rel=0.1)


def test_an_exact_fit_is_certain():
    A, _ = decaying(decades=1.0)
    factor = factor_of(A, np.zeros(400))
    assert not posterior_root(factor, solve(factor)).root.any()


def test_factors_and_fits_that_do_not_belong_together():
    A, b = decaying()
    with pytest.raises(ValueError, match="do not belong together"):
        posterior_root(factor_of(A[:, :50], b), solve(factor_of(A, b)))


def test_leverage_is_the_diagonal_of_the_hat_matrix():
    B = np.random.default_rng(2).normal(size=(200, 20)) * np.logspace(0, -2, 20)
    root = leverage_root(factor_of(B, np.zeros(200)), B)
    hat = np.diagonal(B @ np.linalg.inv(B.T @ B) @ B.T)
    found = np.linalg.norm(B @ root, axis=1) ** 2
    np.testing.assert_allclose(found, hat / hat.max(), rtol=1e-9)
    assert np.linalg.norm(5.0 * B[0] @ root) == pytest.approx(5.0 * np.sqrt(found[0]))


def test_what_no_row_spans_is_far_out():
    B = np.random.default_rng(2).normal(size=(200, 20))
    B[:, 7] = B[:, 3]
    root = leverage_root(factor_of(B, np.zeros(200)), B)
    outside = np.zeros(20)
    outside[3], outside[7] = 1.0, -1.0
    assert np.linalg.norm(outside @ root) > 1e-2 / FLOOR
    assert np.linalg.norm(B @ root, axis=1).max() == pytest.approx(1.0)


def test_contradictory_shapes_of_constraints_are_left_to_the_solver():
    """More constraints than half of the functions: the fit is plain, and so is its posterior."""
    A, b = decaying(decades=1.0)
    factor = factor_of(A, b)
    many = Constraints(np.random.default_rng(0).normal(size=(40, 60)), np.zeros(40))
    fit = solve(factor, 1e-12, constraints=many)
    assert "not imposed" in fit.note
    np.testing.assert_allclose(
        posterior_root(factor, fit, many).root, posterior_root(factor, solve(factor, 1e-12)).root, rtol=1e-9
    )
