"""Bonds against known coordinations, the norms against their definition and dense linear algebra."""

import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_mlipgen.defects import (
    Vacancy,
    simulation_cell,
    training_cell,
    triangular_lattice,
    triangular_primitive,
)
from ase_mlipgen.theory import DualNorm, bonds, dual_norm, laplacian, site_strains, strain_norm

SHEET = triangular_lattice("W", 2.7)
CASES = {
    "sheet with a vacancy": training_cell(SHEET, Vacancy(), 4),
    "silicon with a vacancy": training_cell(bulk("Si"), Vacancy(), 2),
    "copper": bulk("Cu", cubic=True),
}


@pytest.mark.parametrize("rattle", [0.0, 1e-9, 1e-3], ids=["exact", "round-off", "rattled"])
@pytest.mark.parametrize(
    ("crystal", "coordination"),
    [
        (SHEET, 6),
        (triangular_primitive(SHEET), 6),
        (bulk("Po", "sc", a=3.3), 6),
        (bulk("Cu"), 12),
        (bulk("Cu", cubic=True), 12),
        (bulk("W"), 14),
        (bulk("W", cubic=True) * (3, 2, 1), 14),
        (bulk("Mg"), 12),
        (bulk("Ti") * (2, 1, 3), 12),
        (bulk("Si"), 16),
        (bulk("Si", cubic=True) * 2, 16),
    ],
)
def test_perfect_crystals_have_their_coordination(crystal, coordination, rattle):
    """Facets: rhombic dodecahedron 12, truncated octahedron 14, triakis truncated tetrahedron (diamond) 16, cube 6."""
    atoms = crystal.copy()
    moves = rattle * np.random.default_rng(0).normal(size=atoms.positions.shape)
    atoms.positions += moves * (1.0, 1.0, float(all(atoms.pbc)))
    found = bonds(atoms)
    assert np.all(np.bincount(found.i_b, minlength=len(atoms)) == coordination)
    assert np.all(np.diff(found.i_b) >= 0)


@pytest.mark.parametrize("name", CASES)
def test_every_bond_is_there_from_both_ends_and_ends_at_its_site(name):
    atoms = CASES[name]
    found = bonds(atoms)
    there = {(i, j, *np.round(d, 6)) for i, j, d in zip(found.i_b, found.j_b, found.d_bc + 0.0, strict=True)}
    back = {(j, i, *np.round(-d + 0.0, 6)) for i, j, d in zip(found.i_b, found.j_b, found.d_bc, strict=True)}
    assert len(there) == len(found.i_b)
    assert {(*map(float, b),) for b in there} == {(*map(float, b),) for b in back}
    offset = found.d_bc - (atoms.positions[found.j_b] - atoms.positions[found.i_b])
    images = offset @ np.linalg.inv(atoms.cell.array)
    assert images == pytest.approx(np.round(images), abs=1e-9)


def test_a_vacancy_takes_one_neighbour_from_each_of_six():
    """Cells around the vacancy meet in one point there: opposite sites touch in a corner, which does not count."""
    counts = np.bincount(bonds(training_cell(SHEET, Vacancy(), 8)).i_b)
    assert sorted(counts.tolist()) == [5] * 6 + [6] * 63


