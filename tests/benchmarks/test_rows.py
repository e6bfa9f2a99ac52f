"""Speed of the design rows (one thread, neighbour list excluded) and of the fit of the largest planar training set.

Run with `pytest tests/benchmarks --benchmark-enable`; `extra_info` holds microseconds an atom. The rows are checked
against the model's evaluator; so is the residual of the fit against its rows.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ase.build import bulk

from ase_mlipgen import EAM2D, ACEBasis, LinearACE, triangular_lattice
from ase_mlipgen.ace.design import Neighbourhoods, design_columns
from ase_mlipgen.fit import assemble, rows, solve
from ase_mlipgen.fit.weights import Weights
from ase_mlipgen.labels import label
from ase_mlipgen.neighbors import pairs
from ase_mlipgen.threads import available_threads


def silicon():
    atoms = bulk("Si", cubic=True) * (3, 3, 3)
    atoms.rattle(0.1, seed=1)
    return atoms


def tungsten(seed=0):
    """A sheet of 69 atoms with a vacancy, displaced in its plane."""
    atoms = triangular_lattice("W", 2.72711, size=(7, 5))
    del atoms[35]
    atoms.positions[:, :2] += np.random.default_rng(seed).uniform(-0.05, 0.05, size=(69, 2))
    return atoms


CASES = [
    pytest.param(silicon, "Si", 3, 14, 5.5, id="383 functions"),
    pytest.param(silicon, "Si", 3, 18, 5.5, id="1119 functions"),
    pytest.param(silicon, "Si", 3, 20, 5.5, id="1809 functions"),
    pytest.param(silicon, "Si", 3, 22, 5.5, id="2838 functions"),
    pytest.param(tungsten, "W", 3, 18, 6.0, id="1119 functions, planar"),
    pytest.param(tungsten, "W", 4, 18, 6.0, id="2849 functions, order 4, planar"),
]


@pytest.mark.parametrize(("make", "symbol", "order", "degree", "cutoff"), CASES)
def test_design(benchmark, make, symbol, order, degree, cutoff):
    atoms, basis = make(), ACEBasis([symbol], order=order, degree=degree, cutoff=cutoff, core=None)
    found = pairs(atoms, cutoff)
    hoods = Neighbourhoods(found.first_i, found.j_p, found.vectors(), basis.element_indices(atoms))
    plan = basis.design_plans[not hoods.d_pc[:, 2].any()]
    columns, centres = np.zeros((len(basis), 1 + 3 * len(atoms))), np.arange(len(atoms))
    benchmark.group = "design rows"
    benchmark(design_columns, centres, hoods, plan, basis.radial[0], basis.angular, columns)
    if benchmark.stats:
        benchmark.extra_info["us/atom"] = 1e6 * benchmark.stats.stats.min / len(atoms)
    coefficients = np.random.default_rng(0).normal(size=len(basis))
    atoms.calc = LinearACE(basis, coefficients)
    scale = np.abs(columns[:, 1:] * coefficients[:, None]).sum(axis=0).max()
    np.testing.assert_allclose(
        columns[:, 1:].T @ coefficients, atoms.get_forces().ravel(), atol=1e-11 * scale
    )


def test_largest_planar_fit(benchmark):
    """69 atoms, 200 samples, 41,600 rows, 2849 functions: the largest of Ortner and Wang's Table 2."""
    cells = label([(tungsten(seed), "defect", "vacancy") for seed in range(200)], EAM2D())
    basis = ACEBasis(["W"], order=4, degree=18, cutoff=6.0)

    def fit():
        with ThreadPoolExecutor(available_threads()) as pool:
            factor = assemble(basis, cells, {"energy": 100, "forces": 1}, {"W": 0.0}, executor=pool)
        return factor, solve(factor)

    factor, found = benchmark.pedantic(fit, rounds=1, iterations=1, warmup_rounds=0)
    assert factor.n_rows == 41_600
    blocks = [rows(basis, cell, Weights(100, 1), {"W": 0.0}) for cell in cells]
    residual = np.sqrt(sum(np.sum((block.A @ found.coefficients - block.b) ** 2) for block in blocks))
    assert residual == pytest.approx(found.residual_norm, rel=1e-6)
