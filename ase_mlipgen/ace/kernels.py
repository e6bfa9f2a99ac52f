"""Compiled evaluation of linear ACE site energies and gradients, one atom after another: for any order.

For each centre atom: radial functions and harmonics of its neighbours, accumulated into A; all monomials and their
partial derivatives; the adjoint back to the pair vectors. Cost O(neighbours * n_A + monomials) an atom.

The readable counterpart and oracle is `reference.py`. All functions release the interpreter lock and touch
only the rows of their own centre atoms, so that callers may run chunks of atoms in threads.
"""

import numpy as np

from ase_mlipgen.jit import helper, kernel


@helper
def _look_up(r, mu, radial, R, dR):
    """Fill R_n and dR_n/dr from cubics between equidistant points; return False beyond the last."""
    rate = radial.rate[mu]
    x = r * rate
    k = int(x)
    if r >= radial.cutoff[mu] or k >= radial.intervals:
        return False
    t = x - k
    for n in range(len(R)):
        c = radial.table[mu, k, n]
        R[n] = c[0] + t * (c[1] + t * (c[2] + t * c[3]))
        dR[n] = (c[1] + t * (2.0 * c[2] + t * 3.0 * c[3])) * rate
    return True


@helper
def _radial(r, mu, radial, R, dR):
    """Fill R_n and dR_n/dr of one pair; return False where the envelope vanishes."""
    if radial.rate[mu] > 0.0:
        return _look_up(r, mu, radial, R, dR)
    if r >= radial.cutoff[mu] or (radial.pin[mu] > 0 and r <= radial.r_in[mu]):
        return False
    base = (1.0 + radial.r0[mu]) / (1.0 + r)
    x = base ** radial.p[mu]
    dx = -radial.p[mu] * x / (1.0 + r)
    left, right = x - radial.x_cut[mu], x - radial.x_in[mu]
    pc, pi = radial.pcut[mu], radial.pin[mu]
    f = left**pc * right**pi
    df = pc * left ** (pc - 1) * right**pi
    if pi > 0:
        df += pi * left**pc * right ** (pi - 1)
    rows = radial.recurrence[mu]
    R[0], dR[0] = rows[0, 0] * f, rows[0, 0] * df * dx
    for n in range(1, len(R)):
        poly = rows[n, 0] * x + rows[n, 1]
        R[n] = poly * R[n - 1]
        dR[n] = poly * dR[n - 1] + rows[n, 0] * dx * R[n - 1]
        if n > 1:
            R[n] += rows[n, 2] * R[n - 2]
            dR[n] += rows[n, 2] * dR[n - 2]
    return True


@helper
def _harmonics(x, y, z, angular, Q, power, Y, dY):
    """Fill Y_lm, m >= 0, and the partial derivatives of its polynomial extension (see harmonics.py)."""
    a, b, c = angular.a, angular.b, angular.c
    lmax = angular.lmax
    step = complex(x, y)
    power[0] = 1.0
    for m in range(1, lmax + 1):
        power[m] = power[m - 1] * step
    for l in range(lmax + 1):
        row, below, second = l * (l + 1) // 2, l * (l - 1) // 2, (l - 1) * (l - 2) // 2
        for m in range(l - 1):
            Q[row + m] = a[row + m] * (z * Q[below + m] - b[row + m] * Q[second + m])
        if l > 0:
            Q[row + l - 1] = a[row + l - 1] * z * Q[row - 1]
        Q[row + l] = a[row + l]
        for m in range(l + 1):
            k = row + m
            Y[k] = Q[k] * power[m]
            if m > 0:
                lowered = m * Q[k] * power[m - 1]
                dY[k, 0] = lowered
                dY[k, 1] = 1j * lowered
            else:
                dY[k, 0] = 0.0
                dY[k, 1] = 0.0
            dY[k, 2] = c[k] * Q[k + 1] * power[m] if m < l else 0.0j


