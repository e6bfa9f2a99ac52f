"""label, fit, status: the stages of one run directory, apart and together."""

import json
import shutil
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from ase_mlipgen.cli.app import app
from ase_mlipgen.cli.job import recorded_trainer
from ase_mlipgen.config import load
from ase_mlipgen.defects import relaxation
from ase_mlipgen.labels import LabelStore
from ase_mlipgen.result import TrainingResult

N_SAMPLES, N_EQUILIBRIA, N_REFERENCES = 6 + 3 + 2, 1, 2

REFERENCE = '''
"""EMT that fails where a file says so, and counts its calls in another."""

from pathlib import Path

from ase.calculators.emt import EMT

HERE = Path(__file__).parent


class Counting(EMT):
    def calculate(self, atoms=None, properties=("energy",), system_changes=("positions",)):
        with open(HERE / "calls", "a") as file:
            file.write("x")
        if (HERE / "fail").is_file() and abs(atoms.positions[0, 0] - float((HERE / "fail").read_text())) < 1e-12:
            raise RuntimeError("no convergence in 60 steps")
        super().calculate(atoms, properties, system_changes)
'''
TUNGSTEN = """
[crystal]
kind = "triangular"
element = "W"
r0 = 2.72711
[[defects]]
kind = "vacancy"
[basis]
order = 2
degree = 6
[training]
size = 4
n_train = 6
n_test = 3
n_perfect = 2
"""
COPPER = """
[crystal]
kind = "bulk"
name = "Cu"
a = 3.58982559
[[defects]]
kind = "vacancy"
[reference]
factory = "counting:Counting"
tag = "test"
[basis]
order = 2
degree = 6
cutoff = 3.5
[training]
size = 2
n_train = 6
n_test = 2
n_perfect = 2
fmax = 1e-3
"""


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def asked(*words):
    """Invoke a command with --json; its exit code and content."""
    done = invoke(*words, "--json", *([] if words[0] == "status" else ["--quiet"]))
    return done.exit_code, json.loads(done.stdout)


@pytest.fixture(scope="module")
def tungsten(tmp_path_factory):
    """The same configuration run at once, and in two stages."""
    folder = tmp_path_factory.mktemp("stages")
    (folder / "w.toml").write_text(TUNGSTEN)
    whole = invoke("run", folder / "w.toml", "-o", folder / "whole", "--quiet")
    assert whole.exit_code in (0, 4), whole.output
    code, labelled = asked("label", folder / "w.toml", "-o", folder / "stages")
    assert code == 0
    before = asked("status", folder / "stages")[1]
    fitted = invoke("fit", folder / "stages", "--quiet")
    assert fitted.exit_code in (0, 4), fitted.output
    return folder, labelled, before


@pytest.fixture
def copper(tmp_path, monkeypatch):
    """A configuration whose reference counts calls and fails on demand."""
    monkeypatch.delitem(sys.modules, "counting", raising=False)
    (tmp_path / "counting.py").write_text(REFERENCE)
    (tmp_path / "cu.toml").write_text(COPPER)
    return tmp_path


def calls(folder):
    path = folder / "calls"
    return len(path.read_text()) if path.is_file() else 0


def test_label_and_fit_give_the_bits_of_run(tungsten):
    folder, labelled, _ = tungsten
    whole, stages = (TrainingResult.load(folder / name) for name in ("whole", "stages"))
    assert whole.matched
    np.testing.assert_array_equal(stages.calculator.coefficients, whole.calculator.coefficients)
    assert stages.errors == whole.errors
    assert stages.settings == whole.settings
    np.testing.assert_array_equal(stages.cells[0].relaxed.positions, whole.cells[0].relaxed.positions)
    assert labelled["labels"]["samples"] == {"done": N_SAMPLES, "total": N_SAMPLES}
    assert labelled["next"] == f"mlipgen fit {folder / 'stages'}"
    assert (folder / "stages" / "report.html").is_file()


