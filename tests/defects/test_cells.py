"""Training and simulation cells: the counts of the paper's Table 2, places, separations, and what does not fit."""

import json

import numpy as np
import pytest
from ase.build import bulk, graphene
from ase.geometry import get_distances
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_mlipgen.defects import (
    Interstitial,
    OverlapWarning,
    Vacancy,
    cell_width,
    nearest_distances,
    simulation_cell,
    training_cell,
    triangular_lattice,
    triangular_primitive,
)

R0 = 2.72711
SHEET = triangular_lattice("W", R0)
COPPER = bulk("Cu", cubic=True, a=3.6)


@pytest.mark.parametrize(("size", "n_atoms"), [(4, 11), (5, 23), (6, 29), (7, 47), (8, 69)])
def test_training_sheets_have_the_atoms_of_table_2(size, n_atoms):
    """#O = 200 (1 + 3 n) = 6800, 14000, 17600, 28400, 41600 in Table 2 of Ortner and Wang."""
    cell = training_cell(SHEET, Vacancy(), size)
    assert len(cell) == n_atoms
    assert len(training_cell(SHEET, None, size)) == n_atoms + 1
    assert cell_width(cell) >= (size - 1) * R0 - 1e-9


@pytest.mark.parametrize(
    "crystal", [COPPER, bulk("Si"), bulk("Mg"), bulk("W")], ids=["fcc", "Si", "hcp", "bcc"]
)
def test_three_dimensional_cells_repeat_the_crystal(crystal):
    cell = training_cell(crystal, Vacancy(), 3)
    assert len(cell) == 27 * len(crystal) - 1
    assert cell.cell.array == pytest.approx(3 * crystal.cell.array)
    assert len(training_cell(crystal, None, (3, 2, 1))) == 6 * len(crystal)


@pytest.mark.parametrize("index", [0, 1])
def test_the_defect_is_at_the_centre(index):
    for crystal in (SHEET, bulk("Si")):
        cell = training_cell(crystal, Vacancy(index), 5)
        (centre,) = cell.info["defect_centres"]
        middle = 0.5 * cell.cell.array[cell.pbc].sum(axis=0)
        assert centre == pytest.approx(middle)
        periodic = cell.get_scaled_positions(wrap=False)[:, cell.pbc]
        assert periodic.min() > -1e-6
        assert periodic.max() < 1.0
        # The vacant place sees neighbours at the nearest-neighbour distance, so it is a site.
        _, distance = get_distances([centre], cell.positions, cell=cell.cell, pbc=cell.pbc)
        assert distance.min() == pytest.approx(nearest_distances(crystal).min())


def test_other_planar_crystals_repeat_in_the_plane():
    sheet = graphene(vacuum=5.0)
    sheet.pbc = (True, True, False)
    cell = training_cell(sheet, Vacancy(), 4)
    assert len(cell) == 31
    assert cell.cell[2] == pytest.approx(sheet.cell[2])


def test_any_cell_of_the_triangular_lattice_gives_the_same_training_cell():
    for crystal in (triangular_primitive(SHEET), triangular_lattice("W", R0, (3, 2))):
        cell = training_cell(crystal, Vacancy(), 6)
        assert len(cell) == 29
        assert cell.cell.array == pytest.approx(training_cell(SHEET, Vacancy(), 6).cell.array)
    assert len(training_cell(SHEET, Vacancy(), (4, 3))) == 23


def test_the_simulation_sheet_is_a_rhombus():
    perfect = simulation_cell(SHEET, [], 60, 8)
    assert len(perfect) == 3600
    assert perfect.cell.cellpar()[[0, 1, 5]] == pytest.approx([60 * R0, 60 * R0, 60.0])
    assert nearest_distances(perfect) == pytest.approx(R0)


@pytest.mark.parametrize("n_defects", [1, 2, 3, 4, 5, 7, 9])
@pytest.mark.parametrize(
    "crystal", [SHEET, COPPER, bulk("Cu", a=3.6), bulk("Mg")], ids=["2D", "fcc", "rhomb", "hcp"]
)
def test_defects_are_as_far_apart_as_asked_and_no_atom_is_lost(crystal, n_defects):
    cell = simulation_cell(crystal, [Vacancy()] * n_defects, 9, 3)
    assert len(cell) == len(simulation_cell(crystal, [], 9, 3)) - n_defects
    unit = R0 if crystal is SHEET else crystal.cell.lengths().min()
    assert _closest(cell) >= 3 * unit - 1e-6
    assert cell.info["defect_names"] == ["vacancy"] * n_defects


