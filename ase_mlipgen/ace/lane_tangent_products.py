"""Compiled tangents of the products: how dE/dA changes along a change of the A's.

The energy is bilinear in Z = [A; u] (`lane_plan`), so the tangent of the sweep in `lane_products` is that sweep again,
over the tangents of Z and without its linear part; only the pairs u = a b add terms, which need the values of their
factors and of W = dE/du. Those are kept once a batch (:func:`products_kept`); then each :func:`products_tangent` costs
about one forward-and-backward sweep.
"""

from ase_mlipgen.ace.lane_layout import STRIDE
from ase_mlipgen.ace.lane_products import add_to, complex_leaves, real_leaves, store_pair
from ase_mlipgen.jit import helper, inlined
from ase_mlipgen.simd import fma, load, splat, store


@inlined
def _keep_complex_pair(lanes, pair, n_Z, products, values, work, kept):
    """Add the terms of a pair u + i v = (a + i b)(c + i d), the sign folded into d, and store dE/du, dE/dv."""
    A, B = STRIDE * products.factors[2 * pair], STRIDE * products.factors[2 * pair + 1]
    host, sign, first = products.n_A + pair, splat(lanes, products.sign[pair]), products.first
    a, b = load(lanes, work, A), load(lanes, work, A + 1)
    c, d = load(lanes, work, B), load(lanes, work, B + 1) * sign
    u, v, W, V = a * c - b * d, a * d + b * c, splat(lanes, 0.0), splat(lanes, 0.0)
    W, V = complex_leaves(lanes, first[host], first[host + 1], products.leaf, values, u, v, W, V, work)
    if host < n_Z:
        W = W + load(lanes, work, STRIDE * host + 2)
        V = V + load(lanes, work, STRIDE * host + 3)
    store(work, kept, W)
    store(work, kept + 1, V)
    add_to(lanes, work, A + 2, W * c + V * d)
    add_to(lanes, work, A + 3, V * c - W * d)
    add_to(lanes, work, B + 2, W * a + V * b)
    add_to(lanes, work, B + 3, sign * (V * a - W * b))


@inlined
def _keep_real_pair(lanes, pair, products, values, work, kept):
    """Do as `_keep_complex_pair` for a pair of which only the real part counts."""
    A, B = STRIDE * products.factors[2 * pair], STRIDE * products.factors[2 * pair + 1]
    host, sign, first = products.n_A + pair, splat(lanes, products.sign[pair]), products.first
    a, b = load(lanes, work, A), load(lanes, work, A + 1)
    c, d = load(lanes, work, B), load(lanes, work, B + 1) * sign
    zero = splat(lanes, 0.0)
    W = real_leaves(lanes, first[host], first[host + 1], products.leaf, values, a * c - b * d, zero, work)
    store(work, kept, W)
    add_to(lanes, work, A + 2, W * c)
    add_to(lanes, work, A + 3, zero - W * d)
    add_to(lanes, work, B + 2, W * a)
    add_to(lanes, work, B + 3, zero - W * b * sign)


@helper
def products_kept(lanes, products, linear, values, work, at, more):
    """Add dE/dA to its rows as `lane_products` does, and keep dE/du of every pair and the values of Z."""
    for pair in range(products.n_stored):
        store_pair(lanes, pair, products, work)
    first = products.first
    for host in range(products.n_A):
        row = STRIDE * host
        u, v = load(lanes, work, row), load(lanes, work, row + 1)
        W, V = splat(lanes, linear[host]), splat(lanes, 0.0)
        W, V = complex_leaves(lanes, first[host], first[host + 1], products.leaf, values, u, v, W, V, work)
        add_to(lanes, work, row + 2, W)
        add_to(lanes, work, row + 3, V)
    for pair in range(products.n_complex):
        _keep_complex_pair(lanes, pair, at.n_Z, products, values, work, more.pairs + 2 * pair)
    for pair in range(products.n_complex, products.n_pairs):
        _keep_real_pair(lanes, pair, products, values, work, more.pairs + 2 * pair)
    for k in range(at.n_Z):
        store(work, more.Z + 2 * k, load(lanes, work, STRIDE * k))
        store(work, more.Z + 2 * k + 1, load(lanes, work, STRIDE * k + 1))


@inlined
def _factors(lanes, pair, products, work, more):
    """Return the values and tangents of the factors a + i b and c + i d of a pair, the sign folded into d."""
    A, B, sign = products.factors[2 * pair], products.factors[2 * pair + 1], splat(lanes, products.sign[pair])
    a, b = load(lanes, work, more.Z + 2 * A), load(lanes, work, more.Z + 2 * A + 1)
    c, d = load(lanes, work, more.Z + 2 * B), load(lanes, work, more.Z + 2 * B + 1) * sign
    da, db = load(lanes, work, STRIDE * A), load(lanes, work, STRIDE * A + 1)
    dc, dd = load(lanes, work, STRIDE * B), load(lanes, work, STRIDE * B + 1) * sign
    return a, b, c, d, da, db, dc, dd


