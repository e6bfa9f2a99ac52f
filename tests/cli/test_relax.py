"""`mlipgen relax`: what is killed continues to the same bits; models by name; the cell of a configuration."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from ase.io import read, write
from typer.testing import CliRunner

from ase_mlipgen import EAM2D, Vacancy, training_cell, triangular_lattice
from ase_mlipgen.cli.app import app
from ase_mlipgen.cli.model import load_model
from ase_mlipgen.config import ConfigError

CONFIG = """
[crystal]
kind = "triangular"
element = "W"
r0 = 2.72711
[[defects]]
kind = "vacancy"
[reference]
factory = "counted_reference:Counted"
[simulation]
size = 7
separation = [3, 0]
fmax = 1e-6
"""
REFERENCE = """
import time
from pathlib import Path
from ase_mlipgen import EAM2D

class Counted(EAM2D):
    def label_identity(self):
        return "the same, wherever it waits"

    def evaluate(self, *args):
        calls = Path(__file__).with_name("calls.txt")
        with open(calls, "a") as file:
            file.write("x")
        waits = calls.with_name("waits.txt")
        if waits.exists() and len(calls.read_text()) == int(waits.read_text()):
            time.sleep(60.0)
        return super().evaluate(*args)
"""
MAIN = [sys.executable, "-c", "from ase_mlipgen.cli import main; main()", "relax"]


def invoke(*words):
    return CliRunner().invoke(app, ["relax", *map(str, words)])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "counted_reference", raising=False)
    (tmp_path / "big.toml").write_text(CONFIG)
    (tmp_path / "counted_reference.py").write_text(REFERENCE)
    (tmp_path / "calls.txt").write_text("")
    return tmp_path


def heed():
    """Let a child be interrupted, also where the tests run in the background of a shell, which ignores SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def in_a_process(folder, *words, until, send):
    """Run the command and end it by a signal in that force call, where it waits: standard error and exit code."""
    (folder / "waits.txt").write_text(str(until))
    process = subprocess.Popen(
        [*MAIN, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed
    )
    while len((folder / "calls.txt").read_text()) < until and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(send)
    _, err = process.communicate(timeout=60)
    (folder / "waits.txt").unlink()
    return err, process.returncode


def test_a_killed_command_continues_to_the_same_bits(folder):
    whole, calls = folder / "whole.extxyz", folder / "calls.txt"
    done = invoke(folder / "big.toml", "-o", whole, "--json", "-q")
    assert done.exit_code == 0, done.output
    expected, n_calls = json.loads(done.stdout), len(calls.read_text())
    assert (expected["calls"], expected["resumed"], done.stderr) == (n_calls, None, "")

    killed = (folder / "big.toml", "--json")
    checkpoint = folder / "big-relaxed.checkpoint.npz"
    calls.write_text("")
    _, code = in_a_process(folder, *killed, until=4, send=signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert checkpoint.is_file()
    assert not (folder / "big-relaxed.extxyz").exists()
    err, code = in_a_process(folder, *killed, until=8, send=signal.SIGINT)
    assert code == 130, err
    assert "continuing at step " in err
    assert f"the steps so far are kept in {checkpoint}" in err
    done = invoke(*killed)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["resumed"] > 0
    assert f"continuing at step {found['resumed']}: energy" in done.stderr
    for key in ("energy", "initial_energy", "fmax", "steps", "calls", "converged"):
        assert found[key] == expected[key]
    # What is made twice are the calls of the two steps that were under way.
    assert n_calls <= len(calls.read_text()) <= n_calls + 5
    assert (folder / "big-relaxed.extxyz").read_text() == whole.read_text()
    assert found["checkpoint"] is None
    names = {path.name for path in folder.iterdir() if path.is_file()}
    assert names == {
        "big.toml", "counted_reference.py", "calls.txt", "whole.extxyz", "big-relaxed.extxyz"
    }  # fmt: skip


def test_the_cell_of_a_configuration_is_relaxed_by_its_reference(folder):
    done = invoke(folder / "big.toml", "--fmax", "1e-3", "--set", "simulation.size=6")
    assert done.exit_code == 0, done.output
    atoms = read(folder / "big-relaxed.extxyz")
    assert len(atoms) == 6 * 6 - 2
    assert 1e-6 < np.linalg.norm(atoms.get_forces(), axis=1).max() <= 1e-3
    atoms.calc, written = EAM2D(), (atoms.get_potential_energy(), atoms.get_forces())
    assert atoms.get_potential_energy() == pytest.approx(written[0], abs=1e-6)
    assert atoms.get_forces() == pytest.approx(written[1], abs=1e-6)


def test_a_structure_by_the_reference_of_a_configuration(folder):
    write(
        folder / "start.xyz", training_cell(triangular_lattice("W", 2.72711), Vacancy(), 4), format="extxyz"
    )
    done = invoke(folder / "big.toml", folder / "start.xyz", "--json", "-q")
    assert done.exit_code == 0, done.output
    assert len(read(folder / "start-relaxed.extxyz")) == 11
    assert json.loads(done.stdout)["calls"] == len((folder / "calls.txt").read_text())


def test_too_few_steps_are_continued_and_restart_begins_anew(folder):
    words = (folder / "big.toml", "--json", "-q")
    short = invoke(*words, "--steps", "3")
    assert short.exit_code == 4
    assert "with more --steps the same command continues" in short.stderr
    assert json.loads(short.stdout)["checkpoint"] == str(folder / "big-relaxed.checkpoint.npz")
    more = json.loads(invoke(*words).stdout)
    assert (more["resumed"], more["converged"]) == (3, True)
    invoke(*words, "--steps", "3")
    anew = json.loads(invoke(*words, "--restart").stdout)
    assert (anew["resumed"], anew["steps"], anew["calls"]) == (None, more["steps"], more["calls"])


def test_what_does_not_fit_is_refused_with_its_remedy(folder):
    invoke(folder / "big.toml", "-q", "--steps", "2")
    checkpoint = folder / "big-relaxed.checkpoint.npz"
    kept = checkpoint.read_bytes()
    other = invoke(folder / "big.toml", "-q", "--set", "crystal.r0=2.7")
    assert other.exit_code == 2
    assert "is of another relaxation: it starts from other positions" in other.stderr
    other = invoke(folder / "big.toml", "-q", "--set", "reference.tag=new")
    assert "its model" in other.stderr
    assert checkpoint.read_bytes() == kept
    checkpoint.write_bytes(kept[:-200])
    damaged = invoke(folder / "big.toml", "-q")
    assert damaged.exit_code == 2
    assert "is damaged" in damaged.stderr
    assert "--restart" in damaged.stderr
    assert checkpoint.read_bytes() == kept[:-200]
    assert invoke(folder / "big.toml", "-q", "--restart").exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("EAM2D",), "Give a structure"),
        (("EAM2D", "absent.xyz"), "no file absent.xyz"),
        (("absent.json", "start.xyz"), '"NRLTB:Si"'),
        (("EAM2D", "start.xyz", "-o", "end.nosuchformat"), "ASE writes no format"),
        (("EAM2D", "start.xyz", "-o", "absent/end.xyz"), "no folder absent"),
        (("EAM2D", "start.xyz", "--set", "kT"), "expected argument=value"),
        (("EAM2D", "start.xyz", "--set", "kT=0.1"), "the model EAM2D cannot be made with {'kT': 0.1}: "),
        (("EAM2D:Si", "start.xyz"), "the model EAM2D:Si cannot be made with"),
        (("plain.toml",), "no table [simulation]"),
    ],
)
def test_mistakes_are_named(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("start.xyz", triangular_lattice("W", 2.7), format="extxyz")
    (tmp_path / "plain.toml").write_text(CONFIG[: CONFIG.index("[simulation]")].replace("counted", "no_such"))
    done = invoke(*words)
    assert done.exit_code == 2, done.output
    assert said in " ".join(done.stderr.split())


def test_settings_reach_the_model(tmp_path, monkeypatch):
    model = load_model("EAM2D", ["threads=1", "skin=0.25"])
    assert isinstance(model, EAM2D)
    assert (model.threads, model.neighbors.skin) == (1, 0.25)
    assert load_model("ase.calculators.emt:EMT", ["asap_cutoff=true"]).parameters["asap_cutoff"] is True
    seen = {}
    monkeypatch.setattr("ase.calculators.emt.EMT", lambda **kwargs: seen.update(kwargs))
    load_model("EMT:Cu", ["kpts=[2, 2, 2]", "solver=dense", "kT = 0.025", "basis=null"])
    assert seen == {"element": "Cu", "kpts": [2, 2, 2], "solver": "dense", "kT": 0.025, "basis": None}
    with pytest.raises(ConfigError, match="expected argument=value"):
        load_model("EMT", ["=3"])
