"""Compiled kernels against the readable NumPy evaluator, to 1e-12 relative."""

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list

from ase_mlipgen.ace import kernels
from ase_mlipgen.ace.plan import build_angular, build_plan, build_radial, largest_n, monomial_coefficients
from ase_mlipgen.ace.radial import RadialBasis
from ase_mlipgen.ace.reference import site
from ase_mlipgen.ace.specification import blocks

CASES = [(1, 1, 8), (1, 2, 10), (1, 3, 10), (2, 3, 6), (3, 2, 5), (1, 4, 9), (2, 4, 5.5), (1, 5, 7)]


class Setup:
    """A rattled silicon cell with random elements, lists by ASE, and the tables of one centre element."""

    def __init__(self, n_elements, order, degree, cutoff=4.2):
        rng = np.random.default_rng(7)
        atoms = bulk("Si", cubic=True)
        atoms.rattle(0.1, seed=1)
        self.n_atoms = len(atoms)
        i_p, j_p, d_pc = neighbor_list("ijD", atoms, cutoff + 0.4)
        self.i_p, self.j_p, self.d_pc = i_p.astype(np.int64), j_p.astype(np.int32), d_pc
        self.first_i = np.searchsorted(i_p, np.arange(len(atoms) + 1)).astype(np.int64)
        self.mu_i = rng.integers(0, n_elements, len(atoms))
        self.blocks = blocks(n_elements, order, degree)
        self.bases = [RadialBasis(cutoff, 1.5 + 0.1 * k, 2.35 + 0.2 * k) for k in range(n_elements)]
        self.plan = build_plan(self.blocks, n_elements)
        self.angular = build_angular(self.blocks)
        self.radial = build_radial(self.bases, largest_n(self.blocks))
        self.n_functions = len(self.plan.term_first) - 1
        self.coefficients = rng.normal(size=self.n_functions)

    def evaluate(self, centres=None):
        energies, gradient = np.zeros(self.n_atoms), np.zeros_like(self.d_pc)
        centres = np.arange(self.n_atoms) if centres is None else centres
        weights = monomial_coefficients(self.plan, self.coefficients)
        kernels.evaluate(
            centres, self.first_i, self.j_p, self.d_pc, self.mu_i,
            self.plan, self.radial, self.angular, weights, energies, gradient,
        )  # fmt: skip
        return energies, gradient

    def reference(self, i):
        own = slice(self.first_i[i], self.first_i[i + 1])
        return site(self.blocks, self.bases, self.mu_i[self.j_p[own]], self.d_pc[own])


@pytest.mark.parametrize("case", CASES)
def test_energies_and_gradients_against_numpy(case):
    setup = Setup(*case)
    energies, gradient = setup.evaluate()
    for i in (0, 5):
        B, dB = setup.reference(i)
        expected = np.tensordot(setup.coefficients, dB, axes=1)
        own = slice(setup.first_i[i], setup.first_i[i + 1])
        assert abs(energies[i] - setup.coefficients @ B) <= 1e-12 * np.abs(setup.coefficients * B).sum()
        np.testing.assert_allclose(gradient[own], expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_atoms_are_independent_of_the_chunk_they_are_in():
    setup = Setup(1, 3, 10)
    together = setup.evaluate()
    apart = [setup.evaluate(np.array(part)) for part in ([0, 3, 5], [1, 2, 4, 6, 7])]
    np.testing.assert_array_equal(apart[0][0] + apart[1][0], together[0])
    np.testing.assert_array_equal(apart[0][1] + apart[1][1], together[1])
