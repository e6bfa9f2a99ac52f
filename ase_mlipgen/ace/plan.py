"""Static tables that drive the kernels: where each A lives, which products a function sums.

One plan serves one centre element. A_{mu n l m}, m >= 0, lie in rows (mu, l, m) with n contiguous; the vector
Z = [A; conj(A)] lets a factor with negative m point at the conjugate (the sign (-1)^m is folded into the
coefficients). *Monomials* are the distinct products of Z's; functions are sparse real combinations of their
real parts. Built once a basis; cost is milliseconds. Entry point: :func:`build_plan`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.ace.coupling import invariants
from ase_mlipgen.ace.harmonics import recurrence
from ase_mlipgen.ace.radial import RadialBasis
from ase_mlipgen.ace.specification import Block, Channel, multiplicities

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Plan(NamedTuple):
    """Tables of one centre element (see the module docstring).

    Attributes
    ----------
    n_A : int
        Number of A's with m >= 0.
    row_first : (n_elements + 1,) ints
        Rows of neighbour element mu are row_first[mu]:row_first[mu + 1].
    row_mu, row_lm, row_start, row_n, row_radial : (n_rows,) ints
        Neighbour element, index l (l + 1) / 2 + m, first position in A, number of n's, first radial function (zero
        where these do not depend on l).
    monomial_order : (n_monomials,) ints
    monomial_factors : (n_monomials, order) ints
        Positions in Z.
    term_first : (n_functions + 1,) ints
        Terms of function k are term_first[k]:term_first[k + 1].
    term_monomial, term_value : (n_terms,) ints and floats
    """

    n_A: int
    row_first: Ints
    row_mu: Ints
    row_lm: Ints
    row_start: Ints
    row_n: Ints
    row_radial: Ints
    monomial_order: Ints
    monomial_factors: Ints
    term_first: Ints
    term_monomial: Ints
    term_value: Floats


class Angular(NamedTuple):
    """Recurrence of the harmonics up to lmax (see `harmonics.recurrence`)."""

    lmax: int
    a: Floats
    b: Floats
    c: Floats


class Radial(NamedTuple):
    """Radial parameters of one centre element against every neighbour element, arrays over mu.

    Where `rate` (intervals an Å) is positive, the functions are cubics of `table` (mu, interval, n, power) instead of
    polynomials of x; evaluators know them, rows of fits do not. `intervals` is the table's length.
    """

    cutoff: Floats
    r_in: Floats
    r0: Floats
    p: Ints
    x_cut: Floats
    x_in: Floats
    pcut: Ints
    pin: Ints
    recurrence: Floats
    rate: Floats
    intervals: int
    table: Floats


def build_plan(blocks: list[Block], n_elements: int, radial_of_l: Sequence[int] = ()) -> Plan:
    """Return the tables for the invariants of `blocks`, in the order of the blocks.

    `radial_of_l` has the place of the first radial function of each l, if they depend on l.
    """
    n_A, starts, rows = _lay_out_A(blocks, n_elements)
    monomials: dict[tuple[int, ...], int] = {}
    term_first, term_monomial, term_value = [0], [], []
    for block in blocks:
        for invariant in invariants(multiplicities(block)):
            for ms, value in zip(invariant.m_terms, invariant.coefficients, strict=True):
                factors, sign = _factors(block, ms, starts, n_A)
                term_monomial.append(monomials.setdefault(factors, len(monomials)))
                term_value.append(sign * value)
            term_first.append(len(term_monomial))
    order = max((len(m) for m in monomials), default=1)
    table = np.full((len(monomials), order), -1, dtype=np.int64)
    for factors, k in monomials.items():
        table[k, : len(factors)] = factors
    first, monomial = np.array(term_first, dtype=np.int64), np.array(term_monomial, dtype=np.int64)
    return Plan(
        n_A,
        np.searchsorted(rows[:, 0], np.arange(n_elements + 1)).astype(np.int64),
        np.ascontiguousarray(rows[:, 0]),
        np.ascontiguousarray(rows[:, 1]),
        np.ascontiguousarray(rows[:, 2]),
        np.ascontiguousarray(rows[:, 3]),
        _first_radial(rows[:, 1], radial_of_l),
        np.sum(table >= 0, axis=1).astype(np.int64),
        table,
        first,
        monomial,
        np.array(term_value, dtype=float),
    )


def _first_radial(row_lm: Ints, radial_of_l: Sequence[int]) -> Ints:
    l_q = ((np.sqrt(8.0 * row_lm + 1.0) - 1.0) / 2.0 + 1e-9).astype(np.int64)
    return np.array([radial_of_l[l] if l < len(radial_of_l) else 0 for l in l_q.tolist()], dtype=np.int64)


def _lay_out_A(blocks: list[Block], n_elements: int) -> tuple[int, dict[tuple[int, int, int], int], Ints]:
    """Return the length of A, the start of each row (mu, l, m) and the row table."""
    n_max: dict[tuple[int, int], int] = {}
    for channel in {c for block in blocks for c in block}:
        key = (channel.mu, channel.l)
        n_max[key] = max(n_max.get(key, 0), channel.n)
    n_A, starts, rows = 0, {}, []
    for mu, l in sorted(n_max):
        for m in range(l + 1):
            starts[mu, l, m] = n_A
            rows.append((mu, l * (l + 1) // 2 + m, n_A, n_max[mu, l]))
            n_A += n_max[mu, l]
    return n_A, starts, np.array(rows, dtype=np.int64).reshape(-1, 4)


def _factors(
    block: Block, ms: tuple[int, ...], starts: dict[tuple[int, int, int], int], n_A: int
) -> tuple[tuple[int, ...], float]:
    """Return the sorted positions in Z of the product's factors, and the sign of its conjugations."""
    positions, sign = [], 1.0
    for (mu, n, l), m in zip(block, ms, strict=True):
        position = starts[mu, l, abs(m)] + n - 1
        if m < 0:
            position += n_A
            sign *= (-1.0) ** m
        positions.append(position)
    return tuple(sorted(positions)), sign


