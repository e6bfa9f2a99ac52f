"""Compiled second derivatives over neighbour slots: tangents of the A's, and the curvature of one pair at fixed dE/dA.

Along a change t of the pair vector d = r u, with s = u . t and w = (t - s u) / r,

    dA_nlm = sum (R'_n s) Y_lm + R_n (w . grad Y_lm),

two terms of the form of A itself. The second derivatives of F(r, u) = sum G_nlm R_n(r) Y_lm(u) by d are

    M + g u u' + b 1 + u e' + e u',   M = F_uu / r^2,  b = (F_r - u . F_u / r) / r,  e = (F_ru - F_u / r) / r - M u,
    g = F_rr - b - u' M u - 2 u . e.

Slots must have been filled by `lane_slots.accumulate`. Entry points: :func:`accumulate_tangent`, :func:`curvature`.
"""

from ase_mlipgen.ace.lane_layout import STRIDE
from ase_mlipgen.ace.lane_power import power
from ase_mlipgen.ace.lane_slots import add_complex, add_real
from ase_mlipgen.ace.lane_table import second_derivatives
from ase_mlipgen.jit import helper, inlined
from ase_mlipgen.simd import fma, load, max0, splat, step, store, width_of


@helper
def _fill_tangent(lanes, slot, angular, work, at, more, dR, Y, dY):
    """Store dR_n, Y and dY of one slot along the tangent in its record."""
    record, own = at.records + slot * at.stride, more.records + slot * more.stride
    x, y = load(lanes, work, record + at.U), load(lanes, work, record + at.U + 1)
    z, inverse = load(lanes, work, record + at.U + 2), load(lanes, work, record + at.U + 3)
    dx, dy, dz = load(lanes, work, own), load(lanes, work, own + 1), load(lanes, work, own + 2)
    along = fma(x, dx, fma(y, dy, z * dz))
    for n in range(at.dR):
        store(work, dR + n, along * load(lanes, work, record + at.dR + n))
    dx, dy, dz = (dx - along * x) * inverse, (dy - along * y) * inverse, (dz - along * z) * inverse
    d_re = d_im = splat(lanes, 0.0)
    for m in range(angular.lmax + 1):
        re, im = load(lanes, work, record + at.C + m), load(lanes, work, record + at.S + m)
        if m > 0:
            c, s = load(lanes, work, record + at.C + m - 1), load(lanes, work, record + at.S + m - 1)
            factor = splat(lanes, 1.0 * m)
            d_re, d_im = factor * (c * dx - s * dy), factor * fma(c, dy, s * dx)
        for l in range(m, angular.lmax + 1):
            k, row = l * (l + 1) // 2 + m, l * l + max(2 * m - 1, 0)
            q, dq = load(lanes, work, record + at.Q + k), splat(lanes, 0.0)
            if m < l:
                dq = dz * splat(lanes, angular.c[k]) * load(lanes, work, record + at.Q + k + 1)
            store(work, Y + row, q * re)
            store(work, dY + row, fma(dq, re, q * d_re))
            if m > 0:
                store(work, Y + row + 1, q * im)
                store(work, dY + row + 1, fma(dq, im, q * d_im))


@helper
def accumulate_tangent(lanes, first, last, mu, blocks, angular, work, at, more):
    """Add the tangents of the slots first:last of element mu to those of A, two at a time."""
    y_stride = (angular.lmax + 1) ** 2
    for slot in range(first, last, 2):
        R0 = at.records + slot * at.stride
        dR0, dR1, R1 = more.dR, more.dR + at.dR, R0 + at.stride
        _fill_tangent(lanes, slot, angular, work, at, more, dR0, at.Y, at.Y + y_stride)
        if slot + 1 < last:
            _fill_tangent(
                lanes, slot + 1, angular, work, at, more, dR1, at.Y + 2 * y_stride, at.Y + 3 * y_stride
            )
        else:
            dR1 = R1 = at.records + at.n_slots * at.stride
        for l in range(angular.lmax + 1):
            block, Y = mu * (angular.lmax + 1) + l, at.Y + l * l
            n_l, A, f = blocks.length[block], STRIDE * blocks.start[block], blocks.radial[block]
            add_real(lanes, work, A, n_l, Y, y_stride, dR0 + f, R0 + f, dR1 + f, R1 + f)
            for m in range(1, l + 1):
                A += STRIDE * n_l
                add_complex(lanes, work, A, n_l, Y + 2 * m - 1, y_stride, dR0 + f, R0 + f, dR1 + f, R1 + f)