def test_status_knows_what_is_done_and_what_comes_next(tungsten, tmp_path):
    folder, _, before = tungsten
    assert before["model"] is None
    assert before["asked"]["labels"] == {
        "samples": {"done": N_SAMPLES, "total": N_SAMPLES},
        "equilibria": {"done": N_EQUILIBRIA, "total": N_EQUILIBRIA},
        "references": {"done": N_REFERENCES, "total": N_REFERENCES},
    }
    # The first perfect sample is the perfect crystal that is matched: one label.
    assert before["store"]["labels"] == N_SAMPLES + N_EQUILIBRIA + N_REFERENCES - 1
    assert before["next"] == f"mlipgen fit {folder / 'stages'}"
    after = asked("status", folder / "stages")[1]
    assert after["model"]["is_current"]
    numbers = json.loads((folder / "stages" / "metrics.json").read_text())
    assert after["model"]["errors"]["force_rmse"] == numbers["errors"]["test"]["force_rmse"]
    assert (after["compared"], after["next"]) == (None, f"mlipgen eval {folder / 'stages'} STRUCTURES")
    run = tmp_path / "run"
    shutil.copytree(folder / "stages", run)
    (run / "config.toml").write_text((run / "config.toml").read_text() + "[simulation]\n")
    numbers["configuration"] += "[simulation]\n"
    (run / "metrics.json").write_text(json.dumps(numbers))
    large = asked("status", run)[1]
    assert (large["compared"], large["next"]) == (False, f"mlipgen run {run / 'config.toml'} -o {run}")
    text = invoke("status", folder / "whole").stdout
    assert f"labels, samples: {N_SAMPLES} of {N_SAMPLES}" in text
    assert "force_rmse" in text
    assert invoke("status", tmp_path / "nowhere").exit_code == 2


def test_other_fit_settings_need_no_label_and_no_reference(tungsten, tmp_path, monkeypatch):
    folder, _, _ = tungsten
    run = tmp_path / "run"
    shutil.copytree(folder / "stages", run)
    before = TrainingResult.load(run)
    monkeypatch.setattr(
        "ase_mlipgen.calculators.eam2d.EAM2D.calculate",
        lambda *a, **k: pytest.fail("the reference was asked"),
    )
    done = invoke(
        "fit", run, "--quiet", "--set", "fit.weights.forces=10.0", "--set", "fit.weights.energy=1.0",
        "--set", "basis.degree=7", "--set", "fit.matching=none",
    )  # fmt: skip
    assert done.exit_code in (0, 4), done.output
    after = TrainingResult.load(run)
    assert after.weights == {"energy": 1.0, "forces": 10.0}
    assert len(after.calculator.basis) > len(before.calculator.basis)
    assert not after.matched
    assert asked("status", run)[1]["model"]["is_current"]
    stale = (run / "config.toml").read_text().replace("degree = 7", "degree = 6")
    (run / "config.toml").write_text(stale)
    old = asked("status", run)[1]
    assert not old["model"]["is_current"]
    assert old["next"] == f"mlipgen fit {run}"


def test_fit_says_which_labels_are_missing(tungsten, tmp_path):
    folder, _, _ = tungsten
    run = tmp_path / "run"
    shutil.copytree(folder / "stages", run)
    more = invoke("fit", run, "--quiet", "--set", "training.n_perfect=5")
    assert more.exit_code == 2
    # The first perfect cells are the same; three more are asked for.
    assert "3 of 14 labels of samples" in more.stderr
    assert "configuration 9 (perfect 12 atoms): not made yet" in more.stderr
    assert "--partial" in more.stderr
    stress = invoke("fit", run, "--quiet", "--set", 'fit.observations=["energy", "forces", "stress"]')
    assert stress.exit_code == 2
    assert f"{N_SAMPLES} of {N_SAMPLES} labels of samples, 1 of 1 labels of equilibria" in stress.stderr
    assert "--partial" not in stress.stderr
    other = invoke("fit", run, "--quiet", "--set", "reference.factory=EMT")
    assert other.exit_code == 2
    assert "holds no labels of the reference EMT" in other.stderr
    size = invoke("fit", run, "--quiet", "--set", "training.size=5")
    assert size.exit_code == 2
    assert "1 of 1 relaxations" in size.stderr


def test_partial_leaves_out_what_is_missing_and_says_so(tungsten, tmp_path):
    folder, _, _ = tungsten
    run = tmp_path / "run"
    shutil.copytree(folder / "stages", run)
    done = invoke("fit", run, "--quiet", "--partial", "--set", "training.n_perfect=5")
    assert done.exit_code in (0, 4), done.output
    result = TrainingResult.load(run)
    np.testing.assert_array_equal(
        result.calculator.coefficients, TrainingResult.load(folder / "stages").calculator.coefficients
    )
    assert "3 of 14 samples have no label and are left out" in result.census.warnings
    assert "3 of 14 samples have no label" in (run / "report.html").read_text()