@helper
def _gather(first, last, j_p, d_pc, mu_i, plan, radial, angular, space, A):
    """Collect the neighbours within the cutoff, their functions, and A; return how many."""
    slot_p, r_s, u_sc, R_s, dR_s, Y_s, dY_s, Q, power = space
    A[:] = 0.0
    count = 0
    for p in range(first, last):
        x, y, z = d_pc[p]
        r = np.sqrt(x * x + y * y + z * z)
        mu = mu_i[j_p[p]]
        if not _radial(r, mu, radial, R_s[count], dR_s[count]):
            continue
        slot_p[count], r_s[count] = p, r
        u_sc[count, 0], u_sc[count, 1], u_sc[count, 2] = x / r, y / r, z / r
        _harmonics(x / r, y / r, z / r, angular, Q, power, Y_s[count], dY_s[count])
        for q in range(plan.row_first[mu], plan.row_first[mu + 1]):
            value = Y_s[count, plan.row_lm[q]]
            start, first_n = plan.row_start[q], plan.row_radial[q]
            for n in range(plan.row_n[q]):
                A[start + n] += R_s[count, first_n + n] * value
        count += 1
    return count


@helper
def _workspace(n_slots, n_max, angular):
    n_lm = (angular.lmax + 1) * (angular.lmax + 2) // 2
    return (
        np.empty(n_slots, np.int64),
        np.empty(n_slots),
        np.empty((n_slots, 3)),
        np.empty((n_slots, n_max)),
        np.empty((n_slots, n_max)),
        np.empty((n_slots, n_lm), np.complex128),
        np.empty((n_slots, n_lm, 3), np.complex128),
        np.empty(n_lm + 1),
        np.empty(angular.lmax + 1, np.complex128),
    )


@helper
def _partials(e, plan, Z, partial):
    """Fill the derivative of monomial e by each of its factors; return the monomial.

    Whole arrays and an index, no slices: a slice costs more than the three products of an order-3 monomial.
    """
    factors = plan.monomial_factors
    order = plan.monomial_order[e]
    first = Z[factors[e, 0]]
    if order == 1:
        partial[e, 0] = 1.0
        return first
    second = Z[factors[e, 1]]
    if order == 2:
        partial[e, 0], partial[e, 1] = second, first
        return first * second
    third = Z[factors[e, 2]]
    if order == 3:
        pair = first * second
        partial[e, 0], partial[e, 1], partial[e, 2] = second * third, first * third, pair
        return pair * third
    partial[e, 0] = 1.0
    running = first
    for k in range(1, order):
        partial[e, k] = running
        running = running * Z[factors[e, k]]
    after = Z[factors[e, order - 1]]
    for k in range(order - 2, -1, -1):
        partial[e, k] = partial[e, k] * after
        after = after * Z[factors[e, k]]
    return running


@helper
def _widest(centres, first_i):
    widest = 1
    for i in centres:
        widest = max(widest, first_i[i + 1] - first_i[i])
    return widest


