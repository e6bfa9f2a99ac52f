"""Norms of force constants as operators from displacements to forces, and their smallest eigenvalue.

Displacements have the norm ||Du||, forces its dual. With the bond Laplacian K of `norms`, the norm of a symmetric
A: U -> U* (3.5, 3.6) is the largest |lambda| of A v = lambda K v on fields that sum to zero, and the stability constant
(S) of a Hessian is its smallest lambda. Uniform translations are in the kernel of both sides, so one site is held and K
is positive definite there. Small cells: LAPACK's generalised eigenproblem, to round-off. Large ones: Lanczos in the
inner product of K (ARPACK), which needs products with A and one sparse factorisation of K, and converges at a rate that
does not depend on the size of the cell, because Hessians are spectrally equivalent to K.
Enter at `operator_norm`, `stability_constant`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from ase_mlipgen.theory.norms import Bonds, DualNorm, laplacian, strain_norm

Floats = npt.NDArray[np.float64]

DENSE = 900
"""Degrees of freedom up to which the dense eigenproblem is solved: below a second."""

TOLERANCE = 1e-7
"""Relative accuracy of an eigenvalue of a large cell; its error is the square of the mode's."""

VECTORS = 48
"""Lanczos vectors that are kept."""

MOST_RESTARTS = 400


class Mode(NamedTuple):
    """An extreme eigenvalue and its field.

    Attributes
    ----------
    value : eV/Å^2
    mode_ic : (n_sites, 3) array of ||Du|| = 1 Å and zero mean; z is zero for planar cells
    """

    value: float
    mode_ic: Floats


class ConvergenceError(ArithmeticError):
    """Lanczos iterations did not settle on an eigenvalue."""


def operator_norm(A: Any, norm: Bonds | DualNorm) -> float:
    """Compute the norm of a symmetric operator from U to U*, eV/Å^2.

    Parameters
    ----------
    A : (3 n, 3 n) or (d n, d n) array, sparse matrix or LinearOperator, eV/Å^2
        Atom by atom; d = 2 for planar cells, of which only in-plane components count, else 3.
    norm : bonds of the cell, or their `DualNorm`, to reuse its factor

    Returns
    -------
    float
        Zero for a cell of one site, whose only fields are translations.

    Raises
    ------
    ValueError
        Another shape, or numbers that are not finite.
    ConvergenceError
    """
    return abs(_extreme(A, norm, "LM").value)


def stability_constant(H: Any, norm: Bonds | DualNorm) -> Mode:
    """Compute the smallest lambda of H v = lambda K v on fields that sum to zero, and its field.

    Parameters and errors are those of `operator_norm`. A configuration is strongly stable, (S) of the theory, if the
    value is positive. A cell of one site has nothing to be unstable: infinity.
    """
    return _extreme(H, norm, "SA")


def hessian_operator(calculator: Any, atoms: Any) -> LinearOperator:
    """Return a calculator's Hessian as products, `calculator.hessian_product`, where the matrix would be too large."""
    n = 3 * len(atoms)

    def apply(v: Floats) -> Floats:
        return np.ravel(calculator.hessian_product(atoms, np.reshape(v, (-1, 3))))

    return LinearOperator((n, n), matvec=apply, dtype=float)


def _extreme(A: Any, norm: Bonds | DualNorm, which: str) -> Mode:
    bonds = norm.bonds if isinstance(norm, DualNorm) else norm
    _check(A, bonds)
    if bonds.n_sites == 1:
        return Mode(0.0 if which == "LM" else np.inf, np.zeros((1, 3)))
    size = bonds.dimension * (bonds.n_sites - 1)
    if size <= DENSE:
        value, held = _dense(A, bonds, which)
    else:
        value, held = _lanczos(A, norm if isinstance(norm, DualNorm) else DualNorm(bonds), which)
    mode_ic = np.zeros((bonds.n_sites, 3))
    mode_ic[1:, : bonds.dimension] = held.reshape(-1, bonds.dimension)
    mode_ic -= mode_ic.mean(axis=0)
    return Mode(value, mode_ic / strain_norm(bonds, mode_ic))


