"""Invariant polynomials of a block: coupling coefficients over sorted magnetic quantum numbers.

For channels with angular momenta l_1..l_N the candidates are sequential couplings
((l_1 l_2) L_2, l_3) L_3 ... -> 0 with real Clebsch-Gordan coefficients. Factors with equal channels commute, so each
candidate is collected over *monomials* (magnetic numbers sorted inside groups of equal channels), and a Gram-Schmidt
sweep in the fixed order of the L's keeps the independent ones: a basis that does not depend on a linear-algebra
library's choice of null vectors. Their number must be the exact one of `specification.invariant_count`.

Since sum(l) is even, c(-m) = c(m) and the product of A's at -m is the conjugate of that at m: only one of the two is
kept, with doubled coefficient, and the value is the real part.
Source: Drautz, Phys. Rev. B 99, 014104 (2019), Sec. II; Dusson et al., J. Comput. Phys. 454, 110946 (2022), Sec. 4.
"""

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import permutations
from math import copysign, factorial, prod, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.ace.specification import invariant_count

Groups = tuple[tuple[int, int], ...]
Magnetic = tuple[int, ...]
INDEPENDENT = 1e-7


class Invariant(NamedTuple):
    """One invariant: the sum over its terms of coefficient * Re(prod_k A_{l_k, m_k})."""

    m_terms: tuple[Magnetic, ...]
    coefficients: tuple[float, ...]


@cache
def clebsch_gordan(j1: int, m1: int, j2: int, m2: int, j: int, m: int) -> float:
    """Return <j1 m1 j2 m2 | j m> for integer momenta, by Racah's formula in exact rationals."""
    if m1 + m2 != m or not abs(j1 - j2) <= j <= j1 + j2 or abs(m1) > j1 or abs(m2) > j2 or abs(m) > j:
        return 0.0
    f = factorial
    square = Fraction(
        (2 * j + 1) * f(j + j1 - j2) * f(j - j1 + j2) * f(j1 + j2 - j)
        * f(j + m) * f(j - m) * f(j1 - m1) * f(j1 + m1) * f(j2 - m2) * f(j2 + m2),
        f(j1 + j2 + j + 1),
    )  # fmt: skip
    lowest = max(0, j2 - j - m1, j1 - j + m2)
    highest = min(j1 + j2 - j, j1 - m1, j2 + m2)
    total = Fraction(0)
    for k in range(lowest, highest + 1):
        divisor = f(k) * f(j1 + j2 - j - k) * f(j1 - m1 - k)
        divisor *= f(j2 + m2 - k) * f(j - j2 + m1 + k) * f(j - j1 - m2 + k)
        total += Fraction((-1) ** k, divisor)
    return copysign(sqrt(total * total * square), total)


@cache
def invariants(groups: Groups) -> tuple[Invariant, ...]:
    """Return the independent invariants of a block, orthonormal over symmetric tensors.

    Parameters
    ----------
    groups : tuple of (l, k)
        Angular momentum and number of equal channels of each group, in the block's order.

    Raises
    ------
    RuntimeError
        If the candidates do not span the exact number of invariants (a defect of this module).
    """
    momenta = tuple(l for l, k in groups for _ in range(k))
    monomials: dict[Magnetic, int] = {}
    vectors = [_collect(candidate, groups, monomials) for candidate in _candidates(momenta)]
    weight = np.array([1.0 / _orderings(m, groups) for m in monomials])
    kept = _gram_schmidt(vectors, weight)
    expected = invariant_count(groups)
    if len(kept) != expected:
        raise RuntimeError(f"block {groups}: found {len(kept)} invariants, expected exactly {expected}")
    return tuple(_half(list(monomials), vector, groups) for vector in kept)


def _candidates(momenta: tuple[int, ...]) -> Iterator[dict[Magnetic, float]]:
    """Yield the tensors of all sequential couplings to L = 0 as {(m_1..m_N): coefficient}."""
    for intermediate in _couplings(momenta):
        tensor: dict[Magnetic, float] = {(m,): 1.0 for m in range(-momenta[0], momenta[0] + 1)}
        for position, (total, l) in enumerate(zip(intermediate, momenta[1:], strict=True), start=1):
            before = momenta[0] if position == 1 else intermediate[position - 2]
            grown: dict[Magnetic, float] = {}
            for ms, value in tensor.items():
                for m in range(-l, l + 1):
                    if abs(sum(ms) + m) <= total:
                        grown[(*ms, m)] = value * clebsch_gordan(before, sum(ms), l, m, total, sum(ms) + m)
            tensor = grown
        yield tensor