def test_cells_without_voronoi_neighbours_are_refused():
    slab = bulk("Cu", cubic=True)
    slab.pbc = (True, True, False)
    with pytest.raises(ValueError, match="pbc"):
        bonds(slab)
    with pytest.raises(ValueError, match="coincide"):
        bonds(Atoms("W2", positions=[(0, 0, 0), (0, 0, 0)], cell=[3, 3, 3], pbc=True))


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(sorted(CASES)), shift=st.floats(-3, 3))
@settings(max_examples=30, deadline=None)
def test_the_norm_is_its_definition_a_seminorm_and_a_quadratic_form(seed, name, shift):
    found = bonds(CASES[name])
    rng = np.random.default_rng(seed)
    u, v = rng.normal(size=(2, found.n_sites, 3))
    by_hand = np.zeros(found.n_sites)
    for i, j in zip(found.i_b, found.j_b, strict=True):
        by_hand[i] += sum((u[j, c] - u[i, c]) ** 2 for c in range(found.dimension))
    assert site_strains(found, u) ** 2 == pytest.approx(by_hand)
    assert strain_norm(found, u) == pytest.approx(np.sqrt(by_hand.sum()))
    assert strain_norm(found, u + shift) == pytest.approx(strain_norm(found, u))
    assert strain_norm(found, shift * u) == pytest.approx(abs(shift) * strain_norm(found, u))
    assert strain_norm(found, u + v) <= strain_norm(found, u) + strain_norm(found, v) + 1e-9
    d = found.dimension
    form = np.einsum("ia,ij,ja", u[:, :d], laplacian(found).toarray(), u[:, :d])
    assert form == pytest.approx(strain_norm(found, u) ** 2)


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(sorted(CASES)))
@settings(max_examples=30, deadline=None)
def test_the_dual_norm_is_that_of_the_dense_pseudo_inverse(seed, name):
    found = bonds(CASES[name])
    f, u = np.random.default_rng(seed).normal(size=(2, found.n_sites, 3))
    f -= f.mean(axis=0)
    d = found.dimension
    inverse = np.linalg.pinv(laplacian(found).toarray(), rcond=1e-10, hermitian=True)
    norm = DualNorm(found)
    assert norm(f) ** 2 == pytest.approx(np.einsum("ia,ij,ja", f[:, :d], inverse, f[:, :d]))
    assert norm.solve(f)[:, :d] == pytest.approx(inverse @ f[:, :d])
    assert dual_norm(found, f) == pytest.approx(dual_norm(norm, f))
    # The definition of a dual norm: |f.u| <= ||f||_* ||Du||, with equality at u = K^+ f.
    assert abs(np.sum(f[:, :d] * u[:, :d])) <= norm(f) * strain_norm(found, u) * (1 + 1e-12)
    assert strain_norm(found, norm.solve(f)) == pytest.approx(norm(f))
    assert norm(f + 1.0) == pytest.approx(norm(f))


@pytest.mark.parametrize("wave", [(1, 0), (2, 3), (5, 5)])
def test_a_plane_wave_on_the_triangular_lattice_has_its_closed_form(wave):
    """K's eigenvalue of a wave with phases (p, q) along a1, a2: 4 (3 - cos p - cos q - cos(p - q))."""
    n, amplitude = 12, 0.3
    atoms = simulation_cell(SHEET, [], n, 1)
    p, q = 2 * np.pi * np.array(wave) / n
    phase = atoms.get_scaled_positions()[:, :2] @ (2 * np.pi * np.array(wave))
    u = np.zeros((len(atoms), 3))
    u[:, 1] = amplitude * np.cos(phase)
    found = bonds(atoms)
    eigenvalue = 4 * (3 - np.cos(p) - np.cos(q) - np.cos(p - q))
    size = np.sum(u**2)
    assert strain_norm(found, u) ** 2 == pytest.approx(eigenvalue * size)
    assert dual_norm(found, u) ** 2 == pytest.approx(size / eigenvalue)


def test_planar_cells_ignore_what_leaves_the_plane():
    found = bonds(CASES["sheet with a vacancy"])
    u = np.zeros((found.n_sites, 3))
    u[3, 2] = 1.0
    assert strain_norm(found, u) == 0.0
    assert dual_norm(found, u) == 0.0


def test_one_site_has_nothing_but_images():
    found = bonds(bulk("Cu"))
    assert strain_norm(found, np.ones((1, 3))) == 0.0
    assert dual_norm(found, np.ones((1, 3))) == 0.0


def test_fields_of_the_wrong_shape_are_refused():
    with pytest.raises(ValueError, match="expected"):
        strain_norm(bonds(CASES["copper"]), np.zeros((5, 3)))


def test_a_sheet_of_3600_sites_takes_seconds_at_most():
    begun = time.perf_counter()
    atoms = simulation_cell(SHEET, [Vacancy()] * 2, 60, 8)
    norm = DualNorm(bonds(atoms))
    f = np.random.default_rng(0).normal(size=(len(atoms), 3))
    assert strain_norm(norm.bonds, norm.solve(f)) == pytest.approx(norm(f))
    assert time.perf_counter() - begun < 10.0
