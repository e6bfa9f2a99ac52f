"""Compiled driver of the lane evaluator: batches of W atoms through slots, products and back.

For each batch the neighbours within the cutoff fill slots; short atoms are padded with a neighbour at twice
the cutoff, where the envelope is exactly zero: no masks. The loops are in `lane_slots` and `lane_products`.
Entry points: :func:`order`, :func:`evaluate`.
"""

import numba as nb
import numpy as np

from ase_mlipgen.ace.lane_layout import JIT, STRIDE
from ase_mlipgen.ace.lane_products import products_and_derivatives
from ase_mlipgen.ace.lane_slots import accumulate, adjoint
from ase_mlipgen.ace.simd import raw, splat, store


@nb.njit(cache=True, **JIT)
def order(centres, first_i, d_pc, cutoff):
    """Return the atoms by falling number of neighbours within the cutoff, so that batches are even."""
    n_i = np.zeros(len(centres), np.int64)
    for k in range(len(centres)):
        for p in range(first_i[centres[k]], first_i[centres[k] + 1]):
            n_i[k] += d_pc[p, 0] ** 2 + d_pc[p, 1] ** 2 + d_pc[p, 2] ** 2 < cutoff * cutoff
    place = np.zeros(n_i.max() + 2, np.int64)
    for k in range(len(n_i)):
        place[n_i[k]] += 1
    for n in range(len(place) - 2, -1, -1):
        place[n] += place[n + 1]
    sorted_centres = np.empty_like(centres)
    for k in range(len(centres)):
        sorted_centres[place[n_i[k] + 1]] = centres[k]
        place[n_i[k] + 1] += 1
    return sorted_centres


@nb.njit(**JIT)
def _gather(members, mu, start, first_i, j_p, d_pc, mu_i, radial, work, X, slot_p, fill):
    """Fill the slots from `start` with the neighbours of element mu; return the (even) end."""
    width = slot_p.shape[1]
    outer = radial.cutoff[mu] ** 2
    inner = radial.r_in[mu] ** 2 if radial.pin[mu] > 0 else -1.0
    end = start
    for lane in range(width):
        fill[lane] = start
        if lane >= len(members):
            continue
        slot = start
        for p in range(first_i[members[lane]], first_i[members[lane] + 1]):
            x, y, z = d_pc[p, 0], d_pc[p, 1], d_pc[p, 2]
            square = x * x + y * y + z * z
            slot_p[slot, lane] = p
            work[(X + 3 * slot) * width + lane] = x
            work[(X + 3 * slot + 1) * width + lane] = y
            work[(X + 3 * slot + 2) * width + lane] = z
            slot += (square < outer) & (square > inner) & (mu_i[j_p[p]] == mu)
        fill[lane] = slot
        end = max(end, slot)
    end += (end - start) % 2
    for lane in range(width):
        for slot in range(fill[lane], end):
            slot_p[slot, lane] = -1
            work[(X + 3 * slot) * width + lane] = 2.0 * radial.cutoff[mu]
            work[(X + 3 * slot + 1) * width + lane] = 0.0
            work[(X + 3 * slot + 2) * width + lane] = 0.0
    return end


@nb.njit(**JIT)
def _scatter(members, n_slots, slot_p, work, at, energies_i, gradient_pc):
    """Write the results of a batch; its energies lie in row 0."""
    width = slot_p.shape[1]
    for lane in range(len(members)):
        energies_i[members[lane]] += work[lane]
    for slot in range(n_slots):
        for lane in range(width):
            p = slot_p[slot, lane]
            if p >= 0:
                for c in range(3):
                    gradient_pc[p, c] = work[(at.X + 3 * slot + c) * width + lane]


@nb.njit(cache=True, **JIT)
def evaluate(
    lanes, centres, first_i, j_p, d_pc, mu_i, blocks, products, linear, values, radial, angular,
    at, work, slot_p, energies_i, gradient_pc,
):  # fmt: skip
    """Evaluate the centres in batches of one vector (see `lanes.evaluate`)."""
    width, n_elements = slot_p.shape[1], len(blocks.start)
    fill, ends = np.empty(width, np.int64), np.zeros(n_elements + 1, np.int64)
    flat, where, form = raw(work), raw(blocks), raw(products)
    pair_basis, harmonics = raw(radial), raw(angular)
    c, x = raw(linear), raw(values)
    for start in range(0, len(centres), width):
        members = centres[start : start + width]
        for row in range(STRIDE * products.n_A):
            store(flat, row, splat(lanes, 0.0))
        for mu in range(n_elements):
            ends[mu + 1] = _gather(
                members, mu, ends[mu], first_i, j_p, d_pc, mu_i, pair_basis, flat, at.X, slot_p, fill
            )
            accumulate(lanes, ends[mu], ends[mu + 1], mu, where, pair_basis, harmonics, flat, at)
        store(flat, 0, products_and_derivatives(lanes, form, c, x, flat, at.n_Z))
        for mu in range(n_elements):
            adjoint(lanes, ends[mu], ends[mu + 1], mu, where, harmonics, flat, at)
        _scatter(members, ends[n_elements], slot_p, flat, at, energies_i, gradient_pc)
