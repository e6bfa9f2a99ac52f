"""Second derivatives of site energies against finite differences of the NumPy oracle and of the scalar kernel.

Differences are central ones over two steps, extrapolated (Richardson): good to 1e-10 or so of the largest entry.
"""

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list

from ase_mlipgen.ace import kernels, lane_tangents, lanes
from ase_mlipgen.ace.core import zbl_core
from ase_mlipgen.ace.lane_core import core_tables
from ase_mlipgen.ace.lane_plan import build_lane_plan
from ase_mlipgen.ace.lane_tangent_core import core_tangents
from ase_mlipgen.ace.plan import build_angular, build_plan, build_radial, largest_n, monomial_coefficients
from ase_mlipgen.ace.radial import RadialBasis
from ase_mlipgen.ace.reference import site
from ase_mlipgen.ace.sites import rows_of
from ase_mlipgen.ace.specification import blocks
from ase_mlipgen.simd import Lanes, host_lanes
from ase_mlipgen.workspace import Workspace

CASES = [(1, 1, 8), (1, 2, 10), (1, 3, 10), (2, 3, 6), (3, 2, 5), (1, 4, 9), (2, 4, 5.5)]
STEP = 2e-4


def derivative(function, step=STEP):
    """Return the derivative of function(h) at h = 0."""
    coarse, fine = ((function(h) - function(-h)) / (2 * h) for h in (step, step / 2))
    return (4 * fine - coarse) / 3


class Setup:
    """A rattled silicon cell with a vacancy, random elements and displacements, and one centre element's tables."""

    def __init__(self, n_elements, order, degree, *, size=(1, 1, 2), cutoff=4.2, **envelope):
        rng = np.random.default_rng(3)
        atoms = bulk("Si", cubic=True) * size
        atoms.rattle(0.1, seed=1)
        del atoms[3]
        self.n_atoms = len(atoms)
        self.i_p, j_p, self.d_pc = neighbor_list("ijD", atoms, cutoff)
        self.j_p = j_p.astype(np.int32)
        self.first_i = np.searchsorted(self.i_p, np.arange(len(atoms) + 1)).astype(np.int64)
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
        self.v_vic = rng.normal(size=(3, self.n_atoms, 3))
        self.keep_off_the_ends()

    def keep_off_the_ends(self):
        """Move pairs away from the ends of the envelope, where second derivatives jump: differences must not cross."""
        for mu, basis in enumerate(self.bases):
            for end in (basis.cutoff, basis.r_in):
                r_p = np.linalg.norm(self.d_pc, axis=1)
                close = (self.mu_i[self.j_p] == mu) & (np.abs(r_p - end) < 0.01)
                self.d_pc[close] *= (1.0 + 0.02 / r_p[close])[:, None]

    def arguments(self, centres):
        """Return what `lane_tangents` needs besides its results."""
        rows = rows_of(self.d_pc, self.bases[0].cutoff)
        return centres, self.first_i, self.j_p, rows, self.mu_i, self.model, self.radial, self.angular

    def products(self, centres=None, width=None):
        change = np.zeros((len(self.v_vic), len(self.j_p) + 1, 3))
        centres = np.arange(self.n_atoms) if centres is None else np.asarray(centres)
        lane_tangents.products(
            *self.arguments(centres), 0, self.v_vic, change, Lanes(width) if width else None
        )
        return change[:, :-1]

    def site_blocks(self, centres=None, width=None):
        room = 3 * int(np.diff(self.first_i).max())
        block_kcc = np.zeros((self.n_atoms, room, room))
        centres = np.arange(self.n_atoms) if centres is None else np.asarray(centres)
        lane_tangents.site_blocks(*self.arguments(centres), block_kcc, Lanes(width) if width else None)
        return block_kcc

    def steps(self, k):
        """Return v_j - v_i of every pair."""
        return self.v_vic[k][self.j_p] - self.v_vic[k][self.i_p]

    def scalar_gradient(self, d_pc):
        energies, gradient = np.zeros(self.n_atoms), np.zeros_like(d_pc)
        kernels.evaluate(
            np.arange(self.n_atoms), self.first_i, self.j_p, d_pc, self.mu_i,
            self.plan, self.radial, self.angular, self.model.weights, energies, gradient,
        )  # fmt: skip
        return gradient