@inlined
def _second_radial(lanes, inverse, mu, radial, work, R, dR, ddR):
    """Store R''_n of one slot: the derivative of the recurrence of dR_n/dr."""
    one = splat(lanes, 1.0)
    shifted = inverse / (one + inverse)  # 1 / (1 + r)
    x = power(lanes, splat(lanes, 1.0 + radial.r0[mu]) * shifted, radial.p[mu])
    dx = splat(lanes, -1.0 * radial.p[mu]) * x * shifted
    ddx = splat(lanes, -1.0 - radial.p[mu]) * dx * shifted
    exponent = radial.pcut[mu]
    left = inside = max0(x - splat(lanes, radial.x_cut[mu]))
    below = power(lanes, left, exponent - 2)
    ddf = splat(lanes, 1.0 * exponent * (exponent - 1)) * below
    df, f = splat(lanes, 1.0 * exponent) * below * left, below * left * left
    exponent = radial.pin[mu]
    if exponent > 0:
        right = max0(splat(lanes, radial.x_in[mu]) - x)
        inside = left * right
        right = splat(lanes, 0.0) - right
        below = power(lanes, right, exponent - 1)
        slope = splat(lanes, 1.0 * exponent) * below
        curvature = splat(lanes, 1.0 * exponent * (exponent - 1)) * power(lanes, right, max(exponent - 2, 0))
        ddf = fma(ddf, below * right, fma(splat(lanes, 2.0) * df, slope, f * curvature))
        df = fma(df, below * right, f * slope)
    ddf, df = step(inside) * ddf, step(inside) * df
    start = 3 * (dR - R) * mu
    rows = radial.recurrence
    value = splat(lanes, rows[start]) * fma(ddf * dx, dx, df * ddx)
    before = splat(lanes, 0.0)
    store(work, ddR, value)
    for n in range(1, dR - R):
        k = start + 3 * n
        a, c = splat(lanes, rows[k]), splat(lanes, rows[k + 2])
        inner = fma(
            (dx + dx) * a,
            load(lanes, work, dR + n - 1),
            fma(ddx * a, load(lanes, work, R + n - 1), c * before),
        )
        before, value = value, fma(fma(a, x, splat(lanes, rows[k + 1])), value, inner)
        store(work, ddR + n, value)


@inlined
def _contract_real(lanes, work, G, n_l, R, dR, ddR):
    """Return sum_n G_n (R_n, R'_n, R''_n) for m = 0."""
    h = k = q = splat(lanes, 0.0)
    for n in range(n_l):
        g = load(lanes, work, G + STRIDE * n)
        h, k = fma(load(lanes, work, R + n), g, h), fma(load(lanes, work, dR + n), g, k)
        q = fma(load(lanes, work, ddR + n), g, q)
    return h, k, q


@inlined
def _contract_complex(lanes, work, G, n_l, R, dR, ddR):
    """Return the sums of `_contract_real` for the real, then the imaginary parts, m > 0."""
    ha = ka = qa = hb = kb = qb = splat(lanes, 0.0)
    for n in range(n_l):
        g, f = load(lanes, work, G + STRIDE * n), load(lanes, work, G + STRIDE * n + 1)
        r = load(lanes, work, R + n)
        ha, hb = fma(r, g, ha), fma(r, f, hb)
        r = load(lanes, work, dR + n)
        ka, kb = fma(r, g, ka), fma(r, f, kb)
        r = load(lanes, work, ddR + n)
        qa, qb = fma(r, g, qa), fma(r, f, qb)
    return ha, ka, qa, hb, kb, qb


@inlined
def _sum_over_l(lanes, m, mu, blocks, angular, work, at, record, ddR):
    """Return sum_l of (Q, Q', Q'') h, (Q, Q') h' and Q h'' at one m, each real and imaginary."""
    u = v = w = t = s = q = U = V = W = T = S = P = splat(lanes, 0.0)
    ha = ka = qa = hb = kb = qb = splat(lanes, 0.0)
    for l in range(m, angular.lmax + 1):
        block, k = mu * (angular.lmax + 1) + l, l * (l + 1) // 2 + m
        n_l, Q, f = blocks.length[block], record + at.Q + k, blocks.radial[block]
        R = record + f
        G = STRIDE * (blocks.start[block] + m * n_l) + 2
        if m == 0:
            ha, ka, qa = _contract_real(lanes, work, G, n_l, R, R + at.dR, ddR + f)
        else:
            ha, ka, qa, hb, kb, qb = _contract_complex(lanes, work, G, n_l, R, R + at.dR, ddR + f)
        factor = load(lanes, work, Q)
        u, t, q = fma(factor, ha, u), fma(factor, ka, t), fma(factor, qa, q)
        U, T, P = fma(factor, hb, U), fma(factor, kb, T), fma(factor, qb, P)
        if m < l:
            c = splat(lanes, angular.c[k])
            factor = c * load(lanes, work, Q + 1)
            v, s, V, S = fma(factor, ha, v), fma(factor, ka, s), fma(factor, hb, V), fma(factor, kb, S)
        if m + 1 < l:
            factor = c * splat(lanes, angular.c[k + 1]) * load(lanes, work, Q + 2)
            w, W = fma(factor, ha, w), fma(factor, hb, W)
    return (u, U), (v, V), (w, W), (t, T), (s, S), (q, P)


@inlined
def _times(number, c, s):
    """Return Re (a - i b)(c + i s) for number = (a, b)."""
    return fma(number[0], c, number[1] * s)


