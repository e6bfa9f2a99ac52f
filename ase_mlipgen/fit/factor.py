"""The upper triangle of a tall matrix [A | b], from blocks of rows, without ever holding the matrix.

Rows are gathered in a buffer; a full one is folded into the running triangle by LAPACK's ``tpqrt`` (QR of a
triangle on top of a block, see `lapack`). R of an unpivoted QR has the same column geometry as the matrix (R'R =
A'A, without the squaring), so norms, pivots, rank and solutions are those of the whole. Rows of zeros (forces
across the plane of a planar cell) are counted and left out. Memory (K + 1) (K + 1 + `BUFFER`) numbers, work 2 n_rows
K^2 floating-point operations.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ase_mlipgen.lapack import fold

Array = npt.NDArray[np.float64]
BUFFER = 1024  # rows that are folded at once; 512 to 2048 are equally fast
LEAF = 3  # rows a column that are worth a triangle: starting and merging it then costs a fifth of filling it
SMALLEST_LEAF = 1024


def leaf_rows(n_functions: int) -> int:
    """Return how many rows are worth a triangle of their own."""
    return max(SMALLEST_LEAF, LEAF * (n_functions + 1))


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
    n_silent : int
        Of them, rows of zeros, which say nothing.
    """

    def __init__(self, n_functions: int) -> None:
        if n_functions < 1:
            raise ValueError(f"n_functions is {n_functions}; expected at least 1")
        self.n_functions = n_functions
        self.n_rows = 0
        self.n_silent = 0
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
        matrix, target = np.asarray(A, dtype=float), np.asarray(b, dtype=float)
        if matrix.ndim != 2 or matrix.shape[1] != self.n_functions:
            raise ValueError(
                f"rows have shape {matrix.shape}; expected (m, {self.n_functions}), one column a function"
            )
        if target.shape != matrix.shape[:1]:
            raise ValueError(f"targets have shape {target.shape}; expected {matrix.shape[:1]}, one a row")
        if not (np.isfinite(target).all() and np.isfinite(matrix).all()):
            finite = np.isfinite(target) & np.isfinite(matrix).all(axis=1)
            raise ValueError(
                f"{np.sum(~finite)} of {len(target)} rows are not finite, first row {np.argmin(finite)}"
            )
        self.n_rows += len(target)
        silent = target == 0.0
        silent[silent] = ~matrix[silent].any(axis=1)
        self.n_silent += int(silent.sum())
        if silent.any():
            matrix, target = matrix[~silent], target[~silent]
        if not self._buffer.size and len(target):
            self._buffer = np.empty((BUFFER, self.n_functions + 1), order="F")
        start = 0
        while start < len(target):
            start += self._fill(matrix[start:], target[start:])
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
        fold(self._triangle, other._triangle.copy(order="F"), triangular=True)
        self.n_rows += other.n_rows
        self.n_silent += other.n_silent
        return self

    def scaled(self, weight: float) -> "TriangularFactor":
        """Return a factor of the same rows, all multiplied by sqrt(weight): by `weight` in squared residuals."""
        self._flush()
        found = TriangularFactor(self.n_functions)
        found.n_rows, found.n_silent = self.n_rows, self.n_silent
        found._triangle = np.sqrt(weight) * self._triangle
        return found

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
        if self._filled:
            fold(self._triangle, self._buffer[: self._filled], triangular=False)
            self._filled = 0
