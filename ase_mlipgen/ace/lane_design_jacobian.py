"""Compiled A and dA/d(pair vector) of one atom, and their tangents, neighbours in the lanes.

dA_nlm = R_n T_lm + dR_n/dr Y_lm u, T the gradient of Y_lm across the unit vector u. Row v of the Jacobian J holds
dA_v/dx of all neighbours, then dy and dz, packed: a later part overwrites the empty lanes of the one before.
*Tangents* are derivatives along a velocity of each pair vector: of Q and (x + i y)^m by their own recurrences, of the
rest by the product rule. Entry points: :func:`densities`, :func:`jacobian`, :func:`jacobian_tangent`, :func:`moments`.
"""

from typing import NamedTuple

from ase_mlipgen.ace.lane_moves import shift
from ase_mlipgen.jit import helper, inlined
from ase_mlipgen.simd import fma, load, splat, store, total


class Span(NamedTuple):
    """Neighbours of one element: blocks first:last, records and number of slots, first column of J, columns an axis."""

    first: int
    last: int
    records: int
    n_slots: int
    column: int
    n: int


@inlined
def _powers(lanes, m, part, work, record, at):
    """Return (e0, e1, f1, e2, f2), the real (part 0) or imaginary part of p_m, m p_{m-1}, i m p_{m-1}, and so on.

    p_m = (x + i y)^m: de0 = e1 dx + f1 dy, de1 = e2 dx + f2 dy, df1 = f2 dx - e2 dy.
    """
    zero, C, S = splat(lanes, 0.0), record + at.C + m, record + at.S + m
    c0, s0 = load(lanes, work, C), load(lanes, work, S)
    c1 = s1 = c2 = s2 = zero
    if m > 0:
        f = splat(lanes, 1.0 * m)
        c1, s1 = f * load(lanes, work, C - 1), f * load(lanes, work, S - 1)
    if m > 1:
        f = splat(lanes, 1.0 * m * (m - 1))
        c2, s2 = f * load(lanes, work, C - 2), f * load(lanes, work, S - 2)
    if part == 0:
        return c0, c1, zero - s1, c2, zero - s2
    return s0, s1, c1, s2, c2


@inlined
def _legendre(lanes, l, m, angular, work, record, at):
    """Return Q_lm and its first two derivatives by z."""
    zero, k = splat(lanes, 0.0), l * (l + 1) // 2 + m
    q, dq, ddq = load(lanes, work, record + at.Q + k), zero, zero
    if m < l:
        dq = splat(lanes, angular.c[k]) * load(lanes, work, record + at.Q + k + 1)
    if m + 1 < l:
        ddq = splat(lanes, angular.c[k] * angular.c[k + 1]) * load(lanes, work, record + at.Q + k + 2)
    return q, dq, ddq


@inlined
def _triple(lanes, work, row):
    return load(lanes, work, row), load(lanes, work, row + 1), load(lanes, work, row + 2)


@inlined
def _dot(a, b):
    return fma(a[0], b[0], fma(a[1], b[1], a[2] * b[2]))


@inlined
def _times(s, a):
    return s * a[0], s * a[1], s * a[2]


@inlined
def _plus(a, b):
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


@inlined
def _minus(a, b):
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


@inlined
def _gradient(lanes, l, m, part, angular, work, record, at):
    """Return Y and, for dA = R T + dR/dr B: T = (p - u (u . p)) / r with p = dY/du, and B = Y u."""
    e0, e1, f1, _, _ = _powers(lanes, m, part, work, record, at)
    q, dq, _ = _legendre(lanes, l, m, angular, work, record, at)
    u, inverse = _triple(lanes, work, record + at.U), load(lanes, work, record + at.U + 3)
    p = (q * e1, q * f1, dq * e0)
    value = q * e0
    return value, _times(inverse, _minus(p, _times(_dot(u, p), u))), _times(value, u)


@inlined
def _gradient_tangent(lanes, l, m, part, angular, work, record, at):
    """Return dY and (A, B, C): the tangent of dA is R A + dR/dr B + d2R/dr2 C."""
    e0, e1, f1, e2, f2 = _powers(lanes, m, part, work, record, at)
    q, dq, ddq = _legendre(lanes, l, m, angular, work, record, at)
    u, inverse = _triple(lanes, work, record + at.U), load(lanes, work, record + at.U + 3)
    v, speed = _triple(lanes, work, record + at.U + 4), load(lanes, work, record + at.U + 7)
    de0, de1, df1 = fma(e1, v[0], f1 * v[1]), fma(e2, v[0], f2 * v[1]), f2 * v[0] - e2 * v[1]
    p = (q * e1, q * f1, dq * e0)
    turn, bend = dq * v[2], ddq * v[2]
    dp = (fma(turn, e1, q * de1), fma(turn, f1, q * df1), fma(bend, e0, dq * de0))
    value, rate = q * e0, fma(turn, e0, q * de0)
    along, along_rate = _dot(u, p), _dot(v, p) + _dot(u, dp)
    T = _times(inverse, _minus(p, _times(along, u)))
    bent = _minus(dp, _plus(_times(along, v), _times(along_rate, u)))
    A = _times(inverse, _minus(bent, _times(speed, T)))
    B = _plus(_times(speed, T), _plus(_times(rate, u), _times(value, v)))
    return value, rate, A, B, _times(speed * value, u)


