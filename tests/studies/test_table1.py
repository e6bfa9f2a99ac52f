"""Table 1: springs against their closed form, fits that hold what is imposed on them, slopes of made-up errors."""

from dataclasses import replace

import numpy as np
import pytest
from ase.calculators.calculator import Calculator

from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.calculators.linear_ace import LinearACE
from ase_mlipgen.defects import potential_energy, training_cell
from ase_mlipgen.report.studies import figure_of
from ase_mlipgen.studies import table1
from ase_mlipgen.studies.cases import SHEET
from ase_mlipgen.studies.fits import trainer_of
from ase_mlipgen.studies.springs import WithSprings
from ase_mlipgen.studies.study import DEFAULT, PAPER, Context
from ase_mlipgen.studies.table1 import (
    ALL,
    ENERGIES_FORCES,
    HESSIANS,
    LENGTH,
    RIGHT,
    SPRINGS,
    STIFFNESS,
    Record,
)
from ase_mlipgen.theory.force_constants import force_constants
from ase_mlipgen.theory.pieces import with_calculator

SMALL = replace(
    table1.VACANCY, sizes=(5,), seeds=(0,),
    options={**table1.VACANCY.options, "n_train": 15, "n_test": 2, "n_perfect": 3},
)  # fmt: skip


class Nothing(Calculator):
    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=None, system_changes=None):
        self.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3))}


def test_springs_are_at_rest_and_have_the_force_constants_of_springs():
    perfect = training_cell(SHEET, None, 6)
    springs = WithSprings(Nothing(), 2.0, LENGTH)
    probe = with_calculator(perfect, springs)
    assert potential_energy(probe) == pytest.approx(0.0, abs=1e-20)
    assert probe.get_forces() == pytest.approx(np.zeros((len(perfect), 3)), abs=1e-9)
    columns = force_constants(perfect, springs, step=1e-3).columns_sanb[0]
    angles = np.arange(6) * np.pi / 3.0
    unit = np.column_stack([np.cos(angles), np.sin(angles)])
    site = force_constants(perfect, springs).sites_s[0]
    assert columns[:, site] == pytest.approx(2.0 * unit.T @ unit, abs=1e-4)
    assert columns.sum(axis=1) == pytest.approx(np.zeros((2, 2)), abs=1e-9)
    stiff = [np.linalg.eigvalsh(columns[:, n]).min() for n in range(len(perfect)) if n != site]
    assert sorted(stiff)[:6] == pytest.approx([-2.0] * 6, abs=1e-4)
    assert sorted(stiff)[6:] == pytest.approx(np.zeros(len(stiff) - 6), abs=1e-9)


def test_springs_have_the_forces_of_their_energy():
    atoms = training_cell(SHEET, None, 5)
    atoms.positions[:, :2] += 0.3 * np.random.default_rng(0).normal(size=(len(atoms), 2))
    springs = WithSprings(EAM2D(), 1.5, LENGTH)
    forces = with_calculator(atoms, springs).get_forces()
    for atom, axis in ((0, 0), (3, 1), (11, 0)):
        energies = []
        for step in (1e-4, -1e-4):
            moved = atoms.copy()
            moved.positions[atom, axis] += step
            energies.append(potential_energy(with_calculator(moved, springs)))
        assert forces[atom, axis] == pytest.approx((energies[1] - energies[0]) / 2e-4, abs=1e-6)


def test_a_wrong_fit_has_right_forces_and_wrong_force_constants(tmp_path):
    context = Context(DEFAULT, tmp_path)
    setting = next(s for s in table1.settings_of({"vacancy": SMALL}, DEFAULT) if s.samples == SPRINGS)
    trainer = trainer_of(SMALL, setting, tmp_path, 3e-7)
    fit = table1.wrong_fit(setting, SMALL, trainer, context)
    model = LinearACE(trainer.basis, fit.coefficients, trainer.one_body())
    (cell,) = trainer.relax()
    assert np.abs(with_calculator(cell.relaxed, model).get_forces()).max() < 3e-6
    for atoms in (cell.relaxed, cell.unrelaxed, cell.perfect):
        ours, theirs = (potential_energy(with_calculator(atoms, c)) for c in (model, EAM2D()))
        assert ours == pytest.approx(theirs, abs=1e-7)
    ours, right = (force_constants(cell.perfect, c).columns_sanb for c in (model, EAM2D()))
    added = force_constants(cell.perfect, WithSprings(Nothing(), STIFFNESS, LENGTH)).columns_sanb
    assert ours - right == pytest.approx(added, abs=2e-4)
    assert np.abs(added).max() > 0.5


