"""Constrained fits against the KKT system, and against pinv in the null space where it is deficient."""

import logging

import numpy as np
import pytest
from scipy.linalg import null_space

from ase_mlipgen.fit import Constraints, TriangularFactor, solve, sweep
from tests.fit.test_solve import decaying, deficient


def factor_of(A, b):
    return TriangularFactor(A.shape[1]).add(A, b)


def constraints_of(n, count=8, seed=3):
    rng = np.random.default_rng(seed)
    return Constraints(
        rng.normal(size=(count, n)) * np.logspace(0, -3, count)[:, None], rng.normal(size=count)
    )


def kkt(A, b, C, d):
    """Least squares with equality constraints from the Lagrangian's saddle point, columns scaled."""
    norms = np.linalg.norm(A, axis=0)
    A, C = A / norms, C / norms
    matrix = np.block([[A.T @ A, C.T], [C, np.zeros((len(d), len(d)))]])
    return np.linalg.solve(matrix, np.concatenate([A.T @ b, d]))[: A.shape[1]] / norms


def test_full_rank_is_the_kkt_solution():
    A, b = decaying(decades=2)
    constraints = constraints_of(60)
    fit = solve(factor_of(A, b), 1e-12, constraints=constraints)
    x = kkt(A, b, constraints.C, constraints.d)
    norms = np.linalg.norm(A, axis=0)
    np.testing.assert_allclose(fit.coefficients * norms, x * norms, atol=1e-8 * np.linalg.norm(x * norms))
    assert (fit.n_constraints, fit.constraint_rank, fit.rank, fit.note) == (8, 8, 52, "")
    assert fit.residual_norm == pytest.approx(np.linalg.norm(A @ x - b), rel=1e-10)


def test_constraints_hold_to_round_off_at_every_tolerance():
    A, b = decaying()
    constraints = constraints_of(60)
    fits = sweep(factor_of(A, b), [1e-1, 1e-3, 1e-6, 1e-9], constraints=constraints)
    for fit in fits:
        size = np.abs(constraints.C) @ np.abs(fit.coefficients)
        assert (np.abs(constraints.C @ fit.coefficients - constraints.d) <= 1e-13 * size).all()
        assert fit.constraint_violation == np.abs(constraints.C @ fit.coefficients - constraints.d).max()
    assert [fit.rank for fit in fits] == sorted(fit.rank for fit in fits)


def test_dependent_constraints_count_once():
    A, b = decaying(decades=2)
    base = constraints_of(60)
    mix = np.random.default_rng(4).normal(size=(5, 8))
    repeated = Constraints(
        np.vstack([base.C, mix @ base.C, np.zeros((2, 60))]), np.concatenate([base.d, mix @ base.d, [0, 0]])
    )
    a, c = (solve(factor_of(A, b), 1e-12, constraints=given) for given in (base, repeated))
    assert (c.constraint_rank, c.n_constraints, c.note) == (8, 15, "")
    norms = np.linalg.norm(A, axis=0)
    np.testing.assert_allclose(c.coefficients * norms, a.coefficients * norms, rtol=1e-7, atol=1e-9)


def test_contradicting_constraints_are_reported(caplog):
    A, b = decaying(decades=2)
    base = constraints_of(60)
    twice = Constraints.stack([base, Constraints(base.C[:1], base.d[:1] + 0.5)])
    with caplog.at_level(logging.WARNING):
        fit = solve(factor_of(A, b), constraints=twice)
    assert fit.constraint_rank == 8
    assert fit.constraint_violation == pytest.approx(0.5, rel=1e-9)
    assert "1 of 9 constraints depend on others and contradict them; the largest violation is 0.5" in fit.note
    assert fit.note in caplog.text


def test_rank_deficient_data_give_the_shortest_free_part():
    A, b = deficient()
    constraints = constraints_of(40, count=5)
    norms = np.linalg.norm(A, axis=0)
    C = constraints.C / norms
    particular, N = np.linalg.pinv(C) @ constraints.d, null_space(C)
    fit = solve(factor_of(A, b), 1e-9, constraints=constraints)
    # The free part is shortest in reduced, rescaled columns: it depends on the basis N, predictions
    # do not.
    z = np.linalg.pinv(A / norms @ N, rcond=1e-9) @ (b - A / norms @ particular)
    np.testing.assert_allclose(A @ fit.coefficients, A / norms @ (particular + N @ z), atol=1e-8)
    assert fit.rank == 25
    assert constraints.violation(fit.coefficients) < 1e-9


