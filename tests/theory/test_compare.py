"""Comparisons: zero against itself, the numbers by hand, formation energies, and a surrogate that runs away."""

import dataclasses

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.defects import (
    Interstitial,
    Substitution,
    Vacancy,
    relax,
    simulation_cell,
    triangular_lattice,
)
from ase_mlipgen.eam.analytic import TUNGSTEN
from ase_mlipgen.theory import Comparison, bonds, compare, strain_norm
from ase_mlipgen.theory.comparison import ComparisonFileError

SHEET = triangular_lattice("W", 2.72711)
COPPER = bulk("Cu", cubic=True)


def softer():
    """Tungsten with a slightly different repulsion."""
    return EAM2D(dataclasses.replace(TUNGSTEN, A=1.005 * TUNGSTEN.A))


def test_a_model_against_itself_makes_no_error():
    cell, perfect = simulation_cell(SHEET, [Vacancy()] * 2, 16, 6), simulation_cell(SHEET, [], 16, 6)
    found = compare(EAM2D(), EAM2D(), cell, perfect, fmax=1e-7)
    assert found.failure is None
    assert found.geometry_error == pytest.approx(0.0, abs=1e-9)
    assert found.relaxation_energy_error == pytest.approx(0.0, abs=1e-9)
    assert found.formation_energy_error == pytest.approx(0.0, abs=1e-9)
    assert found.geometry_norm > 0.1
    # Tungsten's planar vacancy costs 3.126 eV; two of them interact a little.
    assert found.formation_energy_reference == pytest.approx(6.25, abs=0.1)


def test_a_comparison_is_kept_bit_by_bit(tmp_path):
    cell, perfect = simulation_cell(SHEET, [Vacancy()], 8, 4), simulation_cell(SHEET, [], 8, 4)
    found = compare(EAM2D(), softer(), cell, perfect, fmax=1e-4)
    kept = Comparison.load(found.save(tmp_path / "comparison.npz"))
    for name, value in vars(found).items():
        if name in ("reference", "surrogate"):
            there, here = vars(getattr(kept, name)), vars(value)
            assert there["atoms"] == here["atoms"]
            np.testing.assert_array_equal(
                there["atoms"].info["defect_centres"], here["atoms"].info["defect_centres"]
            )
            np.testing.assert_array_equal(there["forces"], here["forces"])
            rest = there.keys() - {"atoms", "forces"}
            assert {key: there[key] for key in rest} == {key: here[key] for key in rest}
        else:
            np.testing.assert_array_equal(getattr(kept, name), value)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"PK\3\4" + b[40:]])
def test_a_damaged_comparison_is_refused(tmp_path, damage):
    cell, perfect = simulation_cell(SHEET, [Vacancy()], 8, 4), simulation_cell(SHEET, [], 8, 4)
    path = compare(EAM2D(), softer(), cell, perfect, fmax=1e-3).save(tmp_path / "comparison.npz")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ComparisonFileError, match=r"comparison\.npz is no comparison .*mlipgen run"):
        Comparison.load(path)


def test_the_numbers_are_what_they_are_defined_to_be():
    cell, perfect = simulation_cell(SHEET, [Vacancy()], 12, 6), simulation_cell(SHEET, [], 12, 6)
    seen = []
    found = compare(EAM2D(), softer(), cell, perfect, fmax=1e-7, progress=lambda *step: seen.append(step))
    ref, sur = relax(cell, EAM2D(), fmax=1e-8), relax(cell, softer(), fmax=1e-8)
    links = bonds(cell)
    assert found.geometry_error == pytest.approx(
        strain_norm(links, ref.atoms.positions - sur.atoms.positions), rel=1e-4
    )
    assert found.geometry_error > 1e-4
    assert found.geometry_norm == pytest.approx(
        strain_norm(links, ref.atoms.positions - cell.positions), rel=1e-5
    )
    for relaxation, calculator, relaxing, forming in (
        (ref, EAM2D(), found.relaxation_energy_reference, found.formation_energy_reference),
        (sur, softer(), found.relaxation_energy_surrogate, found.formation_energy_surrogate),
    ):
        energy = calculator.get_potential_energy(relaxation.atoms)
        assert relaxing == pytest.approx(energy - calculator.get_potential_energy(cell), abs=1e-8)
        per_atom = calculator.get_potential_energy(perfect) / len(perfect)
        assert forming == pytest.approx(energy - len(cell) * per_atom, abs=1e-8)
    excess = EAM2D().get_potential_energy(sur.atoms) - EAM2D().get_potential_energy(ref.atoms)
    assert found.energy_excess == pytest.approx(excess, abs=1e-8)
    assert found.energy_excess > 0.0
    assert {name for name, *_ in seen} == {"reference", "surrogate"}
    assert found.reference.steps > 0
    assert found.surrogate.wall_time > 0.0


