"""Static tables of the lane kernels: the energy as a bilinear form, and which pairs of A's it shares.

Over complex rows Z = [A; u], where u = A_a A_b or A_a conj(A_b) for some pairs, the energy is
E = c . Re Z + Re sum x_rs Z_r Z_s (or conj(Z_s)): order 2 takes both rows from A, order 3 one from the pairs, order
4 both. Row r is the *host* of a term, s its *leaf*. Monomials go to the pair that most of them share, so that few
products are formed; conjugate twins share one. Hosts are ordered by their number of leaves: the processor then predicts
the ends of the short loops. Entry point: :func:`build_lane_plan`, some 50 microseconds a monomial, once a basis.
"""

from collections import Counter, defaultdict
from heapq import heapify, heappop, heappush
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.ace.plan import Plan

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
HIGHEST_ORDER = 4


class Blocks(NamedTuple):
    """Where the A's of neighbour element mu and momentum l lie: A_{n m} at start + m * length + n - 1.

    Attributes
    ----------
    start, length, radial : (n_elements, lmax + 1) ints
        First position of a block, its number of n's (0 where absent), and its first radial function.
    """

    start: Ints
    length: Ints
    radial: Ints


class Products(NamedTuple):
    """The bilinear form. Hosts are the A's, then the pairs; pairs that are leaves too have rows in Z after the A's.

    Attributes
    ----------
    n_A, n_pairs, n_stored, n_complex : int
        A's; pairs; pairs with rows in Z, which come first; pairs of which more than the real part is needed, next.
    factors : (n_pairs, 2) ints
        Positions of a and b.
    sign : (n_pairs,) floats
        1 for u = a b, -1 for a conj(b).
    first : (n_A + n_pairs + 1,) ints
        Leaves of host r are first[r]:first[r + 1].
    leaf : (n_leaves,) ints
        Positions in Z.
    """

    n_A: int
    n_pairs: int
    n_stored: int
    n_complex: int
    factors: Ints
    sign: Floats
    first: Ints
    leaf: Ints


class LanePlan(NamedTuple):
    """Tables of one plan.

    Attributes
    ----------
    blocks, products
    linear_monomial : (n_A,) ints
        Monomial of each A alone; one past the last where there is none.
    leaf_monomial : (n_leaves,) ints
    leaf_sign : (n_leaves,) floats
        Factor of Im Z_r Im Z_s in the real part: -1, 1 with a conjugate, 0 where one row is real.
    """

    blocks: Blocks
    products: Products
    linear_monomial: Ints
    leaf_monomial: Ints
    leaf_sign: Floats


class _Factor(NamedTuple):
    """One A of a monomial: its position, whether m = 0, and whether it is conjugate."""

    position: int
    real: bool
    conjugate: bool


class _Pair(NamedTuple):
    """A product a b (sign 1) or a conj(b) (sign -1)."""

    a: int
    b: int
    sign: int
    real: bool


class _Part(NamedTuple):
    """A pair, and whether the monomial holds its conjugate."""

    pair: _Pair
    conjugate: bool


class _Split(NamedTuple):
    """One way to form a monomial: a pair and the factor left over (order 3), or two pairs (order 4)."""

    parts: tuple[_Part, ...]
    rest: tuple[_Factor, ...]


class _Leaf(NamedTuple):
    position: int
    monomial: int
    sign: float


def build_lane_plan(plan: Plan, lmax: int) -> LanePlan | None:
    """Return the tables of the lane kernels, or None if the plan has products of more than four factors."""
    if plan.monomial_factors.shape[1] > HIGHEST_ORDER:
        return None
    monomials = _monomials(plan)
    splits, stored = _choose({k: _splits(m) for k, m in enumerate(monomials) if len(m) > 2})
    position = {pair: plan.n_A + k for k, pair in enumerate(stored)}
    linear = np.full(plan.n_A, len(monomials), dtype=np.int64)
    of_A: dict[int, list[_Leaf]] = defaultdict(list)
    of_pair: dict[_Pair, list[_Leaf]] = defaultdict(list)
    for k, monomial in enumerate(monomials):
        if len(monomial) == 1:
            linear[monomial[0].position] = k
        elif len(monomial) == 2:
            a, b = monomial
            of_A[a.position].append(_Leaf(b.position, k, _leaf_sign(a, b)))
        elif len(monomial) == 3:
            host, rest = splits[k].parts[0], splits[k].rest[0]
            of_pair[host.pair].append(_Leaf(rest.position, k, _leaf_sign(_as_factor(host), rest)))
        else:
            host, other = sorted(splits[k].parts, key=lambda part: position[part.pair])
            sign = _leaf_sign(_as_factor(host), _as_factor(other))
            of_pair[host.pair].append(_Leaf(position[other.pair], k, sign))
    return _tables(_blocks(plan, lmax), linear, of_A, of_pair, stored, len(monomials))


