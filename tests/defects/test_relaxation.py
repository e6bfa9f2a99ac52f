"""Relaxations: tight on a large sheet in tens of force calls, any optimiser, and caught where a model runs away."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.optimize import BFGS, FIRE2, LBFGS
from ase.optimize.precon import PreconLBFGS

from ase_mlipgen.defects import (
    Guards,
    Interstitial,
    RelaxationError,
    Vacancy,
    displaced,
    potential_energy,
    relax,
    simulation_cell,
    training_cell,
    triangular_lattice,
)
from tests.defects.models import PairModel, attractive, morse

R0 = 2.5706
SHEET = triangular_lattice("W", R0)


@pytest.mark.parametrize("fmax", [1e-6, 1e-9])
def test_a_large_sheet_relaxes_tight_in_tens_of_force_calls(fmax):
    """1e-9 eV/Å is below what Armijo line searches resolve at this energy."""
    model = morse()
    start = simulation_cell(SHEET, [Vacancy()] * 2, 60, 8)
    found = relax(start, model, fmax=fmax, steps=100)
    assert len(start) == 3598
    assert found.converged
    assert found.failure is None
    assert model.calls < 70
    assert np.linalg.norm(forces(found.atoms), axis=1).max() == pytest.approx(found.fmax, rel=1e-6, abs=1e-12)
    assert found.fmax <= fmax
    assert not np.any(found.atoms.positions[:, 2] - start.positions[:, 2])


@pytest.mark.parametrize("optimizer", [None, BFGS, LBFGS, FIRE2, PreconLBFGS])
@pytest.mark.parametrize("size", [4, 8])
def test_every_optimiser_comes_to_the_same_minimum(optimizer, size):
    start = training_cell(SHEET, Vacancy(), size)
    tight = relax(start, morse(), fmax=1e-9)
    found = relax(start, morse(), optimizer=optimizer, fmax=1e-5)
    assert tight.converged
    assert found.converged
    u, v = (r.atoms.positions - r.atoms.positions.mean(axis=0) for r in (tight, found))
    assert u == pytest.approx(v, abs=1e-4)
    assert found.energy == pytest.approx(tight.energy, abs=1e-8)
    assert found.energy < found.initial_energy


def test_three_dimensions_energies_and_constraints():
    start = training_cell(bulk("Cu", cubic=True), Vacancy(), 2)
    start.set_constraint(FixAtoms([0]))
    found = relax(start, EMT(), fmax=1e-7)
    assert found.converged
    assert np.array_equal(found.atoms.positions[0], start.positions[0])
    assert len(found.atoms.constraints) == 1
    assert found.atoms.calc is None
    assert start.calc is None
    again = found.atoms.copy()
    again.calc = EMT()
    assert again.get_potential_energy() == pytest.approx(found.energy, abs=1e-10)


def test_an_interstitial_relaxes():
    found = relax(training_cell(SHEET, Interstitial((0.5, 1 / 6)), 7), morse(), fmax=1e-7)
    assert found.converged
    assert found.energy < found.initial_energy - 0.1


def test_progress_is_reported_step_by_step():
    seen = []
    found = relax(training_cell(SHEET, Vacancy(), 6), morse(), progress=lambda *step: seen.append(step))
    assert [step for step, _, _ in seen] == list(range(found.steps + 1))
    assert seen[0][1] == pytest.approx(found.initial_energy)
    assert seen[-1][1:] == pytest.approx((found.energy, found.fmax))


@pytest.mark.parametrize("optimizer", [None, FIRE2, BFGS])
@pytest.mark.parametrize("host", [SHEET, bulk("Cu", cubic=True)], ids=["2D", "3D"])
def test_a_model_that_runs_away_is_caught_and_reported(optimizer, host):
    start = displaced(training_cell(host, Vacancy(), 3), 0.05, np.random.default_rng(0))
    found = relax(start, attractive(), optimizer=optimizer, steps=2000)
    assert not found.converged
    assert found.failure.startswith("ran away: ")
    with pytest.raises(RelaxationError, match="ran away") as caught:
        relax(start, attractive(), optimizer=optimizer, steps=2000, strict=True)
    assert caught.value.relaxation.failure == found.failure


@pytest.mark.parametrize(
    ("guards", "said"),
    [
        (Guards(distance=0.9), "two atoms came as close as"),
        (Guards(displacement=0.02), "an atom moved by"),
        (Guards(force=1e-3), None),
    ],
)
def test_each_guard_says_what_it_saw(guards, said):
    """The force limit is at least ten times the force at the start: a sound relaxation never meets it."""
    start = training_cell(SHEET, Interstitial((0.5, 1 / 6)), 6)
    failure = relax(start, morse(), guards=guards).failure
    assert failure is None if said is None else said in failure


def test_the_force_guard():
    """A cliff: a harmonic well whose force grows a thousandfold a little way out."""
    start = training_cell(SHEET, Vacancy(), 4)
    start.positions[0, 0] += 0.01
    steep = PairModel(
        lambda r: np.where(r < 0.98 * R0, -1e4, -1.0) * r,
        lambda r: np.where(r < 0.98 * R0, 1e4, 1e-2) + 0 * r,
        3.0,
    )
    assert "largest force" in relax(start, steep, optimizer=BFGS).failure


def test_numbers_that_are_not_finite_are_reported():
    nan = PairModel(lambda r: np.nan * r, lambda r: np.nan * r, 3.0)
    found = relax(training_cell(SHEET, Vacancy(), 4), nan)
    assert not found.converged
    assert "nan" in found.failure


def test_too_few_steps_are_reported():
    found = relax(training_cell(SHEET, Vacancy(), 6), morse(), fmax=1e-6, steps=3)
    assert found.steps == 3
    assert "not converged after 3 steps" in found.failure
    assert np.isfinite(found.energy)


def test_an_optimiser_that_gives_up_is_followed_by_another():
    class GivesUp(BFGS):
        def step(self, *args):
            if self.nsteps == 4:
                raise RuntimeError("line search failed")
            super().step(*args)

    found = relax(training_cell(SHEET, Vacancy(), 6), morse(), optimizer=GivesUp, fmax=1e-8)
    assert found.converged
    assert found.steps > 4


def test_errors_of_the_calculator_at_the_start_are_passed_on():
    with pytest.raises(NotImplementedError):
        relax(training_cell(SHEET, Vacancy(), 4), EMT())


def test_the_energy_is_the_one_of_the_forces():
    cell = training_cell(SHEET, Vacancy(), 4)
    cell.calc = morse()
    assert potential_energy(cell) == pytest.approx(cell.get_potential_energy())


def forces(atoms):
    probe = atoms.copy()
    probe.calc = morse()
    return probe.get_forces()
