"""Far from the data the grade is above that of every training atom; runs that go there are told of, or stopped."""

import json
import pickle

import numpy as np
import pytest
from ase import units
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.io import write
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from typer.testing import CliRunner

from ase_mlipgen import (
    ACEBasis,
    DefectTrainer,
    ExtrapolationError,
    ExtrapolationWarning,
    ExtrapolationWatch,
    Interstitial,
    LinearACE,
    Vacancy,
    training_cell,
)
from ase_mlipgen.cli.app import app
from ase_mlipgen.cli.watching import EVERY_STEPS
from ase_mlipgen.posterior import PosteriorError

A = 3.58982559  # the minimum of EMT
COPPER = bulk("Cu", cubic=True, a=A)


@pytest.fixture(scope="module")
def result():
    basis = ACEBasis(["Cu"], order=2, degree=8, cutoff=4.5)
    trainer = DefectTrainer(
        COPPER,
        Vacancy(),
        EMT,
        basis,
        3,
        10,
        3,
        n_perfect=3,
        matching=None,
        on_unstable="warn",
        progress=False,
    )
    return trainer.run()


@pytest.fixture
def model(result, tmp_path):
    return result.calculator.save(tmp_path / "Cu.json")


def start(result):
    atoms = result.cells[0].relaxed.copy()
    atoms.calc = result.calculator
    return atoms


def strained(factor):
    atoms = COPPER * (3, 3, 3)
    atoms.set_cell(atoms.cell * factor, scale_atoms=True)
    return atoms


def amorphous():
    """Random places, pushed apart until no two are closer than 2.1 Å."""
    atoms, edge = COPPER * (3, 3, 3), 3 * A
    rng = np.random.default_rng(3)
    atoms.positions = rng.uniform(size=(len(atoms), 3)) @ atoms.cell.array
    for _ in range(500):
        d_ijc = atoms.positions[None] - atoms.positions[:, None]
        d_ijc -= edge * np.round(d_ijc / edge)
        r_ij = np.linalg.norm(d_ijc, axis=2) + 1e9 * np.eye(len(atoms))
        push_ij = np.clip(2.15 - r_ij, 0.0, None) / r_ij
        atoms.positions -= 0.4 * np.einsum("ij,ijc->ic", push_ij, d_ijc)
    assert atoms.get_all_distances(mic=True)[~np.eye(len(atoms), dtype=bool)].min() > 1.9
    return atoms


def surface():
    atoms = fcc111("Cu", (3, 3, 5), a=A, vacuum=8.0)
    atoms.info.clear()
    return atoms


FAR = {
    "strained by 5 %": lambda: strained([1.05, 1.0, 1.0]),
    "compressed by 5 %": lambda: strained(0.95),
    "amorphous": amorphous,
    "surface": surface,
    "an interstitial": lambda: training_cell(COPPER, Interstitial((0.5, 0.5, 0.5)), 3),
}


@pytest.mark.parametrize("kind", FAR)
def test_far_from_the_data_the_grade_is_above_every_training_atoms(result, kind):
    """Training atoms, all of them, have grades up to 1; the largest grade is by definition that of one of them."""
    model = result.calculator
    trained = np.concatenate([model.get_grades(cell.atoms) for cell in result.train])
    assert trained.max() == pytest.approx(1.0, rel=1e-6)
    assert len(trained) == 10 * 107 + 3 * 108
    atoms = FAR[kind]()
    grades = model.get_grades(atoms)
    assert grades.max() > 1.5 * trained.max()
    np.testing.assert_array_equal(grades, model.get_uncertainty(atoms).grade_i)
    with pytest.warns(ExtrapolationWarning, match=rf"look 0 atom {np.argmax(grades)} has the grade"):
        ExtrapolationWatch(atoms, model=model)()


def test_within_the_data_nothing_is_said(result):
    atoms = start(result)
    watch = ExtrapolationWatch(atoms).attach(BFGS(atoms, logfile=None), interval=1)
    for cell in result.train:
        atoms.positions = (
            cell.atoms.positions[: len(atoms)] if len(cell.atoms) == len(atoms) else atoms.positions
        )
        watch()
    assert watch.first is None
    assert "within the data" in str(watch)


