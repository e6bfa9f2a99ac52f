"""Compiled many-particle part of the design rows: cofactors, the g's, and their contraction with dA.

Cofactors and g's are formed with W atoms in the lanes. The contraction D = sum_v g_kv J_v runs over tiles of
columns of J (neighbours' coordinates) for W functions after another, and is added, transposed, to the functions' rows:
W functions contiguous. Entry points: :func:`multiply`, :func:`multiply_tangent`, :func:`gradients`, :func:`contract`.
"""

from ase_mlipgen.ace.lane_moves import add_transposed, shift, store_transposed
from ase_mlipgen.jit import helper, inlined
from ase_mlipgen.simd import fma, load, splat, store

WIDEST = 4  # vectors of a tile of columns: with the rows of J it still fits the first cache


@helper
def multiply(lanes, tree, work, P):
    """Fill the products of the tree, complex, after its first nodes."""
    for k in range(tree.n_nodes - 1 - tree.n_A):
        left, right, node = P + 2 * tree.left[k], P + 2 * tree.right[k], P + 2 * (1 + tree.n_A + k)
        a, b, c = load(lanes, work, left), load(lanes, work, left + 1), load(lanes, work, right)
        d = load(lanes, work, right + 1) * splat(lanes, tree.sign[k])
        store(work, node, a * c - b * d)
        store(work, node + 1, fma(a, d, b * c))


@helper
def multiply_tangent(lanes, tree, work, P, T):
    """Fill the tangents T of the products P."""
    for k in range(tree.n_nodes - 1 - tree.n_A):
        left, right, node = 2 * tree.left[k], 2 * tree.right[k], 2 * (1 + tree.n_A + k)
        sign = splat(lanes, tree.sign[k])
        a, b, c = load(lanes, work, P + left), load(lanes, work, P + left + 1), load(lanes, work, P + right)
        d = load(lanes, work, P + right + 1) * sign
        ta, tb, tc = (
            load(lanes, work, T + left),
            load(lanes, work, T + left + 1),
            load(lanes, work, T + right),
        )
        td = load(lanes, work, T + right + 1) * sign
        store(work, T + node, fma(ta, c, a * tc) - fma(tb, d, b * td))
        store(work, T + node + 1, fma(ta, d, a * td) + fma(tb, c, b * tc))


@helper
def gradients(lanes, width, sums, work, P, scratch, G):
    """Fill the g's of W atoms from the components at P, atom by atom."""
    one = splat(lanes, 1.0)
    for start in range(0, sums.n, width):
        for k in range(width):
            g = splat(lanes, 0.0)
            for e in range(sums.first[start + k], sums.first[start + k + 1]):
                g = fma(splat(lanes, sums.value[e]), load(lanes, work, P + sums.component[e]), g)
            store(work, scratch + k, g)
        store_transposed(lanes, work, scratch, 1, one, G, sums.member, start)


@inlined
def _four(lanes, first, last, terms, G, J, stride, work, out):
    a0 = a1 = a2 = a3 = splat(lanes, 0.0)
    for e in range(first, last):
        g, place = splat(lanes, G[terms.gradient[e]]), terms.row[e] * stride
        a0, a1 = fma(g, load(lanes, J, place), a0), fma(g, load(lanes, J, place + 1), a1)
        a2, a3 = fma(g, load(lanes, J, place + 2), a2), fma(g, load(lanes, J, place + 3), a3)
    store(work, out, a0)
    store(work, out + 1, a1)
    store(work, out + 2, a2)
    store(work, out + 3, a3)


@inlined
def _two(lanes, first, last, terms, G, J, stride, work, out):
    a0 = a1 = splat(lanes, 0.0)
    for e in range(first, last):
        g, place = splat(lanes, G[terms.gradient[e]]), terms.row[e] * stride
        a0, a1 = fma(g, load(lanes, J, place), a0), fma(g, load(lanes, J, place + 1), a1)
    store(work, out, a0)
    store(work, out + 1, a1)


@inlined
def _one(lanes, first, last, terms, G, J, stride, work, out):
    a0 = splat(lanes, 0.0)
    for e in range(first, last):
        a0 = fma(splat(lanes, G[terms.gradient[e]]), load(lanes, J, terms.row[e] * stride), a0)
    store(work, out, a0)


@inlined
def _range_of_elements(n_elements, ends, low, high):
    """Return which elements' columns, [ends[mu], ends[mu + 1]), meet [low, high); all for the ones after."""
    first, last = 0, n_elements
    if high <= ends[n_elements]:
        while first + 1 < n_elements and ends[first + 1] <= low:
            first += 1
        while last > first + 1 and ends[last - 1] >= high:
            last -= 1
    return first, last


@helper
def contract(
    lanes, width, n_groups, n_elements, ends, n_vectors, terms, G, J, stride, work, scratch, rows, where, n_rows
):  # fmt: skip
    """Add the derivatives of all functions to their rows, W functions a group.

    Column c of J goes to element where[c] of a group's block of n_rows * W; `ends` says which columns belong to which
    element of neighbours.
    """
    tile = 0
    while tile < n_vectors:
        size = min(WIDEST, n_vectors - tile)
        size = 2 if size == 3 else size
        low, high = _range_of_elements(n_elements, ends, tile * width, (tile + size) * width)
        part = shift(J, tile * width)
        for group in range(n_groups):
            for k in range(width):
                entry = (group * width + k) * n_elements
                start, stop, out = terms.first[entry + low], terms.first[entry + high], scratch + k * size
                if size == 4:
                    _four(lanes, start, stop, terms, G, part, stride, work, out)
                elif size == 2:
                    _two(lanes, start, stop, terms, G, part, stride, work, out)
                else:
                    _one(lanes, start, stop, terms, G, part, stride, work, out)
            offset = group * n_rows * width
            for t in range(size):
                columns = shift(where, (tile + t) * width)
                add_transposed(lanes, work, scratch + t, size, rows, columns, offset)
        tile += size