def test_settings_have_three_limits_and_the_paper_one():
    found = table1.settings_of(table1.STUDIED, DEFAULT)
    assert len(set(found)) == len(found) == 5 * (6 * 4 + 6)
    assert {(s.limit, s.samples) for s in found} == {
        (1, RIGHT),
        (1, SPRINGS),
        (2, RIGHT),
        (2, HESSIANS),
        (3, RIGHT),
    }
    assert {s.matching for s in found if s.limit == 2} == {ALL}
    paper = table1.settings_of(table1.STUDIED, PAPER)
    assert {(s.limit, s.size, s.matching) for s in paper} == {(3, 12, ())}
    assert len(paper) == 30


def made(L, seed, limit, samples=RIGHT, rtol=1e-7, **errors):
    matched = {1: ENERGIES_FORCES, 2: ALL, 3: ()}[limit]
    values = {"eps_E": np.nan, "eps_F": np.nan, "force_rmse": np.nan, "eps_FC_hom_percent": 7.0} | errors
    return Record("vacancy", L, seed, 3, 12, "fixed", matched, rtol, limit, samples, matched=matched, n_atoms=L * L,
                  n_functions=211, formation=1.0, **values)  # fmt: skip


@pytest.fixture
def records():
    rng = np.random.default_rng(0)
    found = []
    for seed in range(5):
        for L in (5, 6, 8, 10, 12):
            c = 1.0 + 0.01 * rng.normal()
            for limit, p in ((1, -1.0), (2, -3.0)):
                found.append(
                    made(L, seed, limit, geometry=c * L**p, relaxation=-(L**-2.0), excess=L ** (2 * p))
                )
            found.append(made(L, seed, 1, SPRINGS, geometry=9 * c * L**-4.0, relaxation=L**-2.0, excess=1.0))
        for k in range(1, 6):
            e = 10.0**-k
            errors = {"eps_E": e**2, "eps_F": e, "geometry": 3 * e, "relaxation": -5 * e**2, "excess": e**2}
            found.append(made(12, seed, 3, rtol=e, **errors))
    return found


def test_slopes_are_those_of_the_errors(records):
    found = {(s["limit"], s["samples"], s["rate"].name[:8]): s for s in table1.summarise(records)}
    for key, slope, theory in (
        ((1, RIGHT, "geometry"), -1.0, -1.0),
        ((1, SPRINGS, "geometry"), -4.0, -1.0),
        ((2, RIGHT, "geometry"), -3.0, -3.0),
        ((2, RIGHT, "relaxati"), -2.0, -2.0),
        ((3, RIGHT, "geometry"), 1.0, 1.0),
        ((3, RIGHT, "relaxati"), 1.0, 1.0),
        ((3, RIGHT, "excess, "), 2.0, 2.0),
    ):
        assert found[key]["slope"].mean == pytest.approx(slope, abs=0.03)
        assert found[key]["slope"].n == 5
        assert found[key]["rate"].theory == theory
    head, rows = table1.table(records)
    assert all(len(row) == len(head) for row in rows)
    assert rows[0][6:9] == ["2.0e-01", "8.3e-02", "7 to 7"]
    lost = made(5, 9, 1, geometry=np.nan, relaxation=np.nan, excess=np.nan)
    assert table1.summarise([*records, lost])[0]["lost"] == 1


def test_picture_has_the_limits_that_were_measured(records):
    assert len(figure_of("table1", records).axes) == 3
    assert len(figure_of("table1", [r for r in records if r.limit == 3]).axes) == 1
    points = figure_of("table1", records).axes[0].lines
    assert sum(len(line.get_xdata()) for line in points if line.get_marker() == ".") == 75
