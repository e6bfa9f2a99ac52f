"""A newcomer's path in an empty directory: mistakes, Ctrl-C, resumption, report, export; never a traceback."""

import json
import signal
import subprocess
import sys
import time

import pytest

from ase_mlipgen.calculators.linear_ace import LinearACE

SLOW = """
import time
from ase_mlipgen import EAM2D

class Slow(EAM2D):
    def calculate(self, *args, **kwargs):
        time.sleep(0.03)
        super().calculate(*args, **kwargs)
"""
SMALL = {
    "size = 8 ": "size = 5 ",
    "n_train = 200": "n_train = 40",
    "n_test = 50": "n_test = 4",
    "n_perfect = 20": "n_perfect = 2",
    "degree = 14.0": "degree = 6.0",
    "size = 60": "size = 12",
    "separation = 8.0": "separation = 5.0",
    'factory = "EAM2D"': 'factory = "slow.py:Slow"',
    "# tag = ...": 'tag = "slow 1"',
}
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from ase_mlipgen.cli import main
main()
"""


class Newcomer:
    """Someone at a prompt in a directory, who never sees a traceback."""

    def __init__(self, folder):
        self.folder = folder

    def start(self, *words):
        return subprocess.Popen(
            [sys.executable, "-W", "error::RuntimeWarning", "-c", PROGRAM, *words], cwd=self.folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def end(self, process, code=0):
        stdout, stderr = process.communicate(timeout=300)
        assert "Traceback" not in stdout + stderr, stderr
        assert process.returncode == code, (stdout, stderr)
        return stdout, stderr

    def types(self, *words, code=0):
        return self.end(self.start(*words), code)


@pytest.fixture
def newcomer(tmp_path):
    return Newcomer(tmp_path)


def test_from_nothing_to_a_model_elsewhere(newcomer):
    config, out = newcomer.folder / "own.toml", newcomer.folder / "runs" / "own"
    newcomer.types("init", "own.toml")
    _, said = newcomer.types("init", "own.toml", code=2)
    assert "own.toml" in said
    (newcomer.folder / "slow.py").write_text(SLOW)
    text = config.read_text()
    for old, new in SMALL.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)

    config.write_text(text.replace("n_train =", "n_trian ="))
    _, said = newcomer.types("plan", "own.toml", code=2)
    assert 'own.toml: unknown key "n_trian" in [training]; did you mean "n_train"?' in said
    config.write_text(text)
    assert "labels" in newcomer.types("plan", "own.toml")[0]

    running = newcomer.start("run", "own.toml", "-o", "runs/own")
    labels = out / "labels"
    _wait(lambda: len(list(labels.rglob("*.json"))) >= 5, running)
    running.send_signal(signal.SIGINT)
    _, said = newcomer.end(running, code=130)
    assert "kept" in said
    kept = {path: path.stat().st_mtime_ns for path in labels.rglob("*.json")}
    assert 5 <= len(kept) < 40
    shown, _ = newcomer.types("status", "runs/own")
    assert "model: none yet" in shown
    assert "mlipgen" in shown.splitlines()[-1], "the last line says what comes next"
    newcomer.types("report", "runs/own", code=2)

    newcomer.types("run", "own.toml", "-o", "runs/own")
    assert all(path.stat().st_mtime_ns == made for path, made in kept.items())
    assert (out / "report.html").exists()
    assert "force RMSE" in newcomer.types("report", "runs/own")[0]
    shown, _ = newcomer.types("export", "runs/own", "--json")
    assert json.loads(shown)
    newcomer.types("eval", "runs/own", "runs/own/large_cell_model.extxyz")
    assert len(LinearACE.load(out / "model.json").coefficients) == 25


def _wait(reached, process, limit=120.0):
    """Wait until something holds, as long as a process runs."""
    end = time.monotonic() + limit
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing happens"
        time.sleep(0.02)
