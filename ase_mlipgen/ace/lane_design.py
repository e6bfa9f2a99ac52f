"""Compiled driver of the design rows: batches of W atoms.

For each atom of a batch its neighbours go into slots and give A; then the batch's cofactors and g's are formed with
atoms in the lanes; then each atom's J is built and contracted. In the result the rows of W functions lie together:
element ((group * n_rows) + row) * W + k; :func:`deliver` writes them out as columns.
Entry points: :func:`accumulate`, :func:`deliver`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.ace.lane_design_jacobian import Span, densities, jacobian, jacobian_tangent, moments
from ase_mlipgen.ace.lane_design_products import contract, gradients, multiply, multiply_tangent
from ase_mlipgen.ace.lane_design_slots import SlotLayout, fill_slot
from ase_mlipgen.ace.lane_moves import shift, store_transposed
from ase_mlipgen.jit import helper, kernel
from ase_mlipgen.simd import load, raw, splat, store


class Layout(NamedTuple):
    """Sizes, and row offsets in the work buffer.

    P, T: components of the cofactors and their tangents; scratch: a tile; records: slots of W atoms, `n_slots` each;
    slot: their layout; stride: vectors of a row of J; n_axes: 2 in a plane. Result: n_rows rows, among them those of
    the energy, of the virial (negative: none) and, last, three for what is not wanted.
    """

    P: int
    T: int
    scratch: int
    records: int
    n_slots: int
    slot: SlotLayout
    stride: int
    n_axes: int
    n_rows: int
    energy: int
    virial: int
    trash: int


class Lists(NamedTuple):
    """Neighbours and vectors, atom i's at first_i[i]:first_i[i + 1]; element, velocity and first row of all atoms."""

    first_i: npt.NDArray[np.int64]
    j_p: npt.NDArray[np.int32]
    d_pc: npt.NDArray[np.float64]
    mu_i: npt.NDArray[np.int64]
    velocity_ic: npt.NDArray[np.float64]
    row_i: npt.NDArray[np.int64]


class Room(NamedTuple):
    """Work arrays: buffer; g's and J, twice with tangents; where columns go; by element ends, slots, neighbours."""

    buffer: npt.NDArray[np.float64]
    G: npt.NDArray[np.float64]
    J: npt.NDArray[np.float64]
    where: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    slots: npt.NDArray[np.int64]
    neighbour_s: npt.NDArray[np.int64]


