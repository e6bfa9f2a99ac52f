"""The plan in words and figures, who is searched for symmetry, and how blocks are shared among threads."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from ase_mlipgen.tightbinding.eigensolvers import schedule, with_lapack, with_torch
from ase_mlipgen.tightbinding.kpoints import KPoints
from ase_mlipgen.tightbinding.memory import available_memory, readable
from ase_mlipgen.tightbinding.solver import Plan, Solver

PLAN = Plan(63, 1, (252,), 1, 1, 2, 4.3e6, 0.0031)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "63 atoms, no symmetry: one block of 252, about 4.3 MB and 0.0031 s of one core"),
        (
            {"order": 24, "block_sizes": (47, 38, 38, 9)},
            "63 atoms, symmetry group of order 24: 4 blocks of 9 to 47, about 4.3 MB and 0.0031 s of one core",
        ),
        (
            {"order": 6, "block_sizes": (252, 252), "n_kpoints": 2, "seconds": 12.34},
            "63 atoms, symmetry group of order 6, 2 k-points: 2 blocks of 252, about 4.3 MB and 12 s of one core",
        ),
    ],
)
def test_plan_in_words(change, text):
    assert str(replace(PLAN, **change)) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (25_400_000, "25.4 MB"),
        (8.1e9, "8.1 GB"),
        (np.inf, "inf GB"),
    ],
)
def test_sizes_as_people_read_them(n_bytes, text):
    assert readable(n_bytes) == text


def test_memory_of_this_machine():
    assert 1e7 < available_memory() < 1e15 or np.isinf(available_memory())


def test_where_symmetry_is_looked_for():
    points = KPoints(np.zeros((40, 3)), np.full(40, 1 / 40))
    always, never, auto = (Solver(4, kind) for kind in ("symmetric", "dense", "auto"))
    assert always.searches(2, None)
    assert not never.searches(10**5, None)
    assert not auto.searches(8, None)
    assert auto.searches(512, None)
    assert not auto.searches(2, points)
    assert auto.searches(216, points)
    assert auto.searches(2, KPoints(np.zeros((4000, 3)), np.full(4000, 1 / 4000)))


def test_plans_are_announced_once_and_loss_of_symmetry_loudly(caplog):
    solver = Solver(4)
    with caplog.at_level(logging.INFO, logger="ase_mlipgen"):
        for order, is_same_crystal in ((24, False), (24, True), (6, True), (2, False)):
            plan = replace(PLAN, order=order)
            if solver.plan is None or plan.order != solver.plan.order:
                solver._announce(plan, is_same_crystal)
            solver.plan = plan
    assert [r.levelno for r in caplog.records] == [logging.INFO, logging.WARNING, logging.INFO]
    assert "order 24 is broken; now 63 atoms, symmetry group of order 6" in caplog.text


@pytest.mark.parametrize(
    ("costs", "threads", "expected"),
    [
        ([1.0], 1, (1, 1)),
        ([], 4, (1, 1)),
        ([1.0], 2, (1, 2)),
        ([1.0, 1.0], 2, (2, 1)),
        ([5.0, 1.0, 1.0], 2, (1, 2)),
        ([1.0] * 16, 4, (4, 1)),
        ([3.0, 3.0, 2.0, 2.0, 2.0], 4, (1, 4)),
    ],
)
def test_schedule(costs, threads, expected):
    """Side by side where blocks fill the threads about evenly, one after the other where one block is most of it."""
    assert schedule(costs, threads) == expected


def matrices(n, dtype):
    rng = np.random.default_rng(0)
    A, B = (
        rng.normal(size=(n, n)) + (1j * rng.normal(size=(n, n)) if dtype is complex else 0) for _ in range(2)
    )
    return A + A.conj().T, B @ B.conj().T + n * np.eye(n)


@pytest.mark.parametrize("dtype", [float, complex])
@pytest.mark.parametrize("solve", [with_lapack, "torch:cpu"], ids=["lapack", "torch"])
def test_eigensolvers_use_lower_triangles_only(solve, dtype):
    if solve == "torch:cpu":
        pytest.importorskip("torch", reason="torch is not installed: pip install '.[torch]'")
        solve = with_torch("cpu")
    H, S = matrices(30, dtype)
    rubbish = np.triu(np.full((30, 30), 7.0), 1)
    w, C = solve(*(np.asfortranarray(np.tril(M) + rubbish) for M in (H, S)))
    np.testing.assert_allclose(H @ C, S @ C * w, rtol=0, atol=1e-10)
    np.testing.assert_allclose(C.conj().T @ S @ C, np.eye(30), rtol=0, atol=1e-12)
    assert (np.diff(w) >= 0).all()