def build_angular(blocks: list[Block]) -> Angular:
    """Return the recurrence up to the largest l of `blocks`."""
    lmax = max((channel.l for block in blocks for channel in block), default=0)
    return Angular(lmax, *recurrence(lmax))


def build_radial(bases: list[RadialBasis], n_max: int) -> Radial:
    """Return the parameter arrays of one centre element; `bases` holds one entry a neighbour element."""

    def floats(values: list[float]) -> Floats:
        return np.array(values, dtype=float)

    def ints(values: list[int]) -> Ints:
        return np.array(values, dtype=np.int64)

    return Radial(
        floats([b.cutoff for b in bases]),
        floats([b.r_in for b in bases]),
        floats([b.r0 for b in bases]),
        ints([b.p for b in bases]),
        floats([b.interval[0] for b in bases]),
        floats([b.interval[1] for b in bases]),
        ints([b.pcut for b in bases]),
        ints([b.pin for b in bases]),
        np.array([b.recurrence(n_max) for b in bases]),
        np.zeros(len(bases)),
        1,
        np.zeros((1, 1, 1, 4)),
    )


def largest_n(blocks: list[Block]) -> int:
    """Return the largest radial index that occurs."""
    return max((channel.n for block in blocks for channel in block), default=1)


def monomial_coefficients(plan: Plan, coefficients: Floats) -> Floats:
    """Fold the coefficients of the functions into one real number a monomial."""
    per_term = np.repeat(coefficients, np.diff(plan.term_first)) * plan.term_value
    return np.bincount(plan.term_monomial, per_term, len(plan.monomial_order)).astype(float)


def channel_label(channel: Channel, elements: tuple[str, ...]) -> str:
    """Return a readable name of a channel, such as ``W n=2 l=1``."""
    return f"{elements[channel.mu]} n={channel.n} l={channel.l}"
