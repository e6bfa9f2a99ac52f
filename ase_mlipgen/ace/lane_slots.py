"""Compiled loops over neighbour slots: radial functions and harmonics into A, and derivatives by A back to the pairs.

Each slot keeps its radial functions, Legendre factors and (x + i y)^m. Four slots at a time go into A, two at a time
come back; loops run over n innermost, with the harmonics or the sums in registers. Formulas: `radial`,
`harmonics`. Entry points: :func:`accumulate`, :func:`adjoint`.
"""

from ase_mlipgen.ace.lane_layout import STRIDE
from ase_mlipgen.ace.lane_power import power
from ase_mlipgen.ace.lane_table import look_up
from ase_mlipgen.jit import helper, inlined
from ase_mlipgen.simd import fma, load, max0, splat, sqrt, step, store, width_of


@inlined
def _radial(lanes, inverse, mu, radial, work, R, dR):
    """Store R_n and dR_n/dr of one slot at 1 / (1 + r) (see radial.py)."""
    x = power(lanes, splat(lanes, 1.0 + radial.r0[mu]) * inverse, radial.p[mu])
    dx = splat(lanes, -1.0 * radial.p[mu]) * x * inverse
    left = max0(x - splat(lanes, radial.x_cut[mu]))
    lower = power(lanes, left, radial.pcut[mu] - 1)
    f, df = lower * left, splat(lanes, 1.0 * radial.pcut[mu]) * lower
    if radial.pin[mu] > 0:
        inside = max0(splat(lanes, radial.x_in[mu]) - x)
        right = splat(lanes, 0.0) - inside
        below = power(lanes, right, radial.pin[mu] - 1) * step(inside)
        df = (df * right + splat(lanes, 1.0 * radial.pin[mu]) * f) * below
        f = f * below * right
    n_max = dR - R
    rows, start = radial.recurrence, 3 * n_max * mu
    first = splat(lanes, rows[start])
    value, slope = first * f, first * df * dx
    before, slope_before = splat(lanes, 0.0), splat(lanes, 0.0)
    store(work, R, value)
    store(work, dR, slope)
    for n in range(1, n_max):
        k = start + 3 * n
        a, c = splat(lanes, rows[k]), splat(lanes, rows[k + 2])
        poly = fma(a, x, splat(lanes, rows[k + 1]))
        following = fma(poly, value, c * before)
        slope_following = fma(poly, slope, fma(a * dx, value, c * slope_before))
        before, slope_before, value, slope = value, slope, following, slope_following
        store(work, R + n, value)
        store(work, dR + n, slope)


