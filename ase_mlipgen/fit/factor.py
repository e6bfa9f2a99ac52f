"""The upper triangle of a tall matrix [A | b], from blocks of rows, without ever holding the matrix.

Rows are gathered in a buffer of a few rows a column; a full one goes through LAPACK's ``geqrf`` (which leaves
Python's lock to other threads) and its triangle is folded into the running one by ``tpqrt`` (QR of a triangle
on top of another). R of an unpivoted QR has the same column geometry as the matrix (R'R = A'A, without the
squaring), so norms, pivots, rank and solutions are those of the whole. Memory (1 + `BLOCK`) (K + 1)^2, work 2
n_rows K^2 floating-point operations.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack

Array = npt.NDArray[np.float64]
PANEL = 32  # columns a panel of tpqrt; 16 to 64 are equally fast
BLOCK = 3  # rows a column in the buffer: folding then costs an eighth of the block's own QR
SMALLEST_BLOCK = 1024  # rows: fewer make LAPACK's blocks inefficient


def block_rows(n_functions: int) -> int:
    """Rows of [A | b] that are factored at once."""
    return max(SMALLEST_BLOCK, BLOCK * (n_functions + 1))


class TriangularFactor:
    """Running triangle R of [A | b].

    Parameters
    ----------
    n_functions : int
        Columns of A.

    Attributes
    ----------
    n_functions : int
    n_rows : int
        Rows that went in so far.
    """

    def __init__(self, n_functions: int) -> None:
        if n_functions < 1:
            raise ValueError(f"n_functions is {n_functions}; expected at least 1")
        self.n_functions = n_functions
        self.n_rows = 0
        n = n_functions + 1
        self._triangle = np.zeros((n, n), order="F")
        self._buffer = np.empty((0, n), order="F")
        self._filled = 0

    def __getstate__(self) -> dict[str, Any]:
        self.compact()
        return self.__dict__

    def add(self, A: npt.ArrayLike, b: npt.ArrayLike) -> "TriangularFactor":
        """Fold rows in.

        Parameters
        ----------
        A : (m, n_functions) array
        b : (m,) array

        Returns
        -------
        TriangularFactor
            This one.

        Raises
        ------
        ValueError
            Another number of columns, A and b of different length, or a number that is not finite.
        """
        A, b = np.asarray(A, dtype=float), np.asarray(b, dtype=float)
        if A.ndim != 2 or A.shape[1] != self.n_functions:
            raise ValueError(
                f"rows have shape {A.shape}; expected (m, {self.n_functions}), one column a function"
            )
        if b.shape != A.shape[:1]:
            raise ValueError(f"targets have shape {b.shape}; expected {A.shape[:1]}, one a row")
        finite = np.isfinite(b) & np.isfinite(A).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"{np.sum(~finite)} of {len(b)} rows are not finite, first row {np.argmin(finite)}"
            )
        if not self._buffer.size and len(b):
            self._buffer = np.empty((block_rows(self.n_functions), self.n_functions + 1), order="F")
        start = 0
        while start < len(b):
            start += self._fill(A[start:], b[start:])
        self.n_rows += len(b)
        return self

    def merge(self, other: "TriangularFactor") -> "TriangularFactor":
        """Fold the rows of another factor in, which stays as it is.

        Returns
        -------
        TriangularFactor
            This one.

        Raises
        ------
        ValueError
            Another number of functions.
        """
        if other.n_functions != self.n_functions:
            raise ValueError(
                f"factors of {self.n_functions} and {other.n_functions} functions cannot be merged"
            )
        self._flush()
        other._flush()
        _fold(self._triangle, other._triangle.copy(order="F"), triangular=True)
        self.n_rows += other.n_rows
        return self

    def triangle(self) -> Array:
        """Return the triangle of [A | b], (n_functions + 1, n_functions + 1), diagonal not negative."""
        self._flush()
        signs = np.where(np.diagonal(self._triangle) < 0, -1.0, 1.0)
        return np.triu(self._triangle) * signs[:, None]

    def compact(self) -> "TriangularFactor":
        """Fold waiting rows in and give the buffer's memory back; returns this factor."""
        self._flush()
        self._buffer = np.empty((0, self.n_functions + 1), order="F")
        return self

    def _fill(self, A: Array, b: Array) -> int:
        """Copy as many rows as the buffer takes; fold it in when it is full."""
        n = min(len(b), len(self._buffer) - self._filled)
        where = slice(self._filled, self._filled + n)
        self._buffer[where, :-1] = A[:n]
        self._buffer[where, -1] = b[:n]
        self._filled += n
        if self._filled == len(self._buffer):
            self._flush()
        return n

    def _flush(self) -> None:
        if not self._filled:
            return
        full = self._filled == len(self._buffer)
        block = self._buffer if full else np.asfortranarray(self._buffer[: self._filled])
        n = len(self._triangle)
        if len(block) < n:
            _fold(self._triangle, block, triangular=False)
        else:
            _fold(self._triangle, _triangle_of(block), triangular=True)
        self._filled = 0


def _triangle_of(block: Array) -> Array:
    """R of a block in Fortran order with at least as many rows as columns; `block` is destroyed."""
    n = block.shape[1]
    reflectors, _, _, info = lapack.dgeqrf(block, lwork=64 * n, overwrite_a=True)
    if info != 0:
        raise RuntimeError(f"LAPACK dgeqrf failed with info = {info}")
    return np.asfortranarray(np.triu(reflectors[:n]))


def _fold(triangle: Array, block: Array, triangular: bool) -> None:
    """QR of [triangle; block] in place of `triangle`; `block` is destroyed. Both in Fortran order."""
    if triangular and not triangle.any():
        triangle[...] = block
        return
    n = len(triangle)
    result, _, _, info = lapack.dtpqrt(
        n if triangular else 0, min(PANEL, n), triangle, block, overwrite_a=True, overwrite_b=True
    )
    if info != 0:
        raise RuntimeError(f"LAPACK dtpqrt failed with info = {info}")
    if result is not triangle:
        triangle[...] = result
