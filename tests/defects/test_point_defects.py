"""Point defects: what they take out and put in, what they refuse, and reading them from ready-made cells."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.geometry import get_distances

from ase_mlipgen.defects import (
    Interstitial,
    Substitution,
    Vacancy,
    as_defect,
    nearest_distances,
    simulation_cell,
    training_cell,
    triangular_lattice,
    unique_names,
)

SILICON = bulk("Si", cubic=True)
SHEET = triangular_lattice("W", 2.7)


@pytest.mark.parametrize(
    ("defect", "change"), [(Vacancy(3), -1), (Interstitial((0.5, 0.5, 0.5)), +1), (Substitution("Ge", 1), 0)]
)
def test_each_changes_the_cell_at_its_place_only(defect, change):
    host = SILICON * (3, 3, 3)
    translation = np.array([1, 2, 0]) @ SILICON.cell.array
    defective = defect.insert(host, SILICON, translation)
    assert len(defective) == len(host) + change
    _, distance = get_distances(host.positions, defective.positions, cell=host.cell, pbc=True)
    same = (distance < 1e-9) & (host.numbers[:, None] == defective.numbers[None, :])
    changed = np.concatenate([host.positions[~same.any(axis=1)], defective.positions[~same.any(axis=0)]])
    assert changed == pytest.approx(np.tile(defect.centre(SILICON) + translation, (len(changed), 1)))
    assert len(changed) == (2 if change == 0 else 1)


def test_a_substituted_atom_has_its_own_mass():
    defective = Substitution("Ge").insert(SILICON, SILICON, np.zeros(3))
    assert defective.get_masses()[0] == pytest.approx(Atoms("Ge").get_masses()[0])


@pytest.mark.parametrize(
    ("crystal", "position"),
    [
        (SHEET, (0.5, 1 / 6)),
        (bulk("Cu", cubic=True), (0.25, 0.25, 0.25)),
        (bulk("Cu", cubic=True), (0.5, 0.5, 0.5)),
        (bulk("W", cubic=True), (0.5, 0.25, 0.0)),
        (bulk("W", cubic=True), (0.5, 0.5, 0.0)),
        (bulk("W", cubic=True), (0.25, 0.25, 0.25)),
        (SILICON, (0.125, 0.125, 0.125)),
    ],
    ids=["hollow", "fcc tetra", "fcc octa", "bcc tetra", "bcc octa", "crowdion", "bond centre"],
)
def test_the_usual_sites_are_accepted(crystal, position):
    assert len(training_cell(crystal, Interstitial(position), 3)) % 2 == 1


def test_an_interstitial_on_an_atom_names_distance_and_limit():
    with pytest.raises(ValueError, match=r"0\.543 Å .* limit of 1\.058 Å"):
        Interstitial((0.1, 0.0, 0.0)).check(SILICON)
    Interstitial((0.1, 0.0, 0.0), closest=0.2).check(SILICON)
    with pytest.raises(ValueError, match=r"0\.000 Å"):
        Interstitial((1.0, 1.0, 0.0)).check(SILICON)


@pytest.mark.parametrize(
    ("defect", "crystal", "said"),
    [
        (Vacancy(8), SILICON, "index = 8.*8 atoms"),
        (Vacancy(-1), SILICON, "index = -1"),
        (Substitution("Ge", 9), SILICON, "index = 9"),
        (Substitution("Xx"), SILICON, "'Xx' is not a chemical symbol"),
        (Substitution("Si"), SILICON, "is Si already"),
        (Interstitial((0.5, 0.5, 0.5), "Xx"), SILICON, "'Xx' is not"),
        (Interstitial((0.5, 0.2)), SILICON, "give three"),
        (Interstitial((0.5, 1 / 6, 0.1)), SHEET, "leaves the plane"),
    ],
)
def test_misfits_are_refused_with_the_reason(defect, crystal, said):
    with pytest.raises(ValueError, match=said):
        training_cell(crystal, defect, 3)


@pytest.mark.parametrize("position", [(0.5,), (0.1, 0.2, 0.3, 0.4), (np.nan, 0.0, 0.0)])
def test_a_position_is_two_or_three_finite_numbers(position):
    with pytest.raises(ValueError, match="scaled_position"):
        Interstitial(position)


def test_what_is_no_defect_is_refused():
    with pytest.raises(TypeError, match="no defect"):
        as_defect("vacancy", SILICON)


def test_names_are_made_unique():
    defects = [
        Vacancy(),
        Interstitial((0.5, 0.5, 0.5)),
        Interstitial((0.1, 0.2, 0.3)),
        Substitution("Ge"),
        Vacancy(2),
    ]
    names = ["vacancy", "interstitial", "interstitial-2", "substitution-Ge", "vacancy-2"]
    assert unique_names(defects) == names


@pytest.mark.parametrize("defect", [Vacancy(5), Interstitial((0.5, 0.5, 0.5)), Substitution("Ge", 2)])
def test_a_ready_made_cell_gives_its_defect_back(defect):
    """Read from a cell of one size and shift, put into another size: the same atoms as the defect put in directly."""
    again = training_cell(SILICON, training_cell(SILICON, defect, 2), 3)
    direct = training_cell(SILICON, defect, 3)
    assert len(again) == len(direct)
    _, distance = get_distances(again.positions, direct.positions, cell=direct.cell, pbc=True)
    assert distance.min(axis=1) == pytest.approx(0.0, abs=1e-6)
    assert sorted(again.numbers) == sorted(direct.numbers)


def test_a_dumbbell_is_read_as_one_site_and_two_atoms():
    cell = SILICON * (2, 2, 2)
    middle = cell.positions[20].copy()
    del cell[20]
    half = np.array([0.9, 0.0, 0.0])
    cell.extend(Atoms("Si2", positions=[middle + half, middle - half]))
    dumbbell = as_defect(cell, SILICON)
    assert len(dumbbell.vacant_xc) == 1
    assert len(dumbbell.added) == 2
    large = simulation_cell(SILICON, [cell, Vacancy()], 6, 2)
    assert len(large) == 6**3 * 8
    assert np.sort(nearest_distances(large))[:2] == pytest.approx(np.sort(nearest_distances(cell))[:2])


def test_a_ready_made_cell_must_be_made_of_the_crystal():
    with pytest.raises(ValueError, match="whole multiples"):
        as_defect(bulk("Si", cubic=True, a=5.5) * 2, SILICON)
    with pytest.raises(ValueError, match="no defect"):
        as_defect(SILICON * 2, SILICON)
    rattled = SILICON * 2
    rattled.rattle(0.2, seed=1)
    with pytest.raises(ValueError, match="without an atom"):
        as_defect(rattled, SILICON)
    sheet = SILICON * 2
    sheet.pbc = (True, True, False)
    with pytest.raises(ValueError, match="pbc"):
        as_defect(sheet, SILICON)
