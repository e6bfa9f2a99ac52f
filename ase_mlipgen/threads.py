"""Threads for kernels that release the interpreter lock: results in order, few of them in flight.

Numba's own threading layers cost milliseconds a call, spin on idle cores and do not survive a fork; a pool of Python
threads over chunks of work does neither. Entry points: :func:`available_threads`, :func:`in_order`, and
:func:`share` for jobs of a millisecond.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

# Threads of `share`, started when first wanted; a forked child has none of them and starts its own.
_helpers: list[ThreadPoolExecutor] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.clear)

Task = TypeVar("Task")
Result = TypeVar("Result")


def available_threads() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(work: Callable[[Task], Result], tasks: Iterable[Task], threads: int) -> Iterator[Result]:
    """Yield the results of `work` in the order of the tasks, at most two a thread waiting to be taken.

    One thread runs them one by one in the caller's, so that small jobs cost nothing extra.
    """
    if threads <= 1:
        yield from map(work, tasks)
        return
    pending = iter(tasks)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque(pool.submit(work, t) for t in islice(pending, 2 * threads))
        while waiting:
            result = waiting.popleft().result()
            for task in islice(pending, 1):
                waiting.append(pool.submit(work, task))
            yield result


def share(work: Callable[[Task], object], tasks: Iterable[Task], threads: int) -> None:
    """Do all tasks, in any order: the caller's thread takes one after another, and idle helpers do likewise.

    Helpers stay for the next call, and the caller waits only for those that have begun: a call costs 0.05 ms.
    """
    pending = iter(list(tasks))

    def drain() -> None:
        try:
            for task in pending:
                work(task)
        except BaseException:
            deque(pending, maxlen=0)  # nobody begins another
            raise

    if threads > 1 and not _helpers:
        _helpers.append(ThreadPoolExecutor(max(1, available_threads() - 1)))
    helping = [_helpers[0].submit(drain) for _ in range(threads - 1)]
    try:
        drain()
    finally:
        for future in helping:
            future.cancel()
    for future in helping:
        if not future.cancelled():
            future.result()