def assert_close(found, expected, tolerance=1e-9):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("case", CASES)
def test_products_against_differences_of_the_numpy_oracle(case):
    setup = Setup(*case)
    found = setup.products()
    for i in (0, 5):
        own = slice(setup.first_i[i], setup.first_i[i + 1])
        step, mu_p = setup.steps(0)[own], setup.mu_i[setup.j_p[own]]

        def gradient(h, own=own, step=step, mu_p=mu_p):
            _, dB = site(setup.blocks, setup.bases, mu_p, setup.d_pc[own] + h * step)
            return np.tensordot(setup.coefficients, dB, axes=1)

        assert_close(found[0, own], derivative(gradient))


@pytest.mark.parametrize(
    "envelope",
    [{"p": 3, "pcut": 3, "pin": 1}, {"p": 1, "pin": 0}, {"pin": 3}, {"pcut": 4, "pin": 4}],
    ids=str,
)
def test_every_envelope_against_differences_of_the_scalar_kernel(envelope):
    setup = Setup(2, 3, 6, **envelope)
    for k, found in enumerate(setup.products()):
        step = setup.steps(k)
        assert_close(found, derivative(lambda h, step=step: setup.scalar_gradient(setup.d_pc + h * step)))


@pytest.mark.parametrize(("order", "degree"), [(3, 16), (4, 12)])
def test_large_bases_against_differences_of_the_scalar_kernel(order, degree):
    setup = Setup(1, order, degree)
    step = setup.steps(0)
    expected = derivative(lambda h: setup.scalar_gradient(setup.d_pc + h * step))
    assert_close(setup.products()[0], expected)


@pytest.mark.parametrize("case", [(1, 3, 10), (2, 3, 6), (2, 4, 5.5)])
def test_site_blocks_column_by_column(case):
    """One pair vector moves at a time, at the same place in every site."""
    setup = Setup(*case)
    block_kcc = setup.site_blocks()
    np.testing.assert_array_equal(block_kcc, block_kcc.transpose(0, 2, 1))
    for s, c in ((0, 0), (4, 1), (11, 2)):
        move = np.zeros_like(setup.d_pc)
        move[setup.first_i[:-1] + s, c] = 1.0
        expected = derivative(lambda h, move=move: setup.scalar_gradient(setup.d_pc + h * move))
        for k in range(setup.n_atoms):
            own = slice(setup.first_i[k], setup.first_i[k + 1])
            n = 3 * (own.stop - own.start)
            found = block_kcc[k, 3 * s + c]
            assert not found[n:].any()
            np.testing.assert_allclose(
                found[:n], expected[own].ravel(), rtol=0, atol=1e-9 * np.abs(expected).max()
            )


def test_site_blocks_times_displacements_are_the_products():
    setup = Setup(2, 3, 6)
    block_kcc, found = setup.site_blocks(), setup.products()
    for k in range(setup.n_atoms):
        own = slice(setup.first_i[k], setup.first_i[k + 1])
        n = 3 * (own.stop - own.start)
        expected = block_kcc[k, :n, :n] @ setup.steps(1)[own].ravel()
        np.testing.assert_allclose(found[1, own].ravel(), expected, rtol=0, atol=1e-13 * np.abs(found).max())


@pytest.mark.parametrize("pin", [1, 2, 3])
def test_pairs_outside_the_envelope_have_none(pin):
    """Shorter than r_in, or beyond an element's own cutoff; the others see only those inside."""
    setup = Setup(2, 3, 6, pin=pin)
    r_p = np.linalg.norm(setup.d_pc, axis=1)
    inner = setup.first_i[:-1] + 2
    setup.d_pc[inner] *= (1.2 / r_p[inner])[:, None]
    beyond = (setup.mu_i[setup.j_p] == 1) & (r_p > setup.bases[1].cutoff)
    assert beyond.any()
    outside = beyond.copy()
    outside[inner] = True
    expected = derivative(lambda h: setup.scalar_gradient(setup.d_pc + h * setup.steps(0)))
    found = setup.products()[0]
    assert not found[outside].any()
    assert_close(found, expected)
    for k, block in enumerate(setup.site_blocks()):
        own = np.flatnonzero(outside[setup.first_i[k] : setup.first_i[k + 1]])
        assert not block[(3 * own[:, None] + np.arange(3)).ravel()].any()