@inlined
def _turned(number, c, s):
    """Return what `_times` gives for i (c + i s)."""
    return number[1] * c - number[0] * s


@inlined
def _partials(lanes, mu, blocks, angular, work, at, record, ddR):
    """Return the derivatives F_x, F_y, F_z, F_r; F_rx, F_ry, F_rz, F_rr; F_xx = -F_yy, F_xy, F_xz, F_yz, F_zz."""
    x = y = z = r = rx = ry = rz = rr = xx = xy = xz = yz = zz = splat(lanes, 0.0)
    for m in range(angular.lmax + 1):
        u, v, w, t, s, q = _sum_over_l(lanes, m, mu, blocks, angular, work, at, record, ddR)
        re, im = load(lanes, work, record + at.C + m), load(lanes, work, record + at.S + m)
        z, zz, r = z + _times(v, re, im), zz + _times(w, re, im), r + _times(t, re, im)
        rz, rr = rz + _times(s, re, im), rr + _times(q, re, im)
        if m > 0:
            factor = splat(lanes, 1.0 * m)
            re = factor * load(lanes, work, record + at.C + m - 1)
            im = factor * load(lanes, work, record + at.S + m - 1)
            x, y = x + _times(u, re, im), y + _turned(u, re, im)
            xz, yz = xz + _times(v, re, im), yz + _turned(v, re, im)
            rx, ry = rx + _times(t, re, im), ry + _turned(t, re, im)
        if m > 1:
            factor = splat(lanes, 1.0 * m * (m - 1))
            re = factor * load(lanes, work, record + at.C + m - 2)
            im = factor * load(lanes, work, record + at.S + m - 2)
            xx, xy = xx + _times(u, re, im), xy + _turned(u, re, im)
    return x, y, z, r, rx, ry, rz, rr, xx, xy, xz, yz, zz


@helper
def curvature(lanes, first, last, mu, blocks, radial, angular, work, at, more):
    """Store the second derivatives by the pair vector, at fixed dE/dA, of the slots first:last of element mu."""
    for slot in range(first, last):
        record, own = at.records + slot * at.stride, more.records + slot * more.stride + 3
        x, y = load(lanes, work, record + at.U), load(lanes, work, record + at.U + 1)
        z, inverse = load(lanes, work, record + at.U + 2), load(lanes, work, record + at.U + 3)
        if radial.rate[mu] > 0.0:
            store(work, more.ddR, splat(lanes, 1.0) / inverse)
            second_derivatives(width_of(lanes), mu, radial, work, more.ddR, at.dR, more.ddR)
        else:
            _second_radial(lanes, inverse, mu, radial, work, record, record + at.dR, more.ddR)
        fx, fy, fz, fr, frx, fry, frz, frr, xx, xy, xz, yz, zz = _partials(
            lanes, mu, blocks, angular, work, at, record, more.ddR
        )
        square = inverse * inverse
        xx, xy, xz, yz, zz = square * xx, square * xy, square * xz, square * yz, square * zz
        b = inverse * (fr - inverse * fma(fx, x, fma(fy, y, fz * z)))
        tx, ty = fma(xx, x, fma(xy, y, xz * z)), fma(xy, x, yz * z) - xx * y
        tz = fma(xz, x, fma(yz, y, zz * z))
        ex, ey = inverse * (frx - inverse * fx) - tx, inverse * (fry - inverse * fy) - ty
        ez = inverse * (frz - inverse * fz) - tz
        two = splat(lanes, 2.0)
        g = frr - b - fma(tx, x, fma(ty, y, tz * z)) - two * fma(ex, x, fma(ey, y, ez * z))
        store(work, own, fma(x, fma(g, x, two * ex), b + xx))
        store(work, own + 1, fma(g * x, y, fma(x, ey, fma(ex, y, xy))))
        store(work, own + 2, fma(g * x, z, fma(x, ez, fma(ex, z, xz))))
        store(work, own + 3, fma(y, fma(g, y, two * ey), b - xx))
        store(work, own + 4, fma(g * y, z, fma(y, ez, fma(ey, z, yz))))
        store(work, own + 5, fma(z, fma(g, z, two * ez), b + zz))


@inlined
def add_curvature(lanes, slot, work, at, more):
    """Add curvature times tangent of one slot to the derivative in its pair vector's rows."""
    own, X = more.records + slot * more.stride, at.X + 3 * slot
    x, y, z = load(lanes, work, own), load(lanes, work, own + 1), load(lanes, work, own + 2)
    xx, xy, xz = load(lanes, work, own + 3), load(lanes, work, own + 4), load(lanes, work, own + 5)
    yy, yz, zz = load(lanes, work, own + 6), load(lanes, work, own + 7), load(lanes, work, own + 8)
    store(work, X, fma(xx, x, fma(xy, y, fma(xz, z, load(lanes, work, X)))))
    store(work, X + 1, fma(xy, x, fma(yy, y, fma(yz, z, load(lanes, work, X + 1)))))
    store(work, X + 2, fma(xz, x, fma(yz, y, fma(zz, z, load(lanes, work, X + 2)))))
