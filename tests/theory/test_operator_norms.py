"""Operator norms and stability constants against brute force on the projected space, closed forms, and one another."""

import time

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import null_space
from scipy.sparse import kron
from scipy.sparse.linalg import aslinearoperator

from ase_mlipgen import EAM2D, Vacancy, simulation_cell, training_cell, triangular_lattice
from ase_mlipgen.theory import (
    DualNorm,
    bonds,
    dual_norm,
    laplacian,
    operator_norm,
    operator_norms,
    stability_constant,
    strain_norm,
)

SHEET = triangular_lattice("W", 2.72711)
CASES = {
    "sheet, 69 atoms": training_cell(SHEET, Vacancy(), 8),
    "sheet, 11 atoms": training_cell(SHEET, Vacancy(), 4),
    "silicon, 15 atoms": training_cell(bulk("Si"), Vacancy(), 2),
    "copper, 31 atoms": training_cell(bulk("Cu", cubic=True), Vacancy(), 2),
    "tungsten, 100 atoms": bulk("W", cubic=True) * (5, 5, 2),
}


def spectrum(A, links):
    """All lambda of P A P v = lambda K v: eigenvalues of K^(-1/2) A K^(-1/2) in an orthonormal basis of zero sums."""
    d, n = links.dimension, links.n_sites
    free = np.kron(null_space(np.ones((1, n))), np.eye(d))
    K = np.kron(laplacian(links).toarray(), np.eye(d))
    values, vectors = np.linalg.eigh(free.T @ K @ free)
    root = free @ vectors / np.sqrt(values)
    return np.linalg.eigvalsh(root.T @ (0.5 * (A + A.T)) @ root)


def symmetric(size, seed):
    A = np.random.default_rng(seed).normal(size=(size, size))
    return A + A.T


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kept", [10_000, 0], ids=["dense", "Lanczos"])
def test_against_brute_force(name, kept, monkeypatch):
    """Random symmetric operators, their spectrum of both signs: to 1e-8, both ways of computing."""
    monkeypatch.setattr(operator_norms, "DENSE", kept)
    links = bonds(CASES[name])
    A = symmetric(links.dimension * links.n_sites, 1)
    expected = spectrum(A, links)
    size = np.abs(expected).max()
    assert operator_norm(A, links) == pytest.approx(size, abs=1e-8 * size)
    soft = stability_constant(A, DualNorm(links))
    assert soft.value == pytest.approx(expected[0], abs=1e-8 * size)
    u = soft.mode_ic[:, : links.dimension].ravel()
    assert u @ A @ u == pytest.approx(soft.value, abs=1e-6 * size)
    assert strain_norm(links, soft.mode_ic) == pytest.approx(1.0)
    assert np.abs(soft.mode_ic.sum(axis=0)).max() < 1e-9


@pytest.mark.parametrize("name", CASES)
def test_the_dual_norm_and_its_root_against_brute_force(name):
    """To 1e-8: the largest f.u / ||Du||, from the spectrum of K on zero sums."""
    norm = DualNorm(bonds(CASES[name]))
    n, d = norm.bonds.n_sites, norm.bonds.dimension
    f = np.random.default_rng(0).normal(size=(n, 3))
    f -= f.mean(axis=0)
    f[:, d:] = 0.0
    free = null_space(np.ones((1, n)))
    values, vectors = np.linalg.eigh(free.T @ laplacian(norm.bonds).toarray() @ free)
    expected = np.linalg.norm((vectors.T @ free.T @ f) / np.sqrt(values)[:, None])
    assert norm(f) == pytest.approx(expected, rel=1e-8)
    assert np.linalg.norm(norm.root() @ f) == pytest.approx(expected, rel=1e-8)


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(["sheet, 11 atoms", "copper, 31 atoms"]))
@settings(max_examples=20, deadline=None)
def test_it_is_a_norm_of_operators_from_displacements_to_forces(seed, name):
    links = bonds(CASES[name])
    n, d = links.n_sites, links.dimension
    A, B = symmetric(d * n, seed), symmetric(d * n, seed + 1)
    u = np.zeros((n, 3))
    u[:, :d] = np.random.default_rng(seed).normal(size=(n, d))
    u -= u.mean(axis=0)
    f = np.zeros((n, 3))
    f[:, :d] = (A @ u[:, :d].ravel()).reshape(n, d)
    assert dual_norm(links, f) <= operator_norm(A, links) * strain_norm(links, u) * (1 + 1e-9)
    assert operator_norm(A + B, links) <= operator_norm(A, links) + operator_norm(B, links) + 1e-9
    assert operator_norm(-3.0 * A, links) == pytest.approx(3.0 * operator_norm(A, links))


