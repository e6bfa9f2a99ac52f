"""Runs that tests kill: `python -m tests.faults.campaign WHAT FOLDER`; says "begun" when there is something to lose."""

import json
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from ase import Atoms

from ase_mlipgen.labels import LabelStore, label
from tests.labels.references import unruly

N_CELLS = 24
PAUSE = 0.02
"""s a label."""


def cells(n=N_CELLS):
    """Pairs of atoms that differ in the second coordinate of the first."""
    return [
        Atoms("W2", [[0.1, i / 7, 0], [0, 0, 2 + 1 / (i + 3)]], cell=[9, 9, 9], pbc=True) for i in range(n)
    ]


def numbers(labelled):
    """Return the labels' bits."""
    return [[c.energy.hex(), c.forces.tobytes().hex()] for c in labelled]


def executor_of(how):
    """Return what is named: None, threads, or processes that start afresh."""
    if how == "processes":
        return ProcessPoolExecutor(2, mp_context=get_context("spawn"))
    return ThreadPoolExecutor(2) if how == "isolated" else None


def labels(how, folder):
    """Label all cells; write their bits when all are there."""
    executor = executor_of(how)
    found = label(
        cells(),
        partial(unruly, folder / "log", PAUSE),
        executor,
        store=LabelStore(folder / "store"),
        tag="campaign",
        time_limit=60.0 if how == "isolated" else None,
        progress=lambda *_: print("begun", flush=True),
    )
    (folder / f"{how}.json").write_text(json.dumps(numbers(found)))


def train(folder):
    """Train a planar potential and save it with its metrics."""
    from ase_mlipgen import EAM2D, ACEBasis, DefectTrainer, Vacancy, triangular_lattice
    from ase_mlipgen.report.metrics import metrics

    basis = ACEBasis(["W"], order=2, degree=6, cutoff=4.0)
    trainer = DefectTrainer(
        triangular_lattice("W", 2.72711), Vacancy(), EAM2D, basis, 4, 10, 4, n_perfect=3, progress=False,
        store=folder / "store",
    )  # fmt: skip
    trainer.label()
    print("begun", flush=True)
    result = trainer.run()
    result.save(folder / "out")
    (folder / "metrics.json").write_text(json.dumps(timeless(metrics(result, None, None))))


def timeless(content):
    """Return a report's numbers without wall times."""
    if isinstance(content, dict):
        return {key: timeless(value) for key, value in content.items() if "tim" not in key}
    return [timeless(value) for value in content] if isinstance(content, list) else content


if __name__ == "__main__":
    what, where = sys.argv[1], Path(sys.argv[2])
    train(where) if what == "train" else labels(what, where)