@kernel
def evaluate(centres, first_i, j_p, d_pc, mu_i, plan, radial, angular, weights, energies_i, gradient_pc):
    """Add the site energies of `centres` and write dE/d(pair vector) of their pairs.

    `weights` holds one real coefficient a monomial (`plan.monomial_coefficients`).
    """
    n_max, n_A = radial.recurrence.shape[1], plan.n_A
    space = _workspace(_widest(centres, first_i), n_max, angular)
    slot_p, r_s, u_sc, R_s, dR_s, Y_s, dY_s = space[:7]
    Z, G = np.empty(2 * n_A, np.complex128), np.empty(2 * n_A, np.complex128)
    partial = np.empty(plan.monomial_factors.shape, np.complex128)
    for i in centres:
        count = _gather(first_i[i], first_i[i + 1], j_p, d_pc, mu_i, plan, radial, angular, space, Z[:n_A])
        Z[n_A:] = np.conj(Z[:n_A])
        G[:] = 0.0
        energy = 0.0
        for e in range(len(weights)):
            energy += weights[e] * _partials(e, plan, Z, partial).real
            for k in range(plan.monomial_order[e]):
                G[plan.monomial_factors[e, k]] += weights[e] * partial[e, k]
        energies_i[i] += energy
        for v in range(n_A):
            G[v] += np.conj(G[n_A + v])
        for s in range(count):
            mu = mu_i[j_p[slot_p[s]]]
            slope, gx, gy, gz = 0.0, 0.0, 0.0, 0.0
            for q in range(plan.row_first[mu], plan.row_first[mu + 1]):
                lm, start, first_n = plan.row_lm[q], plan.row_start[q], plan.row_radial[q]
                h, dh = 0.0j, 0.0j
                for n in range(plan.row_n[q]):
                    h += R_s[s, first_n + n] * G[start + n]
                    dh += dR_s[s, first_n + n] * G[start + n]
                slope += (dh * Y_s[s, lm]).real
                gx += (h * dY_s[s, lm, 0]).real
                gy += (h * dY_s[s, lm, 1]).real
                gz += (h * dY_s[s, lm, 2]).real
            ux, uy, uz = u_sc[s]
            along = slope - (gx * ux + gy * uy + gz * uz) / r_s[s]
            gradient_pc[slot_p[s], 0] = gx / r_s[s] + along * ux
            gradient_pc[slot_p[s], 1] = gy / r_s[s] + along * uy
            gradient_pc[slot_p[s], 2] = gz / r_s[s] + along * uz


@kernel
def site_values(centres, first_i, j_p, d_pc, mu_i, plan, radial, angular, values_ik):
    """Fill the value of every function at each of `centres`, (n_centres, n_functions)."""
    n_A = plan.n_A
    space = _workspace(_widest(centres, first_i), radial.recurrence.shape[1], angular)
    Z = np.empty(2 * n_A, np.complex128)
    monomials = np.empty(len(plan.monomial_order))
    for row, i in enumerate(centres):
        _gather(first_i[i], first_i[i + 1], j_p, d_pc, mu_i, plan, radial, angular, space, Z[:n_A])
        Z[n_A:] = np.conj(Z[:n_A])
        for e in range(len(monomials)):
            product = Z[plan.monomial_factors[e, 0]]
            for k in range(1, plan.monomial_order[e]):
                product *= Z[plan.monomial_factors[e, k]]
            monomials[e] = product.real
        for f in range(len(plan.term_first) - 1):
            value = 0.0
            for t in range(plan.term_first[f], plan.term_first[f + 1]):
                value += plan.term_value[t] * monomials[plan.term_monomial[t]]
            values_ik[row, f] = value


@kernel
def pair_core(r_p, r_i, r0, p, x_cut, power, rows, coefficients, A, B, e0, value_p, slope_p):
    """Fill V(r) and dV/dr of a repulsive core: a polynomial of x(r) above r_i, an exponential below (see core.py)."""
    for k in range(len(r_p)):
        r = r_p[k]
        if r < r_i:
            tail = B * np.exp(-A * (r / r_i - 1.0)) * r_i / r
            value_p[k] = e0 + tail
            slope_p[k] = -tail * (A / r_i + 1.0 / r)
            continue
        x = ((1.0 + r0) / (1.0 + r)) ** p
        y = max(x - x_cut, 0.0)
        P, dP = rows[0, 0] * y**power, rows[0, 0] * power * y ** (power - 1)
        P_before, dP_before = 0.0, 0.0
        value, slope = coefficients[0] * P, coefficients[0] * dP
        for n in range(1, len(coefficients)):
            factor = rows[n, 0] * x + rows[n, 1]
            P_next = factor * P + rows[n, 2] * P_before
            dP_next = factor * dP + rows[n, 0] * P + rows[n, 2] * dP_before
            P_before, dP_before, P, dP = P, dP, P_next, dP_next
            value += coefficients[n] * P
            slope += coefficients[n] * dP
        value_p[k] = value
        slope_p[k] = -slope * p * x / (1.0 + r)
