"""Cofactors: what is left of a monomial of A's without one of its factors, as nodes of a tree.

A cofactor of n factors is the product of one of n - 1 and one more A, so that each costs one complex product, whatever
the order. Factors are sorted, and a cofactor and its conjugate share a node. Entry point: :func:`build_cofactors`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.ace.plan import Plan

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Cofactors(NamedTuple):
    """Complex nodes: 1, the A's, then products; components 2 k and 2 k + 1 are node k's real and imaginary part.

    Attributes
    ----------
    n_nodes, n_A : int
    left, right : (n_nodes - 1 - n_A,) ints
        Nodes that are multiplied.
    sign : same shape, floats
        -1 where the right one is conjugated.
    """

    n_nodes: int
    n_A: int
    left: Ints
    right: Ints
    sign: Floats


class OpenTerms(NamedTuple):
    """Terms of the functions with one factor left open; arrays of one length.

    Attributes
    ----------
    function, base : ints
        The function, and the A that is left open.
    turn : floats
        -1 where the open factor is conj(A).
    value : floats
        Coefficient.
    node : ints
        The cofactor.
    flip : floats
        -1 where the cofactor is the node's conjugate, 0 where it is real.
    """

    function: Ints
    base: Ints
    turn: Floats
    value: Floats
    node: Ints
    flip: Floats


def build_cofactors(plan: Plan, real_v: Bools, alive_v: Bools, node_v: Ints) -> tuple[Cofactors, OpenTerms]:
    """Return the tree of all cofactors, and the terms that they belong to.

    Parameters
    ----------
    plan : Plan
    real_v, alive_v : (n_A,) bools
        Which A's are real, and which do not vanish; terms that contain one that does are left out.
    node_v : (n_A,) ints
        Node of each A, 1, 2, ...
    """
    tree = _Tree(int(alive_v.sum()))
    function_t = np.repeat(np.arange(len(plan.term_first) - 1), np.diff(plan.term_first))
    factors_t = plan.monomial_factors[plan.term_monomial]
    order_t = plan.monomial_order[plan.term_monomial]
    parts = []
    for order in np.unique(order_t):
        chosen = np.flatnonzero(order_t == order)
        chosen = chosen[alive_v[factors_t[chosen, :order] % plan.n_A].all(axis=1)]
        factors = factors_t[chosen, :order]
        base, turn = factors % plan.n_A, np.where(factors >= plan.n_A, -1, 1)
        for k in range(order):
            rest, rest_turn, flip = _canonical(np.delete(base, k, axis=1), np.delete(turn, k, axis=1), real_v)
            node = tree.nodes(node_v[rest], rest_turn < 0)
            parts.append((function_t[chosen], base[:, k], turn[:, k], plan.term_value[chosen], node, flip))
    terms = OpenTerms(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return tree.tables(), terms._replace(turn=terms.turn.astype(float))


class _Tree:
    """Numbers products of nodes as they come."""

    def __init__(self, n_A: int) -> None:
        self.n_A = n_A
        self.numbers: dict[int, int] = {}

    def nodes(self, factors: Ints, conjugate: Bools) -> Ints:
        """Return the node of each row's product; a row of no factors is node 0."""
        if factors.shape[1] == 0:
            return np.zeros(len(factors), dtype=np.int64)
        node = factors[:, 0]
        for k in range(1, factors.shape[1]):
            keys = (node * (self.n_A + 1) + factors[:, k]) * 2 + conjugate[:, k]
            distinct, inverse = np.unique(keys, return_inverse=True)
            first = 1 + self.n_A
            found = [self.numbers.setdefault(key, first + len(self.numbers)) for key in distinct.tolist()]
            node = np.array(found, dtype=np.int64)[inverse]
        return node

    def tables(self) -> Cofactors:
        pair, conjugate = np.divmod(np.array(list(self.numbers), dtype=np.int64), 2)
        left, right = np.divmod(pair, self.n_A + 1)
        return Cofactors(1 + self.n_A + len(pair), self.n_A, left, right, np.where(conjugate, -1.0, 1.0))


def _canonical(base: Ints, turn: Ints, real_v: Bools) -> tuple[Ints, Ints, Floats]:
    """Sort factors; conjugate the product if its first complex factor is (flip -1; 0 where all are real)."""
    if base.shape[1] == 0:
        return base, turn, np.zeros(len(base))
    turn = np.where(real_v[base], 1, turn)
    order = np.argsort(2 * base + (turn < 0), axis=1, kind="stable")
    base, turn = np.take_along_axis(base, order, axis=1), np.take_along_axis(turn, order, axis=1)
    is_complex = ~real_v[base]
    first = np.argmax(is_complex, axis=1)[:, None]
    flip = np.where(is_complex.any(axis=1), np.take_along_axis(turn, first, axis=1)[:, 0], 0)
    turn = np.where(is_complex & (flip < 0)[:, None], -turn, turn)
    order = np.argsort(2 * base + (turn < 0), axis=1, kind="stable")
    return (
        np.take_along_axis(base, order, axis=1),
        np.take_along_axis(turn, order, axis=1),
        flip.astype(float),
    )
