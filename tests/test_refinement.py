"""Certificates and refinement of trained models: the true error falls, the certificate follows it."""

import pytest

from ase_mlipgen import (
    EAM2D,
    ACEBasis,
    DefectTrainer,
    TrainingResult,
    Vacancy,
    simulation_cell,
    triangular_lattice,
)
from ase_mlipgen.refinement import grown, refinement
from ase_mlipgen.theory import compare
from ase_mlipgen.theory.certify import Labelling

SHEET = triangular_lattice("W", 2.72711)
LARGE, PERFECT = (simulation_cell(SHEET, d, 16, 8) for d in ([Vacancy()], []))


def trainer(**changes):
    basis = ACEBasis(["W"], order=3, degree=8, cutoff=6.0)
    arguments = {
        "n_train": 20,
        "n_test": 3,
        "n_perfect": 4,
        "rtol": 1e-6,
        "fmax": 1e-7,
        "progress": False,
        **changes,
    }
    return DefectTrainer(SHEET, Vacancy(), EAM2D, basis, 5, **arguments)


@pytest.fixture(scope="module")
def poor(tmp_path_factory):
    store = tmp_path_factory.mktemp("labels")
    made = trainer(store=store, matching=None)
    with pytest.warns(UserWarning, match="less than twice the cutoff"):
        return made.run(), store


def true_error(result):
    return compare(EAM2D(), result.calculator, LARGE, PERFECT, fmax=1e-7)


def test_refinement_lowers_the_true_error_and_the_certificate_follows(poor):
    """From 54 functions and 20 samples; measured: more than 100 times in one round."""
    result, _ = poor
    before = true_error(result)
    rounds = list(refinement(result, LARGE, target=0.1 * before.geometry_error, rounds=2, n_samples=4))
    assert 2 <= len(rounds) <= 3
    assert [r.number for r in rounds] == list(range(len(rounds)))
    for found in rounds:
        true = true_error(found.result)
        assert 0.4 < found.certificate.geometry_error / true.geometry_error < 2.5
    assert true.geometry_error < 0.1 * before.geometry_error
    assert abs(true.formation_energy_error) < 0.1 * abs(before.formation_energy_error)
    last = rounds[-1].result
    assert "transplanted_forces" in last.matched
    assert len(last.train) > len(result.train)
    assert last.calculator.basis.degree > result.calculator.basis.degree


def test_one_step_by_hand_keeps_labels_and_saves(poor, tmp_path):
    result, store = poor
    certificate = result.certify(LARGE)
    assert certificate.size == 6
    refined = result.refine(certificate, n_samples=2)
    assert len(refined.train) == len(result.train) + 2 + 2
    assert refined.settings["n_transplants"] == 4
    assert true_error(refined).geometry_error < true_error(result).geometry_error
    loaded = TrainingResult.load(refined.save(tmp_path / "run"))
    with pytest.raises(ValueError, match="does not know its trainer"):
        loaded.certify(LARGE)
    with_trainer = trainer(store=store, matching=None).adopt(loaded)
    again, before = with_trainer.certify(LARGE), refined.certify(LARGE)
    assert again.size == before.size == 7
    assert again.geometry_error == pytest.approx(before.geometry_error, rel=1e-6)
    own = loaded.certify(LARGE, Labelling(EAM2D))
    assert own.size == 5


def test_bad_arguments():
    with pytest.raises(ValueError, match="at least one round"):
        next(refinement(None, LARGE, target=1e-3, rounds=0))
    basis = ACEBasis(["W"], order=2, degree=6, cutoff=4.0)
    assert grown(basis, 2).degree == 8
    assert grown(basis, 2).cutoff == 4.0
