"""LAPACK with Python's lock left to other threads: what SciPy's own wrappers, which keep it, cannot do.

SciPy exports a pointer to each routine; called through it, two threads work side by side instead of taking turns.
Entry points: :func:`fold`, the QR of a triangle on top of a block, in place; :func:`generalised_eigh`.
"""

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba.extending import get_cython_function_address

Array = npt.NDArray[np.float64]
PANEL = 64  # columns a panel of `fold`; 32 to 96 are equally fast


class NotPositiveDefiniteError(np.linalg.LinAlgError):
    """The right-hand matrix of a generalised eigenproblem is not positive definite."""


@functools.cache
def _routine(name: str, n_arguments: int) -> Callable[..., None]:
    pointer = get_cython_function_address("scipy.linalg.cython_lapack", name)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * n_arguments)(pointer)


def _call(name: str, *arguments: Any) -> int:
    """Call a routine with whole numbers, letters and arrays, and an `info` at the end; return that."""
    info = ctypes.c_int(0)
    kept = [_as_c(argument) for argument in arguments]
    pointers = [a.ctypes.data if isinstance(a, np.ndarray) else ctypes.addressof(a) for a in kept]
    _routine(name, len(arguments) + 1)(*pointers, ctypes.addressof(info))
    return info.value


def _as_c(argument: Any) -> Any:
    if isinstance(argument, np.ndarray):
        return argument
    return ctypes.c_char(argument.encode()) if isinstance(argument, str) else ctypes.c_int(argument)


def fold(triangle: Array, block: Array, triangular: bool) -> None:
    """Replace an upper triangle R by that of the QR of [R; block]; `block` is destroyed.

    Parameters
    ----------
    triangle : (n, n) array, Fortran order
    block : (m, n) array
        Columns contiguous: Fortran order, or rows of such an array.
    triangular : bool
        The block is an (n, n) upper triangle itself.

    Raises
    ------
    ValueError
        Another shape or order.
    RuntimeError
        LAPACK refuses its arguments.
    """
    m, n = block.shape
    if triangle.shape != (n, n) or (triangular and m != n):
        raise ValueError(f"cannot fold a block {block.shape} into a triangle {triangle.shape}")
    step = block.itemsize
    if not triangle.flags.f_contiguous or block.strides[0] != step or block.strides[1] < m * step:
        raise ValueError("triangle and block must have contiguous columns")
    panel = min(PANEL, n)
    T, work = np.empty((n, panel)), np.empty(panel * n)
    info = _call(
        "dtpqrt", m, n, n if triangular else 0, panel,
        triangle, max(1, n), block, max(1, block.strides[1] // step), T, max(1, panel), work,
    )  # fmt: skip
    if info != 0:
        raise RuntimeError(f"LAPACK dtpqrt failed with info = {info}")


def eigh_workspace(n: int, is_real: bool) -> int:
    """Return the bytes that `generalised_eigh` takes beside its two matrices, eigenvectors included."""
    return 8 * (1 + 6 * n + 2 * n * n) if is_real else 16 * (2 * n + n * n) + 8 * (1 + 5 * n + 2 * n * n)


def generalised_eigh(H: Any, S: Any, vectors: bool = True) -> Array:
    """Solve H c = e S c by divide and conquer, in place: H is replaced by the eigenvectors, S by its Cholesky factor.

    Parameters
    ----------
    H, S : (n, n) arrays, float64 or complex128, Fortran order
        Lower triangles; the upper ones are not read. S is positive definite.
    vectors : bool
        If not, both matrices are merely destroyed.

    Returns
    -------
    (n,) array: eigenvalues, ascending. Eigenvectors are columns with c^H S c = 1.

    Raises
    ------
    NotPositiveDefiniteError
        S is not, or is not finite.
    numpy.linalg.LinAlgError
        No convergence.
    ValueError
        Another shape, type or order.
    """
    n = len(H)
    if H.shape != (n, n) or S.shape != (n, n) or H.dtype != S.dtype or H.dtype not in (float, complex):
        raise ValueError(f"cannot solve for matrices {H.dtype} {H.shape} and {S.dtype} {S.shape}")
    if not (H.flags.f_contiguous and S.flags.f_contiguous):
        raise ValueError("both matrices must be in Fortran order")
    is_real = H.dtype == float
    w = np.empty(n)
    job = "V" if vectors else "N"
    n_work = 1 + 6 * n + 2 * n * n if is_real else 2 * n + n * n
    iwork = np.empty(3 + 5 * n, np.int32)
    work = np.empty(n_work, H.dtype)
    if is_real:
        info = _call("dsygvd", 1, job, "L", n, H, max(1, n), S, max(1, n), w, work, n_work, iwork, len(iwork))
    else:
        rwork = np.empty(1 + 5 * n + 2 * n * n)
        info = _call(
            "zhegvd", 1, job, "L", n, H, max(1, n), S, max(1, n), w,
            work, n_work, rwork, len(rwork), iwork, len(iwork),
        )  # fmt: skip
    if info > n:
        raise NotPositiveDefiniteError(
            f"the leading minor of order {info - n} of {n} is not positive definite"
        )
    if info != 0:
        raise np.linalg.LinAlgError(f"eigenvalues did not converge (LAPACK info = {info})")
    return w
