"""Scratch memory of evaluations: one stretch for all temporary arrays of a task, used over and over.

Fresh arrays of some megabytes cost a third of the kernels' time in page faults, because the allocator gives such memory
back to the system. The process therefore keeps some stretches, each in use by one task at a time, of at most
`KEPT` numbers in all. Entry points: :class:`Workspace`, :func:`borrow`, :func:`give_back`.
"""

from collections import deque
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

CACHE_LINE = 64
LINE = CACHE_LINE // 8  # numbers
KEPT = 2**24  # numbers, 128 MB: what nobody uses beyond that goes back to the system
MOST = 128  # workspaces


class Workspace:
    """Hands out arrays that begin on cache lines, so that no vector straddles two; none is initialised.

    Parameters
    ----------
    size : int
        Numbers of eight bytes; more than that come from fresh memory.
    """

    def __init__(self, size: int = 0) -> None:
        self._stretch = _on_line(size)
        self._used = 0

    def __len__(self) -> int:
        return len(self._stretch)

    def empty(self, *shape: int, dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
        """Return a C-contiguous array, valid until `clear`."""
        kind = np.dtype(dtype)
        n = prod(shape)
        size = -(-n * kind.itemsize // CACHE_LINE) * LINE
        if self._used + size > len(self._stretch):
            found = _on_line(size)
        else:
            found = self._stretch[self._used : self._used + size]
            self._used += size
        return found.view(kind)[:n].reshape(shape)

    def clear(self) -> None:
        """Take back all arrays."""
        self._used = 0


_idle: deque[Workspace] = deque()  # its methods are atomic: threads and forks need no lock


def borrow(size: int) -> Workspace:
    """Return a workspace of at least `size` numbers that nobody else uses; `give_back` ends its arrays."""
    for _ in range(len(_idle)):
        try:
            found = _idle.pop()  # the last one used: still in the caches
        except IndexError:  # another thread took it
            break
        if len(found) >= size:
            return found
        _idle.appendleft(found)
    return Workspace(size)


def give_back(space: Workspace) -> None:
    """Keep a workspace for another task, the oldest ones making room."""
    space.clear()
    _idle.append(space)
    while len(_idle) > MOST or sum(map(len, tuple(_idle))) > KEPT:
        try:
            _idle.popleft()
        except IndexError:
            break


def _on_line(size: int) -> npt.NDArray[np.float64]:
    space = np.empty(size + LINE)
    skip = (-space.ctypes.data % CACHE_LINE) // 8
    return space[skip : skip + size]
