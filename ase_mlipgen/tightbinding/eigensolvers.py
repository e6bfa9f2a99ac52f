"""Who solves H c = e S c, and in which order blocks are taken: LAPACK on the cores at hand, or torch.

An eigensolver is a function of the lower triangles of H and S, in Fortran order, which it may destroy, that returns
eigenvalues, ascending, and eigenvectors as columns. Enter at `eigensolver`, `schedule`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ase_mlipgen.lapack import NotPositiveDefiniteError, eigh_workspace, generalised_eigh

Floats = npt.NDArray[np.float64]
Eigensolver = Callable[[Any, Any], tuple[Floats, Any]]

SECONDS = 1.9e-10
"""Seconds n^3 of one real generalised eigenproblem with all vectors on one core; complex ones take four times that."""
SHARED = 0.8
"""Speed of two threads in one eigenproblem, as a part of what they reach in two."""


def with_lapack(H: Any, S: Any) -> tuple[Floats, Any]:
    """Solve by LAPACK's divide and conquer, in place."""
    return generalised_eigh(H, S), H


@functools.cache
def with_torch(device: str) -> Eigensolver:
    """Return a solver that works on a device of torch in double precision: "cpu", "cuda", or "" for the best there is.

    Raises
    ------
    ImportError
        torch is not there.
    ValueError
        The device is not there.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "eigensolver='torch' needs torch: pip install 'ase-mlipgen[torch]', or take eigensolver='lapack'"
        ) from error
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"torch has no device {device!r} here ({error}): expected 'cpu' or 'cuda'"
        ) from error

    def solve(H: Any, S: Any) -> tuple[Floats, Any]:
        h, s = (torch.from_numpy(np.ascontiguousarray(M)).to(device) for M in (H, S))
        L, info = torch.linalg.cholesky_ex(s)
        if int(info) != 0:
            raise NotPositiveDefiniteError(f"the leading minor of order {int(info)} is not positive definite")
        h = torch.tril(h) + torch.tril(h, -1).mH
        h = torch.linalg.solve_triangular(L, h, upper=False)
        h = torch.linalg.solve_triangular(L, h.mH, upper=False)
        w, z = torch.linalg.eigh(h)
        return w.cpu().numpy(), torch.linalg.solve_triangular(L.mH, z, upper=True).cpu().numpy()

    return solve


def block_bytes(n: int, is_real: bool) -> tuple[int, int]:
    """Return what stays of a solved block, its eigenvectors, and what solving takes beside them."""
    item = 8 if is_real else 16
    return item * n * n, item * n * n + eigh_workspace(n, is_real)


def seconds(n: int, is_real: bool) -> float:
    """Return how long a core takes, roughly."""
    return SECONDS * n**3 * (1 if is_real else 4)


def schedule(costs: Sequence[float], threads: int) -> tuple[int, int]:
    """Say how many blocks are best solved side by side, and with how many threads of the BLAS each.

    Parameters
    ----------
    costs : of the blocks, in the order in which they are begun
    threads : at hand
    """
    if threads == 1 or not costs:
        return 1, 1
    busy = [0.0] * threads
    for cost in costs:
        busy[busy.index(min(busy))] += cost
    one_by_one = sum(costs) / (1 + SHARED * (threads - 1))
    return (threads, 1) if max(busy) <= one_by_one else (1, threads)