@pytest.mark.parametrize("case", [(2, 3, 6), (1, 4, 9)])
def test_sites_do_not_see_their_batch(case):
    setup = Setup(*case, size=(2, 2, 1))
    expected = setup.products(), setup.site_blocks()
    shuffled = np.random.default_rng(0).permutation(setup.n_atoms)
    for parts in ([[i] for i in range(setup.n_atoms)], np.array_split(shuffled, 3), [shuffled]):
        np.testing.assert_array_equal(sum(setup.products(part) for part in parts), expected[0])
        np.testing.assert_array_equal(sum(setup.site_blocks(part) for part in parts), expected[1])


def test_widths_agree():
    setup = Setup(1, 3, 8)
    for width in {4, 8, 16} - {host_lanes().width}:
        assert_close(setup.products(width=width), setup.products(), 1e-13)
        assert_close(setup.site_blocks(width=width), setup.site_blocks(), 1e-13)


def test_vectors_do_not_see_one_another():
    setup = Setup(1, 3, 8)
    together = setup.products()
    for k, v_ic in enumerate(setup.v_vic.copy()):
        setup.v_vic = v_ic[None]
        np.testing.assert_array_equal(setup.products()[0], together[k])


@pytest.mark.parametrize("width", [4, 8])
def test_core_against_differences_of_its_slope(width):
    """Two elements, three cores, distances on both sides of the hand-over and of the cutoff."""
    light, mixed, heavy = (
        zbl_core(*pair, 0.2 * pair[2], pair[2]) for pair in ((14, 14, 2.35), (14, 74, 2.5), (74, 74, 2.74))
    )
    cores = [light, mixed, mixed, heavy]
    rng = np.random.default_rng(0)
    mu_i = rng.integers(0, 2, 40)
    first_c = np.concatenate([[0], np.cumsum(rng.integers(0, 9, 20))])
    n = first_c[-1]
    j_c, d_cc = rng.integers(0, 40, n).astype(np.int32), rng.normal(size=(n, 3))
    d_cc *= (rng.uniform(0.3, 3.0, n) / np.linalg.norm(d_cc, axis=1))[:, None]
    k_c = np.repeat(np.arange(20), np.diff(first_c))
    kinds = 2 * mu_i[20 + k_c] + mu_i[j_c]
    r = np.linalg.norm(d_cc, axis=1)
    assert np.abs(r - [cores[k].r_i for k in kinds]).min() > 2e-4
    assert (r < 0.4).any()

    def gradient(d_cc):
        r = np.linalg.norm(d_cc, axis=1)
        slope = np.array([cores[k].evaluate(x)[1][0] for k, x in zip(kinds, r, strict=True)])
        return (0.5 * slope / r)[:, None] * d_cc

    v_vic, change = rng.normal(size=(2, 40, 3)), np.zeros((2, n + 1, 3))
    stiffness = np.zeros((n, 3, 3))
    rows, tables = rows_of(d_cc, 3.0), core_tables(cores)
    for v, changes, blocks_ in (
        (v_vic, change, np.empty((0, 3, 3))),
        (np.empty((0, 0, 3)), np.empty((0, 0, 3)), stiffness),
    ):
        core_tangents(
            Lanes(width), 20, first_c, j_c, rows, mu_i, 2, tables, Workspace().empty(2, width),
            v, changes, blocks_,
        )  # fmt: skip
    for k in range(2):
        step = v_vic[k][j_c] - v_vic[k][20 + k_c]
        expected = derivative(lambda h, step=step: gradient(d_cc + h * step), 2e-5)
        np.testing.assert_allclose(change[k, :-1], expected, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(
            np.einsum("pab,pb->pa", stiffness, step), change[k, :-1], rtol=1e-12, atol=1e-12
        )