@inlined
def _harmonics(lanes, x, y, z, angular, work, Q, C, S, Y):
    """Store Q_lm, (x + i y)^m, and the real rows Y of one slot (see harmonics.py)."""
    a, b, lmax = angular.a, angular.b, angular.lmax
    re, im = splat(lanes, 1.0), splat(lanes, 0.0)
    for m in range(lmax + 1):
        store(work, C + m, re)
        store(work, S + m, im)
        before, value = splat(lanes, 0.0), splat(lanes, a[m * (m + 1) // 2 + m])
        for l in range(m, lmax + 1):
            k = l * (l + 1) // 2 + m
            if l > m:
                rest = splat(lanes, -a[k] * b[k]) * before
                before, value = value, fma(splat(lanes, a[k]) * z, value, rest)
            store(work, Q + k, value)
            row = Y + l * l + max(2 * m - 1, 0)
            store(work, row, value * re)
            if m > 0:
                store(work, row + 1, value * im)
        re, im = re * x - im * y, re * y + im * x


@helper
def _fill_slot(lanes, slot, mu, radial, angular, work, at, Y):
    """Compute and store the functions of one slot."""
    record = at.records + slot * at.stride
    X = at.X + 3 * slot
    x, y, z = load(lanes, work, X), load(lanes, work, X + 1), load(lanes, work, X + 2)
    r = sqrt(fma(x, x, fma(y, y, z * z)))
    one = splat(lanes, 1.0)
    both = one / (r * (one + r))
    inverse = both * (one + r)
    x, y, z = x * inverse, y * inverse, z * inverse
    store(work, record + at.U, x)
    store(work, record + at.U + 1, y)
    store(work, record + at.U + 2, z)
    store(work, record + at.U + 3, inverse)
    if radial.rate[mu] > 0.0:
        store(work, record, r)
        look_up(width_of(lanes), mu, radial, work, record, record + at.dR, record)
    else:
        _radial(lanes, both * r, mu, radial, work, record, record + at.dR)
    _harmonics(lanes, x, y, z, angular, work, record + at.Q, record + at.C, record + at.S, Y)


@inlined
def add_complex(lanes, work, A, n_l, Y, y_stride, R0, R1, R2, R3):
    """Add to A_n the sum over four slots of R_n Y, for m > 0."""
    p0, q0 = load(lanes, work, Y), load(lanes, work, Y + 1)
    p1, q1 = load(lanes, work, Y + y_stride), load(lanes, work, Y + y_stride + 1)
    p2, q2 = load(lanes, work, Y + 2 * y_stride), load(lanes, work, Y + 2 * y_stride + 1)
    p3, q3 = load(lanes, work, Y + 3 * y_stride), load(lanes, work, Y + 3 * y_stride + 1)
    for n in range(n_l):
        row = A + STRIDE * n
        a, b = load(lanes, work, row), load(lanes, work, row + 1)
        r = load(lanes, work, R0 + n)
        a, b = fma(r, p0, a), fma(r, q0, b)
        r = load(lanes, work, R1 + n)
        a, b = fma(r, p1, a), fma(r, q1, b)
        r = load(lanes, work, R2 + n)
        a, b = fma(r, p2, a), fma(r, q2, b)
        r = load(lanes, work, R3 + n)
        a, b = fma(r, p3, a), fma(r, q3, b)
        store(work, row, a)
        store(work, row + 1, b)


@inlined
def add_real(lanes, work, A, n_l, Y, y_stride, R0, R1, R2, R3):
    """Add to A_n the sum over four slots of R_n Y, for m = 0."""
    p0, p1 = load(lanes, work, Y), load(lanes, work, Y + y_stride)
    p2, p3 = load(lanes, work, Y + 2 * y_stride), load(lanes, work, Y + 3 * y_stride)
    for n in range(n_l):
        row = A + STRIDE * n
        a = fma(load(lanes, work, R0 + n), p0, load(lanes, work, row))
        a = fma(load(lanes, work, R1 + n), p1, a)
        a = fma(load(lanes, work, R2 + n), p2, a)
        a = fma(load(lanes, work, R3 + n), p3, a)
        store(work, row, a)


@helper
def accumulate(lanes, first, last, mu, blocks, radial, angular, work, at):
    """Fill the slots first:last of element mu and add them to A, four at a time."""
    y_stride = (angular.lmax + 1) ** 2
    empty = at.records + at.n_slots * at.stride
    for slot in range(first, last, 4):
        for k in range(min(4, last - slot)):
            _fill_slot(lanes, slot + k, mu, radial, angular, work, at, at.Y + k * y_stride)
        R0 = at.records + slot * at.stride
        R1 = R0 + at.stride if slot + 1 < last else empty
        R2 = R1 + at.stride if slot + 2 < last else empty
        R3 = R2 + at.stride if slot + 3 < last else empty
        for l in range(angular.lmax + 1):
            block, Y = mu * (angular.lmax + 1) + l, at.Y + l * l
            n_l, A, f = blocks.length[block], STRIDE * blocks.start[block], blocks.radial[block]
            add_real(lanes, work, A, n_l, Y, y_stride, R0 + f, R1 + f, R2 + f, R3 + f)
            for m in range(1, l + 1):
                A += STRIDE * n_l
                add_complex(lanes, work, A, n_l, Y + 2 * m - 1, y_stride, R0 + f, R1 + f, R2 + f, R3 + f)


@inlined
def _contract_real(lanes, work, G, n_l, R, dR):
    """Return sum_n R_n G_n and sum_n R'_n G_n of one slot, for m = 0."""
    h = k = splat(lanes, 0.0)
    for n in range(n_l):
        g = load(lanes, work, G + STRIDE * n)
        h, k = fma(load(lanes, work, R + n), g, h), fma(load(lanes, work, dR + n), g, k)
    return h, k


@inlined
def _contract_complex(lanes, work, G, n_l, R, dR):
    """Return the sums of `_contract_real` for the real, then the imaginary parts, m > 0."""
    h = k = p = q = splat(lanes, 0.0)
    for n in range(n_l):
        g, f = load(lanes, work, G + STRIDE * n), load(lanes, work, G + STRIDE * n + 1)
        r, dr = load(lanes, work, R + n), load(lanes, work, dR + n)
        h, p, k, q = fma(r, g, h), fma(r, f, p), fma(dr, g, k), fma(dr, f, q)
    return h, k, p, q


@inlined
def _sum_over_l(lanes, m, mu, blocks, angular, work, at, record):
    """Return sum_l of (Q h, Q h', dQ/dz h) at one m, real and imaginary, for one slot."""
    Ua = Ub = Ta = Tb = Va = Vb = splat(lanes, 0.0)
    ha = ka = hb = kb = splat(lanes, 0.0)
    for l in range(m, angular.lmax + 1):
        block, k = mu * (angular.lmax + 1) + l, l * (l + 1) // 2 + m
        n_l, G, R = blocks.length[block], STRIDE * blocks.start[block] + 2, record + blocks.radial[block]
        if m == 0:
            ha, ka = _contract_real(lanes, work, G, n_l, R, R + at.dR)
        else:
            ha, ka, hb, kb = _contract_complex(lanes, work, G + STRIDE * m * n_l, n_l, R, R + at.dR)
        q = load(lanes, work, record + at.Q + k)
        Ua, Ub, Ta, Tb = fma(q, ha, Ua), fma(q, hb, Ub), fma(q, ka, Ta), fma(q, kb, Tb)
        if m < l:
            q = splat(lanes, angular.c[k]) * load(lanes, work, record + at.Q + k + 1)
            Va, Vb = fma(q, ha, Va), fma(q, hb, Vb)
    return Ua, Ub, Ta, Tb, Va, Vb


@inlined
def _add_m(lanes, m, sums, work, at, record, gradient):
    """Add the terms of one m to (g_x, g_y, g_z, dE/dr)."""
    Ua, Ub, Ta, Tb, Va, Vb = sums
    gx, gy, gz, slope = gradient
    c, s = load(lanes, work, record + at.C + m), load(lanes, work, record + at.S + m)
    gz, slope = fma(Va, c, fma(Vb, s, gz)), fma(Ta, c, fma(Tb, s, slope))
    if m > 0:
        c, s = load(lanes, work, record + at.C + m - 1), load(lanes, work, record + at.S + m - 1)
        factor = splat(lanes, 1.0 * m)
        gx = fma(factor, fma(Ua, c, Ub * s), gx)
        gy = fma(factor, Ub * c - Ua * s, gy)
    return gx, gy, gz, slope


@inlined
def _finish(lanes, gradient, work, at, record, X):
    """Turn the partial derivatives of one slot into dE/d(pair vector), over the pair vector's rows; add the virial."""
    gx, gy, gz, slope = gradient
    x, y = load(lanes, work, record + at.U), load(lanes, work, record + at.U + 1)
    z, inverse = load(lanes, work, record + at.U + 2), load(lanes, work, record + at.U + 3)
    along = slope - fma(gx, x, fma(gy, y, gz * z)) * inverse
    gx, gy, gz = fma(gx, inverse, along * x), fma(gy, inverse, along * y), fma(gz, inverse, along * z)
    for a in range(3):
        d, W = load(lanes, work, X + a), at.W + 3 * a
        store(work, W, fma(d, gx, load(lanes, work, W)))
        store(work, W + 1, fma(d, gy, load(lanes, work, W + 1)))
        store(work, W + 2, fma(d, gz, load(lanes, work, W + 2)))
    store(work, X, gx)
    store(work, X + 1, gy)
    store(work, X + 2, gz)


@helper
def adjoint(lanes, first, last, mu, blocks, angular, work, at):
    """Fill dE/d(pair vector) of the slots first:last of element mu."""
    zero = splat(lanes, 0.0)
    for slot in range(first, last):
        record = at.records + slot * at.stride
        gradient = (zero, zero, zero, zero)
        for m in range(angular.lmax + 1):
            sums = _sum_over_l(lanes, m, mu, blocks, angular, work, at, record)
            gradient = _add_m(lanes, m, sums, work, at, record, gradient)
        _finish(lanes, gradient, work, at, record, at.X + 3 * slot)
