"""Labelled cells to the triangle of their least-squares system, serially or on any executor.

Consecutive cells form leaves of equal size; a leaf is one task: design rows, weighted, folded into a triangle.
Triangles are merged along a binary tree that depends on the rows alone, and BLAS runs on one thread in each task,
so that the result is bit for bit the same for any executor and number of workers. No more than a few triangles a
worker exist at a time (`memory`); the matrix never does.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from itertools import islice, pairwise
from typing import Any, NamedTuple

import numpy as np

from ase_mlipgen.fit.factor import BUFFER, TriangularFactor, leaf_rows
from ase_mlipgen.fit.rows import (
    DEFAULT_KINDS,
    Array,
    Basis,
    Observed,
    count_rows,
    kinds_of,
    part_rows,
    row_blocks,
)
from ase_mlipgen.fit.weights import Weights, WeightsLike, parse, weights_of
from ase_mlipgen.threads import blas_threads

SOLVING = 8  # triangles that the pivoted QR and what prepares it hold
KERNELS = 4_000_000  # bytes a thread that the kernels and neighbour lists take
AHEAD = 16  # leaves in flight where the number of workers is unknown: bounds the triangles held

Progress = Callable[[int, int], None]


class Task(NamedTuple):
    """One leaf: what a worker needs."""

    basis: Basis
    cells: Sequence[Observed]
    weights: list[Weights]
    E0: dict[str, float]
    kinds: tuple[str, ...]
    metrics: Sequence[Array | None]


def assemble(
    basis: Basis,
    cells: Sequence[Observed],
    weights: WeightsLike,
    E0: Mapping[str, float],
    observations: Iterable[str] = DEFAULT_KINDS,
    executor: Executor | None = None,
    progress: Progress | None = None,
    metrics: Sequence[Array | None] | None = None,
) -> TriangularFactor:
    """Triangle of the weighted least-squares system of labelled cells.

    Parameters
    ----------
    basis : Basis
    cells : sequence of LabelledCell
    weights : Weights or mapping
        See `ase_mlipgen.fit.weights.parse`.
    E0 : mapping of chemical symbols to float
        Energy of an isolated atom, eV.
    observations : iterable of "energy", "forces", "stress"
    executor : concurrent.futures.Executor or None
        Threads are enough: the work is in LAPACK and in the basis' kernels.
    progress : callable (cells done, cells) or None
    metrics : sequence of (n_atoms, n_atoms) arrays or None, one a cell, optional
        In which squared force residuals are measured: see `rows`.

    Returns
    -------
    TriangularFactor

    Raises
    ------
    ValueError
        No cells; weights, E0 or labels that do not fit them.
    """
    kinds, by_defect = kinds_of(observations), parse(weights)
    if not cells:
        raise ValueError("no cells to fit; give at least one labelled cell")
    metrics = [None] * len(cells) if metrics is None else list(metrics)
    if len(metrics) != len(cells):
        raise ValueError(
            f"{len(metrics)} metrics for {len(cells)} cells; give one each, None for plain squares"
        )
    leaves = _leaves(cells, kinds, leaf_rows(len(basis)))
    ends = np.cumsum([len(leaf) for leaf in leaves])
    tasks = [
        Task(
            basis,
            leaf,
            [weights_of(by_defect, cell.defect) for cell in leaf],
            dict(E0),
            kinds,
            metrics[end - len(leaf) : end],
        )
        for leaf, end in zip(leaves, ends.tolist(), strict=True)
    ]
    tree = _Tree()
    done = 0
    with blas_threads(1):
        for task, factor in zip(tasks, _factors(tasks, executor), strict=True):
            tree.add(factor)
            done += len(task.cells)
            if progress is not None:
                progress(done, len(cells))
        return tree.root()


def memory(n_functions: int, n_rows: int, largest_cell: int, workers: int) -> int:
    """Bound the memory of `assemble` in one process and of `solve` after it, bytes; the interpreter comes on top.

    Parameters
    ----------
    n_functions, n_rows : int
    largest_cell : int
        Rows of the largest cell.
    workers : int
        Threads that assemble. A worker process holds one triangle and one set of rows.
    """
    n = n_functions + 1
    levels = max(1, n_rows // leaf_rows(n_functions)).bit_length()
    triangles = max(
        SOLVING, workers + 3 + levels
    )  # leaves in flight, the tree, the copy that a merge destroys
    rows_at_once = BUFFER + 3 * min(largest_cell, part_rows(n_functions))
    return 8 * n * (triangles * n + workers * rows_at_once) + workers * KERNELS


def _leaves(cells: Sequence[Observed], kinds: tuple[str, ...], smallest: int) -> list[list[Observed]]:
    """Cut the cells into equal leaves of about `smallest` rows or more, an even number of them, for even pairs."""
    ends = np.cumsum([count_rows(len(cell.atoms), kinds) for cell in cells])
    n_leaves = max(1, int(ends[-1]) // smallest)
    n_leaves -= n_leaves % 2 if n_leaves > 1 else 0
    bounds = np.searchsorted(ends, ends[-1] * np.arange(1, n_leaves) / n_leaves) + 1
    edges = [0, *bounds.tolist(), len(cells)]
    return [list(cells[a:b]) for a, b in pairwise(edges) if b > a]


def _factor(task: Task) -> TriangularFactor:
    factor = TriangularFactor(len(task.basis))
    with blas_threads(1):
        for cell, weights, metric in zip(task.cells, task.weights, task.metrics, strict=True):
            for block in row_blocks(task.basis, cell, weights, task.E0, task.kinds, metric=metric):
                factor.add(block.A, block.b)
        return factor.compact()


def _factors(tasks: list[Task], executor: Executor | None) -> Iterator[TriangularFactor]:
    """Triangles in the order of the tasks, a bounded number of them in flight."""
    if executor is None:
        yield from map(_factor, tasks)
        return
    waiting: deque[Future[Any]] = deque()
    pending = iter(tasks)
    ahead = 2 + (getattr(executor, "_max_workers", None) or AHEAD)
    try:
        waiting.extend(executor.submit(_factor, task) for task in islice(pending, ahead))
        while waiting:
            yield waiting.popleft().result()
            if (task := next(pending, None)) is not None:
                waiting.append(executor.submit(_factor, task))
    finally:
        # A task that ended after this call would leave BLAS on the single thread that it found.
        wait([future for future in waiting if not future.cancel()])


class _Tree:
    """Merges factors pairwise as a binary counter does: neighbours of equal height first."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, TriangularFactor]] = []

    def add(self, factor: TriangularFactor) -> None:
        height = 0
        while self._parts and self._parts[-1][0] == height:
            factor = self._parts.pop()[1].merge(factor)
            height += 1
        self._parts.append((height, factor))

    def root(self) -> TriangularFactor:
        _, factor = self._parts.pop()
        while self._parts:
            factor = self._parts.pop()[1].merge(factor)
        return factor
