"""Superposed, truncated cores against closed forms: fields of a dilation, disjoint supports, translations."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ase_mlipgen.defects import Interstitial, Vacancy, simulation_cell, triangular_lattice
from ase_mlipgen.theory.norms import bonds, strain_norm
from ase_mlipgen.theory.superposition import CoreField, closest_cores, core_field, cutoff, superposed

SHEET = triangular_lattice("W", 1.0)


def dilation(size, defect=None):
    """Return a cell with one core and the field x / |x|^2 around it."""
    atoms = simulation_cell(SHEET, [defect or Vacancy()], size, 1)
    field = core_field(atoms, atoms)
    r2 = np.sum(field.offsets_xc**2, axis=1)
    return atoms, CoreField(field.offsets_xc, field.offsets_xc / r2[:, None], field.cell)


def test_cutoff_is_smooth_from_one_to_zero():
    assert cutoff([0.0, 0.5, 0.75, 1.0, 2.0]) == pytest.approx([1.0, 1.0, 0.5, 0.0, 0.0])
    x = np.linspace(0.4, 1.1, 7001)
    for order in (1, 2):
        assert np.abs(np.diff(cutoff(x), n=order + 1)).max() / (x[1] - x[0]) ** order < 0.1


def test_truncation_costs_one_over_the_radius_in_a_plane():
    """The tail of |Du| = sqrt(6) / r^2 beyond R is 1 / R in the norm; so is what the cut-off adds."""
    atoms, field = dilation(80)
    links = bonds(atoms)
    wide, narrow, least = (field.truncated(field.offsets_xc, R) for R in (38.0, 10.0, 5.0))
    left = [strain_norm(links, wide - u) for u in (narrow, least)]
    assert np.log2(left[0] / left[1]) == pytest.approx(-1.0, abs=0.1)
    inside = np.linalg.norm(field.offsets_xc, axis=1) < 4.9
    assert inside.sum() > 80
    assert narrow[inside] == pytest.approx(field.u_xc[inside], abs=1e-12)


def test_far_cores_add_up_and_stand_where_they_should():
    _, field = dilation(40)
    several = simulation_cell(SHEET, [Vacancy()] * 3, 48, 12)
    u = superposed(several, [field] * 3, 5.0)
    one = simulation_cell(SHEET, [Vacancy()], 48, 12)
    alone = superposed(one, [field], 5.0)
    norm = strain_norm(bonds(one), alone)
    assert strain_norm(bonds(several), u) == pytest.approx(np.sqrt(3.0) * norm, rel=1e-12)
    for centre in several.info["defect_centres"]:
        offsets = several.positions - centre
        near = (np.linalg.norm(offsets, axis=1) < 2.4) & (np.linalg.norm(offsets, axis=1) > 0.1)
        assert near.sum() > 15
        expected = offsets[near] / np.sum(offsets[near] ** 2, axis=1)[:, None]
        assert u[near] == pytest.approx(expected, abs=1e-12)


def test_whole_fields_have_the_periods_of_the_cell_and_the_constant_goes():
    atoms = simulation_cell(bulk("W", cubic=True, a=3.0), [Vacancy()], 4, 2)
    rng = np.random.default_rng(0)
    moved = atoms.copy()
    moved.positions += 0.1 * rng.normal(size=(len(atoms), 3))
    moved.wrap()
    field = core_field(atoms, moved)
    elsewhere = simulation_cell(bulk("W", cubic=True, a=3.0), [Vacancy()], 4, 2, [[1, 0, 3]])
    u = superposed(elsewhere, [field], None)
    assert sorted(u[:, 0]) == pytest.approx(sorted(field.u_xc[:, 0]), abs=1e-13)
    assert np.abs(field.u_xc).max() < 1.0
    shifted = CoreField(field.offsets_xc, field.u_xc + np.array([0.3, -0.2, 0.1]), field.cell)
    assert superposed(elsewhere, [shifted], 4.0) == pytest.approx(
        superposed(elsewhere, [field], 4.0), abs=1e-13
    )


def test_an_added_atom_of_another_core_moves_as_its_neighbours():
    _, field = dilation(24)
    hollow = Interstitial((0.5, 1.0 / 6.0))
    several = simulation_cell(SHEET, [Vacancy(), hollow], 24, 8)
    u = superposed(several, [field, CoreField(field.offsets_xc, 0.0 * field.u_xc, field.cell)], None)
    here, there = np.array(several.info["defect_centres"])
    centroid = there - here
    assert u[-1] == pytest.approx(centroid / np.sum(centroid**2), rel=0.02)


def test_distances_of_cores_count_images():
    assert closest_cores(simulation_cell(SHEET, [Vacancy()] * 2, 12, 5)) == pytest.approx(5.0)
    assert closest_cores(simulation_cell(SHEET, [Vacancy()] * 2, 8, 2, [[0, 0], [6, 0]])) == pytest.approx(
        2.0
    )
    assert closest_cores(simulation_cell(SHEET, [Vacancy()], 9, 2)) == pytest.approx(9.0)
    assert closest_cores(Atoms("W", cell=[1, 1, 1], pbc=True)) == np.inf


def test_wrong_numbers_of_cores_are_refused():
    atoms = simulation_cell(SHEET, [Vacancy()] * 2, 12, 5)
    with pytest.raises(ValueError, match="2 cores"):
        core_field(atoms, atoms)
    with pytest.raises(ValueError, match="1 fields for 2 cores"):
        superposed(atoms, [dilation(12)[1]], 3.0)