def _check(A: Any, bonds: Bonds) -> None:
    sizes = [bonds.dimension * bonds.n_sites, 3 * bonds.n_sites]
    if tuple(A.shape) not in [(n, n) for n in sizes]:
        raise ValueError(
            f"the operator has shape {tuple(A.shape)}; expected {(sizes[1], sizes[1])}"
            + (f" or {(sizes[0], sizes[0])}, in the plane" if bonds.dimension == 2 else "")
            + f" for {bonds.n_sites} sites"
        )
    numbers = A.data if hasattr(A, "toarray") else A
    if not isinstance(A, LinearOperator) and not np.isfinite(numbers).all():
        raise ValueError("the operator contains NaN or infinity; expected finite force constants")


def _dense(A: Any, bonds: Bonds, which: str) -> tuple[float, Floats]:
    n, d = bonds.n_sites, bonds.dimension
    if isinstance(A, LinearOperator):
        A = A @ np.eye(A.shape[0])
    full: Floats = np.array(A.toarray() if hasattr(A, "toarray") else A, dtype=np.float64)
    blocks = full.reshape(n, full.shape[0] // n, n, -1)[:, :d, :, :d]
    # Means off on both sides: differences of forces do not annihilate translations to the last digit.
    blocks = blocks - blocks.mean(axis=0, keepdims=True)
    blocks = blocks - blocks.mean(axis=2, keepdims=True)
    held = blocks[1:, :, 1:].reshape(d * (n - 1), d * (n - 1))
    metric = np.kron(laplacian(bonds)[1:, 1:].toarray(), np.eye(d))
    last = len(held) - 1
    ends = [0] if which == "SA" else [0, last]
    found = [eigh(0.5 * (held + held.T), metric, subset_by_index=[k, k]) for k in ends]
    values, vectors = zip(*found, strict=True)
    k = int(np.argmax([abs(value[0]) for value in values])) if which == "LM" else 0
    return float(values[k][0]), np.asarray(vectors[k][:, 0])


def _lanczos(A: Any, norm: DualNorm, which: str) -> tuple[float, Floats]:
    bonds = norm.bonds
    n, d = bonds.n_sites, bonds.dimension
    K = laplacian(bonds)[1:, 1:].tocsr()
    apply = _in_all_components(A, n, d)

    def product(w: Floats) -> Floats:
        v = np.zeros((n, d))
        v[1:] = w.reshape(-1, d)
        forces = apply(v - v.mean(axis=0))
        return np.ravel((forces - forces.mean(axis=0))[1:])

    def metric(w: Floats) -> Floats:
        return np.ravel(K @ w.reshape(-1, d))

    def inverse(w: Floats) -> Floats:
        f = np.zeros((n, 3))
        f[1:, :d] = w.reshape(-1, d)
        f[0] = -f.sum(axis=0)
        x = norm.solve(f)[:, :d]
        return np.ravel(x[1:] - x[0])

    size = d * (n - 1)
    operators = [LinearOperator((size, size), matvec=f, dtype=float) for f in (product, metric, inverse)]
    solver: Any = eigsh  # overloads that do not know string variables
    start = inverse(np.random.default_rng(0).normal(size=size))
    try:
        values, vectors = solver(
            operators[0], k=1, M=operators[1], Minv=operators[2], which=which, ncv=min(VECTORS, size - 1),
            tol=TOLERANCE, v0=start, maxiter=MOST_RESTARTS,
        )  # fmt: skip
    except ArpackNoConvergence as error:
        raise ConvergenceError(
            f"the extreme eigenvalue of a cell of {n} sites did not settle in {MOST_RESTARTS} restarts; "
            "is the operator symmetric?"
        ) from error
    return float(values[0]), vectors[:, 0]


def _in_all_components(A: Any, n: int, d: int) -> Callable[[Floats], Floats]:
    """Return the product with a field of d components, whether A has d or three of them."""
    if A.shape[0] == d * n:
        return lambda v: np.reshape(A @ np.ravel(v), (n, d))

    def apply(v: Floats) -> Floats:
        field = np.zeros((n, 3))
        field[:, :d] = v
        return np.reshape(A @ np.ravel(field), (n, 3))[:, :d]

    return apply
