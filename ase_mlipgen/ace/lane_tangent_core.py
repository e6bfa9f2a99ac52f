"""Compiled second derivatives of the repulsive core (`core`) by the pair vectors, W near pairs side by side.

V(|d|) has the second derivatives V'' u u' + (V' / r) (1 - u u'), u = d / r; every pair counts half, once from each
end. Entry point: :func:`core_tangents`.
"""

import numpy as np

from ase_mlipgen.ace.lane_power import power
from ase_mlipgen.jit import helper, inlined, kernel
from ase_mlipgen.simd import fma, load, max0, raw, splat, store


@inlined
def _following(lanes, factor, a, third, value, slope, curvature, before):
    """Return the next value, slope and curvature in x of P_n = (a x + b) P_{n-1} + third P_{n-2}."""
    P = fma(factor, value, third * before[0])
    dP = fma(factor, slope, fma(a, value, third * before[1]))
    ddP = fma(factor, curvature, fma(a + a, slope, third * before[2]))
    return P, dP, ddP


@helper
def _polynomial(lanes, kind, n, r0, x_cut, p, envelope, rows, coefficients, buffer):
    """Replace the distances in row 0 by dV/dr in row 0 and d2V/dr2 in row 1."""
    one = splat(lanes, 1.0)
    inverse = one / (one + load(lanes, buffer, 0))
    x = power(lanes, splat(lanes, 1.0 + r0) * inverse, p)
    y = max0(x - splat(lanes, x_cut))
    below = power(lanes, y, envelope - 2) * splat(lanes, rows[3 * n * kind])
    value, slope = below * y * y, below * y * splat(lanes, 1.0 * envelope)
    curvature = below * splat(lanes, 1.0 * envelope * (envelope - 1))
    zero, c = splat(lanes, 0.0), splat(lanes, coefficients[n * kind])
    before, dV, ddV = (zero, zero, zero), c * slope, c * curvature
    for k in range(1, n):
        at = 3 * (n * kind + k)
        a, third = splat(lanes, rows[at]), splat(lanes, rows[at + 2])
        factor = fma(a, x, splat(lanes, rows[at + 1]))
        after = _following(lanes, factor, a, third, value, slope, curvature, before)
        before = (value, slope, curvature)
        value, slope, curvature = after
        c = splat(lanes, coefficients[n * kind + k])
        dV, ddV = fma(c, slope, dV), fma(c, curvature, ddV)
    dx = splat(lanes, -1.0 * p) * x * inverse
    dV = dV * dx
    store(buffer, 0, dV)
    store(buffer, 1, ddV * dx * dx - dV * inverse * splat(lanes, 1.0 + p))


@helper
def _exponential(r, r_i, A, B):
    """Return dV/dr and d2V/dr2 below r_i."""
    tail, rate = B * np.exp(-A * (r / r_i - 1.0)) * r_i / r, A / r_i + 1.0 / r
    return -tail * rate, tail * (rate * rate + 1.0 / (r * r))


@helper
def _near(kind, start, first_c, j_c, d_cc, mu_i, n_elements, cutoff, p_n, k_n, r_n, n):
    """List the pairs of one kind that are shorter than their core's cutoff, from place n; return the end."""
    for k in range(first_c.shape[0] - 1):
        if mu_i[start + k] != kind // n_elements:
            continue
        for p in range(first_c[k], first_c[k + 1]):
            square = d_cc[p, 0] ** 2 + d_cc[p, 1] ** 2 + d_cc[p, 2] ** 2
            p_n[n], k_n[n], r_n[n] = p, k, square
            n += (square < cutoff * cutoff) & (mu_i[j_c[p]] == kind % n_elements)
    return n


@helper
def _derivatives(lanes, kind, first, last, cores, table, weights, buffer, r_n, slope_n, curvature_n):
    """Replace the squared distances first:last by the distances, and fill in dV/dr and d2V/dr2."""
    width, flat = buffer.shape[1], raw(buffer)
    r_i = cores.r_i[kind]
    for n in range(first, last, width):
        filled = min(width, last - n)
        for lane in range(width):
            buffer[0, lane] = 1.0
        for lane in range(filled):
            r_n[n + lane] = np.sqrt(r_n[n + lane])
            buffer[0, lane] = r_n[n + lane]
        _polynomial(
            lanes, kind, cores.coefficients.shape[1], cores.r0[kind], cores.x_cut[kind], cores.p[kind],
            cores.envelope[kind], table, weights, flat,
        )  # fmt: skip
        for lane in range(filled):
            slope, curvature, r = buffer[0, lane], buffer[1, lane], r_n[n + lane]
            if r < r_i:
                slope, curvature = _exponential(r, r_i, cores.A[kind], cores.B[kind])
            slope_n[n + lane], curvature_n[n + lane] = slope, curvature


@kernel
def core_tangents(
    lanes, start, first_c, j_c, d_cc, mu_i, n_elements, cores, buffer, v_vic, change_vcc, stiffness_ccc
):
    """Add what half the second derivatives of V(|d|) make of v_j - v_i, or write them themselves if there are no v.

    Parameters as for `lane_core.add_core` and `lane_tangents.products`; buffer : (2, width) floats, on a cache line;
    stiffness_ccc : (n_pairs, 3, 3), eV/Å^2, left alone where there is no core.
    """
    room = first_c[-1] + 1
    p_n, k_n = np.empty(room, np.int64), np.empty(room, np.int64)
    r_n, slope_n, curvature_n = np.empty(room), np.empty(room), np.empty(room)
    table, weights = raw(cores.rows), raw(cores.coefficients)
    count = first_c[0]  # zero, but no literal: these make Numba compile the calls below twice
    for kind in range(len(cores.cutoff)):
        first, cutoff = count, cores.cutoff[kind]
        count = _near(kind, start, first_c, j_c, d_cc, mu_i, n_elements, cutoff, p_n, k_n, r_n, count)
        _derivatives(lanes, kind, first, count, cores, table, weights, buffer, r_n, slope_n, curvature_n)
    for n in range(count):
        p, r, i = p_n[n], r_n[n], start + k_n[n]
        x, y, z = d_cc[p, 0], d_cc[p, 1], d_cc[p, 2]
        across = 0.5 * slope_n[n] / r
        along = (0.5 * curvature_n[n] - across) / (r * r)
        for v in range(len(v_vic)):
            a, b = v_vic[v, j_c[p]], v_vic[v, i]
            dx, dy, dz = a[0] - b[0], a[1] - b[1], a[2] - b[2]
            s = along * (x * dx + y * dy + z * dz)
            change_vcc[v, p, 0] += s * x + across * dx
            change_vcc[v, p, 1] += s * y + across * dy
            change_vcc[v, p, 2] += s * z + across * dz
        if len(v_vic) == 0:
            for c in range(3):
                for e in range(3):
                    stiffness_ccc[p, c, e] = along * d_cc[p, c] * d_cc[p, e] + across * (c == e)
