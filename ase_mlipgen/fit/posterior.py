"""The posterior of a linear fit, from its triangle: Bayesian linear regression with a stated prior.

With columns scaled to unit norm in the data, and in the null space of the constraints (y = particular + P z), rows have
independent normal errors of standard deviation sigma and each z_k a normal prior of zero mean and standard deviation
tau: the covariance of z is (S'S / sigma^2 + 1 / tau^2)^-1 with S the scaled, projected triangle. sigma^2 is the squared
residual over the rows that say something minus the directions fitted; tau is the root mean square of the fitted z over
those directions: a function contributes to the data as much as the fitted ones do. Directions that the data determine
keep sigma^2 (S'S)^-1; those that the fit truncated keep the prior, so that a structure that needs them is uncertain,
and what constraints fix has no variance. (MacKay, Neural Computation 4, 415 (1992), Sec. 3, with one step for tau.)
Enter at `posterior_root`, `leverage_root`.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import qr, solve_triangular, svd

from ase_mlipgen.fit.constraints import LARGEST_SHARE, Constraints, null_space
from ase_mlipgen.fit.factor import TriangularFactor
from ase_mlipgen.fit.pivoted import Array
from ase_mlipgen.fit.solve import DETERMINED, LinearFit, column_scale
from ase_mlipgen.threads import blas_threads

FLOOR = 1e-6
"""Relative singular value of the training sites' rows below which a direction counts as one they hardly show."""


class Root(NamedTuple):
    """Covariance root root' of the coefficients, (K, K), and the two standard deviations it comes from."""

    root: Array
    sigma: float
    tau: float


def posterior_root(factor: TriangularFactor, fit: LinearFit, constraints: Constraints | None = None) -> Root:
    """Compute a root of the covariance of a fit's coefficients.

    Parameters
    ----------
    factor : TriangularFactor
    fit : LinearFit
        Its solution, at the scaling, tolerance and constraints that it states.
    constraints : Constraints or None
        Those that the fit was given.

    Raises
    ------
    ValueError
        The fit is of another factor.
    """
    K = factor.n_functions
    if fit.n_functions != K:
        raise ValueError(
            f"the fit has {fit.n_functions} functions, the factor {K}; they do not belong together"
        )
    with blas_threads(1):
        R = factor.triangle()[:K, :K]
        scale = column_scale(R, fit.scaling)
        S, z, space = R / scale, scale * fit.coefficients, None
        if constraints is not None and len(constraints):
            space = null_space(constraints, scale)
            space = space if space.rank <= LARGEST_SHARE * K else None
        reduced = np.ones(K)
        if space is not None:
            S = space.restrict(S)
            reduced = column_scale(S, fit.scaling, DETERMINED)
            S, z = S / reduced, reduced * (z - space.particular)
        freedom = max(1, factor.n_rows - factor.n_silent - fit.rank)
        sigma = fit.residual_norm / np.sqrt(freedom)
        tau = float(np.linalg.norm(z)) / np.sqrt(max(1, fit.rank))
        root = _inverse_root(S, sigma, tau)
        y = root / reduced[:, None]
        if space is not None:
            # Twice: what the constraints fix has the prior's size here, and its round-off would show.
            for _ in range(2):
                y = y - space.range @ (space.range.T @ y)
        return Root(np.ascontiguousarray(y / scale[:, None]), float(sigma), tau)


def _inverse_root(S: Array, sigma: float, tau: float) -> Array:
    """Return Q^-1, with Q'Q = S'S / sigma^2 + 1 / tau^2; zero where there is no uncertainty at all."""
    K = S.shape[1]
    if sigma == 0.0 or tau == 0.0:
        return np.zeros((K, K))
    # sigma Q, so that a small sigma does not overflow.
    (triangle,) = qr(
        np.vstack([S, (sigma / tau) * np.eye(K)]), mode="r", overwrite_a=True, check_finite=False
    )
    return np.asarray(sigma * solve_triangular(triangle[:K], np.eye(K), check_finite=False))


def leverage_root(factor: TriangularFactor, rows: Array) -> Array:
    """Return G with |G' b| the square root of the leverage of a row b, over the largest one of `rows`.

    Parameters
    ----------
    factor : TriangularFactor
        Of the rows that leverage is measured in, any target.
    rows : (n, K) array
        Some of those rows; the largest leverage among them is 1 in the result.

    Notes
    -----
    Columns are scaled to unit norm. Singular values below `FLOOR` of the largest are raised to it: what the rows do not
    span (out-of-plane functions of planar data) then counts as far out, by a finite number.
    """
    K = factor.n_functions
    with blas_threads(1):
        R = factor.triangle()[:K, :K]
        scale = column_scale(R, "column")
        _, singular, directions = svd(R / scale, check_finite=False)
        root = directions.T / np.maximum(singular, FLOOR * singular[0]) / scale[:, None]
        largest = np.linalg.norm(rows @ root, axis=1).max(initial=0.0)
        return np.ascontiguousarray(root / largest if largest > 0 else root)
