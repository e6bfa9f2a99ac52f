"""Labelled cells to the triangle of their least-squares system, serially or on any executor.

Consecutive cells form leaves of equal size: design rows, weighted, folded into a triangle. Triangles are merged along
a binary tree that depends on the rows alone, and BLAS runs on one thread in each task, so that the result is bit for
bit the same for any executor and number of workers. A task is a whole branch of the tree: one leaf, or more where
many workers would wait for this process to merge. No more than a few triangles a worker exist at a time (`memory`);
the matrix never does, and cells are asked for leaf by leaf.
"""

import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any, NamedTuple

import numpy as np

from ase_mlipgen.executors import workers_of
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
from ase_mlipgen.threads import blas_threads, one_blas_thread

SOLVING = 8  # triangles that the pivoted QR and what prepares it hold
KERNELS = 4_000_000  # bytes a thread that the kernels and neighbour lists take
AHEAD = 16  # tasks in flight where the number of workers is unknown: bounds the triangles held
IN_FLIGHT = 500_000_000  # bytes of triangles that may come back at once, however many the workers
ROUNDS = 6  # tasks that each worker has at least before they become whole branches
TALLEST = 4  # levels of the largest branch that is one task

Progress = Callable[[int, int], None]


class Leaf(NamedTuple):
    """Consecutive cells whose rows make one triangle."""

    cells: Sequence[Observed]
    weights: list[Weights]
    metrics: Sequence[Array | None]


class Shared:
    """What all tasks of a fit have in common; it travels as bytes that a worker unpacks once, and keeps."""

    def __init__(self, basis: Basis, E0: Mapping[str, float], kinds: tuple[str, ...]) -> None:
        self.basis, self.E0, self.kinds = basis, dict(E0), kinds
        self._packed = b""

    def __reduce__(self) -> tuple[Callable[[bytes], "Shared"], tuple[bytes]]:
        self._packed = self._packed or pickle.dumps((self.basis, self.E0, self.kinds))
        return _unpacked, (self._packed,)


@lru_cache(maxsize=2)
def _unpacked(packed: bytes) -> Shared:
    return Shared(*pickle.loads(packed))


