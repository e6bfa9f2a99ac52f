"""Energies, pair gradients and Hessians of pairs: against plain double loops and finite differences."""

import itertools

import numpy as np
import pytest
from ase import Atoms

from ase_mlipgen.eam.energy import site_energies
from ase_mlipgen.eam.hessian import hessian
from ase_mlipgen.neighbors import pairs
from tests.eam.synthetic import CUTOFF, tables

FUNCTIONS = tables()
ELEMENTS = np.array([0, 1, 1, 0, 1])


def cluster():
    """Five atoms in a cell smaller than the cutoff: several images of one neighbour, and self images."""
    rng = np.random.default_rng(0)
    cell = np.diag([3.4, 6.0, 6.5]) + rng.uniform(-0.4, 0.4, (3, 3))
    positions = np.array([[0, 0, 0], [1.5, 2, 0], [0, 3, 3], [1.7, 0.5, 3.5], [2, 4, 5]]) + rng.normal(
        0, 0.1, (5, 3)
    )
    return Atoms("H5", positions=positions, cell=cell, pbc=True)


def listed(found):
    return found.centres(), found.j_p.astype(np.int64), found.vectors(), found.first_i


def double_loop(positions, cell):
    """E = sum F(sum f) + 1/2 sum phi, image by image."""
    one = np.zeros(1, dtype=np.int64)
    energy = []
    for i, a in enumerate(ELEMENTS):
        rho = phi = 0.0
        for j, b in enumerate(ELEMENTS):
            for S in itertools.product(range(-3, 4), repeat=3):
                r = np.linalg.norm(positions[j] - positions[i] + S @ cell)
                if 0 < r < CUTOFF:
                    terms = FUNCTIONS.pair_terms(np.array([r]), one + a, one + b)
                    rho, phi = rho + terms.f[0], phi + terms.phi[0]
        energy.append(FUNCTIONS.site_terms(np.array([rho]), one + a).F[0] + phi / 2)
    return np.array(energy)


def test_site_energies():
    atoms = cluster()
    energies_i, _ = site_energies(FUNCTIONS, ELEMENTS, *listed(pairs(atoms, CUTOFF)))
    np.testing.assert_allclose(energies_i, double_loop(atoms.positions, atoms.cell.array), rtol=1e-12)


def test_pair_gradients_one_by_one():
    """Each pair vector displaced alone: the energy as a function of independent pair vectors."""
    i_p, j_p, d_pc, first_i = listed(pairs(cluster(), CUTOFF))
    _, gradient_pc = site_energies(FUNCTIONS, ELEMENTS, i_p, j_p, d_pc, first_i)
    for p in range(0, len(i_p), 7):
        for c in range(3):
            energy = []
            for h in (1e-4, -1e-4):
                moved = d_pc.copy()
                moved[p, c] += h
                energy.append(site_energies(FUNCTIONS, ELEMENTS, i_p, j_p, moved, first_i)[0].sum())
            assert gradient_pc[p, c] == pytest.approx((energy[0] - energy[1]) / 2e-4, abs=1e-7)


def test_pairs_beyond_the_cutoff_change_nothing():
    atoms = cluster()
    near, far = pairs(atoms, CUTOFF), pairs(atoms, CUTOFF + 2)
    energies, gradient = site_energies(FUNCTIONS, ELEMENTS, *listed(near))
    energies_far, gradient_far = site_energies(FUNCTIONS, ELEMENTS, *listed(far))
    np.testing.assert_array_equal(energies, energies_far)
    inside = np.linalg.norm(far.vectors(), axis=1) < CUTOFF
    np.testing.assert_array_equal(gradient, gradient_far[inside])
    assert not gradient_far[~inside].any()
    H, H_far = (hessian(FUNCTIONS, ELEMENTS, *listed(p)[:3]) for p in (near, far))
    np.testing.assert_array_equal(H.toarray(), H_far.toarray())


def test_hessian_is_the_second_derivative():
    """Second differences of the energy along random directions; symmetric; zero for translations."""
    atoms = cluster()
    found = pairs(atoms, CUTOFF)
    H = hessian(FUNCTIONS, ELEMENTS, *listed(found)[:3])
    assert abs(H - H.T).max() == 0.0
    np.testing.assert_allclose(H.toarray().reshape(15, 5, 3).sum(axis=1), 0, atol=1e-12)

    def slope(positions, direction):
        moved = atoms.copy()
        moved.positions = positions
        i_p, j_p, d_pc, first_i = listed(pairs(moved, CUTOFF))
        _, g_pc = site_energies(FUNCTIONS, ELEMENTS, i_p, j_p, d_pc, first_i)
        return np.sum(g_pc * (direction[j_p] - direction[i_p]))

    rng = np.random.default_rng(8)
    for _ in range(6):
        u, v = rng.normal(size=(2, 5, 3))
        h = 1e-5
        expected = (slope(atoms.positions + h * u, v) - slope(atoms.positions - h * u, v)) / (2 * h)
        assert v.ravel() @ (H @ u.ravel()) == pytest.approx(expected, rel=1e-6, abs=1e-7)