def test_strains_and_their_errors_decay_as_the_square_of_the_distance():
    """Theorem 2.1 of Ortner and Wang in two dimensions: |Du(l)| falls off as the distance to the core to the -2."""
    cell, perfect = simulation_cell(SHEET, [Vacancy()], 30, 16), simulation_cell(SHEET, [], 30, 16)
    found = compare(EAM2D(), softer(), cell, perfect, fmax=1e-7)
    distance = found.core_distance_i
    assert np.sort(distance)[:6] == pytest.approx(2.72711)
    middle = (distance > 6.0) & (distance < 25.0)
    for strain_i in (found.strain_reference_i, found.strain_difference_i):
        slope = np.polyfit(np.log(distance[middle]), np.log(strain_i[middle]), 1)[0]
        assert slope == pytest.approx(-2.0, abs=0.2)
    assert np.linalg.norm(found.strain_difference_i) == pytest.approx(found.geometry_error)


def test_a_surrogate_that_runs_away_is_reported_and_its_numbers_are_nan():
    cell, perfect = (
        simulation_cell(COPPER, [Interstitial((0.5, 0.5, 0.5))], 2, 1),
        simulation_cell(COPPER, [], 2, 1),
    )
    falling = LennardJones(sigma=0.4, epsilon=1e5, rc=5.0)
    found = compare(EMT(), falling, cell, perfect)
    assert found.failure.startswith("surrogate: ")
    assert found.reference.converged
    assert not found.surrogate.converged
    for value in (found.geometry_error, found.formation_energy_error, found.energy_excess):
        assert np.isnan(value)
    assert found.geometry_norm > 0.0


def test_foreign_elements_need_a_chemical_potential():
    cell, perfect = simulation_cell(COPPER, [Substitution("Au")], 2, 1), simulation_cell(COPPER, [], 2, 1)
    assert compare(EMT(), EMT(), cell, perfect).formation_energy_error is None
    found = compare(EMT(), EMT(), cell, perfect, mu={"Au": -0.5})
    per_atom = EMT().get_potential_energy(perfect) / len(perfect)
    expected = found.reference.energy - (len(cell) - 1) * per_atom + 0.5
    assert found.formation_energy_reference == pytest.approx(expected)


def test_compounds_count_from_their_own_cell():
    alloy = bulk("CuAu", "rocksalt", a=4.9, cubic=True)
    cell, perfect = simulation_cell(alloy, [Vacancy()], 2, 1), simulation_cell(alloy, [], 2, 1)
    (missing,) = set(alloy.get_chemical_symbols()[:1])
    loose = {"fmax": 1e-3, "steps": 300}
    assert compare(EMT(), EMT(), cell, perfect, **loose).formation_energy_reference is None
    found = compare(EMT(), EMT(), cell, perfect, mu={missing: -1.0}, **loose)
    assert found.failure is None
    expected = found.reference.energy - EMT().get_potential_energy(perfect) - 1.0
    assert found.formation_energy_reference == pytest.approx(expected)
    with pytest.raises(ValueError, match="several elements"):
        compare(EMT(), EMT(), cell, simulation_cell(alloy, [], 3, 1), **loose)


def test_every_error_has_a_definition_with_its_unit():
    assert set(Comparison.definition) >= {
        "geometry_error",
        "relaxation_energy_error",
        "formation_energy_error",
    }
    for sentence in Comparison.definition.values():
        assert "Å" in sentence or "eV" in sentence