def assemble(
    basis: Basis,
    cells: Iterable[Observed],
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
    cells : iterable of LabelledCell
        A sequence is asked for slices, each once, when their turn comes; one that has an attribute `n_atoms_k`, the
        atoms of every cell, such as `ase_mlipgen.labels.CellFile`, is never held as a whole. Of other iterables a list
        is made.
    weights : Weights or mapping
        See `ase_mlipgen.fit.weights.parse`.
    E0 : mapping of chemical symbols to float
        Energy of an isolated atom, eV.
    observations : iterable of "energy", "forces", "stress"
    executor : concurrent.futures.Executor or None
        Threads are enough on one machine: the work is in LAPACK and in the basis' kernels. See
        `ase_mlipgen.executors.named` for more than one.
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
    cells = cells if isinstance(cells, Sequence) else list(cells)
    if not cells:
        raise ValueError("no cells to fit; give at least one labelled cell")
    if metrics is not None and len(metrics) != len(cells):
        raise ValueError(
            f"{len(metrics)} metrics for {len(cells)} cells; give one each, None for plain squares"
        )
    edges = _edges(_row_counts(cells, kinds), leaf_rows(len(basis)))

    def leaf(begin: int, end: int) -> Leaf:
        own = cells[begin:end]
        weights = [weights_of(by_defect, cell.defect) for cell in own]
        return Leaf(own, weights, [None] * len(own) if metrics is None else metrics[begin:end])

    height = _height(len(edges) - 1, executor)
    branches = [edges[i : i + 2**height + 1] for i in range(0, len(edges) - 1, 2**height)]
    tasks = ([leaf(*pair) for pair in pairwise(branch)] for branch in branches)
    tree = _Tree()
    with blas_threads(1):
        for branch, parts in zip(branches, _branches(Shared(basis, E0, kinds), tasks, executor), strict=True):
            for part in parts:
                tree.add(*part)
            if progress is not None:
                progress(branch[-1], len(cells))
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


def _row_counts(cells: Sequence[Observed], kinds: tuple[str, ...]) -> list[int]:
    """Count the rows of every cell, without reading cells that say how many atoms they have."""
    n_atoms_k = getattr(cells, "n_atoms_k", None)
    if n_atoms_k is None:
        n_atoms_k = [len(cell.atoms) for cell in cells]
    return [count_rows(int(n_atoms), kinds) for n_atoms in n_atoms_k]


def _edges(n_rows_k: Sequence[int], smallest: int) -> list[int]:
    """Cut cells into equal leaves of about `smallest` rows or more, an even number of them, for even pairs."""
    ends = np.cumsum(n_rows_k)
    n_leaves = max(1, int(ends[-1]) // smallest)
    n_leaves -= n_leaves % 2 if n_leaves > 1 else 0
    bounds = np.searchsorted(ends, ends[-1] * np.arange(1, n_leaves) / n_leaves) + 1
    return list(dict.fromkeys([0, *bounds.tolist(), len(ends)]))


def _height(n_leaves: int, executor: Executor | None) -> int:
    """Choose the levels of the branches that are tasks: taller ones where triangles travel and there are many."""
    if executor is None or isinstance(executor, ThreadPoolExecutor):
        return 0
    rounds = n_leaves // (ROUNDS * (workers_of(executor) or AHEAD))
    return min(TALLEST, max(1, rounds).bit_length() - 1)


def _branch(shared: Shared, leaves: Sequence[Leaf]) -> "list[tuple[TriangularFactor, int]]":
    """Fold consecutive leaves, and merge them as the whole tree would; return triangles and their heights."""
    tree = _Tree()
    with one_blas_thread():
        for leaf in leaves:
            tree.add(_factor(shared, leaf))
    return tree.parts


def _factor(shared: Shared, leaf: Leaf) -> TriangularFactor:
    factor = TriangularFactor(len(shared.basis))
    for cell, weights, metric in zip(leaf.cells, leaf.weights, leaf.metrics, strict=True):
        for block in row_blocks(shared.basis, cell, weights, shared.E0, shared.kinds, metric=metric):
            factor.add(block.A, block.b)
    return factor.compact()


def _branches(
    shared: Shared, tasks: Iterator[list[Leaf]], executor: Executor | None
) -> "Iterator[list[tuple[TriangularFactor, int]]]":
    """Triangles in the order of the tasks, a bounded number of them in flight."""
    if executor is None:
        yield from (_branch(shared, task) for task in tasks)
        return
    waiting: deque[Future[Any]] = deque()
    ahead = min(2 + (workers_of(executor) or AHEAD), max(4, IN_FLIGHT // (8 * (len(shared.basis) + 1) ** 2)))
    try:
        waiting.extend(executor.submit(_branch, shared, task) for task in islice(tasks, ahead))
        while waiting:
            yield waiting.popleft().result()
            if (task := next(tasks, None)) is not None:
                waiting.append(executor.submit(_branch, shared, task))
    finally:
        # A task that ended after this call would leave BLAS on the single thread that it found.
        wait([future for future in waiting if not future.cancel()])


class _Tree:
    """Merges factors pairwise as a binary counter does: neighbours of equal height first.

    A branch of 2^h consecutive leaves, the first of them a multiple of 2^h, may be added as one factor of height h.
    """

    def __init__(self) -> None:
        self.parts: list[tuple[TriangularFactor, int]] = []

    def add(self, factor: TriangularFactor, height: int = 0) -> None:
        while self.parts and self.parts[-1][1] == height:
            factor = self.parts.pop()[0].merge(factor)
            height += 1
        self.parts.append((factor, height))

    def root(self) -> TriangularFactor:
        factor, _ = self.parts.pop()
        while self.parts:
            factor = self.parts.pop()[0].merge(factor)
        return factor
