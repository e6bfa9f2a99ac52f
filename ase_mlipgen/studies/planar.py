"""How many functions of a basis are independent where all atoms lie in one plane. Enter at `planar_count`.

In the plane z = 0 spherical harmonics are exp(i m phi) times constants that vanish for odd l + m, so channels of one n
with the same m but other l see the same sums over neighbours, and functions that differ in space become multiples of
one another. The sums of different (n, |m|) are independent, so the rank of the coefficients before their products is
the exact number.
"""

from collections.abc import Iterator
from functools import cache
from math import prod

import numpy as np
from scipy.special import sph_harm_y

from ase_mlipgen.ace.coupling import invariants
from ase_mlipgen.ace.specification import Block, blocks, multiplicities

Monomial = tuple[tuple[int, int], ...]
DEPENDENT = 1e-10


@cache
def planar_count(order: int, degree: float) -> int:
    """Return the number of independent functions of one element in a plane.

    Parameters
    ----------
    order, degree : of the basis
    """
    groups: dict[tuple[int, ...], list[dict[Monomial, float]]] = {}
    for block in blocks(1, order, degree):
        n = tuple(sorted(channel.n for channel in block))
        groups.setdefault(n, []).extend(_planar(block))
    return sum(_rank(functions) for functions in groups.values())


def _planar(block: Block) -> Iterator[dict[Monomial, float]]:
    """Yield each invariant of a block as coefficients of products of planar sums, m and -m taken together."""
    for m_terms, coefficients in invariants(multiplicities(block)):
        function: dict[Monomial, float] = {}
        for ms, coefficient in zip(m_terms, coefficients, strict=True):
            pairs = list(zip(block, ms, strict=True))
            monomial = max(tuple(sorted((channel.n, sign * m) for channel, m in pairs)) for sign in (1, -1))
            factor = prod(_on_the_equator(channel.l, m) for channel, m in pairs)
            function[monomial] = function.get(monomial, 0.0) + coefficient * factor
        yield function


@cache
def _on_the_equator(l: int, m: int) -> float:
    return float(sph_harm_y(l, m, np.pi / 2.0, 0.0).real) if (l + m) % 2 == 0 else 0.0


def _rank(functions: list[dict[Monomial, float]]) -> int:
    columns = {monomial: k for k, monomial in enumerate(dict.fromkeys(m for f in functions for m in f))}
    matrix = np.zeros((len(functions), len(columns)))
    for row, function in zip(matrix, functions, strict=True):
        row[[columns[monomial] for monomial in function]] = list(function.values())
    norms = np.linalg.norm(matrix, axis=1)
    kept = matrix[norms > DEPENDENT] / norms[norms > DEPENDENT, None]
    return int(np.linalg.matrix_rank(kept, tol=DEPENDENT)) if len(kept) else 0
