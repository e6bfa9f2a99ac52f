"""Scratch memory of the evaluator: one stretch for all temporary arrays of a block, used over and over.

Fresh arrays of some megabytes cost a third of the kernels' time in page faults, because the allocator gives such memory
back to the system. The process therefore keeps a few stretches, each in use by one block at a time.
"""

from collections import deque
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

CACHE_LINE = 64
LINE = CACHE_LINE // 8  # numbers
KEPT = 8  # workspaces, of at most
LARGEST_KEPT = 2_000_000  # numbers


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


_idle: deque[Workspace] = deque(maxlen=KEPT)


def borrow(size: int) -> Workspace:
    """Return a workspace of at least `size` numbers that nobody else uses; `give_back` ends its arrays."""
    try:
        found = _idle.pop()
    except IndexError:
        return Workspace(size)
    return found if len(found) >= size else Workspace(size)


def give_back(space: Workspace) -> None:
    """Keep a workspace for another block."""
    space.clear()
    if len(space) <= LARGEST_KEPT:
        _idle.append(space)


def _on_line(size: int) -> npt.NDArray[np.float64]:
    space = np.empty(size + LINE)
    skip = (-space.ctypes.data % CACHE_LINE) // 8
    return space[skip : skip + size]
