"""Irreducible representations of a finite group, from its table of products alone.

The regular representation is split by a random symmetric matrix that commutes with it: each of its eigenspaces is
irreducible over the reals. The norm of the character tells the type (Frobenius and Schur): 1, real, done; 2, a
representation and its complex conjugate; 4, a quaternionic one, twice. The latter two are split by a random
antisymmetric matrix that commutes with the space.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ase_mlipgen.symmetry.lattice import Floats, Ints

# Eigenvalues of a random matrix of unit scale that differ by less are one.
SAME_EIGENVALUE = 1e-7
# Largest error of a product of representation matrices.
EXACT = 1e-12
SEEDS = 8


@dataclass(frozen=True, eq=False)
class Irrep:
    """An irreducible representation: ``matrices[g] @ matrices[h] == matrices[product_gh[g, h]]``.

    Parameters
    ----------
    matrices_gmn : (n_g, d, d) array
        Unitary; float64 if the representation can be made real, complex128 otherwise.
    multiplicity : int
        2 if it stands for itself and its complex conjugate, inequivalent, which is left out; 1 otherwise.
    """

    matrices_gmn: npt.NDArray[Any]
    multiplicity: int

    @property
    def dimension(self) -> int:
        """Return d."""
        return self.matrices_gmn.shape[1]

    @property
    def is_real(self) -> bool:
        """Tell whether the matrices are real."""
        return not np.iscomplexobj(self.matrices_gmn)

    @property
    def characters_g(self) -> npt.NDArray[Any]:
        """Return the traces, (n_g,)."""
        return np.trace(self.matrices_gmn, axis1=1, axis2=2)


def irreps(product_gh: Ints) -> tuple[Irrep, ...]:
    """Return all irreducible representations of a group, complex conjugates left out; the trivial one first.

    Parameters
    ----------
    product_gh : (n_g, n_g) int array
        Index of the product g h; element 0 is the identity.

    Returns
    -------
    tuple of Irrep
        By dimension, then characters. The sum of multiplicity times dimension squared is n_g.

    Raises
    ------
    ValueError
        No group: not a table of indices in which each row and column has every element once.
    RuntimeError
        The representations found do not multiply to 1e-12 or are not complete.

    Notes
    -----
    Dixon, Math. Comp. 24, 707 (1970), splits representations by commuting matrices in this way.
    """
    product_gh = np.asarray(product_gh)
    _check(product_gh)
    for seed in range(SEEDS):
        found = _split(product_gh, np.random.default_rng(seed))
        if _right(found, product_gh):
            return tuple(sorted(found, key=_rank))
    raise RuntimeError(
        f"no complete set of representations of {len(product_gh)} elements was found in {SEEDS} attempts: expected "
        f"an associative table of products with the identity first"
    )


def _check(product_gh: Ints) -> None:
    n = len(product_gh)
    everything = np.arange(n)
    if (
        product_gh.shape != (n, n)
        or n == 0
        or not np.array_equal(product_gh[0], everything)
        or not (np.sort(product_gh, axis=0) == everything[:, None]).all()
        or not (np.sort(product_gh, axis=1) == everything).all()
    ):
        raise ValueError(
            f"product_gh, of shape {product_gh.shape}, is no table of a group: expected (n, n) indices, each once in "
            f"every row and column, the identity first"
        )


def _split(product_gh: Ints, rng: np.random.Generator) -> list[Irrep]:
    found: list[Irrep] = []
    seen: list[Floats] = []
    for space in _eigenspaces(product_gh, rng):
        # g takes the basis function of h to that of g h.
        trace_g = np.einsum("ghk,hk->g", space[product_gh], space)
        if any(abs(trace_g - other).max() < 0.1 for other in seen):
            continue
        seen.append(trace_g)
        found.append(_irreducible(np.einsum("ghk,hl->gkl", space[product_gh], space), trace_g, rng))
    return found


def _eigenspaces(product_gh: Ints, rng: np.random.Generator) -> Iterator[Floats]:
    """Yield orthonormal columns, (n_g, k), of spaces that left multiplication leaves to themselves."""
    n = len(product_gh)
    inverse_g = np.argmin(product_gh, axis=1)
    weights = rng.standard_normal(n)
    weights += weights[inverse_g]
    values, vectors = np.linalg.eigh(weights[product_gh[inverse_g]])
    gaps = np.flatnonzero(np.diff(values) > SAME_EIGENVALUE * max(abs(values).max(), 1.0))
    yield from np.split(vectors, gaps + 1, axis=1)


def _irreducible(matrices: Floats, trace_g: Floats, rng: np.random.Generator) -> Irrep:
    """Return the representation, or one of two equal or conjugate ones in it."""
    kind = round(float(trace_g @ trace_g) / len(trace_g))
    if kind == 1:
        return Irrep(np.ascontiguousarray(matrices), 1)
    mixed = rng.standard_normal(matrices.shape[1:])
    mean = np.einsum("gab,bc,gdc->ad", matrices, mixed - mixed.T, matrices) / len(matrices)
    _, vectors = np.linalg.eigh(1j * mean)
    half = vectors[:, len(mean) // 2 :]
    split = np.einsum("ak,gab,bl->gkl", half.conj(), matrices, half)
    if kind == 2 and _rank(Irrep(split.conj(), 2)) < _rank(Irrep(split, 2)):
        split = split.conj()
    return Irrep(np.ascontiguousarray(split), 2 if kind == 2 else 1)


def _rank(irrep: Irrep) -> tuple[Any, ...]:
    """Return what representations are sorted by: dimension, then characters, the largest first."""
    characters = np.round(irrep.characters_g, 6) + 0.0
    return irrep.dimension, tuple(-characters.real), tuple(-characters.imag)


def _right(found: list[Irrep], product_gh: Ints) -> bool:
    if sum(irrep.multiplicity * irrep.dimension**2 for irrep in found) != len(product_gh):
        return False
    for irrep in found:
        matrices, one = irrep.matrices_gmn, np.eye(irrep.dimension)
        if abs(matrices @ matrices.conj().transpose(0, 2, 1) - one).max() > EXACT:
            return False
        if any(
            abs(m @ matrices - matrices[row]).max() > EXACT
            for m, row in zip(matrices, product_gh, strict=True)
        ):
            return False
    return True
