"""Functions of a file as coefficients of the invariants of `ace.coupling`, and what of them is no invariant.

A file lists products of A's for each multiset of channels. Folded over m and -m, and sorted where factors commute, they
are a vector over the same monomials as our invariants, and least squares gives the coefficients: exactly, if what the
file lists does not change under rotations. Enter at `coefficients`, `blocks_of`.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from ase_mlipgen.ace.coupling import Groups, Magnetic, invariants, sort_in_groups
from ase_mlipgen.ace.specification import Block, Channel, invariant_count, multiplicities
from ase_mlipgen.export.contents import Floats, Function, YaceError

NOT_INVARIANT = 1e-10
"""Part of a block's terms outside the invariants, relative, from which on a file is refused."""
LARGEST_TENSOR = 300_000
"""Entries of a block's coupling tensor, prod(2 l + 1), up to which invariants are formed."""
ChannelOf = Callable[[int, int, int, int], Channel]
"""From (mu, n, l, number of factors) of a file to a channel."""
Vectors = dict[Block, dict[Magnetic, float]]


def same_channel(mu: int, n: int, l: int, order: int) -> Channel:
    """Return the channel of a file whose R_n0 are the bare functions."""
    return Channel(mu, n, l)


def vectors(functions: Sequence[Function], channel_of: ChannelOf) -> Vectors:
    """Return the folded terms of each block, in our normalisation of the harmonics, eV."""
    found: Vectors = defaultdict(lambda: defaultdict(float))
    for function in functions:
        order = len(function.mus)
        one = [channel_of(*c, order) for c in zip(function.mus, function.ns, function.ls, strict=True)]
        for ms, value in zip(function.ms, function.values, strict=True):
            members = sorted(zip(one, ms, strict=True))
            block = tuple(channel for channel, _ in members)
            folded = _folded(tuple(m for _, m in members), multiplicities(block))
            found[block][folded] += value * (4 * np.pi) ** (order / 2)
    return found


def blocks_of(functions: Sequence[Sequence[Function]], channel_of: ChannelOf) -> list[Block]:
    """Return the blocks that occur at any centre, by order, then degree, then lexicographically.

    Raises
    ------
    YaceError
        A block that has no invariant, or is too large to form them.
    """
    found = {block for own in functions for block in vectors(own, channel_of)}
    for block in found:
        if prod(2 * channel.l + 1 for channel in block) > LARGEST_TENSOR:
            raise YaceError(f"functions: momenta {[c.l for c in block]} are more than the package couples")
        if sum(c.l for c in block) % 2 or invariant_count(multiplicities(block)) == 0:
            raise YaceError(f"functions: {_named(block)}: no rotation invariant has these momenta")
    return sorted(found, key=lambda block: (len(block), sum(c.n + 1.5 * c.l for c in block), block))


def coefficients(functions: Sequence[Function], blocks: Sequence[Block], channel_of: ChannelOf) -> Floats:
    """Return the coefficients of the invariants of `blocks`, of one centre element, eV.

    Raises
    ------
    YaceError
        Terms that are not rotation invariant, or that belong to none of the blocks.
    """
    given = vectors(functions, channel_of)
    if others := set(given) - set(blocks):
        raise YaceError(f"functions: {_named(min(others))} does not belong to the basis")
    found: list[float] = []
    for block in blocks:
        groups = multiplicities(block)
        found += _projected(given.get(block, {}), groups, block)
    return np.array(found, dtype=float)


def _projected(vector: dict[Magnetic, float], groups: Groups, block: Block) -> list[float]:
    columns = invariants(groups)
    if not any(vector.values()):
        return [0.0] * len(columns)
    names = sorted(set(vector) | {m for one in columns for m in one.m_terms})
    place = {m: k for k, m in enumerate(names)}
    M = np.zeros((len(names), len(columns)))
    for k, one in enumerate(columns):
        M[[place[m] for m in one.m_terms], k] = one.coefficients
    target = np.zeros(len(names))
    target[[place[m] for m in vector]] = list(vector.values())
    solution = np.linalg.lstsq(M, target, rcond=None)[0]
    outside = np.linalg.norm(M @ solution - target) / np.linalg.norm(target)
    if not outside <= NOT_INVARIANT:
        raise YaceError(
            f"functions: {_named(block)}: a part of {outside:.1e} of the terms changes under rotations; expected "
            f"less than {NOT_INVARIANT:g}. The file is damaged, or its numbers have too few digits"
        )
    return [float(c) for c in solution]


def _folded(ms: Magnetic, groups: Groups) -> Magnetic:
    ms = sort_in_groups(ms, groups)
    return max(ms, sort_in_groups(tuple(-m for m in ms), groups))


def _named(block: Block) -> str:
    mus, ns, ls = zip(*block, strict=True)
    return f"mus = {list(mus)}, ns = {list(ns)}, ls = {list(ls)}"
