"""Threads for kernels that release the interpreter lock: results in order, few of them in flight.

Numba's own threading layers cost milliseconds a call, spin on idle cores and do not survive a fork; Python threads over
chunks of work do neither. The caller is one of the threads: it takes chunks itself while it waits, so that it never
stands in a worker's way, and nothing waits for a thread that is busy elsewhere.
Entry points: :func:`available_threads`, :func:`in_order`, :func:`blas_threads`, :func:`one_blas_thread`.
"""

import functools
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from threading import Condition, Event, Lock, Thread
from typing import Any, Generic, TypeVar

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

Task = TypeVar("Task")
Result = TypeVar("Result")


_allowed: int | None = None


def allow_threads(threads: int | None) -> None:
    """Let this process, a worker that has no siblings, use so many cores; None is what it has."""
    global _allowed
    _allowed = threads


def available_threads() -> int:
    """Return how many cores this process may use: one if it is a worker process, whose siblings use the others."""
    if _allowed is not None:
        return _allowed
    if multiprocessing.parent_process() is not None:
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def blas_threads(threads: int) -> AbstractContextManager[Any]:
    """Return a context in which NumPy's and SciPy's BLAS and LAPACK use so many threads."""
    return _libraries().limit(limits=threads, user_api="blas")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS and LAPACK on one thread for as long as any thread of this process is in such a context.

    For tasks that may run side by side in one worker. The limit is the process's, and belongs to the thread that set
    it: with `blas_threads`, the first of two tasks to leave would lift it under the other.
    """
    _alone.enter()
    try:
        yield
    finally:
        _alone.leave()


class _Alone:
    """Counts who wants BLAS on one thread; the limit is held by a thread of its own."""

    def __init__(self) -> None:
        self._lock, self._n_inside = Lock(), 0
        self._set, self._over = Event(), Event()
        self._holder: Thread | None = None

    def enter(self) -> None:
        with self._lock:
            if self._holder is None:
                self._set.clear()
                self._over.clear()
                self._holder = Thread(target=self._hold, name="ase_mlipgen BLAS", daemon=True)
                self._holder.start()
                self._set.wait()
            self._n_inside += 1

    def leave(self) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0 and self._holder is not None:
                self._over.set()
                self._holder.join()
                self._holder = None

    def _hold(self) -> None:
        try:
            with blas_threads(1):
                self._set.set()
                self._over.wait()
        finally:
            self._set.set()


_alone = _Alone()


@functools.cache
def _libraries() -> ThreadpoolController:
    """Return the handles of the libraries; finding them takes as long as a small eigenproblem."""
    import scipy.linalg  # noqa: F401  (loads the last of them)

    return ThreadpoolController()


def in_order(work: Callable[[Task], Result], tasks: Sequence[Task], threads: int) -> Iterator[Result]:
    """Yield the results of `work` in the order of the tasks; at most threads + 2 are begun and not yet done with.

    Parameters
    ----------
    work : callable
        Releases the interpreter lock for most of its time.
    tasks : sequence
    threads : int
        Including the caller's; with one, tasks are worked on as results are asked for.

    Raises
    ------
    Exception
        What `work` raised for the first task that failed.
    """
    if threads <= 1 or len(tasks) <= 1:
        yield from map(work, tasks)
        return
    shared = _Shared(work, tasks, threads + 2)
    pool = _pool(threads - 1)
    helpers = [pool.submit(shared.help) for _ in range(threads - 1)]
    try:
        for k in range(len(tasks)):
            yield shared.result(k)
    finally:
        shared.close()
        wait([helper for helper in helpers if not helper.cancel()])


class _Shared(Generic[Task, Result]):
    """Tasks that several threads begin in order, and their results."""

    def __init__(self, work: Callable[[Task], Result], tasks: Sequence[Task], room: int) -> None:
        self._work, self._tasks, self._room = work, tasks, room
        self._n_begun = self._n_taken = 0
        self._results: dict[int, tuple[Result | None, BaseException | None]] = {}
        self._changed = Condition()

    def result(self, k: int) -> Result:
        """Return result k, the next one; begin tasks while it is not there."""
        while True:
            with self._changed:
                self._n_taken = k
                self._changed.notify_all()
                while k not in self._results and not self._may_begin():
                    self._changed.wait()
                if k in self._results:
                    found, error = self._results.pop(k)
                    break
                own = self._begin()
            self._work_on(own)
        if error is not None:
            raise error
        return found  # type: ignore[return-value]

    def help(self) -> None:
        """Work on tasks until all are begun."""
        while True:
            with self._changed:
                while not self._may_begin() and self._n_begun < len(self._tasks):
                    self._changed.wait()
                if self._n_begun >= len(self._tasks):
                    return
                own = self._begin()
            self._work_on(own)

    def close(self) -> None:
        """Begin no more tasks."""
        with self._changed:
            self._n_begun = len(self._tasks)
            self._changed.notify_all()

    def _may_begin(self) -> bool:
        return self._n_begun < min(len(self._tasks), self._n_taken + self._room)

    def _begin(self) -> int:
        self._n_begun += 1
        return self._n_begun - 1

    def _work_on(self, k: int) -> None:
        found: Result | None = None
        error: BaseException | None = None
        try:
            found = self._work(self._tasks[k])
        except BaseException as raised:  # handed to the caller, whose task it was
            error = raised
        with self._changed:
            self._results[k] = (found, error)
            self._changed.notify_all()


@functools.cache
def _pool(workers: int) -> ThreadPoolExecutor:
    """Return a pool that stays: starting threads takes as long as evaluating hundreds of atoms."""
    return ThreadPoolExecutor(workers, thread_name_prefix="ase_mlipgen")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of the threads
