"""Exact equality constraints C x = d on a least-squares fit, by the null-space method.

Matching conditions (energies, zero forces, force constants of the theory's special configurations) can hold
exactly for a linear model. With columns scaled to unit norm in the data (y = s x) and rows of C to unit norm,
pivoted QR of C' finds which constraints are independent (planar cells make many dependent); the shortest y
that satisfies them is the particular solution, and everything else is fitted among P z, P the orthogonal projector
on the null space. (A basis of the null space would do in exact arithmetic; but which basis is left to round-off in
the pivoting, and column scaling and truncation depend on it: fits then scatter by half their error. P is unique.)
Cost 4/3 n_c^2 K for the pivoted QR and 4 K^2 n_c for R P, n_c the number of constraints. Constraints as heavily
weighted rows spoil the truncation by relative tolerance instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack, solve_triangular

from ase_mlipgen.fit.pivoted import Array, check, norms_or_largest, rank_of

RANK_TOLERANCE = 1e-9
ZERO_ROW = 1e-12  # relative to the largest row: below, a row is round-off (forces across a plane)
CONSISTENCY = 1e-8  # relative violation of a dependent constraint that is worth a note
LARGEST_SHARE = 0.5  # of the functions that constraints may use up


@dataclass(frozen=True, eq=False)
class Constraints:
    """C x = d.

    Attributes
    ----------
    C : (n_constraints, n_functions) array
    d : (n_constraints,) array
    names : tuple of str
        Which condition each row belongs to; may be empty.

    Raises
    ------
    ValueError
        Shapes that do not agree, or numbers that are not finite.
    """

    C: Array
    d: Array
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("C", "d"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=float))
        if self.C.ndim != 2 or self.d.shape != self.C.shape[:1]:
            raise ValueError(
                f"constraints have C {self.C.shape} and d {self.d.shape}; expected (m, n_functions) and (m,)"
            )
        if self.names and len(self.names) != len(self.d):
            raise ValueError(f"{len(self.names)} names for {len(self.d)} constraints; give one each, or none")
        if not (np.isfinite(self.C).all() and np.isfinite(self.d).all()):
            raise ValueError("constraints contain NaN or infinite numbers")

    def __len__(self) -> int:
        return len(self.d)

    @classmethod
    def stack(cls, parts: Sequence["Constraints"]) -> "Constraints":
        """All constraints of several sets."""
        names = tuple(name for p in parts for name in (p.names or ("",) * len(p)))
        return cls(np.concatenate([p.C for p in parts]), np.concatenate([p.d for p in parts]), names)

    def violation(self, x: npt.ArrayLike) -> float:
        """Largest |C x - d|, in the constraints' own units."""
        return float(np.max(np.abs(self.C @ np.asarray(x) - self.d), initial=0.0))


class NullSpace(NamedTuple):
    """What constraints leave free, in scaled variables: y = particular + P z, P the projector on the null space.

    Attributes
    ----------
    particular : (K,) array
        Shortest y that satisfies the independent constraints.
    range : (K, rank) array
        Orthonormal: what the constraints determine. P = 1 - range range'.
    """

    particular: Array
    range: Array

    @property
    def rank(self) -> int:
        """Independent constraints."""
        return self.range.shape[1]

    def restrict(self, S: Array) -> Array:
        """S P, (rows, K)."""
        return np.asfortranarray(S - (S @ self.range) @ self.range.T)

    def expand(self, z: Array) -> Array:
        """Particular + P z; projected twice, so that what is left in the range is round-off of P z and not of z."""
        for _ in range(2):
            z = z - self.range @ (self.range.T @ z)
        return np.asarray(self.particular + z)


def null_space(constraints: Constraints, scale: Array) -> NullSpace:
    """Particular solution and null space of constraints.

    Parameters
    ----------
    constraints : Constraints
    scale : (K,) array
        Norms s of the columns of the weighted data; the variables are y = s x.

    Returns
    -------
    NullSpace
    """
    C, d, alive = _scaled(constraints, scale)
    reflectors, pivots, tau, _, info = lapack.dgeqp3(
        np.asfortranarray(C[alive].T), lwork=3 * (len(d) + 1) * 32
    )
    check(info, "dgeqp3")
    rank = rank_of(np.abs(np.diagonal(reflectors)), RANK_TOLERANCE)
    if rank == 0:
        return NullSpace(np.zeros(len(scale)), np.zeros((len(scale), 0)))
    chosen = d[alive][pivots[:rank] - 1]
    along = solve_triangular(reflectors[:rank, :rank], chosen, trans="T")
    basis, _, info = lapack.dorgqr(np.asfortranarray(reflectors[:, :rank]), tau[:rank], lwork=64 * rank)
    check(info, "dorgqr")
    return NullSpace(basis @ along, basis)


def inconsistent(constraints: Constraints, scale: Array, x: Array) -> int:
    """Count the constraints that `x` violates by more than round-off: dependent ones with another target."""
    C, d, _ = _scaled(constraints, scale)
    y = scale * x
    return int(np.sum(np.abs(C @ y - d) > CONSISTENCY * (np.linalg.norm(y) + np.abs(d))))


def _scaled(constraints: Constraints, scale: Array) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    C = constraints.C / scale
    norms, alive = norms_or_largest(C, 1, ZERO_ROW)
    return C / norms[:, None], constraints.d / norms, alive
