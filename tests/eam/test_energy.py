"""Energies, forces, virials and Hessians: against plain double loops, plain NumPy and finite differences."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ase_mlipgen.eam import energy
from ase_mlipgen.eam.analytic import TUNGSTEN
from ase_mlipgen.eam.hessian import hessian
from ase_mlipgen.eam.tangents import hessian_products
from ase_mlipgen.neighbors import pairs
from ase_mlipgen.simd import Lanes
from tests.eam import reference
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


def gas(n, seed=0):
    """Atoms with 0 to about 100 neighbours: a dense end and a thin end, at least 1 Å apart."""
    atoms = bulk("W", a=2.6, cubic=True).repeat((5, 5, 40))
    rng = np.random.default_rng(seed)
    atoms.rattle(0.1, seed=seed)
    atoms.positions[:, 2] *= 1 + atoms.positions[:, 2] / 60
    atoms.pbc = (True, True, False)
    return atoms[:n] if n < 100 else atoms[np.sort(rng.permutation(len(atoms))[:n])]


def listed(found):
    return found.centres(), found.j_p.astype(np.int64), found.vectors()


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
    found = energy.evaluate(FUNCTIONS, ELEMENTS, *pairs(atoms, CUTOFF))
    np.testing.assert_allclose(found.energies_i, double_loop(atoms.positions, atoms.cell.array), rtol=1e-12)


def assert_same(found, expected):
    for name, mine, theirs in zip(found._fields, found, expected, strict=True):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-12 * scale, err_msg=name)


@pytest.mark.parametrize("n", [2, 7, 8, 9, 255, 256, 257, 600])
@pytest.mark.parametrize("width", [4, 8, 16])
def test_equals_plain_numpy(n, width, monkeypatch):
    """Batches and spans that are full, begun and exceeded, of atoms with unlike numbers of neighbours."""
    monkeypatch.setattr(energy, "host_lanes", lambda registers: Lanes(width))
    atoms = gas(n)
    mixed = np.random.default_rng(1).integers(0, 2, n)
    for functions, a_i in ((FUNCTIONS, mixed), (tables(symmetric=True), mixed), (TUNGSTEN, 0 * mixed)):
        found = pairs(atoms, functions.cutoff + 0.5)
        assert len(found.j_p)
        result = energy.evaluate(functions, a_i, *found)
        expected = reference.evaluate(functions, a_i, found)
        assert_same(result, expected)


def test_forces_are_the_slope_of_the_energy():
    """Fourth-order differences of the sum of site energies."""
    atoms, h = cluster(), 1e-3
    forces = energy.evaluate(FUNCTIONS, ELEMENTS, *pairs(atoms, CUTOFF)).forces
    for i, c in itertools.product(range(5), range(3)):
        slope = 0.0
        for factor, weight in ((1, -8), (-1, 8), (2, 1), (-2, -1)):
            moved = atoms.copy()
            moved.positions[i, c] += factor * h
            slope += weight * energy.evaluate(FUNCTIONS, ELEMENTS, *pairs(moved, CUTOFF)).energies_i.sum()
        assert forces[i, c] == pytest.approx(slope / (12 * h), abs=1e-7)


@pytest.mark.parametrize(("functions", "a_i"), [(FUNCTIONS, ELEMENTS), (TUNGSTEN, 0 * ELEMENTS)])
def test_pairs_beyond_the_cutoff_change_nothing(functions, a_i):
    atoms = cluster()
    near, far = pairs(atoms, functions.cutoff), pairs(atoms, functions.cutoff + 2)
    results = [energy.evaluate(functions, a_i, *found) for found in (near, far)]
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    H, H_far = (hessian(functions, a_i, *listed(p)) for p in (near, far))
    np.testing.assert_array_equal(H.toarray(), H_far.toarray())


@pytest.mark.parametrize("functions", [FUNCTIONS, TUNGSTEN], ids=["two-way", "analytic"])
def test_threads_and_memory_do_not_influence_results(functions, monkeypatch):
    """Bit by bit: slopes kept or computed twice, one span a task or all, one to three threads."""
    atoms = gas(2000)
    a_i = np.random.default_rng(1).integers(0, len(functions.elements), len(atoms))
    found = pairs(atoms, functions.cutoff + 0.3)
    expected = energy.evaluate(functions, a_i, *found)
    monkeypatch.setattr(energy, "PAIRS_PER_THREAD", 10_000)
    for kept_bytes, part_bytes in ((2**27, 2**21), (0, 2**21), (0, 1)):
        monkeypatch.setattr(energy, "KEPT_BYTES", kept_bytes)
        monkeypatch.setattr(energy, "PART_BYTES", part_bytes)
        for threads in (1, 2, 3):
            result = energy.evaluate(functions, a_i, *found, threads=threads)
            for mine, theirs in zip(result, expected, strict=True):
                np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("functions", [FUNCTIONS, TUNGSTEN], ids=["tables", "analytic"])
def test_atoms_without_neighbours(functions):
    for n in (1, 9, 300):
        positions = np.arange(n)[:, None] * [20.0, 0, 0]
        a_i = np.zeros(n, dtype=np.int64)
        result = energy.evaluate(functions, a_i, *pairs(Atoms(f"H{n}", positions), 6.5))
        np.testing.assert_array_equal(result.energies_i, functions.site_terms(np.zeros(n), a_i).F)
        assert not result.forces.any()
        assert not result.virial.any()
        assert result.closest == np.inf


def test_closest_pair_and_atoms_in_one_place():
    atoms = cluster()
    found = pairs(atoms, CUTOFF)
    assert energy.evaluate(FUNCTIONS, ELEMENTS, *found).closest == pytest.approx(
        np.linalg.norm(found.vectors(), axis=1).min(), rel=1e-14
    )
    positions = found.positions.copy()
    positions[3] = positions[1]
    for functions, a_i in ((FUNCTIONS, ELEMENTS), (TUNGSTEN, 0 * ELEMENTS)):
        assert energy.evaluate(functions, a_i, *found._replace(positions=positions)).closest == 0.0


def test_hessian_is_the_second_derivative():
    """Second differences of the energy along random directions; symmetric; zero for translations."""
    atoms = cluster()
    found = pairs(atoms, CUTOFF)
    H = hessian(FUNCTIONS, ELEMENTS, *listed(found))
    assert abs(H - H.T).max() == 0.0
    np.testing.assert_allclose(H.toarray().reshape(15, 5, 3).sum(axis=1), 0, atol=1e-12)

    def slope(positions, direction):
        moved = atoms.copy()
        moved.positions = positions
        forces = energy.evaluate(FUNCTIONS, ELEMENTS, *pairs(moved, CUTOFF)).forces
        return -np.sum(forces * direction)

    rng = np.random.default_rng(8)
    for _ in range(6):
        u, v = rng.normal(size=(2, 5, 3))
        h = 1e-5
        expected = (slope(atoms.positions + h * u, v) - slope(atoms.positions - h * u, v)) / (2 * h)
        assert v.ravel() @ (H @ u.ravel()) == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("n", [7, 8, 257])
@pytest.mark.parametrize("width", [4, 8])
def test_hessian_products(n, width, monkeypatch):
    """Against the sparse Hessian, whose derivation is another."""
    monkeypatch.setattr(energy, "host_lanes", lambda registers: Lanes(width))
    atoms = gas(n)
    mixed, v_vic = np.random.default_rng(1).integers(0, 2, n), np.random.default_rng(2).normal(size=(3, n, 3))
    for functions, a_i in ((FUNCTIONS, mixed), (tables(symmetric=True), mixed), (TUNGSTEN, 0 * mixed)):
        found = pairs(atoms, functions.cutoff + 0.5)
        H = hessian(functions, a_i, *listed(found))
        expected = (H @ v_vic.reshape(3, -1).T).T.reshape(v_vic.shape)
        result = hessian_products(functions, a_i, *found, v_vic)
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-11 * abs(expected).max())
    assert hessian_products(TUNGSTEN, 0 * mixed, *found, v_vic[:0]).shape == (0, n, 3)


def test_hessian_products_do_not_depend_on_threads(monkeypatch):
    atoms = gas(2000)
    found, v_vic = pairs(atoms, TUNGSTEN.cutoff), np.random.default_rng(2).normal(size=(2, 2000, 3))
    a_i = np.zeros(2000, dtype=np.int64)
    expected = hessian_products(TUNGSTEN, a_i, *found, v_vic)
    monkeypatch.setattr(energy, "PAIRS_PER_THREAD", 10_000)
    for kept_bytes in (2**27, 0):
        monkeypatch.setattr(energy, "KEPT_BYTES", kept_bytes)
        for threads in (1, 2, 3):
            result = hessian_products(TUNGSTEN, a_i, *found, v_vic, threads=threads)
            np.testing.assert_array_equal(result, expected)
