"""Speed of second derivatives beside a force call: 512 rattled silicon atoms and a planar tungsten sheet, one thread.

Run with `pytest tests/benchmarks/test_hessian.py --benchmark-enable -s`. The neighbour list is kept, nothing else.
The ratios are of calls that alternate in one process, and printed.
"""

import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ase_mlipgen import ACEBasis, LinearACE

R0 = 2.7271057
ROUNDS = 20


def silicon():
    atoms = bulk("Si", cubic=True) * (4, 4, 4)
    atoms.rattle(0.1, seed=1)
    return atoms, "Si", 5.5


def sheet():
    """3598 atoms: sixty nearest-neighbour distances wide, two vacancies."""
    height = np.sqrt(3) * R0
    positions = [[0, 0, 0], [R0 / 2, height / 2, 0]]
    atoms = Atoms("W2", positions=positions, cell=[R0, height, 20.0], pbc=(True, True, False)) * (60, 30, 1)
    del atoms[[100, 2000]]
    atoms.positions[:, :2] += np.random.default_rng(0).normal(0, 0.05, (len(atoms), 2))
    return atoms, "W", 6.0


def made(make, degree):
    atoms, element, cutoff = make()
    basis = ACEBasis([element], order=3, degree=degree, cutoff=cutoff)
    coefficients = 1e-3 * np.random.default_rng(0).normal(size=len(basis))
    return atoms, LinearACE(basis, coefficients, threads=1)


def timed(call):
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


@pytest.mark.parametrize("degree", [10, 14, 18], ids=["110 functions", "383 functions", "1119 functions"])
@pytest.mark.parametrize("make", [silicon, sheet])
def test_product_costs_at_most_two_and_a_half_force_calls(make, degree):
    atoms, calculator = made(make, degree)
    v_vic = np.random.default_rng(1).normal(size=(8, len(atoms), 3))
    numbers, pairs = calculator._inputs(atoms)
    calls = (
        lambda: calculator.evaluate(numbers, pairs),
        lambda: calculator.apply_hessian(numbers, pairs, v_vic[:1]),
        lambda: calculator.apply_hessian(numbers, pairs, v_vic),
    )
    times = np.array([[timed(call) for call in calls] for _ in range(ROUNDS + 2)])[2:]
    one, eight = np.median(times[:, 1:] / times[:, :1], axis=0)
    print(
        f"{make.__name__}, {len(calculator.basis)} functions: "
        f"force call {np.median(times[:, 0]) / len(atoms) * 1e6:.2f} us an atom; "
        f"Hessian product {one:.2f} force calls, eight at once {eight / 8:.2f} each"
    )
    assert one < 2.5
    assert eight / 8 < one


@pytest.mark.parametrize("degree", [10, 14, 18], ids=["110 functions", "383 functions", "1119 functions"])
@pytest.mark.parametrize("make", [silicon, sheet])
def test_sparse_hessian(benchmark, make, degree):
    atoms, calculator = made(make, degree)
    benchmark.group = f"sparse Hessian, {make.__name__}"
    H = benchmark.pedantic(calculator.get_hessian, (atoms,), rounds=5, warmup_rounds=1)
    v_ic = np.random.default_rng(1).normal(size=(len(atoms), 3))
    expected = calculator.hessian_product(atoms, v_ic).ravel()
    np.testing.assert_allclose(H @ v_ic.ravel(), expected, rtol=0, atol=1e-12 * np.abs(expected).max())