@helper
def _gather(width, i, mu, base, lists, radial, work, at, neighbour_s):
    """Fill the slots from record `base` with the neighbours of atom i of element mu; return how many."""
    outer = radial.cutoff[mu] ** 2
    inner = radial.r_in[mu] ** 2 if radial.pin[mu] > 0 else -1.0
    n = 0
    for p in range(lists.first_i[i], lists.first_i[i + 1]):
        x, y, z = lists.d_pc[3 * p], lists.d_pc[3 * p + 1], lists.d_pc[3 * p + 2]
        square, j = x * x + y * y + z * z, np.int64(lists.j_p[p])
        if square >= outer or square <= inner or lists.mu_i[j] != mu:
            continue
        neighbour_s[n] = j
        record = (base + (n // width) * at.size) * width + n % width
        for c in range(3):
            work[record + (at.X + c) * width] = lists.d_pc[3 * p + c]
            work[record + (at.M + 1 + c) * width] = lists.d_pc[3 * p + c]
            work[record + (at.W + c) * width] = lists.velocity_ic[3 * j + c] - lists.velocity_ic[3 * i + c]
        work[record + at.M * width] = 1.0
        n += 1
    for s in range(n, -(-n // width) * width):
        record = (base + (s // width) * at.size) * width + s % width
        for row in range(at.U):
            work[record + row * width] = 0.0
        work[record + at.X * width] = 2.0 * radial.cutoff[mu]
    return n


@helper
def _special_columns(width, i, column, lists, to, where):
    """Say to which rows the columns after the neighbours' go: the centre's, the virial's, the energy's, nothing's."""
    mine = lists.row_i[i] != to.trash
    for c in range(to.n_axes):
        where[column + c] = (lists.row_i[i] + c) * width
    column += to.n_axes
    if to.virial >= 0:
        for k in range(6):
            where[column + k] = (to.virial + k if mine else to.trash) * width
        column += 6
    where[column] = (to.energy if mine else to.trash) * width
    column += 1
    while column % width != 0:
        where[column] = to.trash * width
        column += 1
    return column // width


@helper
def _place(
    lanes, width, b, i, lists, tangent, rows, radial, angular, to, work, columns, ends, slots, neighbour_s
):
    """Fill the slots of atom i, the batch's b-th, its A's and their columns' rows; return the columns in vectors."""
    n_elements, at = len(ends) - 1, to.slot
    base = to.records + b * to.n_slots * at.size
    for mu in range(n_elements):
        n = _gather(width, i, mu, base, lists, radial, work, at, neighbour_s)
        span = Span(rows.first[mu], rows.first[mu + 1], base, -(-n // width), ends[mu], n)
        ends[mu + 1], slots[mu] = ends[mu] + to.n_axes * n, span.n_slots
        for s in range(n):
            for c in range(to.n_axes):
                columns[span.column + c * n + s] = (lists.row_i[neighbour_s[s]] + c) * width
        for t in range(span.n_slots):
            fill_slot(lanes, mu, radial, angular, work, base + t * at.size, at)
        for part in range(2 if tangent else 1):  # a flag made here: constants would compile the callee twice
            to_sums = shift(work, (to.T if part == 1 else to.P) * width)
            densities(lanes, width, span, rows, angular, work, at, part == 1, to_sums, b)
        base += span.n_slots * at.size
    return _special_columns(width, i, ends[n_elements], lists, to, columns)


@helper
def _build(lanes, width, b, tangent, rows, angular, to, work, ends, slots, J):
    """Build J of the batch's b-th atom, or its tangent. The last column is A itself."""
    n_elements, at = len(slots), to.slot
    special = ends[n_elements]
    if n_elements > 1:
        for k in range(rows.n * to.stride):
            store(J, k, splat(lanes, 0.0))
    base = to.records + b * to.n_slots * at.size
    for mu in range(n_elements):
        n = (ends[mu + 1] - ends[mu]) // to.n_axes
        span = Span(rows.first[mu], rows.first[mu + 1], base, slots[mu], ends[mu], n)
        if tangent:
            jacobian_tangent(lanes, width, span, rows, angular, work, at, J, to.stride)
        else:
            jacobian(lanes, width, span, to.n_axes, rows, angular, work, at, J, to.stride)
        moments(lanes, width, span, to.n_axes, to.virial >= 0, rows, work, at, J, to.stride, special)
        base += span.n_slots * at.size
    last, A = special + to.n_axes + (6 if to.virial >= 0 else 0), to.T if tangent else to.P
    for row in range(rows.n):
        J[row * to.stride * width + last] = work[(A + rows.component[row]) * width + b]


@kernel
def accumulate(
    lanes, width, centres, lists, tangent, rows, tree, sums, terms, radial, angular, to, room, result
):
    """Add the derivatives of every function at the centres, or their tangents, to `result` (see `design`)."""
    work, G, J, out, columns = raw(room.buffer), raw(room.G), raw(room.J), raw(result), raw(room.where)
    table, nodes, sparse, entries = raw(rows), raw(tree), raw(sums), raw(terms)
    pairs, pair_basis, harmonics, neighbours = raw(lists), raw(radial), raw(angular), raw(room.neighbour_s)
    n_groups, n_elements = len(terms.function) // width, len(rows.first) - 1
    G_tangent, J_tangent = shift(G, width * sums.n), shift(J, to.stride * rows.n * width)
    n_vectors = np.empty(width, np.int64)
    for start in range(0, len(centres), width):
        members = centres[start : start + width]
        for b in range(len(members)):
            n_vectors[b] = _place(
                lanes, width, b, members[b], pairs, tangent, table, pair_basis, harmonics, to, work,
                shift(columns, b * to.stride * width), room.ends[b], room.slots[b], neighbours,
            )  # fmt: skip
        multiply(lanes, nodes, work, to.P)
        gradients(lanes, width, sparse, work, to.P, to.scratch, G)
        if tangent:
            multiply_tangent(lanes, nodes, work, to.P, to.T)
            gradients(lanes, width, sparse, work, to.T, to.scratch, G_tangent)
        for b in range(len(members)):
            ends, slots, place = room.ends[b], room.slots[b], shift(columns, b * to.stride * width)
            own = shift(G, b * sums.n)
            for part in range(2 if tangent else 1):
                _build(
                    lanes, width, b, part == 1, table, harmonics, to, work, ends, slots,
                    J_tangent if part == 1 else J,
                )  # fmt: skip
            if tangent:
                contract(
                    lanes, width, n_groups, n_elements, ends, n_vectors[b], entries, own, J_tangent, to.stride,
                    work, to.scratch, out, place, to.n_rows,
                )  # fmt: skip
                own = shift(G_tangent, b * sums.n)
            contract(
                lanes, width, n_groups, n_elements, ends, n_vectors[b], entries, own, J, to.stride,
                work, to.scratch, out, place, to.n_rows,
            )  # fmt: skip


@kernel
def deliver(lanes, width, terms, result, to, scale, where, columns):
    """Write the result times `scale`, a factor a row, to columns[function, row]; the energy also over the order.

    The first columns.shape[1] rows are written.
    """
    source, factors, target, places = raw(result), raw(scale), raw(columns), raw(where)
    length = columns.shape[1]
    for group in range(len(terms.function) // width):
        own, first = group * width, group * to.n_rows
        for k in range(width):
            result[(first + to.energy) * width + k] *= terms.inverse_order[own + k]
            where[k] = terms.function[own + k] * length
        tiles = length // width if terms.function[own + width - 1] >= 0 else 0
        for tile in range(tiles):
            factor = load(lanes, factors, tile)
            store_transposed(lanes, source, first + tile * width, 1, factor, target, places, tile * width)
        for k in range(width):
            if terms.function[own + k] >= 0:
                for row in range(tiles * width, length):
                    columns[terms.function[own + k], row] = scale[row] * result[(first + row) * width + k]