def test_a_damaged_label_is_no_partial_fit(tungsten, tmp_path):
    folder, _, _ = tungsten
    run = tmp_path / "run"
    shutil.copytree(folder / "stages", run)
    store = LabelStore(run / "labels")
    trainer = recorded_trainer(load(run / "config.toml"), run, False)
    path = store.path(trainer.label_keys(trainer.sample()[0])[0])
    path.write_text(path.read_text().replace("1", "2", 1))
    done = invoke("fit", run, "--quiet", "--partial")
    assert done.exit_code == 2
    assert "damaged; " in done.stderr or ": damaged" in done.stderr
    assert len(asked("status", run, "--check")[1]["store"]["damaged"]) == 1
    code, again = asked("label", run)
    assert (code, again["absent"], again["next"]) == (0, [], f"mlipgen fit {run}")


def test_labels_that_fail_are_listed_and_only_they_are_made_again(copper):
    run = copper / "run"
    code, content = asked("label", copper / "cu.toml", "-o", run)
    assert code == 0, content
    whole = calls(copper)
    # The same command asks nothing again.
    assert asked("label", run)[0] == 0
    assert calls(copper) == whole

    shutil.rmtree(run / "labels")
    train, _ = recorded_trainer(load(run / "config.toml"), run, False).sample()
    (copper / "fail").write_text(repr(float(train[0].positions[0, 0])))
    code, content = asked("label", run)
    assert code == 3
    assert [one["failure"]["reason"] for one in content["absent"]] == [
        "RuntimeError: no convergence in 60 steps"
    ]
    assert content["failures"][0]["verdict"] == "not converged"
    assert content["next"] == f"mlipgen label {run}"
    status = asked("status", run)[1]
    assert status["store"]["failures"][0]["reason"].endswith("no convergence in 60 steps")
    assert status["next"] == f"mlipgen label {run}"
    text = invoke("label", run, "--quiet")
    assert text.exit_code == 3
    assert "no convergence in 60 steps" in text.stderr
    assert "labels, samples: 9 of 10" in text.stdout
    assert "no convergence in 60 steps" in invoke("status", run).stdout

    refused = invoke("fit", run, "--quiet")
    assert refused.exit_code == 2
    assert "1 of 10 labels of samples" in refused.stderr
    assert "no convergence in 60 steps" in refused.stderr
    (copper / "fail").unlink()
    before = calls(copper)
    assert asked("label", run)[0] == 0
    assert calls(copper) == before + 1
    assert asked("status", run)[1]["store"]["failures"] == []


def test_fit_needs_no_reference_installed(copper):
    run = copper / "run"
    assert invoke("label", copper / "cu.toml", "-o", run, "--quiet").exit_code == 0
    (copper / "counting.py").rename(copper / "gone")
    done = invoke("fit", run, "--quiet")
    assert done.exit_code in (0, 4), done.output
    assert TrainingResult.load(run).settings["reference"] == "counting.Counting"


def test_a_relaxation_that_was_cut_goes_on(tungsten, tmp_path, monkeypatch):
    folder, _, _ = tungsten
    run, steps = tmp_path / "run", []

    def relax(*arguments, **options):
        def look(step, energy, fmax):
            steps.append(step)
            if steps == [0, 1, 2]:
                raise KeyboardInterrupt

        return relaxation.relax(*arguments, **options, progress=look)

    monkeypatch.setattr("ase_mlipgen.trainer.answers.relax", relax)
    assert invoke("label", folder / "w.toml", "-o", run, "--quiet").exit_code == 130
    assert list((run / "records").glob("*.checkpoint.npz"))
    assert asked("status", run)[1]["asked"]["relaxations"] == {"done": 0, "total": 1}
    assert invoke("label", folder / "w.toml", "-o", run, "--quiet").exit_code == 0
    assert steps[3] > 0
    assert not list((run / "records").glob("*.checkpoint.npz"))
    (cell,) = recorded_trainer(load(run / "config.toml"), run, False).relax()
    (other,) = TrainingResult.load(folder / "whole").cells
    np.testing.assert_array_equal(cell.relaxed.positions, other.relaxed.positions)
    assert cell.steps == other.steps
