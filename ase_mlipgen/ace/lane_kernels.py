"""Compiled driver of the lane evaluator: batches of W atoms through slots, products and back.

For each batch the neighbours fill slots; short atoms are padded with a spare neighbour at twice the cutoff, where
the envelope is exactly zero: no masks. The loops are in `lane_slots` and `lane_products`.
Entry points: :func:`order`, :func:`evaluate`.
"""

import numpy as np

from ase_mlipgen.ace.lane_layout import STRIDE
from ase_mlipgen.ace.lane_products import products_and_derivatives
from ase_mlipgen.ace.lane_slots import accumulate, adjoint
from ase_mlipgen.jit import helper, kernel
from ase_mlipgen.simd import gather, raw, splat, store


@kernel
def order(centres, first_c):
    """Return the centres by falling number of pairs, so that batches are even."""
    n_i, most = np.empty(len(centres), np.int64), 0
    for k in range(len(centres)):
        n_i[k] = first_c[centres[k] + 1] - first_c[centres[k]]
        most = max(most, n_i[k])
    place = np.zeros(most + 2, np.int64)
    for k in range(len(n_i)):
        place[n_i[k]] += 1
    for n in range(len(place) - 2, -1, -1):
        place[n] += place[n + 1]
    sorted_centres = np.empty_like(centres)
    for k in range(len(centres)):
        sorted_centres[place[n_i[k] + 1]] = centres[k]
        place[n_i[k] + 1] += 1
    return sorted_centres


@helper
def fill_slots(members, mu, n_elements, start, first_c, j_c, mu_i, spare, slot_c, fill):
    """Say which pairs with neighbours of element mu take the slots from `start`; return their end.

    Short atoms are padded with the `spare` pair.
    """
    width, end = slot_c.shape[1], start
    for lane in range(len(members)):
        slot = start
        for p in range(first_c[members[lane]], first_c[members[lane] + 1]):
            slot_c[slot, lane] = p
            slot += n_elements == 1 or mu_i[j_c[p]] == mu
        fill[lane] = slot
        end = max(end, slot)
    for lane in range(width):
        for slot in range(fill[lane] if lane < len(members) else start, end):
            slot_c[slot, lane] = spare
    return end


@helper
def fetch(lanes, first, last, d_c, slots, work, X):
    """Put the pair vectors of slots first:last into their rows."""
    for slot in range(first, last):
        for c in range(3):
            store(work, X + 3 * slot + c, gather(lanes, d_c, 4, slots, slot, c))


@helper
def _scatter(members, n_slots, slot_c, work, X, energies_k, gradient_cc):
    """Write the results of a batch; its energies lie in row 0. The spare pair collects zeros."""
    width = slot_c.shape[1]
    for lane in range(len(members)):
        energies_k[members[lane]] += work[lane]
    for slot in range(n_slots):
        for lane in range(width):
            p = slot_c[slot, lane]
            for c in range(3):
                gradient_cc[p, c] = work[(X + 3 * slot + c) * width + lane]


@kernel
def evaluate(
    lanes, centres, first_c, j_c, d_cc, mu_i, blocks, products, linear, values, radial, angular,
    at, work, slot_c, energies_k, gradient_cc,
):  # fmt: skip
    """Evaluate the centres in batches of one vector (see `lanes.evaluate`); rows of the virial stay at `at.W`.

    The last row of d_cc is the spare pair, at a distance where every radial function is zero.
    """
    width, n_elements, spare = slot_c.shape[1], len(blocks.start), len(d_cc) - 1
    fill, ends = np.empty(width, np.int64), np.zeros(n_elements + 1, np.int64)
    flat, where, form = raw(work), raw(blocks), raw(products)
    pair_basis, harmonics = raw(radial), raw(angular)
    c, x, d_c, slots = raw(linear), raw(values), raw(d_cc), raw(slot_c)
    for row in range(9):
        store(flat, at.W + row, splat(lanes, 0.0))
    for row in range(at.Y, at.records):
        store(flat, row, splat(lanes, 0.0))
    for row in range(at.size - at.stride, at.size):
        store(flat, row, splat(lanes, 0.0))
    for start in range(0, len(centres), width):
        members = centres[start : start + width]
        for row in range(STRIDE * products.n_A):
            store(flat, row, splat(lanes, 0.0))
        for mu in range(n_elements):
            ends[mu + 1] = fill_slots(
                members, mu, n_elements, ends[mu], first_c, j_c, mu_i, spare, slot_c, fill
            )
            fetch(lanes, ends[mu], ends[mu + 1], d_c, slots, flat, at.X)
            accumulate(lanes, ends[mu], ends[mu + 1], mu, where, pair_basis, harmonics, flat, at)
        store(flat, 0, products_and_derivatives(lanes, form, c, x, flat, at.n_Z))
        for mu in range(n_elements):
            adjoint(lanes, ends[mu], ends[mu + 1], mu, where, harmonics, flat, at)
        _scatter(members, ends[n_elements], slot_c, flat, at.X, energies_k, gradient_cc)