@pytest.mark.parametrize(("n_defects", "distances"), [(2, 1), (3, 3), (4, 5)])
def test_a_line_a_triangle_a_rhombus(n_defects, distances):
    """Of n (n - 1) / 2 distances all are the separation, but for the long diagonal of the rhombus."""
    centres = np.array(simulation_cell(SHEET, [Vacancy()] * n_defects, 40, 8).info["defect_centres"])
    pairs = np.linalg.norm(centres[:, None] - centres[None, :], axis=2)[np.triu_indices(n_defects, 1)]
    assert np.sum(np.isclose(pairs, 8 * R0)) == distances


@given(
    sites=st.lists(st.tuples(st.floats(0.45, 0.55), st.floats(0.14, 0.18)), min_size=1, max_size=4),
    vacancies=st.integers(0, 3),
    separation=st.floats(1.0, 4.0),
)
@settings(max_examples=25, deadline=None)
def test_mixed_defects_keep_their_distance(sites, vacancies, separation):
    defects = [*(Interstitial(s) for s in sites), *[Vacancy(1)] * vacancies]
    cell = simulation_cell(SHEET, defects, 18, separation)
    assert len(cell) == 324 + len(sites) - vacancies
    assert _closest(cell) >= separation * R0 * (1 - 1e-6)
    again = simulation_cell(SHEET, defects, 18, separation)
    assert np.array_equal(cell.positions, again.positions)


def test_all_other_sites_are_those_of_the_perfect_cell():
    perfect = simulation_cell(COPPER, [], 4, 2)
    cell = simulation_cell(COPPER, [Vacancy(), Vacancy(2)], 4, 1.5)
    _, distance = get_distances(cell.positions, perfect.positions, cell=cell.cell, pbc=True)
    assert distance.min(axis=1) == pytest.approx(0.0, abs=1e-9)


def test_no_room_is_said_with_the_distance_that_is_possible():
    with pytest.raises(ValueError, match=r"2\.00 unit cells"):
        simulation_cell(COPPER, [Vacancy()] * 4, 4, 3)
    with pytest.raises(ValueError, match="do not fit"):
        simulation_cell(SHEET, Vacancy(), 7, 8)
    assert len(simulation_cell(COPPER, [Vacancy()] * 4, 4, 2)) == 252


def test_chosen_translations_are_used_and_checked():
    cell = simulation_cell(SHEET, [Vacancy()] * 2, 20, 5, translations=[(0, 0), (3, 4)])
    assert cell.info["defect_centres"][1] == pytest.approx([5 * R0, 2 * np.sqrt(3) * R0, 0.0])
    with pytest.raises(ValueError, match="apart"):
        simulation_cell(SHEET, [Vacancy()] * 2, 20, 5, translations=[(0, 0), (19, 19)])
    with pytest.raises(ValueError, match="one for each"):
        simulation_cell(SHEET, [Vacancy()] * 2, 20, 5, translations=[(0, 0)])


@pytest.mark.parametrize("size", [0, -1, (2, 0, 2), (1, 2, 3, 4)])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(ValueError, match="size ="):
        training_cell(COPPER, None, size)
    with pytest.raises(ValueError, match="size ="):
        training_cell(SHEET, None, size)


def test_nothing_left_and_no_periodicity_are_refused():
    with pytest.raises(ValueError, match="nothing is left"):
        training_cell(bulk("Cu"), Vacancy(), 1)
    cluster = COPPER.copy()
    cluster.pbc = False
    with pytest.raises(ValueError, match="periodic"):
        training_cell(cluster, Vacancy(), 2)
    with pytest.raises(ValueError, match="separation"):
        simulation_cell(COPPER, Vacancy(), 3, -1.0)


