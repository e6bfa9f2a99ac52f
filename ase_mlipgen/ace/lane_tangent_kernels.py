"""Compiled driver of second derivatives: batches of W atoms, each with tangents of its pair vectors.

A batch first runs as in `lane_kernels`, which leaves A and G = dE/dA, and stores the curvature of every slot at fixed
G. Then each tangent t costs three loops: dA = J t, dG = S dA with S = d2E/dA2, and J' dG + curvature t. With the
tangents of given displacements these are Hessian-vector products, with unit vectors columns of the site's own Hessian.
Entry point: :func:`tangents`.
"""

import numpy as np

from ase_mlipgen.ace.lane_kernels import fetch, fill_slots
from ase_mlipgen.ace.lane_layout import STRIDE
from ase_mlipgen.ace.lane_slots import accumulate, adjoint
from ase_mlipgen.ace.lane_tangent_products import products_kept, products_tangent
from ase_mlipgen.ace.lane_tangent_slots import accumulate_tangent, add_curvature, curvature
from ase_mlipgen.jit import helper, kernel
from ase_mlipgen.simd import raw, splat, store


@helper
def _clear(lanes, n_A, work):
    """Zero the rows of A and of its derivatives."""
    for row in range(STRIDE * n_A):
        store(work, row, splat(lanes, 0.0))


@helper
def _differences(start, members, n_slots, slot_c, spare, j_c, v_ic, work, more):
    """Write v_j - v_i as the tangent of every slot; site k is atom start + k."""
    width = slot_c.shape[1]
    for slot in range(n_slots):
        own = more.records + slot * more.stride
        for lane in range(width):
            p = slot_c[slot, lane]
            for c in range(3):
                change = v_ic[j_c[p], c] - v_ic[start + members[lane], c] if p < spare else 0.0
                work[(own + c) * width + lane] = change


@helper
def _scatter(n_slots, slot_c, work, at, change_cc):
    """Write the change of dE/d(pair vector); the spare pair collects zeros."""
    width = slot_c.shape[1]
    for slot in range(n_slots):
        for lane in range(width):
            p = slot_c[slot, lane]
            for c in range(3):
                change_cc[p, c] = work[(at.X + 3 * slot + c) * width + lane]


@helper
def _unit(lanes, slot, axis, work, more):
    """Make the tangent of one slot a unit vector."""
    own = more.records + slot * more.stride
    for c in range(3):
        store(work, own + c, splat(lanes, 1.0 * (c == axis)))


@helper
def _column(members, first_c, slot, axis, last, slot_c, spare, work, at, block_kcc):
    """Write one column's part at and after its own slot, and its mirror image."""
    width = slot_c.shape[1]
    for lane in range(len(members)):
        p, k = slot_c[slot, lane], members[lane]
        if p == spare:
            continue
        own = 3 * (p - first_c[k]) + axis
        for other in range(slot, last):
            q = slot_c[other, lane]
            if q < spare:
                for c in range(3):
                    value = work[(at.X + 3 * other + c) * width + lane]
                    block_kcc[k, own, 3 * (q - first_c[k]) + c] = value
                    block_kcc[k, 3 * (q - first_c[k]) + c, own] = value


@kernel
def tangents(
    lanes, centres, first_c, j_c, d_cc, mu_i, blocks, products, linear, values, radial, angular,
    at, more, work, slot_c, start, v_vic, change_vcc, block_kcc,
):  # fmt: skip
    """Run the centres in batches of one vector (see `lane_tangents`); site blocks are wanted where there are no v."""
    n_elements, spare = len(blocks.start), len(d_cc) - 1
    ends, fill = np.zeros(n_elements + 1, np.int64), np.empty(slot_c.shape[1], np.int64)
    flat, where, form = raw(work), raw(blocks), raw(products)
    pair_basis, harmonics = raw(radial), raw(angular)
    c, x, d_c, slots = raw(linear), raw(values), raw(d_cc), raw(slot_c)
    for lowest in range(0, len(centres), slot_c.shape[1]):
        members = centres[lowest : lowest + slot_c.shape[1]]
        _clear(lanes, products.n_A, flat)
        for mu in range(n_elements):
            ends[mu + 1] = fill_slots(
                members, mu, n_elements, ends[mu], first_c, j_c, mu_i, spare, slot_c, fill
            )
            fetch(lanes, ends[mu], ends[mu + 1], d_c, slots, flat, at.X)
            accumulate(lanes, ends[mu], ends[mu + 1], mu, where, pair_basis, harmonics, flat, at)
        products_kept(lanes, form, c, x, flat, at, more)
        for mu in range(n_elements):
            curvature(lanes, ends[mu], ends[mu + 1], mu, where, pair_basis, harmonics, flat, at, more)
        last = ends[n_elements]
        columns = len(v_vic) == 0
        for t in range(3 * last if columns else len(v_vic)):
            lower, upper = (t // 3, t // 3 + 1) if columns else (0, last)  # slots that move
            if columns:
                _unit(lanes, lower, t % 3, flat, more)
            else:
                _differences(start, members, last, slot_c, spare, j_c, v_vic[t], flat, more)
            _clear(lanes, products.n_A, flat)
            for mu in range(n_elements):
                a, b = max(lower, ends[mu]), min(upper, ends[mu + 1])
                accumulate_tangent(lanes, a, b, mu, where, harmonics, flat, at, more)
            products_tangent(lanes, form, x, flat, at, more)
            for mu in range(n_elements):
                adjoint(lanes, max(lower, ends[mu]), ends[mu + 1], mu, where, harmonics, flat, at)
            for slot in range(lower, upper):
                add_curvature(lanes, slot, flat, at, more)
            if columns:
                _column(members, first_c, lower, t % 3, last, slot_c, spare, flat, at, block_kcc)
            else:
                _scatter(last, slot_c, flat, at, change_vcc[t])
