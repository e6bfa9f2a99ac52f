"""Energies, forces and virial of whole structures: against the kernels' pair gradients, summed by NumPy."""

import numpy as np
import pytest
from ase.build import bulk

from ase_mlipgen import ACEBasis
from ase_mlipgen.ace import evaluation, lanes
from ase_mlipgen.ace.evaluation import Potential, evaluate
from ase_mlipgen.ace.plan import monomial_coefficients
from ase_mlipgen.ace.sites import Structure, rows_of
from ase_mlipgen.neighbors import pairs


class Setup:
    """Rattled atoms of two elements, several images of a neighbour, and a list with pairs out of reach."""

    def __init__(self, order, degree):
        self.atoms = bulk("Si", cubic=True) * (3, 1, 1)
        self.atoms.rattle(0.15, seed=1)
        self.atoms.symbols[::3] = "C"
        basis = ACEBasis(["Si", "C"], order=order, degree=degree, cutoff=4.0, core=None)
        self.pairs = pairs(self.atoms, 4.6)
        self.structure = Structure(*self.pairs, basis.element_indices(self.atoms))
        coefficients = np.random.default_rng(0).normal(size=(2, basis.n_functions_per_element))
        models = [
            lanes.bind(basis.plan, basis.lane_plan, monomial_coefficients(basis.plan, c))
            for c in coefficients
        ]
        self.potential = Potential(4.0, tuple(models), basis.radial, basis.angular, None)

    def expected(self):
        """Sum the pair gradients of all atoms, evaluated at once from a list of vectors."""
        d_pc, i_p = self.pairs.vectors(), self.pairs.centres()
        energies, g_pc, mu_i = np.zeros(len(self.atoms)), np.zeros((len(d_pc) + 1, 4)), self.structure.mu_i
        rows = rows_of(d_pc, 4.0)
        for a, model in enumerate(self.potential.models):
            lanes.evaluate(
                np.flatnonzero(mu_i == a), self.pairs.first_i, self.pairs.j_p, rows, mu_i, model,
                self.potential.radial[a], self.potential.angular, energies, g_pc,
            )  # fmt: skip
        g_pc, forces = g_pc[:-1, :3], np.zeros((len(self.atoms), 3))
        np.add.at(forces, i_p, g_pc)
        np.subtract.at(forces, self.pairs.j_p, g_pc)
        W = d_pc.T @ g_pc
        return (
            energies,
            forces,
            ((W + W.T) / 2)[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
            np.linalg.norm(d_pc, axis=1).min(),
        )


@pytest.mark.parametrize("size", [(3, 7), (4, 6), (5, 5)])
@pytest.mark.parametrize("block", [7, 1024])
def test_totals_are_the_sums_of_pair_gradients(size, block, monkeypatch):
    monkeypatch.setattr(evaluation, "BLOCK", block)
    setup = Setup(*size)
    for found, expected in zip(evaluate(setup.structure, setup.potential), setup.expected(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def test_threads_do_not_change_a_bit(monkeypatch):
    monkeypatch.setattr(evaluation, "BLOCK", 5)
    setup = Setup(3, 7)
    first = evaluate(setup.structure, setup.potential, threads=1)
    for threads in (2, 5):
        for found, expected in zip(evaluate(setup.structure, setup.potential, threads), first, strict=True):
            np.testing.assert_array_equal(found, expected)
