"""LAPACK's QR of a triangle on top of a block, in place, with Python's lock left to other threads.

SciPy's own wrapper of ``dtpqrt`` keeps the lock, so that two threads take turns; SciPy's exported pointer to the same
routine does not. Entry point: :func:`fold`.
"""

import ctypes

import numpy as np
import numpy.typing as npt
from numba.extending import get_cython_function_address

Array = npt.NDArray[np.float64]
PANEL = 64  # columns a panel; 32 to 96 are equally fast

_dtpqrt = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 12)(
    get_cython_function_address("scipy.linalg.cython_lapack", "dtpqrt")
)


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
    T, work, info = np.empty((n, panel)), np.empty(panel * n), ctypes.c_int(0)
    sizes = [ctypes.c_int(k) for k in (m, n, n if triangular else 0, panel)]
    leading = [ctypes.c_int(max(1, k)) for k in (n, block.strides[1] // step, panel)]
    _dtpqrt(
        *(ctypes.addressof(size) for size in sizes),
        triangle.ctypes.data, ctypes.addressof(leading[0]),
        block.ctypes.data, ctypes.addressof(leading[1]),
        T.ctypes.data, ctypes.addressof(leading[2]),
        work.ctypes.data, ctypes.addressof(info),
    )  # fmt: skip
    if info.value != 0:
        raise RuntimeError(f"LAPACK dtpqrt failed with info = {info.value}")