@pytest.mark.parametrize("size", [8, 30], ids=["dense", "Lanczos"])
def test_multiples_of_the_laplacian_have_their_factor(size):
    links = bonds(simulation_cell(SHEET, [], size, 1))
    K = kron(laplacian(links), np.diag([2.5, -7.0]), format="csr")
    assert operator_norm(K, links) == pytest.approx(7.0, rel=1e-9)
    assert stability_constant(K, links).value == pytest.approx(-7.0, rel=1e-9)
    assert stability_constant(kron(laplacian(links), np.eye(2)), links).value == pytest.approx(1.0, rel=1e-9)


def test_all_components_or_those_in_the_plane_sparse_or_as_products():
    atoms = CASES["sheet, 69 atoms"]
    links = bonds(atoms)
    H = EAM2D().get_hessian(atoms)
    plane = np.add.outer(3 * np.arange(len(atoms)), np.arange(2)).ravel()
    expected = spectrum(H.toarray()[np.ix_(plane, plane)], links)
    for A in (H, H.toarray(), H[plane][:, plane], aslinearoperator(H)):
        assert operator_norm(A, links) == pytest.approx(np.abs(expected).max(), rel=1e-9)
        assert stability_constant(A, links).value == pytest.approx(expected[0], rel=1e-9)
    assert operator_norm(operator_norms.hessian_operator(EAM2D(), atoms), links) == pytest.approx(
        np.abs(expected).max(), rel=1e-9
    )


def test_what_does_not_annihilate_translations_is_projected():
    """Differences of noisy forces: only what acts on zero sums counts."""
    links = bonds(CASES["copper, 31 atoms"])
    A = symmetric(93, 3)
    shift = np.kron(np.ones((31, 31)), symmetric(3, 4))
    assert operator_norm(A + 100.0 * shift, links) == pytest.approx(operator_norm(A, links), rel=1e-8)


def test_one_site_has_only_translations():
    links = bonds(bulk("Cu"))
    assert operator_norm(np.ones((3, 3)), links) == 0.0
    assert stability_constant(np.ones((3, 3)), links).value == np.inf


@pytest.mark.parametrize(
    ("A", "said"), [(np.zeros((7, 7)), r"\(33, 33\) or \(22, 22\)"), (np.full((22, 22), np.nan), "NaN")]
)
def test_nonsense_is_named(A, said):
    with pytest.raises(ValueError, match=said):
        operator_norm(A, bonds(CASES["sheet, 11 atoms"]))


def test_3598_atoms_take_seconds_at_most():
    """The paper's large cell. The mode solves the eigenproblem, and no random field lies outside the extremes."""
    atoms = simulation_cell(SHEET, [Vacancy()] * 2, 60, 8)
    H = EAM2D().get_hessian(atoms)
    moved = atoms.copy()
    moved.positions += 0.02 * np.random.default_rng(1).normal(size=moved.positions.shape) * (1, 1, 0)
    change = EAM2D().get_hessian(moved) - H
    begun = time.perf_counter()
    norm = DualNorm(bonds(atoms))
    soft = stability_constant(H, norm)
    largest = operator_norm(H, norm)
    error = operator_norm(change, norm)
    assert time.perf_counter() - begun < 10.0
    u = soft.mode_ic.ravel()
    assert 0.0 < soft.value == pytest.approx(u @ (H @ u), rel=1e-6)
    # The mode is an eigenvector: H u - lambda K u vanishes in the dual norm.
    force = (H @ u).reshape(-1, 3)
    force[:, :2] -= soft.value * (laplacian(norm.bonds) @ soft.mode_ic[:, :2])
    assert norm(force) < 1e-3 * largest
    assert abs(stability_constant(H + change, norm).value - soft.value) <= error  # Weyl
    probe = np.random.default_rng(0).normal(size=(20, len(atoms), 3)) * (1, 1, 0)
    quotients = [v.ravel() @ (H @ v.ravel()) / strain_norm(norm.bonds, v) ** 2 for v in probe]
    assert soft.value < min(quotients) <= max(quotients) < largest