@inlined
def _real_part(a, b, c, d, da, db, dc, dd):
    """Return the tangent of Re (a + i b)(c + i d)."""
    return fma(da, c, a * dc) - fma(db, d, b * dd)


@inlined
def _imaginary_part(a, b, c, d, da, db, dc, dd):
    """Return the tangent of Im (a + i b)(c + i d)."""
    return fma(da, d, fma(a, dd, fma(db, c, b * dc)))


@inlined
def _store_tangent(lanes, pair, products, work, more):
    """Write the tangent of a pair that is a leaf itself to its rows."""
    a, b, c, d, da, db, dc, dd = _factors(lanes, pair, products, work, more)
    row = STRIDE * (products.n_A + pair)
    store(work, row, _real_part(a, b, c, d, da, db, dc, dd))
    store(work, row + 1, _imaginary_part(a, b, c, d, da, db, dc, dd))
    store(work, row + 2, splat(lanes, 0.0))
    store(work, row + 3, splat(lanes, 0.0))


@inlined
def _complex_pair(lanes, pair, products, values, work, at, more):
    """Add the tangents of the terms of one pair."""
    A, B = STRIDE * products.factors[2 * pair], STRIDE * products.factors[2 * pair + 1]
    host, sign, first = products.n_A + pair, splat(lanes, products.sign[pair]), products.first
    a, b, c, d, da, db, dc, dd = _factors(lanes, pair, products, work, more)
    du, dv = _real_part(a, b, c, d, da, db, dc, dd), _imaginary_part(a, b, c, d, da, db, dc, dd)
    W, V = load(lanes, work, more.pairs + 2 * pair), load(lanes, work, more.pairs + 2 * pair + 1)
    zero = splat(lanes, 0.0)
    dW, dV = complex_leaves(
        lanes, first[host], first[host + 1], products.leaf, values, du, dv, zero, zero, work
    )
    if host < at.n_Z:
        dW = dW + load(lanes, work, STRIDE * host + 2)
        dV = dV + load(lanes, work, STRIDE * host + 3)
    add_to(lanes, work, A + 2, fma(dW, c, fma(W, dc, fma(dV, d, V * dd))))
    add_to(lanes, work, A + 3, fma(dV, c, V * dc) - fma(dW, d, W * dd))
    add_to(lanes, work, B + 2, fma(dW, a, fma(W, da, fma(dV, b, V * db))))
    add_to(lanes, work, B + 3, sign * (fma(dV, a, V * da) - fma(dW, b, W * db)))


@inlined
def _real_pair(lanes, pair, products, values, work, more):
    """Do as `_complex_pair` for a pair of which only the real part counts."""
    A, B = STRIDE * products.factors[2 * pair], STRIDE * products.factors[2 * pair + 1]
    host, first = products.n_A + pair, products.first
    a, b, c, d, da, db, dc, dd = _factors(lanes, pair, products, work, more)
    du, W, zero = (
        _real_part(a, b, c, d, da, db, dc, dd),
        load(lanes, work, more.pairs + 2 * pair),
        splat(lanes, 0.0),
    )
    dW = real_leaves(lanes, first[host], first[host + 1], products.leaf, values, du, zero, work)
    minus = splat(lanes, 0.0 - products.sign[pair])
    add_to(lanes, work, A + 2, fma(dW, c, W * dc))
    add_to(lanes, work, A + 3, zero - fma(dW, d, W * dd))
    add_to(lanes, work, B + 2, fma(dW, a, W * da))
    add_to(lanes, work, B + 3, minus * fma(dW, b, W * db))


@helper
def products_tangent(lanes, products, values, work, at, more):
    """Turn the tangents of the A's into those of dE/dA, both in the front rows (the derivatives zero before)."""
    first = products.first
    for pair in range(products.n_stored):
        _store_tangent(lanes, pair, products, work, more)
    zero = splat(lanes, 0.0)
    for host in range(products.n_A):
        row = STRIDE * host
        u, v = load(lanes, work, row), load(lanes, work, row + 1)
        W, V = complex_leaves(
            lanes, first[host], first[host + 1], products.leaf, values, u, v, zero, zero, work
        )
        add_to(lanes, work, row + 2, W)
        add_to(lanes, work, row + 3, V)
    for pair in range(products.n_complex):
        _complex_pair(lanes, pair, products, values, work, at, more)
    for pair in range(products.n_complex, products.n_pairs):
        _real_pair(lanes, pair, products, values, work, more)
