"""The lane evaluator against the NumPy oracle and the scalar kernel, and its independence of batches and widths."""

import subprocess
import sys

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list

from ase_mlipgen.ace import kernels, lanes
from ase_mlipgen.ace.lane_plan import build_lane_plan
from ase_mlipgen.ace.plan import build_angular, build_plan, build_radial, largest_n, monomial_coefficients
from ase_mlipgen.ace.radial import RadialBasis
from ase_mlipgen.ace.reference import site
from ase_mlipgen.ace.sites import rows_of
from ase_mlipgen.ace.specification import blocks
from ase_mlipgen.simd import Lanes, host_lanes

CASES = [(1, 1, 8), (1, 2, 10), (1, 3, 10), (2, 3, 6), (3, 2, 5), (1, 4, 9), (2, 4, 5.5), (1, 5, 7)]


class Setup:
    """A rattled silicon cell with a vacancy and random elements, a list with skin, and one centre element's tables."""

    def __init__(self, n_elements, order, degree, *, size=(1, 1, 2), cutoff=4.2, **envelope):
        rng = np.random.default_rng(3)
        atoms = bulk("Si", cubic=True) * size
        atoms.rattle(0.1, seed=1)
        del atoms[3]
        self.n_atoms = len(atoms)
        i_p, j_p, d_pc = neighbor_list("ijD", atoms, cutoff + 0.4)
        self.j_p, self.d_pc, self.reach = j_p.astype(np.int32), d_pc, cutoff + 0.4
        self.first_i = np.searchsorted(i_p, np.arange(len(atoms) + 1)).astype(np.int64)
        self.mu_i = rng.integers(0, n_elements, len(atoms))
        self.blocks = blocks(n_elements, order, degree)
        self.bases = [
            RadialBasis(cutoff - 0.3 * k, 1.5 + 0.1 * k, 2.35 + 0.2 * k, **envelope)
            for k in range(n_elements)
        ]
        self.plan = build_plan(self.blocks, n_elements)
        self.angular = build_angular(self.blocks)
        self.radial = build_radial(self.bases, largest_n(self.blocks))
        self.coefficients = rng.normal(size=len(self.plan.term_first) - 1)
        weights = monomial_coefficients(self.plan, self.coefficients)
        self.model = lanes.bind(self.plan, build_lane_plan(self.plan, self.angular.lmax), weights)

    def evaluate(self, centres=None, width=None):
        energies, gradient = np.zeros(self.n_atoms), np.zeros((len(self.d_pc) + 1, 4))
        rows = rows_of(self.d_pc, self.reach)
        lanes.evaluate(
            np.arange(self.n_atoms) if centres is None else np.asarray(centres),
            self.first_i, self.j_p, rows, self.mu_i, self.model, self.radial, self.angular,
            energies, gradient, Lanes(width) if width else None,
        )  # fmt: skip
        return energies, gradient[:-1, :3]

    def scalar(self):
        energies, gradient = np.zeros(self.n_atoms), np.zeros_like(self.d_pc)
        kernels.evaluate(
            np.arange(self.n_atoms), self.first_i, self.j_p, self.d_pc, self.mu_i,
            self.plan, self.radial, self.angular, self.model.weights, energies, gradient,
        )  # fmt: skip
        return energies, gradient


@pytest.mark.parametrize("case", CASES)
def test_energies_and_gradients_against_numpy(case):
    setup = Setup(*case)
    energies, gradient = setup.evaluate()
    for i in (0, 5):
        own = slice(setup.first_i[i], setup.first_i[i + 1])
        B, dB = site(setup.blocks, setup.bases, setup.mu_i[setup.j_p[own]], setup.d_pc[own])
        expected = np.tensordot(setup.coefficients, dB, axes=1)
        assert abs(energies[i] - setup.coefficients @ B) <= 1e-12 * np.abs(setup.coefficients * B).sum()
        np.testing.assert_allclose(gradient[own], expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("envelope", [{"p": 3, "pcut": 3, "pin": 1}, {"p": 1, "pin": 0}, {"pin": 4}], ids=str)
def test_every_envelope_against_the_scalar_kernel(envelope):
    setup = Setup(2, 3, 6, **envelope)
    for found, expected in zip(setup.evaluate(), setup.scalar(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("pin", [0, 1, 2, 4])
def test_pairs_inside_the_inner_cutoff_against_numpy(pin):
    setup = Setup(1, 3, 7, pin=pin)
    setup.d_pc[::2] *= 0.4
    _, gradient = setup.evaluate()
    for i in (0, 5):
        own = slice(setup.first_i[i], setup.first_i[i + 1])
        assert (np.linalg.norm(setup.d_pc[own], axis=1) < 1.5).any()
        _, dB = site(setup.blocks, setup.bases, setup.mu_i[setup.j_p[own]], setup.d_pc[own])
        expected = np.tensordot(setup.coefficients, dB, axes=1)
        np.testing.assert_allclose(gradient[own], expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize(("order", "degree"), [(3, 16), (4, 12)])
def test_large_bases_against_the_scalar_kernel(order, degree):
    setup = Setup(1, order, degree)
    for found, expected in zip(setup.evaluate(), setup.scalar(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("case", [(2, 3, 6), (1, 4, 9)])
def test_atoms_do_not_see_their_batch(case):
    setup = Setup(*case, size=(2, 2, 1))
    energies, gradient = setup.evaluate()
    shuffled = np.random.default_rng(0).permutation(setup.n_atoms)
    for parts in ([[i] for i in range(setup.n_atoms)], np.array_split(shuffled, 3), [shuffled]):
        results = [setup.evaluate(part) for part in parts]
        np.testing.assert_array_equal(sum(e for e, _ in results), energies)
        np.testing.assert_array_equal(sum(g for _, g in results), gradient)


def test_widths_agree():
    setup = Setup(1, 3, 8)
    for width in {4, 8, 16} - {host_lanes().width}:
        for found, expected in zip(setup.evaluate(width=width), setup.evaluate(), strict=True):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


def test_atoms_without_neighbours_have_no_energy():
    setup = Setup(1, 3, 8)
    setup.d_pc *= 10.0
    energies, gradient = setup.evaluate()
    assert not energies.any()
    assert not gradient.any()


def test_order_five_has_no_lane_plan():
    setup = Setup(1, 5, 7)
    assert setup.plan.monomial_order.max() == 5
    assert setup.model.lane_plan is None


def test_the_form_holds_each_monomial_once_and_needs_no_second_sweep():
    setup = Setup(1, 4, 9)
    own = setup.model.lane_plan
    n = len(setup.plan.monomial_order)
    used = np.concatenate([own.linear_monomial[own.linear_monomial < n], own.leaf_monomial])
    np.testing.assert_array_equal(np.sort(used), np.arange(n))
    n_A, first, leaf = own.products.n_A, own.products.first, own.products.leaf
    hosts = np.repeat(np.arange(len(first) - 1), np.diff(first))
    pair_on_pair = leaf >= n_A
    assert pair_on_pair.any()
    assert (leaf[pair_on_pair] >= hosts[pair_on_pair]).all()


def test_the_width_follows_the_processor_numba_compiles_for():
    code = "from ase_mlipgen.simd import host_lanes; print(host_lanes().width)"
    widths = []
    for features in ("+avx2,+fma", "+avx2,+fma,+avx512f"):
        environment = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": features, "PATH": ""}
        command = [sys.executable, "-c", code]
        widths.append(int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout))
    assert widths == [8, 16]
