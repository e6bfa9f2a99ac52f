"""A process group is killed at random moments; what was made is kept, and the run that goes on gives the same bits."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ase_mlipgen.labels import LabelStore, label, status_of
from tests.faults.campaign import N_CELLS, PAUSE, cells, numbers
from tests.labels.references import unruly

ROOT = Path(__file__).parents[2]


def start(what, folder):
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.faults.campaign", what, str(folder)]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def killed(what, folder, after):
    """Kill the process group of a run `after` seconds from when it has something to lose; say whether it still ran."""
    with start(what, folder) as run:
        run.stdout.readline()
        try:
            run.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.communicate()
            return True
    return False


def finished(what, folder):
    """Let a run finish; return its seconds from when it had something to lose."""
    with start(what, folder) as run:
        run.stdout.readline()
        begun = time.perf_counter()
        run.communicate(timeout=300)
    assert run.returncode == 0
    return time.perf_counter() - begun


def killed_while_labelling(tmp_path, hows, rng):
    """Kill runs that share one folder, each at another moment, then let one finish."""
    count, folder = 0, tmp_path / "run"
    for how in hows:
        count += killed(how, folder, rng.uniform(0.0, N_CELLS * PAUSE))
        kept = status_of(folder / "store", check=True)
        assert (kept.damaged, kept.failures) == ((), ())
    finished("serial", folder)
    assert json.loads((folder / "serial.json").read_text()) == numbers(label(cells(), unruly))
    assert len(LabelStore(folder / "store")) == N_CELLS
    assert status_of(folder / "store").abandoned == ()
    # What is computed again is at most what was under way, one label a worker, when a run was killed.
    asked = (folder / "log").read_text().split()
    assert len(set(asked)) == N_CELLS
    assert len(asked) <= N_CELLS + 2 * count
    return count


def test_labels_survive_kills(tmp_path):
    assert killed_while_labelling(tmp_path, ["serial"] * 3, np.random.default_rng(1)) > 0


@pytest.mark.slow
def test_labels_survive_twenty_kills_of_any_executor(tmp_path):
    count, rng = 0, np.random.default_rng(2)
    for campaign in range(5):
        folder = tmp_path / str(campaign)
        folder.mkdir()
        count += killed_while_labelling(folder, ["serial", "processes", "isolated", "serial"], rng)
    assert count >= 10


def trained(folder):
    """Return coefficients and metrics."""
    model = json.loads((folder / "out" / "model.json").read_text())
    return json.dumps(model, sort_keys=True), (folder / "metrics.json").read_text()


def killed_while_fitting(tmp_path, n, rng):
    whole = tmp_path / "whole"
    lasts = finished("train", whole)
    for k in range(n):
        folder = tmp_path / str(k)
        folder.mkdir()
        shutil.copytree(whole / "store", folder / "store")
        killed("train", folder, rng.uniform(0.0, lasts))
        finished("train", folder)
        assert trained(folder) == trained(whole)


def test_a_fit_survives_a_kill(tmp_path):
    killed_while_fitting(tmp_path, 1, np.random.default_rng(3))


@pytest.mark.slow
def test_fits_survive_five_kills(tmp_path):
    killed_while_fitting(tmp_path, 5, np.random.default_rng(4))


def test_two_runs_at_once_make_each_label_once(tmp_path):
    folder = tmp_path / "run"
    runs = [start("serial", folder), start("serial", folder)]
    for run in runs:
        run.communicate(timeout=300)
        assert run.returncode == 0
    asked = (folder / "log").read_text().split()
    assert len(asked) == len(set(asked)) == N_CELLS
    assert json.loads((folder / "serial.json").read_text()) == numbers(label(cells(), unruly))


@pytest.mark.slow
def test_four_runs_at_once_on_any_executor_make_each_label_once(tmp_path):
    folder = tmp_path / "run"
    hows = ["serial", "processes", "isolated", "serial"]
    runs = [start(how, folder) for how in hows]
    for run in runs:
        run.communicate(timeout=300)
        assert run.returncode == 0
    asked = (folder / "log").read_text().split()
    assert len(asked) == len(set(asked)) == N_CELLS
    for how in hows:
        assert json.loads((folder / f"{how}.json").read_text()) == numbers(label(cells(), unruly))
