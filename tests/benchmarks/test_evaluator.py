"""Speed of the energy-and-gradient kernels, 512 rattled silicon atoms, one thread, neighbour list excluded.

Run with `pytest tests/benchmarks --benchmark-enable`; divide by 512 for the time an atom. Each case also checks that
the codes compared compute the same energy.
"""

import numpy as np
import pytest
from ase.build import bulk

from ase_mlipgen.ace import kernels, lanes
from ase_mlipgen.ace.lane_plan import build_lane_plan
from ase_mlipgen.ace.plan import monomial_coefficients
from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.neighbors import pairs

CUTOFF = 5.5
CASES = [
    pytest.param(("Si",), 3, 10, id="110 functions"),
    pytest.param(("Si",), 3, 14, id="383 functions"),
    pytest.param(("Si",), 3, 16, id="668 functions"),
    pytest.param(("Si",), 3, 18, id="1119 functions"),
    pytest.param(("Si",), 3, 20, id="1809 functions"),
    pytest.param(("Si",), 4, 16, id="1445 functions, order 4"),
    pytest.param(("Si", "Ge"), 3, 10, id="574 functions, two elements"),
]


class Model:
    """Random coefficients on rattled silicon, in which half the atoms are of the second element if there is one."""

    def __init__(self, elements, order, degree):
        atoms = bulk("Si", cubic=True) * (4, 4, 4)
        atoms.rattle(0.1, seed=1)
        rng = np.random.default_rng(0)
        atoms.symbols[rng.random(len(atoms)) < 0.5] = elements[-1]
        self.basis = ACEBasis(elements, order=order, degree=degree, cutoff=CUTOFF)
        self.pairs, self.mu_i = pairs(atoms, CUTOFF), self.basis.element_indices(atoms)
        self.centres = [np.flatnonzero(self.mu_i == a) for a in range(len(elements))]
        plan = self.basis.plan
        coefficients = rng.normal(size=self.basis.n_functions_per_element)
        self.weights = monomial_coefficients(plan, coefficients)
        self.model = lanes.bind(plan, build_lane_plan(plan, self.basis.angular.lmax), self.weights)

    def run(self, evaluate, tables):
        energies, gradient = np.zeros(len(self.mu_i)), np.zeros_like(self.pairs.d_pc)
        first_i, j_p, d_pc = self.pairs.first_i, self.pairs.j_p, self.pairs.d_pc
        for centres, radial in zip(self.centres, self.basis.radial, strict=True):
            evaluate(centres, first_i, j_p, d_pc, self.mu_i, *tables(radial), energies, gradient)
        return energies.sum()

    def scalar(self):
        plan, angular, weights = self.basis.plan, self.basis.angular, self.weights
        return self.run(kernels.evaluate, lambda radial: (plan, radial, angular, weights))

    def lanes(self):
        return self.run(lanes.evaluate, lambda radial: (self.model, radial, self.basis.angular))


@pytest.mark.parametrize(("elements", "order", "degree"), CASES)
@pytest.mark.parametrize("code", ["scalar", "lanes"])
def test_evaluator(benchmark, elements, order, degree, code):
    model = Model(elements, order, degree)
    benchmark.group = f"{len(model.basis)} functions, order {order}"
    found = benchmark(getattr(model, code))
    np.testing.assert_allclose(found, model.lanes() if code == "scalar" else model.scalar(), rtol=1e-11)