@helper
def densities(lanes, width, span, rows, angular, work, at, tangent, out, lane):
    """Write A, or its tangent, of the blocks of one element to lane `lane` of the components `out`."""
    for q in range(span.first, span.last):
        l, m, length = rows.l[q], rows.m[q], rows.length[q]
        for part in range(2 if m > 0 else 1):
            for n in range(length):
                sum_t = splat(lanes, 0.0)
                for t in range(span.n_slots):
                    record = span.records + t * at.size
                    R = load(lanes, work, record + at.R + n)
                    if tangent:
                        dR = load(lanes, work, record + at.dR + n) * load(lanes, work, record + at.U + 7)
                        value, rate, _, _, _ = _gradient_tangent(lanes, l, m, part, angular, work, record, at)
                        sum_t = fma(R, rate, fma(dR, value, sum_t))
                    else:
                        e0, _, _, _, _ = _powers(lanes, m, part, work, record, at)
                        q_lm = load(lanes, work, record + at.Q + l * (l + 1) // 2 + m)
                        sum_t = fma(R, q_lm * e0, sum_t)
                out[rows.component[rows.row[q] + part * length + n] * width + lane] = total(sum_t)


@inlined
def _store_rows(lanes, row, length, n_axes, n_columns, work, R, dR, A, B, J, stride):
    """Store R A + dR B in the x, y and z parts of rows row:row + length."""
    J_y, J_z = shift(J, n_columns), shift(J, 2 * n_columns)
    for n in range(length):
        f, df, place = load(lanes, work, R + n), load(lanes, work, dR + n), (row + n) * stride
        store(J, place, fma(f, A[0], df * B[0]))
        store(J_y, place, fma(f, A[1], df * B[1]))
        if n_axes == 3:
            store(J_z, place, fma(f, A[2], df * B[2]))


@helper
def jacobian(lanes, width, span, n_axes, rows, angular, work, at, J, stride):
    """Fill dA_v/d(pair vector) of the blocks of one element. Rows of J are `stride` vectors long.

    The last slot comes first: its empty lanes are then overwritten.
    """
    for q in range(span.first, span.last):
        l, m, length = rows.l[q], rows.m[q], rows.length[q]
        for part in range(2 if m > 0 else 1):
            row = rows.row[q] + part * length
            for t in range(span.n_slots - 1, -1, -1):
                record, own = span.records + t * at.size, shift(J, span.column + t * width)
                _, A, B = _gradient(lanes, l, m, part, angular, work, record, at)
                R, dR = record + at.R, record + at.dR
                _store_rows(lanes, row, length, n_axes, span.n, work, R, dR, A, B, own, stride)


@helper
def jacobian_tangent(lanes, width, span, rows, angular, work, at, J, stride):
    """Do as `jacobian` for the tangent, three axes."""
    J_y, J_z = shift(J, span.n), shift(J, 2 * span.n)
    for q in range(span.first, span.last):
        l, m, length = rows.l[q], rows.m[q], rows.length[q]
        for part in range(2 if m > 0 else 1):
            row = rows.row[q] + part * length
            for t in range(span.n_slots - 1, -1, -1):
                record, start = span.records + t * at.size, span.column + t * width
                _, _, A, B, C = _gradient_tangent(lanes, l, m, part, angular, work, record, at)
                for n in range(length):
                    f, df = load(lanes, work, record + at.R + n), load(lanes, work, record + at.dR + n)
                    ddf, place = load(lanes, work, record + at.ddR + n), (row + n) * stride
                    store(shift(J, start), place, fma(f, A[0], fma(df, B[0], ddf * C[0])))
                    store(shift(J_y, start), place, fma(f, A[1], fma(df, B[1], ddf * C[1])))
                    store(shift(J_z, start), place, fma(f, A[2], fma(df, B[2], ddf * C[2])))


@inlined
def _moment(lanes, width, weight, span, axis, work, at, J, place):
    """Return the sum over the neighbours of a weight times one part of a row."""
    sum_t = splat(lanes, 0.0)
    for t in range(span.n_slots):
        w = load(lanes, work, span.records + t * at.size + at.M + weight)
        sum_t = fma(w, load(lanes, shift(J, span.column + axis * span.n + t * width), place), sum_t)
    return total(sum_t)


@helper
def moments(lanes, width, span, n_axes, virial, rows, work, at, J, stride, special):
    """Write minus the sums of the parts of each row to its element `special` and after: the centre's own derivative.

    With `virial`, then also the sums weighted by x, y, z, in Voigt order xx, yy, zz, yz, xz, xy.
    """
    for q in range(span.first, span.last):
        for row in range(rows.row[q], rows.row[q] + rows.length[q] * (2 if rows.m[q] > 0 else 1)):
            place, end = row * stride, row * stride * width + special
            for b in range(n_axes):
                J[end + b] = -_moment(lanes, width, 0, span, b, work, at, J, place)
            if virial:
                for k in range(6):
                    J[end + n_axes + k] = 0.0
                for b in range(n_axes):
                    for a in range(b + 1):
                        k = b if a == b else 6 - a - b
                        J[end + n_axes + k] = _moment(lanes, width, 1 + a, span, b, work, at, J, place)
