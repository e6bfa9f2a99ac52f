"""What a training run will compute, and what will make it poor: known before anything expensive is done.

Entry points: :func:`take_census`, :func:`doubts`.
"""

import time
from collections.abc import Sequence

import numpy as np

from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.fit import count_rows, memory
from ase_mlipgen.result import Census, TrainingCell
from ase_mlipgen.theory.doubts import (
    NarrowCellWarning,
    TrainingWarning,
    UndeterminedEnergyWarning,
    doubts,
)
from ase_mlipgen.threads import available_threads

__all__ = [
    "NarrowCellWarning",
    "TrainingWarning",
    "UndeterminedEnergyWarning",
    "doubts",
    "fit_time",
    "take_census",
]


ENOUGH_TESTS = 10
"""Test cells below which a run says that they are few."""
SPEED_TEST = 400
"""Rows of the matrices that the machine's speed is measured with."""


def take_census(
    cells: Sequence[TrainingCell],
    basis: ACEBasis,
    n_train: int,
    n_test: int,
    n_perfect: int,
    observations: Sequence[str],
    matching: bool,
) -> Census:
    """Count cells, labels, rows, functions and memory.

    Parameters
    ----------
    cells : sequence of TrainingCell
        One a defect and size.
    n_train, n_test : int
        Samples of each cell.
    n_perfect : int
        Perfect cells of each size.
    observations : sequence of str
    matching : bool
        Whether the equilibria are labelled as well.
    """
    hosts = list({cell.size: cell.perfect for cell in cells}.values())
    samples = [len(cell.unrelaxed) for cell in cells for _ in range(n_train)]
    samples += [len(host) for host in hosts for _ in range(n_perfect)]
    special = (2 * len(cells) + len(hosts)) if matching else 0
    widest = max((count_rows(n, observations) for n in samples), default=0)
    n_rows = sum(count_rows(n_atoms, observations) for n_atoms in samples)
    return Census(
        n_cells=len(cells),
        n_labels=len(samples) + len(cells) * n_test + special,
        n_atoms=max(max(len(cell.perfect), len(cell.unrelaxed)) for cell in cells),
        n_rows=n_rows,
        n_functions=len(basis),
        memory=memory(len(basis), n_rows, widest, available_threads()),
        warnings=(*(text for _, text in doubts(cells, basis.cutoff, n_perfect)), *_few(len(cells) * n_test)),
    )


def _few(n_test: int) -> list[str]:
    """Say that errors of a handful of cells are no measurement."""
    if n_test == 0 or n_test >= ENOUGH_TESTS:
        return []
    return [
        f"only {n_test} test cell{'s' * (n_test != 1)}: the test errors are rough, and the largest ones too small; "
        f"take n_test = {ENOUGH_TESTS} or more before you rely on them"
    ]


def fit_time(n_rows: int, n_functions: int) -> float:
    """Estimate the seconds that rows and their factorisation take, from the speed of a small product of matrices.

    A streamed QR of n rows of K functions is 2 n K^2 operations, at about a third of the speed of products; rows cost
    some 20 ns an entry. Good to a factor of two or three.
    """
    square = np.ones((SPEED_TEST, SPEED_TEST))
    square @ square
    begun = time.perf_counter()
    for _ in range(3):
        square @ square
    per_operation = (time.perf_counter() - begun) / (6.0 * SPEED_TEST**3)
    solving = 30.0 * n_functions**3
    return (6.0 * n_rows * n_functions**2 + solving) * per_operation + 2e-8 * n_rows * n_functions
