"""Coefficients from the triangle of a least-squares system: scale, pivot, truncate, shortest solution.

Columns are scaled to unit norm (without that, the tolerance keeps a small part of an ACE basis), pivoted QR
of the triangle finds the rank at a relative tolerance, and the truncated system's minimum-norm solution is
scaled back: see `pivoted`. Constraints are imposed exactly, see `constraints`. Everything works on the (K +
1)^2 triangle, with BLAS on one thread, so that a fit is the same on any number of cores. Enter through
`solve`, or `sweep` for several tolerances at the price of one.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ase_mlipgen.fit.constraints import LARGEST_SHARE, Constraints, NullSpace, inconsistent, null_space
from ase_mlipgen.fit.factor import TriangularFactor
from ase_mlipgen.fit.pivoted import Array, PivotedQR, factorise, norms_or_largest, truncate
from ase_mlipgen.threads import blas_threads

TIE = 1e-12  # relative step of norms: ties between unit columns go to the first one, not to round-off
ZERO_COLUMN = 1e-13  # relative to the largest column: below, a function is round-off on these data
DETERMINED = 1e-9  # likewise of columns that constraints have reduced: below, these determine the function
DEFAULT_RTOL = 1e-6

Scaling = Literal["column"] | None
logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LinearFit:
    """Coefficients and how they were found.

    Attributes
    ----------
    coefficients : (n_functions,) array
    rank : int
        Directions that the data determine at `rtol`; with constraints, among those that these leave free.
    n_functions, n_rows : int
    rtol : float
    scaling : "column" or None
    residual_norm : float
        Norm of the weighted residual, constraints imposed.
    r_diagonal : array
        |T_kk| of the pivoted QR (of the scaled, reduced triangle), not increasing.
    n_constraints, constraint_rank : int
        Given, and found independent and imposed.
    constraint_violation : float
        Largest |C x - d|, in the constraints' own units.
    note : str
        What a reader has to know: constraints not imposed, or inconsistent. Otherwise empty.
    """

    coefficients: Array
    rank: int
    n_functions: int
    n_rows: int
    rtol: float
    scaling: Scaling
    residual_norm: float
    r_diagonal: Array
    n_constraints: int = 0
    constraint_rank: int = 0
    constraint_violation: float = 0.0
    note: str = ""


@dataclass(frozen=True, eq=False)
class _System:
    """A pivoted system in y = scale x = particular + P (z / reduced_scale)."""

    R: Array
    c: Array
    outside: float
    qr: PivotedQR
    scale: Array
    reduced_scale: Array
    space: NullSpace | None
    note: str

    def coefficients(self, z: Array) -> Array:
        y = z / self.reduced_scale
        if self.space is not None:
            y = self.space.expand(y)
        return y / self.scale

    def residual_norm(self, x: Array) -> float:
        return float(np.hypot(self.outside, np.linalg.norm(self.R @ x - self.c)))


def solve(
    factor: TriangularFactor,
    rtol: float = DEFAULT_RTOL,
    scaling: Scaling = "column",
    constraints: Constraints | None = None,
) -> LinearFit:
    """Rank-revealing least-squares solution at one tolerance.

    Parameters
    ----------
    factor : TriangularFactor
    rtol : float
        A pivot below `rtol` times the first is taken as zero.
    scaling : "column" or None
        None: the columns as they are.
    constraints : Constraints or None
        Imposed exactly, unless they use up more than half of the functions: then the fit is plain, and its
        `note` says so.

    Returns
    -------
    LinearFit

    Raises
    ------
    ValueError
        No rows; a bad tolerance or scaling; constraints on another number of functions.
    """
    return sweep(factor, [rtol], scaling, constraints)[0]


def sweep(
    factor: TriangularFactor,
    rtols: Sequence[float],
    scaling: Scaling = "column",
    constraints: Constraints | None = None,
) -> list[LinearFit]:
    """Solutions at several tolerances, from one pivoted QR; see `solve`."""
    _check(factor, rtols, scaling, constraints)
    with blas_threads(1):
        system = _system(factor, scaling, constraints)
        fits = [_fit(factor, system, float(rtol), scaling, constraints) for rtol in rtols]
    for note in dict.fromkeys(fit.note for fit in fits if fit.note):
        logger.warning("%s", note)
    return fits


def _system(factor: TriangularFactor, scaling: Scaling, constraints: Constraints | None) -> _System:
    triangle, K = factor.triangle(), factor.n_functions
    R, c, outside = triangle[:K, :K], triangle[:K, K], float(triangle[K, K])
    scale = column_scale(R, scaling)
    S, ones = R / scale, np.ones(K)
    note = ""
    if constraints is not None and len(constraints):
        space = null_space(constraints, scale)
        if space.rank <= LARGEST_SHARE * K:
            reduced = space.restrict(S)
            reduced_scale = column_scale(reduced, scaling, DETERMINED)
            free, qr = K - space.rank, factorise(reduced / reduced_scale, c - S @ space.particular)
            qr = qr._replace(T=qr.T[:free], projected=qr.projected[:free])
            return _System(R, c, outside, qr, scale, reduced_scale, space, note)
        note = (
            f"the constraints are not imposed: {space.rank} independent ones would use up more than "
            f"{LARGEST_SHARE:.0%} of {K} functions; take a larger basis or fewer constraints"
        )
    return _System(R, c, outside, factorise(S, c), scale, ones, None, note)


def _fit(
    factor: TriangularFactor, system: _System, rtol: float, scaling: Scaling, constraints: Constraints | None
) -> LinearFit:
    z, rank = truncate(system.qr, rtol)
    x = system.coefficients(z)
    note = system.note
    if (
        constraints is not None
        and system.space is not None
        and (n := inconsistent(constraints, system.scale, x))
    ):
        note = (
            f"{n} of {len(constraints)} constraints depend on others and contradict them; "
            f"the largest violation is {constraints.violation(x):.3g}"
        )
    return LinearFit(
        coefficients=x,
        rank=rank,
        n_functions=factor.n_functions,
        n_rows=factor.n_rows,
        rtol=rtol,
        scaling=scaling,
        residual_norm=system.residual_norm(x),
        r_diagonal=system.qr.diagonal,
        n_constraints=0 if constraints is None else len(constraints),
        constraint_rank=0 if system.space is None else system.space.rank,
        constraint_violation=0.0 if constraints is None else constraints.violation(x),
        note=note,
    )


def column_scale(A: Array, scaling: Scaling, zero: float = ZERO_COLUMN) -> Array:
    """Return what columns are divided by: a first pivot among equal norms would be left to round-off."""
    if scaling is None:
        return np.ones(A.shape[1])
    return norms_or_largest(A, 0, zero)[0] * (1.0 + TIE * np.arange(A.shape[1]))


def _check(
    factor: TriangularFactor, rtols: Sequence[float], scaling: Scaling, constraints: Constraints | None
) -> None:
    if factor.n_rows < 1:
        raise ValueError("the factor has no rows; add labelled cells before solving")
    for rtol in rtols:
        if not 0.0 <= rtol < 1.0:
            raise ValueError(f"rtol is {rtol}; expected a number from 0 to below 1, such as {DEFAULT_RTOL}")
    if scaling not in ("column", None):
        raise ValueError(f"scaling is {scaling!r}; expected 'column' or None")
    if constraints is not None and constraints.C.shape[1] != factor.n_functions:
        raise ValueError(
            f"constraints are on {constraints.C.shape[1]} functions, the factor on {factor.n_functions}; "
            f"make both with one basis"
        )
