"""Rank-revealing least squares: LAPACK's pivoted QR, then the shortest solution of what is kept.

With S P = Q T and the rank r = #{k: |T_kk| >= rtol |T_00|}, the rows of T below r are dropped and [T11 T12] =
[L 0] Z is reduced from the right (``tzrzf``): a complete orthogonal decomposition, whose solution is the
shortest of all that fit equally well. (The basic solution of T11 alone has huge coefficients, and models made
of it diverge.) One pivoted QR, 4/3 n^3, serves every tolerance.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack, solve_triangular

Array = npt.NDArray[np.float64]


class PivotedQR(NamedTuple):
    """S P = Q T and Q'c of a system S y = c.

    Attributes
    ----------
    T : (m, n) array
        m = min(rows, columns); upper trapezoidal.
    order : (n,) array of int
        Column `order[k]` of S is column k of S P.
    projected : (m,) array
        Q'c.
    """

    T: Array
    order: npt.NDArray[np.intp]
    projected: Array

    @property
    def diagonal(self) -> Array:
        """|T_kk|, not increasing."""
        return np.abs(np.diagonal(self.T))


class Truncated(NamedTuple):
    """Solution (n,) and rank of a truncated system."""

    solution: Array
    rank: int


def factorise(S: npt.ArrayLike, c: npt.ArrayLike) -> PivotedQR:
    """Pivoted QR of S and projection of c.

    Parameters
    ----------
    S : (rows, n) array
    c : (rows,) array
    """
    S = np.asfortranarray(S)
    n_rows, n = S.shape
    reflectors, pivots, tau, _, info = lapack.dgeqp3(S, lwork=2 * n + (n + 1) * 64)
    check(info, "dgeqp3")
    rotated, _, info = lapack.dormqr(
        "L", "T", reflectors[:, : len(tau)], tau, np.reshape(c, (-1, 1)), lwork=64
    )
    check(info, "dormqr")
    kept = min(n_rows, n)
    return PivotedQR(np.triu(reflectors[:kept]), pivots.astype(np.intp) - 1, rotated[:kept, 0])


def rank_of(diagonal: Array, rtol: float) -> int:
    """Count the leading |T_kk| that are not below rtol |T_00|; zero for a zero matrix."""
    if not len(diagonal) or diagonal[0] == 0.0:
        return 0
    below = (diagonal < rtol * diagonal[0]) | (diagonal == 0.0)
    return int(np.argmax(below)) if below.any() else len(diagonal)


def truncate(qr: PivotedQR, rtol: float) -> Truncated:
    """Minimum-norm solution at relative tolerance `rtol` on |T_kk|.

    Returns
    -------
    Truncated
    """
    n, rank = qr.T.shape[1], rank_of(qr.diagonal, rtol)
    solution = np.zeros(n)
    if rank > 0:
        solution[qr.order] = _shortest(qr.T[:rank], qr.projected[:rank])
    return Truncated(solution, rank)


def _shortest(T: Array, c: Array) -> Array:
    """Shortest y with T y = c, T (r, n) upper trapezoidal of full rank."""
    rank, n = T.shape
    if rank == n:
        return np.asarray(solve_triangular(T, c))
    reduced, tau, info = lapack.dtzrzf(np.asfortranarray(T), lwork=64 * n)
    check(info, "dtzrzf")
    y = np.zeros((n, 1), order="F")
    y[:rank, 0] = solve_triangular(reduced[:, :rank], c)
    y, info = lapack.dormrz(reduced, tau, y, side="L", trans="T", lwork=64 * n)
    check(info, "dormrz")
    return np.ravel(y)


def norms_or_largest(A: Array, axis: int, floor: float) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Norms of columns (`axis` 0) or rows (1), and which are alive: above `floor` times the largest.

    A dead one is round-off: scaled to unit norm it would count as data. It gets the largest norm instead.
    """
    norms = np.linalg.norm(A, axis=axis)
    largest = norms.max(initial=0.0)
    alive = norms > floor * largest
    return np.where(alive, norms, largest if largest > 0 else 1.0), alive


def check(info: int, routine: str) -> None:
    """Raise if LAPACK refused its arguments."""
    if info != 0:
        raise RuntimeError(f"LAPACK {routine} failed with info = {info}")
