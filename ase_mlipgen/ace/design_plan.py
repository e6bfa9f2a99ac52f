"""Static tables of the design kernels: the derivative of every function as a short combination of rows of A.

dB_k = sum_v g_kv dA_v over the few real rows v (Re A or Im A) on which B_k depends; each g is a sparse sum of products
of the other factors (`design_cofactors`). Functions that differ only in the factor left out (the radial index of one
channel) share their g's. Functions are ordered by their number of terms, so that short loops have even lengths.

In a plane z = 0 every A with l + m odd vanishes, and with it the z components; `planar` tables leave them out.
Entry point: :func:`build_design_plan`, about 3 microseconds a term, once a basis.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.ace.design_cofactors import Cofactors, build_cofactors
from ase_mlipgen.ace.plan import Plan

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Rows(NamedTuple):
    """Real rows of A in blocks (mu, l, m): Re A for n = 1, 2, ..., then Im A if m > 0.

    Attributes
    ----------
    n : int
        Number of real rows.
    first : (n_elements + 1,) ints
        Blocks of neighbour element mu.
    l, m, row, length : (n_blocks,) ints
        Momenta, first real row, number of n's.
    component : (n,) ints
        Where each row's value is among the components of the cofactors.
    """

    n: int
    first: Ints
    l: Ints
    m: Ints
    row: Ints
    length: Ints
    component: Ints


class Gradients(NamedTuple):
    """The distinct g's: sums of components, by their number of terms.

    Attributes
    ----------
    n : int
        Padded to whole tiles of `TILE`.
    first : (n + 1,) ints
    component : (n_terms,) ints
    value : (n_terms,) floats
    member : (TILE,) ints
        k * n: where the k-th atom's g's begin.
    """

    n: int
    first: Ints
    component: Ints
    value: Floats
    member: Ints


class Functions(NamedTuple):
    """Which g multiplies which row, in groups of `TILE` functions.

    Attributes
    ----------
    n_groups : int
    first : (n_groups * TILE * n_elements + 1,) ints
        Terms of place k and neighbour element mu are first[k * n_elements + mu]:first[k * n_elements + mu + 1].
    gradient, row : (n_terms,) ints
    function : (n_groups * TILE,) ints
        The function at each place; -1 at the end.
    inverse_order : (n_groups * TILE,) floats
        B_k = inverse_order * sum_v g_kv A_v.
    """

    n_groups: int
    first: Ints
    gradient: Ints
    row: Ints
    function: Ints
    inverse_order: Floats


class DesignPlan(NamedTuple):
    """Tables of one centre element; see the parts."""

    planar: bool
    rows: Rows
    cofactors: Cofactors
    gradients: Gradients
    functions: Functions


TILE = 8  # the widest vector


def build_design_plan(plan: Plan, planar: bool) -> DesignPlan:
    """Return the tables of the design kernels.

    Parameters
    ----------
    plan : Plan
    planar : bool
        For pair vectors that all have z = 0.
    """
    m_v, l_v = _momenta(plan)
    alive = (l_v + m_v) % 2 == 0 if planar else np.ones(plan.n_A, dtype=bool)
    node_v = np.where(alive, np.cumsum(alive), 0)
    rows, real_row, imaginary_row = _rows(plan, alive, node_v)
    cofactors, terms = build_cofactors(plan, m_v == 0, alive, node_v)
    real = _expand(terms.function, real_row[terms.base], 2 * terms.node, terms.value)
    # Re(z C) = Re z Re C - Im z Im C; both signs of a conjugate are in turn and flip.
    minus = -terms.value * terms.turn * terms.flip
    chosen = imaginary_row[terms.base] >= 0
    imaginary = _expand(terms.function, imaginary_row[terms.base], 2 * terms.node + 1, minus, chosen)
    merged = _merge(np.concatenate([real, imaginary], axis=1), rows.n, 2 * cofactors.n_nodes)
    n_functions, n_elements = len(plan.term_first) - 1, len(plan.row_first) - 1
    gradients, owner, row, gradient = _share(*merged)
    mu_row = np.repeat(np.arange(n_elements), [_n_rows(rows, mu) for mu in range(n_elements)])
    order_k = plan.monomial_order[plan.term_monomial[plan.term_first[:-1]]]
    functions = _functions(n_functions, n_elements, owner, row, mu_row[row], gradient, order_k)
    return DesignPlan(planar, rows, cofactors, gradients, functions)


def _momenta(plan: Plan) -> tuple[Ints, Ints]:
    """Return m and l of each A."""
    l_q = ((np.sqrt(8.0 * plan.row_lm + 1.0) - 1.0) / 2.0 + 1e-9).astype(np.int64)
    m_q = plan.row_lm - l_q * (l_q + 1) // 2
    return np.repeat(m_q, plan.row_n), np.repeat(l_q, plan.row_n)


def _rows(plan: Plan, alive: Bools, node_v: Ints) -> tuple[Rows, Ints, Ints]:
    """Lay out the real rows; return also the row of each A's real and imaginary part, -1 where there is none."""
    real_row, imaginary_row = np.full((2, plan.n_A), -1, dtype=np.int64)
    found, component, n = [], [], 0
    for mu, lm, start, length in zip(plan.row_mu, plan.row_lm, plan.row_start, plan.row_n, strict=True):
        own = np.arange(start, start + length)
        if not alive[start]:
            continue
        l = int((np.sqrt(8 * lm + 1) - 1) / 2 + 1e-9)
        m = int(lm - l * (l + 1) // 2)
        found.append((mu, l, m, n, length))
        real_row[own] = n + np.arange(length)
        component.append(2 * node_v[own])
        n += length
        if m > 0:
            imaginary_row[own] = n + np.arange(length)
            component.append(2 * node_v[own] + 1)
            n += length
    table = np.array(found, dtype=np.int64).reshape(-1, 5)
    first = np.searchsorted(table[:, 0], np.arange(len(plan.row_first))).astype(np.int64)
    l_q, m_q, row_q, length_q = (np.ascontiguousarray(column) for column in table.T[1:])
    return Rows(int(n), first, l_q, m_q, row_q, length_q, np.concatenate(component)), real_row, imaginary_row


def _n_rows(rows: Rows, mu: int) -> int:
    own = slice(rows.first[mu], rows.first[mu + 1])
    return int(np.sum(rows.length[own] * np.where(rows.m[own] > 0, 2, 1)))


def _expand(function: Ints, row: Ints, component: Ints, value: Floats, chosen: Bools | None = None) -> Floats:
    """Stack (function, row, component, value), without zeros and, if given, only the `chosen`."""
    keep = (value != 0.0) if chosen is None else chosen & (value != 0.0)
    return np.stack([function[keep], row[keep], component[keep], value[keep]]).astype(float)


def _merge(table: Floats, n_rows: int, n_components: int) -> tuple[Ints, Ints, Ints, Floats]:
    """Add up equal (function, row, component); return those and the values, sorted."""
    function, row, component = table[:3].astype(np.int64)
    keys = (function * n_rows + row) * n_components + component
    distinct, inverse = np.unique(keys, return_inverse=True)
    value = np.bincount(inverse, table[3], len(distinct))
    pair, component = np.divmod(distinct, n_components)
    function, row = np.divmod(pair, n_rows)
    keep = np.abs(value) > 1e-14 * np.abs(value).max(initial=0.0)
    return function[keep], row[keep], component[keep], value[keep].astype(float)


def _share(function: Ints, row: Ints, component: Ints, value: Floats) -> tuple[Gradients, Ints, Ints, Ints]:
    """Give equal sums one g; return the g's, and function, row and g of each entry."""
    change = np.flatnonzero((np.diff(function, prepend=-1) != 0) | (np.diff(row, prepend=-1) != 0))
    bounds = np.append(change, len(function))
    sums: dict[tuple[bytes, bytes], int] = {}
    entry_sum = np.array(
        [
            sums.setdefault((component[a:b].tobytes(), value[a:b].tobytes()), len(sums))
            for a, b in pairwise(bounds.tolist())
        ],
        dtype=np.int64,
    )
    size = np.array([len(c) // component.itemsize for c, _ in sums], dtype=np.int64)
    order = np.argsort(size, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    keys = list(sums)
    n = -(-max(len(keys), 1) // TILE) * TILE
    first = np.zeros(n + 1, dtype=np.int64)
    first[1 : len(keys) + 1] = np.cumsum(size[order])
    first[len(keys) + 1 :] = first[len(keys)]
    gradients = Gradients(
        n,
        first,
        np.concatenate([np.frombuffer(keys[k][0], dtype=np.int64) for k in order]),
        np.concatenate([np.frombuffer(keys[k][1], dtype=float) for k in order]),
        np.arange(TILE, dtype=np.int64) * n,
    )
    return gradients, function[change], row[change], place[entry_sum]


def _functions(
    n_functions: int, n_elements: int, owner: Ints, row: Ints, mu: Ints, gradient: Ints, order_k: Ints
) -> Functions:
    """Order functions by their number of entries and fill up the last group."""
    place_of = np.empty(n_functions, dtype=np.int64)
    by_size = np.argsort(np.bincount(owner, minlength=n_functions), kind="stable")
    place_of[by_size] = np.arange(n_functions)
    n_groups = -(-n_functions // TILE)
    place = place_of[owner]
    order = np.lexsort([row, mu, place])
    first = np.searchsorted((place * n_elements + mu)[order], np.arange(n_groups * TILE * n_elements + 1))
    function = np.full(n_groups * TILE, -1, dtype=np.int64)
    function[:n_functions] = by_size
    inverse_order = np.zeros(n_groups * TILE)
    inverse_order[:n_functions] = 1.0 / order_k[by_size]
    return Functions(
        n_groups, first.astype(np.int64), gradient[order].copy(), row[order].copy(), function, inverse_order
    )