def test_exactly_satisfiable_constraints_change_nothing():
    A, b = decaying(decades=2)
    free = solve(factor_of(A, b), 1e-12)
    C = np.random.default_rng(7).normal(size=(4, 60))
    fit = solve(factor_of(A, b), 1e-12, constraints=Constraints(C, C @ free.coefficients))
    norms = np.linalg.norm(A, axis=0)
    np.testing.assert_allclose(fit.coefficients * norms, free.coefficients * norms, atol=1e-9)
    assert fit.residual_norm == pytest.approx(free.residual_norm, rel=1e-10)


def test_constraints_outside_the_data_can_be_met():
    A, b = decaying(n=20, decades=1)
    A = np.hstack([A, np.zeros((400, 2))])
    row = np.zeros((1, 22))
    row[0, 20] = 2.0
    fit = solve(factor_of(A, b), constraints=Constraints(row, [3.0]))
    assert fit.coefficients[20] == pytest.approx(1.5)
    np.testing.assert_allclose(fit.coefficients[:20], solve(factor_of(A, b)).coefficients[:20], rtol=1e-8)


def test_too_many_constraints_fall_back_and_say_so():
    A, b = decaying()
    many = constraints_of(60, count=31)
    fit, plain = solve(factor_of(A, b), constraints=many), solve(factor_of(A, b))
    np.testing.assert_array_equal(fit.coefficients, plain.coefficients)
    assert "not imposed: 31 independent ones would use up more than 50% of 60 functions" in fit.note
    assert (fit.constraint_rank, fit.n_constraints) == (0, 31)
    assert fit.constraint_violation == many.violation(plain.coefficients) > 0
    assert solve(factor_of(A, b), constraints=constraints_of(60, count=30)).note == ""


def test_no_constraints_is_the_plain_fit():
    A, b = decaying()
    empty = Constraints(np.zeros((0, 60)), np.zeros(0))
    np.testing.assert_array_equal(
        solve(factor_of(A, b), constraints=empty).coefficients, solve(factor_of(A, b)).coefficients
    )


def test_bad_constraints_are_named():
    with pytest.raises(ValueError, match=r"constraints have C \(2, 3\) and d \(3,\)"):
        Constraints(np.zeros((2, 3)), np.zeros(3))
    with pytest.raises(ValueError, match="NaN or infinite"):
        Constraints(np.full((2, 3), np.nan), np.zeros(2))
    with pytest.raises(ValueError, match="1 names for 2 constraints"):
        Constraints(np.zeros((2, 3)), np.zeros(2), ("energies",))
    with pytest.raises(ValueError, match="constraints are on 4 functions, the factor on 60"):
        solve(factor_of(*decaying()), constraints=Constraints(np.ones((1, 4)), [1.0]))


def test_round_off_in_the_constraints_does_not_move_the_fit():
    """Dependent, equally long constraints: which ones the pivoting takes is chance, what they leave free is not."""
    rng = np.random.default_rng(8)
    A = rng.normal(size=(400, 60)) * np.logspace(0, -7, 60)
    factor = TriangularFactor(60).add(A @ np.linalg.qr(rng.normal(size=(60, 60)))[0], rng.normal(size=400))
    C = np.linalg.qr(rng.normal(size=(60, 12)))[0][:, :12].T
    C = np.concatenate([C, -C, C[::-1]])
    fits = []
    for seed in range(3):
        noisy = C * (1 + 1e-15 * np.random.default_rng(seed).normal(size=C.shape))
        fits.append(solve(factor, 1e-4, constraints=Constraints(noisy, np.zeros(len(C)))))
    assert fits[0].rank < 48
    assert len({fit.rank for fit in fits}) == 1
    for fit in fits[1:]:
        np.testing.assert_allclose(
            fit.coefficients, fits[0].coefficients, atol=1e-8 * np.abs(fits[0].coefficients).max()
        )


def test_functions_that_constraints_determine_are_no_directions_of_their_own():
    """What the projection leaves of them is round-off, and scaling it to unit norm would fit with it."""
    rng = np.random.default_rng(2)
    A, b = rng.normal(size=(300, 40)), rng.normal(size=300)
    # Nearly dependent rows that span the first two functions: the projector has them to 1e-12 only.
    mix = rng.normal(size=(4, 1)) + 1e-4 * rng.normal(size=(4, 4))
    span = np.zeros((4, 40))
    span[0, 0] = span[1, 1] = 1.0
    span[2:] = rng.normal(size=(2, 40))
    C, d = mix @ span, mix @ np.array([1.0, 2.0, 0.5, -0.5])
    fit = solve(factor_of(A, b), 1e-10, constraints=Constraints(C, d))
    assert fit.constraint_rank == 4
    assert fit.rank == 36
    np.testing.assert_allclose(fit.coefficients[:2], [1.0, 2.0], atol=1e-9)
    assert fit.constraint_violation < 1e-12
    x = kkt(A, b, span, np.array([1.0, 2.0, 0.5, -0.5]))
    np.testing.assert_allclose(fit.coefficients, x, atol=1e-9)