def _couplings(momenta: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the intermediate momenta (L_2, ..., L_N = 0) of every sequential coupling."""

    def descend(current: int, rest: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if not rest:
            if current == 0:
                yield ()
            return
        for total in range(abs(current - rest[0]), current + rest[0] + 1):
            for tail in descend(total, rest[1:]):
                yield (total, *tail)

    yield from descend(momenta[0], momenta[1:])


def _collect(
    tensor: dict[Magnetic, float], groups: Groups, monomials: dict[Magnetic, int]
) -> dict[int, float]:
    """Add up the coefficients of equal monomials; number new monomials on the way."""
    vector: dict[int, float] = {}
    for ms, value in tensor.items():
        if value != 0.0:
            k = monomials.setdefault(sort_in_groups(ms, groups), len(monomials))
            vector[k] = vector.get(k, 0.0) + value
    return vector


def sort_in_groups(ms: Magnetic, groups: Groups) -> Magnetic:
    """Return `ms` sorted inside each group of equal channels, where factors commute."""
    result: list[int] = []
    for _, k in groups:
        result += sorted(ms[len(result) : len(result) + k])
    return tuple(result)


def _orderings(ms: Magnetic, groups: Groups) -> int:
    """Return how many ordered tuples share the monomial `ms`."""
    counts, start = [], 0
    for _, k in groups:
        part = ms[start : start + k]
        counts.append(factorial(k) // prod(factorial(part.count(m)) for m in set(part)))
        start += k
    return prod(counts)


def _gram_schmidt(
    vectors: list[dict[int, float]], weight: npt.NDArray[np.float64]
) -> list[npt.NDArray[np.float64]]:
    """Keep the independent vectors, orthonormal in the weighted inner product, in the given order."""
    kept: list[npt.NDArray[np.float64]] = []
    for sparse in vectors:
        vector = np.zeros(len(weight))
        vector[list(sparse)] = list(sparse.values())
        size = np.sqrt(np.sum(weight * vector**2))
        if size < INDEPENDENT:  # a unit tensor that vanishes under the symmetrisation
            continue
        vector /= size
        for _ in range(2):  # the second sweep restores orthogonality lost to round-off
            for other in kept:
                vector -= np.sum(weight * other * vector) * other
        size = np.sqrt(np.sum(weight * vector**2))
        if size > INDEPENDENT:
            kept.append(vector / size)
    return kept


def _half(monomials: list[Magnetic], vector: npt.NDArray[np.float64], groups: Groups) -> Invariant:
    """Fold each pair m, -m into one term; the value is then the real part."""
    folded: dict[Magnetic, float] = {}
    for ms, value in zip(monomials, vector, strict=True):
        mirrored = sort_in_groups(tuple(-m for m in ms), groups)
        chosen = max(ms, mirrored)
        folded[chosen] = folded.get(chosen, 0.0) + float(value)
    largest = max(abs(value) for value in folded.values())
    terms = {ms: value for ms, value in sorted(folded.items()) if abs(value) > 1e-13 * largest}
    return Invariant(tuple(terms), tuple(terms.values()))


def dense_tensor(invariant: Invariant, groups: Groups) -> npt.NDArray[np.float64]:
    """Return the invariant as a symmetric tensor over complex A's, shape (2 l_1 + 1, ..., 2 l_N + 1).

    The readable form, for tests and exporters: value = sum_m c_m prod_k A_{l_k, m_k}, real for real densities.
    """
    momenta = [l for l, k in groups for _ in range(k)]
    tensor = np.zeros([2 * l + 1 for l in momenta])
    for ms, value in zip(invariant.m_terms, invariant.coefficients, strict=True):
        twins = {ms, sort_in_groups(tuple(-m for m in ms), groups)}
        for twin in twins:
            ordered = set(_group_permutations(twin, groups))
            for m in ordered:
                tensor[tuple(mk + l for mk, l in zip(m, momenta, strict=True))] += (
                    value / len(twins) / len(ordered)
                )
    return tensor


def _group_permutations(ms: Magnetic, groups: Groups) -> Iterator[Magnetic]:
    if not groups:
        yield ()
        return
    k = groups[0][1]
    for head in set(permutations(ms[:k])):
        for tail in _group_permutations(ms[k:], groups[1:]):
            yield (*head, *tail)