def test_dynamics_are_watched_warned_of_once_and_stopped(result):
    """Thousands of kelvin; the same run twice, and the first step above the threshold by hand."""

    def hot():
        atoms = start(result)
        rng = np.random.default_rng(0)
        atoms.set_momenta(
            rng.normal(size=(len(atoms), 3)) * np.sqrt(atoms.get_masses() * 4000 * units.kB)[:, None]
        )
        return atoms, VelocityVerlet(atoms, timestep=2.0 * units.fs)

    atoms, dynamics = hot()
    by_hand = []
    dynamics.attach(lambda: by_hand.append(result.calculator.get_grades(atoms).max()), interval=5)
    watch = ExtrapolationWatch(atoms).attach(dynamics, interval=5)
    with pytest.warns(ExtrapolationWarning, match="the model extrapolates: at step") as told:
        dynamics.run(30)
    assert len(told) == 1
    assert [seen.step for seen in watch.history] == [0, 5, 10, 15, 20, 25, 30]
    np.testing.assert_array_equal([seen.grade for seen in watch.history], by_hand)
    first = 5 * int(np.argmax(np.array(by_hand) > 1.0))
    assert watch.first.step == first > 0
    assert f"above 1 at step {first} already" in str(watch)
    assert watch.largest.grade == max(by_hand)

    atoms, dynamics = hot()
    ExtrapolationWatch(atoms, stop=True).attach(dynamics, interval=5)
    with pytest.raises(ExtrapolationError, match=f"at step {first} atom") as caught:
        dynamics.run(30)
    assert dynamics.nsteps == first
    assert caught.value.look == watch.first
    assert pickle.loads(pickle.dumps(caught.value)).look == watch.first
    atoms, dynamics = hot()
    plain = ExtrapolationWatch(atoms, threshold=1e9)
    dynamics.attach(plain, interval=10)
    dynamics.run(20)
    assert [seen.step for seen in plain.history] == [0, 1, 2]  # this watch does not know the dynamics
    assert "at look " in str(plain)


def test_what_cannot_be_watched_is_refused(result):
    atoms = start(result)
    with pytest.raises(ValueError, match="threshold = -1"):
        ExtrapolationWatch(atoms, -1)
    with pytest.raises(ValueError, match="threshold = nan"):
        ExtrapolationWatch(atoms, float("nan"))
    with pytest.raises(ValueError, match="no atoms to watch"):
        ExtrapolationWatch(atoms[:0], model=result.calculator)
    atoms.calc = EMT()
    with pytest.raises(TypeError, match="EMT has no extrapolation grades"):
        ExtrapolationWatch(atoms)
    bare = LinearACE(result.calculator.basis, result.calculator.coefficients)
    with pytest.raises(PosteriorError, match="no posterior"):
        ExtrapolationWatch(atoms, model=bare)


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_relax_warns_where_the_model_extrapolates(result, model, tmp_path):
    far = training_cell(COPPER, Vacancy(), 3)
    far.rattle(0.12, seed=1)
    grade = result.calculator.get_grades(far)
    assert grade.max() > 1.0
    write(tmp_path / "far.extxyz", far)
    done = invoke("relax", model, tmp_path / "far.extxyz", "-q", "--fmax", "1e-2", "--json")
    assert done.stderr.count("the model extrapolates") == 1
    assert f"at step 0 atom {np.argmax(grade)} has the grade {grade.max():.3g}" in done.stderr
    seen = json.loads(done.stdout)["grade"]
    assert (seen["first_step_above"], seen["threshold"]) == (0, 1.0)
    assert seen["largest"] >= grade.max() * (1 - 1e-6)
    assert seen["at_the_end"] < 1.0 < seen["largest"]
    assert json.loads(done.stdout)["steps"] > EVERY_STEPS
    text = invoke("relax", model, tmp_path / "far.extxyz", "-q", "--fmax", "1e-2", "--grade", "1e6")
    assert "extrapolates" not in text.stderr
    assert "not above 1e+06, within the data" in text.stdout


def test_relax_without_a_posterior(tmp_path):
    write(tmp_path / "start.extxyz", COPPER)
    plain = invoke("relax", "EMT", tmp_path / "start.extxyz", "-q", "--json")
    assert plain.exit_code == 0, plain.output
    assert json.loads(plain.stdout)["grade"] is None
    asked = invoke("relax", "EMT", tmp_path / "start.extxyz", "-q", "--grade", "2")
    assert asked.exit_code == 2
    assert "--grade 2: this model has no posterior" in asked.stderr


def test_eval_tells_uncertainties(result, model, tmp_path):
    frames = [result.test[0].atoms, FAR["surface"](), *[strained(1.0) for _ in range(19)]]
    write(tmp_path / "some.extxyz", [atoms.copy() for atoms in frames])
    done = invoke("eval", model, tmp_path / "some.extxyz", "--json")
    numbers = json.loads(done.stdout)
    for found, atoms in zip(numbers["frames"][:2], frames[:2], strict=True):
        expected = result.calculator.get_uncertainty(atoms)
        assert found["energy_std"] == pytest.approx(expected.energy_std, rel=1e-5)
        length = np.sqrt((expected.forces_std**2).sum(axis=1)).max()
        assert found["largest_force_std"] == pytest.approx(length, rel=1e-5)
        assert found["largest_grade"] == pytest.approx(expected.grade_i.max(), rel=1e-5)
    assert numbers["largest_grade"] == numbers["frames"][1]["largest_grade"] > 1.0
    table = invoke("eval", model, tmp_path / "some.extxyz").stdout
    assert f"{numbers['frames'][1]['largest_grade']:.3g}" in table
    assert "the 20 largest grades of 21" in table
    n_far = sum(found["largest_grade"] > 1.0 for found in numbers["frames"])
    assert 0 < n_far < 3
    assert f"the model extrapolates on {n_far} of 21 structures" in table
    assert "grade" not in invoke("eval", "EMT", tmp_path / "some.extxyz").stdout