def test_the_notes_can_be_written_as_json():
    cell = simulation_cell(SHEET, [Vacancy(), Interstitial((0.5, 1 / 6))], 20, 5)
    assert json.loads(json.dumps(cell.info)) == cell.info
    assert simulation_cell(SHEET, [], 20, 5).info == {"defect_names": [], "defect_centres": []}


def _closest(cell):
    """Smallest distance between cores over a block of explicit images: independent of minimum-image code."""
    centres = np.array(cell.info["defect_centres"])
    steps = np.array(np.meshgrid(*[[-2, -1, 0, 1, 2] if p else [0] for p in cell.pbc])).reshape(3, -1).T
    offsets = centres[None, :, None] - centres[:, None, None] + (steps @ cell.cell.array)[None, None]
    distances = np.linalg.norm(offsets, axis=-1)
    return distances[distances > 1e-6].min()


@pytest.mark.parametrize("cubic", [True, False])
def test_a_separation_vector_counts_lattice_constants_in_whatever_cell(cubic):
    a = 5.4
    host = bulk("Si", a=a, cubic=cubic)
    cell = simulation_cell(host, [Vacancy()] * 2, 8 if cubic else 10, [2, 1, -1])
    one, two = np.array(cell.info["defect_centres"])
    apart = two - one
    apart -= np.round(apart @ np.linalg.inv(cell.cell.array)) @ cell.cell.array
    assert apart == pytest.approx(np.array([2, 1, -1]) * a, abs=1e-9)
    assert len(cell) == (8**3 * 8 if cubic else 10**3 * 2) - 2
    assert _closest(cell) == pytest.approx(np.sqrt(6) * a)


def test_a_separation_vector_in_the_middle_and_its_three_defects_on_a_line():
    host = bulk("W", a=3.2, cubic=True)
    cell = simulation_cell(host, [Vacancy()] * 3, 9, (1.5, 1.5, 1.5))
    centres = np.array(cell.info["defect_centres"])
    assert np.diff(centres, axis=0) == pytest.approx(np.full((2, 3), 4.8))
    assert centres.mean(axis=0) == pytest.approx(np.full(3, 4.5 * 3.2), abs=1.6)
    sheet = simulation_cell(SHEET, [Vacancy()] * 2, 12, [3, 0])
    assert _closest(sheet) == pytest.approx(3 * R0)
    assert np.array_equal(sheet.positions, simulation_cell(SHEET, [Vacancy()] * 2, 12, [3, 0, 0]).positions)


@pytest.mark.parametrize(
    ("size", "vector", "said"),
    [
        (8, [5, 5, 5], r"one and an image, are 16\.63 Å apart; choose a size of at least 10"),
        (8, [8, 0, 0], r"are 0\.00 Å apart; choose a size of at least 16"),
        (
            8,
            [0.5, 0, 0],
            r"\[1\.6, 0\.0, 0\.0\] Å is no translation of the crystal, it leads 1\.60 Å past a site",
        ),
        (8, [0, 0, 0], r"not all zero"),
        (8, [1, 2], r"expected a distance, or 3 numbers"),
        (8, [1, 2, np.nan], r"expected a distance"),
    ],
)
def test_a_separation_vector_that_does_not_fit_is_refused(size, vector, said):
    with pytest.raises(ValueError, match=said):
        simulation_cell(bulk("W", a=3.2, cubic=True), [Vacancy()] * 2, size, vector)


def test_a_separation_vector_has_its_limits():
    assert len(simulation_cell(bulk("W", a=3.2, cubic=True), [Vacancy()] * 2, 10, [5, 5, 5])) == 1998
    with pytest.raises(ValueError, match="no third direction"):
        simulation_cell(SHEET, [Vacancy()] * 2, 12, [3, 0, 1])
    with pytest.raises(ValueError, match="leave out translations"):
        simulation_cell(SHEET, [Vacancy()] * 2, 12, [3, 0], translations=[(0, 0), (3, 0)])


def test_cores_closer_than_a_training_cells_images_are_warned_of():
    training = training_cell(SHEET, None, 7)
    with pytest.warns(OverlapWarning, match=r"8\.2 Å apart.*\(16\.4 Å\)"):
        simulation_cell(SHEET, [Vacancy()] * 2, 20, 3, training=training)
    simulation_cell(SHEET, [Vacancy()] * 2, 20, 6, training=training)
