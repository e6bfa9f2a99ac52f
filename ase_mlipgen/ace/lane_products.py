"""Compiled products of A's, forward and backward in one sweep over the bilinear form of `lane_plan`.

Complex numbers are pairs of vectors; Re(u z) = Re u Re z - Im u Im z, with the sign in the coefficient. Entry point:
:func:`products_and_derivatives`.
"""

from ase_mlipgen.ace.lane_layout import STRIDE
from ase_mlipgen.jit import helper, inlined
from ase_mlipgen.simd import fma, load, splat, store


@inlined
def add_to(lanes, work, row, value):
    """Add a vector to a row."""
    store(work, row, load(lanes, work, row) + value)


@inlined
def complex_leaves(lanes, first, last, leaf, values, u, v, W, V, work):
    """Add the leaves of a host u + i v to its derivatives W, V, and its terms to theirs."""
    for e in range(first, last):
        row = STRIDE * leaf[e]
        x, y = splat(lanes, values[2 * e]), splat(lanes, values[2 * e + 1])
        W = fma(x, load(lanes, work, row), W)
        V = fma(y, load(lanes, work, row + 1), V)
        store(work, row + 2, fma(x, u, load(lanes, work, row + 2)))
        store(work, row + 3, fma(y, v, load(lanes, work, row + 3)))
    return W, V


@inlined
def real_leaves(lanes, first, last, leaf, values, u, W, work):
    """Do as `complex_leaves` where only the real part of the host counts."""
    for e in range(first, last):
        row, x = STRIDE * leaf[e], splat(lanes, values[2 * e])
        W = fma(x, load(lanes, work, row), W)
        store(work, row + 2, fma(x, u, load(lanes, work, row + 2)))
    return W


@inlined
def _complex_pair(lanes, pair, n_Z, products, values, energy, work):
    """Add the terms of a pair u + i v = (a + i b)(c + i d), the sign folded into d; return the energy."""
    A, B = STRIDE * products.factors[2 * pair], STRIDE * products.factors[2 * pair + 1]
    host, sign = products.n_A + pair, splat(lanes, products.sign[pair])
    a, b = load(lanes, work, A), load(lanes, work, A + 1)
    c, d = load(lanes, work, B), load(lanes, work, B + 1) * sign
    u, v = a * c - b * d, a * d + b * c
    zero, first = splat(lanes, 0.0), products.first
    W, V = complex_leaves(lanes, first[host], first[host + 1], products.leaf, values, u, v, zero, zero, work)
    energy = fma(u, W, fma(v, V, energy))
    if host < n_Z:
        W = W + load(lanes, work, STRIDE * host + 2)
        V = V + load(lanes, work, STRIDE * host + 3)
    add_to(lanes, work, A + 2, W * c + V * d)
    add_to(lanes, work, A + 3, V * c - W * d)
    add_to(lanes, work, B + 2, W * a + V * b)
    add_to(lanes, work, B + 3, sign * (V * a - W * b))
    return energy


@inlined
def _real_pair(lanes, pair, products, values, energy, work):
    """Do as `_complex_pair` for a pair of which only the real part counts."""
    A, B = STRIDE * products.factors[2 * pair], STRIDE * products.factors[2 * pair + 1]
    host, sign = products.n_A + pair, splat(lanes, products.sign[pair])
    a, b = load(lanes, work, A), load(lanes, work, A + 1)
    c, d = load(lanes, work, B), load(lanes, work, B + 1) * sign
    u, first = a * c - b * d, products.first
    W = real_leaves(lanes, first[host], first[host + 1], products.leaf, values, u, splat(lanes, 0.0), work)
    W_b = splat(lanes, 0.0) - W
    add_to(lanes, work, A + 2, W * c)
    add_to(lanes, work, A + 3, W_b * d)
    add_to(lanes, work, B + 2, W * a)
    add_to(lanes, work, B + 3, W_b * b * sign)
    return fma(u, W, energy)


@inlined
def store_pair(lanes, pair, products, work):
    """Write a pair that is a leaf itself to its rows of Z."""
    A, B = STRIDE * products.factors[2 * pair], STRIDE * products.factors[2 * pair + 1]
    a, b = load(lanes, work, A), load(lanes, work, A + 1)
    c, d = load(lanes, work, B), load(lanes, work, B + 1) * splat(lanes, products.sign[pair])
    row = STRIDE * (products.n_A + pair)
    store(work, row, a * c - b * d)
    store(work, row + 1, a * d + b * c)
    store(work, row + 2, splat(lanes, 0.0))
    store(work, row + 3, splat(lanes, 0.0))


@helper
def products_and_derivatives(lanes, products, linear, values, work, n_Z):
    """Return the energy of each lane and add its derivatives to those by the A's.

    A stored pair is a leaf only of hosts before it, so its derivative is complete when its own turn comes.
    """
    first = products.first
    for pair in range(products.n_stored):
        store_pair(lanes, pair, products, work)
    energy = splat(lanes, 0.0)
    for host in range(products.n_A):
        row = STRIDE * host
        u, v = load(lanes, work, row), load(lanes, work, row + 1)
        W, V = splat(lanes, linear[host]), splat(lanes, 0.0)
        W, V = complex_leaves(lanes, first[host], first[host + 1], products.leaf, values, u, v, W, V, work)
        energy = fma(u, W, fma(v, V, energy))
        add_to(lanes, work, row + 2, W)
        add_to(lanes, work, row + 3, V)
    for pair in range(products.n_complex):
        energy = _complex_pair(lanes, pair, n_Z, products, values, energy, work)
    for pair in range(products.n_complex, products.n_pairs):
        energy = _real_pair(lanes, pair, products, values, energy, work)
    return energy
