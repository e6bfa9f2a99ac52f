"""Compiled one-particle functions of the design rows, neighbours in the lanes.

A *slot* is one vector of neighbours of one element. It keeps R, dR/dr, d2R/dr2, the Legendre factors Q and (x + i y)^m
(see `radial`, `harmonics`), from which A and its derivatives are formed (`lane_design_jacobian`). Empty lanes hold a
neighbour at twice the cutoff, where R is exactly zero. Entry points: :func:`lay_out_slot`, :func:`fill_slot`.
"""

from typing import NamedTuple

from ase_mlipgen.ace.lane_power import power
from ase_mlipgen.jit import helper, inlined
from ase_mlipgen.simd import fma, load, max0, splat, sqrt, store


class SlotLayout(NamedTuple):
    """Row offsets inside the record of a slot.

    X holds the pair vectors, W their velocities, M the weights 1, x, y, z (zero in empty lanes), U the unit vectors,
    1/r and the velocities of the unit vectors and of r; then R, dR, ddR, Q (and a zero), C, S (Re and Im of
    (x + i y)^m). `size` rows.
    """

    X: int
    W: int
    M: int
    U: int
    R: int
    dR: int
    ddR: int
    Q: int
    C: int
    S: int
    size: int


def lay_out_slot(n_max: int, lmax: int) -> SlotLayout:
    """Return the offsets for radial indices up to n_max and momenta up to lmax."""
    R = 18
    Q = R + 3 * n_max
    C = Q + (lmax + 1) * (lmax + 2) // 2 + 1
    S = C + lmax + 1
    return SlotLayout(0, 3, 6, 10, R, R + n_max, R + 2 * n_max, Q, C, S, S + lmax + 1)


@inlined
def _derivative(lanes, base, exponent, n):
    """Return the n-th derivative of base^exponent."""
    if exponent < n:
        return splat(lanes, 0.0)
    factor = 1.0
    for k in range(n):
        factor *= exponent - k
    return splat(lanes, factor) * power(lanes, base, exponent - n)


@inlined
def _radial(lanes, r, mu, radial, work, R, dR, ddR):
    """Store R_n and its first two derivatives by r (see radial.py)."""
    one, zero, two = splat(lanes, 1.0), splat(lanes, 0.0), splat(lanes, 2.0)
    inverse = one / (one + r)
    p = radial.p[mu]
    x = power(lanes, splat(lanes, 1.0 + radial.r0[mu]) * inverse, p)
    dx = splat(lanes, -1.0 * p) * x * inverse
    ddx = splat(lanes, -1.0 * (p + 1)) * dx * inverse
    pc, pi = radial.pcut[mu], radial.pin[mu]
    left = max0(x - splat(lanes, radial.x_cut[mu]))
    right = zero - max0(splat(lanes, radial.x_in[mu]) - x)
    l0, l1, l2 = power(lanes, left, pc), _derivative(lanes, left, pc, 1), _derivative(lanes, left, pc, 2)
    r0, r1, r2 = power(lanes, right, pi), _derivative(lanes, right, pi, 1), _derivative(lanes, right, pi, 2)
    n_max, rows = dR - R, radial.recurrence
    first = splat(lanes, rows[3 * n_max * mu])
    f, df = first * l0 * r0, first * (l1 * r0 + l0 * r1)
    ddf = first * (l2 * r0 + two * l1 * r1 + l0 * r2)
    f_before, df_before, ddf_before = zero, zero, zero
    for n in range(n_max):
        store(work, R + n, f)
        store(work, dR + n, df * dx)
        store(work, ddR + n, fma(ddf * dx, dx, df * ddx))
        k = 3 * n_max * mu + 3 * min(n + 1, n_max - 1)
        a, c = splat(lanes, rows[k]), splat(lanes, rows[k + 2])
        poly = fma(a, x, splat(lanes, rows[k + 1]))
        ddf_next = fma(poly, ddf, fma(two * a, df, c * ddf_before))
        df_next = fma(poly, df, fma(a, f, c * df_before))
        f_next = fma(poly, f, c * f_before)
        f_before, df_before, ddf_before, f, df, ddf = f, df, ddf, f_next, df_next, ddf_next


@inlined
def _harmonics(lanes, x, y, z, angular, work, Q, C, S):
    """Store Q_lm and (x + i y)^m (see harmonics.py)."""
    a, b, lmax = angular.a, angular.b, angular.lmax
    re, im = splat(lanes, 1.0), splat(lanes, 0.0)
    for m in range(lmax + 1):
        store(work, C + m, re)
        store(work, S + m, im)
        before, value = splat(lanes, 0.0), splat(lanes, a[m * (m + 1) // 2 + m])
        for l in range(m, lmax + 1):
            k = l * (l + 1) // 2 + m
            if l > m:
                before, value = value, splat(lanes, a[k]) * (z * value - splat(lanes, b[k]) * before)
            store(work, Q + k, value)
        re, im = re * x - im * y, re * y + im * x
    store(work, Q + (lmax + 1) * (lmax + 2) // 2, splat(lanes, 0.0))


@helper
def fill_slot(lanes, mu, radial, angular, work, record, at):
    """Compute the functions of a slot of element mu whose X, W and M are in place."""
    X, U, W = record + at.X, record + at.U, record + at.W
    x, y, z = load(lanes, work, X), load(lanes, work, X + 1), load(lanes, work, X + 2)
    r = sqrt(fma(x, x, fma(y, y, z * z)))
    inverse = splat(lanes, 1.0) / r
    x, y, z = x * inverse, y * inverse, z * inverse
    vx, vy, vz = load(lanes, work, W), load(lanes, work, W + 1), load(lanes, work, W + 2)
    speed = fma(vx, x, fma(vy, y, vz * z))
    store(work, U, x)
    store(work, U + 1, y)
    store(work, U + 2, z)
    store(work, U + 3, inverse)
    store(work, U + 4, (vx - x * speed) * inverse)
    store(work, U + 5, (vy - y * speed) * inverse)
    store(work, U + 6, (vz - z * speed) * inverse)
    store(work, U + 7, speed)
    _radial(lanes, r, mu, radial, work, record + at.R, record + at.dR, record + at.ddR)
    _harmonics(lanes, x, y, z, angular, work, record + at.Q, record + at.C, record + at.S)