def _blocks(plan: Plan, lmax: int) -> Blocks:
    start, length, radial = np.zeros((3, len(plan.row_first) - 1, lmax + 1), dtype=np.int64)
    lowest = {l * (l + 1) // 2: l for l in range(lmax + 1)}
    for mu in range(len(start)):
        for q in range(plan.row_first[mu], plan.row_first[mu + 1]):
            l = lowest.get(int(plan.row_lm[q]))
            if l is not None:
                start[mu, l], length[mu, l] = plan.row_start[q], plan.row_n[q]
                radial[mu, l] = plan.row_radial[q]
    return Blocks(*(np.ascontiguousarray(table) for table in (start, length, radial)))


def _monomials(plan: Plan) -> list[tuple[_Factor, ...]]:
    """Return the factors of each monomial."""
    real = np.zeros(plan.n_A, dtype=bool)
    triangular = {l * (l + 1) // 2 for l in range(int(plan.row_lm.max(initial=0)) + 1)}
    for lm, start, n in zip(plan.row_lm, plan.row_start, plan.row_n, strict=True):
        real[start : start + n] = int(lm) in triangular
    return [
        tuple(_Factor(v % plan.n_A, bool(real[v % plan.n_A]), v >= plan.n_A) for v in own[:order])
        for own, order in zip(plan.monomial_factors.tolist(), plan.monomial_order.tolist(), strict=True)
    ]


def _choose(options: dict[int, list[_Split]]) -> tuple[dict[int, _Split], list[_Pair]]:
    """Return the split of each monomial, and the pairs that order 4 needs, most wanted first."""
    wanted = Counter(part.pair for splits in options.values() for split in splits for part in split.parts)
    chosen = {
        k: max(splits, key=lambda split: (min(wanted[part.pair] for part in split.parts), split))
        for k, splits in options.items()
        if not splits[0].rest
    }
    stored = {part.pair for split in chosen.values() for part in split.parts}
    chosen.update(_cover({k: splits for k, splits in options.items() if splits[0].rest}, stored))
    return chosen, sorted(stored, key=lambda pair: (-wanted[pair], pair))


def _cover(options: dict[int, list[_Split]], present: set[_Pair]) -> dict[int, _Split]:
    """Return one split a monomial from few pairs: greedily the pair that covers most, `present` ones first."""
    users: dict[_Pair, dict[int, _Split]] = defaultdict(dict)
    for k, splits in options.items():
        for split in splits:
            users[split.parts[0].pair][k] = split
    queue = [(pair not in present, -len(own), pair) for pair, own in users.items()]
    heapify(queue)
    chosen: dict[int, _Split] = {}
    while len(chosen) < len(options):
        absent, size, pair = heappop(queue)
        own = {k: split for k, split in users[pair].items() if k not in chosen}
        if len(own) == -size:
            chosen.update(own)
        elif own:
            users[pair] = own
            heappush(queue, (absent, -len(own), pair))
    return chosen


def _tables(
    blocks: Blocks,
    linear: Ints,
    of_A: dict[int, list[_Leaf]],
    of_pair: dict[_Pair, list[_Leaf]],
    stored: list[_Pair],
    n_monomials: int,
) -> LanePlan:
    real = {pair: all(leaf.sign == 0.0 for leaf in own) for pair, own in of_pair.items()}
    others = sorted(set(of_pair) - set(stored), key=lambda pair: (real[pair], len(of_pair[pair]), pair))
    pairs = [*stored, *others]
    hosts = [sorted(of_A.get(v, [])) for v in range(len(linear))]
    hosts += [sorted(of_pair.get(pair, [])) for pair in pairs]
    leaves = [leaf for own in hosts for leaf in own]
    products = Products(
        len(linear),
        len(pairs),
        len(stored),
        len(stored) + sum(not real[pair] for pair in others),
        np.array([(pair.a, pair.b) for pair in pairs], dtype=np.int64).reshape(-1, 2),
        np.array([pair.sign for pair in pairs], dtype=float),
        np.concatenate([[0], np.cumsum([len(own) for own in hosts])]).astype(np.int64),
        np.array([leaf.position for leaf in leaves], dtype=np.int64),
    )
    return LanePlan(
        blocks,
        products,
        linear,
        np.array([leaf.monomial for leaf in leaves], dtype=np.int64),
        np.array([leaf.sign for leaf in leaves], dtype=float),
    )


def _leaf_sign(host: _Factor, leaf: _Factor) -> float:
    """Return the factor of Im Im in the real part of the product."""
    if host.real or leaf.real:
        return 0.0
    return 1.0 if host.conjugate != leaf.conjugate else -1.0


def _as_factor(part: _Part) -> _Factor:
    return _Factor(-1, part.pair.real, part.conjugate)


def _part(a: _Factor, b: _Factor) -> _Part:
    """Return the pair that holds a b or its conjugate."""
    a, b = sorted((a, b))
    sign = -1 if not a.real and not b.real and a.conjugate != b.conjugate else 1
    pair = _Pair(a.position, b.position, sign, a.real and b.real)
    return _Part(pair, b.conjugate if a.real else a.conjugate)


def _splits(monomial: tuple[_Factor, ...]) -> list[_Split]:
    """Return every way to split off a pair (order 3) or to split into two pairs (order 4)."""
    found = []
    for i, j in combinations(range(len(monomial)), 2):
        rest = tuple(monomial[k] for k in range(len(monomial)) if k not in (i, j))
        part = _part(monomial[i], monomial[j])
        if len(rest) == 1:
            found.append(_Split((part,), rest))
        elif i == 0:
            found.append(_Split((part, _part(*rest)), ()))
    return found
