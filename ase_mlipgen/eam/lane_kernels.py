"""Compiled loops over batches of W atoms, one atom in each lane; their neighbours fill slots.

Atoms stand in rows of four doubles (x, y, z, something): `densities` wants the element there, `forces` F'. Every
batch has the same number of slots, that of the atom with the most pairs; shorter lanes end with neighbours beyond
the cutoff. Virials and closest distances are kept for each span of atoms, so that they do not depend on how
spans are shared among threads. A batch begins a span; slopes of batches follow one another from `first_span` on.
Enter at `densities` and `forces`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.eam.functions import Floats, Ints
from ase_mlipgen.eam.lane_gather import neighbour_rows
from ase_mlipgen.eam.lane_terms import pair_terms
from ase_mlipgen.jit import helper, kernel
from ase_mlipgen.simd import fma, least, load, raw, smaller, splat, store, total

SPAN = 256


class Space(NamedTuple):
    """Memory of one thread: rows, results and first pairs of the atoms of a batch; lines of neighbours and shifts.

    `own_v` is for rows of displacements (`lane_tangents`).
    """

    own: Floats
    own_v: Floats
    result: Floats
    begin: Ints
    line_j: npt.NDArray[np.int32]
    line_s: npt.NDArray[np.int32]

    @classmethod
    def of(cls, width: int, n_slots: int) -> "Space":
        """Return space for batches of `width` atoms with up to `n_slots` pairs each."""
        lines, rows = np.empty((2, width * n_slots), np.int32), np.empty((3, 4 * width))
        return cls(rows[0], rows[1], rows[2], np.empty(width, np.int64), lines[0], lines[1])


@kernel
def rows_of_four(positions, fourth_i):
    """Return x, y, z and a fourth number of each atom side by side."""
    rows = np.empty((positions.shape[0], 4))
    for i in range(positions.shape[0]):
        rows[i, 0], rows[i, 1], rows[i, 2] = positions[i, 0], positions[i, 1], positions[i, 2]
        rows[i, 3] = fourth_i[i]
    return rows


@kernel
def prepare(positions, a_i, first_i, shifts, reach):
    """Return atoms with their elements and shifts with zeros in rows of four, and the most pairs of an atom.

    One more shift, `reach` (Å), leads beyond the cutoff.
    """
    atoms, rows = np.empty((positions.shape[0], 4)), np.zeros((shifts.shape[0] + 1, 4))
    n_slots = 0
    for i in range(positions.shape[0]):
        atoms[i, 0], atoms[i, 1], atoms[i, 2] = positions[i, 0], positions[i, 1], positions[i, 2]
        atoms[i, 3] = a_i[i]
        n_slots = max(n_slots, first_i[i + 1] - first_i[i])
    for s in range(shifts.shape[0]):
        rows[s, 0], rows[s, 1], rows[s, 2] = shifts[s, 0], shifts[s, 1], shifts[s, 2]
    rows[-1, 0] = reach
    return atoms, rows, n_slots


@helper
def own_rows(width, start, end, rows, own, fourth):
    """Fill `own` with the rows of a batch, but `fourth` with their last numbers; lanes beyond repeat the last atom."""
    for lane in range(width):
        i = 4 * min(start + lane, end - 1)
        own[4 * lane], own[4 * lane + 1], own[4 * lane + 2] = rows[i], rows[i + 1], rows[i + 2]
        own[4 * lane + 3], fourth[lane] = 0.0, rows[i + 3]


@helper
def line_up(width, start, end, first_i, j_p, s_p, far, begin, line_j, line_s):
    """Fill `begin` for a batch; return its slots, and whether its pairs are in the lines.

    Batches whose atoms have unlike numbers of pairs are copied there and filled up with shift `far`. Lanes beyond
    `end` are the last atom, without its pairs.
    """
    n_slots, even = 0, end - start == width
    for i in range(start, end):
        n_slots = max(n_slots, first_i[i + 1] - first_i[i])
    for lane in range(width):
        i = min(start + lane, end - 1)
        begin[lane] = first_i[i]
        even = even and first_i[i + 1] - first_i[i] == n_slots
    if even:
        return n_slots, False
    for lane in range(width):
        i = min(start + lane, end - 1)
        n = first_i[i + 1] - first_i[i] if start + lane < end else 0
        begin[lane] = lane * n_slots
        for k in range(n_slots):
            line_j[lane * n_slots + k] = j_p[first_i[i] + k] if k < n else i
            line_s[lane * n_slots + k] = s_p[first_i[i] + k] if k < n else far
    return n_slots, True


@kernel
def densities(
    lanes, form, first_span, last_span, listed, n_slopes, atoms, space, rho_i, phi_i, slopes, closest_s
):  # fmt: skip
    """Sum f and phi over the pairs of each atom and keep their slopes.

    Parameters
    ----------
    lanes : Lanes
    form
        The functions, see `lane_terms`.
    first_span, last_span : int
        Spans to do.
    listed
        Pairs (first_i, j_p, s_p), shifts in rows of four, and the most pairs of an atom. The last shift leads beyond
        the cutoff.
    n_slopes : int
        3 if f of a pair differs between its directions, else 2.
    atoms : (n_atoms, 4) array
        Å; the fourth number is the element.
    space : Space
    rho_i, phi_i, slopes, closest_s
        Results: sums; phi'/r, f'/r (and the neighbour's) of slot after slot, eV/Å^2; smallest distance, Å.
    """
    first_i, j_p, s_p, shifts, n_slots = listed
    width = space.begin.shape[0]
    n_atoms, far = rho_i.shape[0], shifts.shape[0] - 1
    table = raw(form)
    p_first, p_j, p_s, p_atoms, p_shifts = raw(first_i), raw(j_p), raw(s_p), raw(atoms), raw(shifts)
    own, _, p_result, begin, line_j, line_s = raw(space)
    p_slopes = raw(slopes)
    row = 0
    for span in range(first_span, last_span):
        closest = splat(lanes, np.inf)
        stop = min((span + 1) * SPAN, n_atoms)
        for start in range(span * SPAN, stop, width):
            end = min(start + width, stop)
            own_rows(width, start, end, p_atoms, own, p_result)
            n, copied = line_up(width, start, end, p_first, p_j, p_s, far, begin, line_j, line_s)
            js, ss = (line_j, line_s) if copied else (p_j, p_s)
            a = load(lanes, p_result, 0)
            rho, phi = splat(lanes, 0.0), splat(lanes, 0.0)
            at = row
            for slot in range(n):
                x, y, z, b = neighbour_rows(lanes, p_atoms, own, p_shifts, js, ss, begin, slot)
                square = fma(x, x, fma(y, y, z * z))
                closest = smaller(closest, square)
                f, v, f_slope, back, v_slope, _, _, _ = pair_terms(lanes, table, square, a, b)
                rho, phi = rho + f, phi + v
                store(p_slopes, at, v_slope)
                store(p_slopes, at + 1, f_slope)
                if n_slopes == 3:
                    store(p_slopes, at + 2, back)
                at += n_slopes
            row += n_slots * n_slopes
            store(p_result, 0, rho)
            store(p_result, 1, phi)
            for i in range(start, end):
                rho_i[i], phi_i[i] = p_result[i - start], p_result[width + i - start]
        closest_s[span] = np.sqrt(least(closest))


@kernel
def forces(
    lanes, first_span, last_span, listed, n_slopes, atoms, space, slopes, forces, virial_s
):  # fmt: skip
    """Sum (F'_i f'_ij + F'_j f'_ji + phi') d / r over the pairs of each atom.

    Parameters as for `densities`, but the fourth number of `atoms` is F'. Results: `forces` (n_atoms, 3), eV/Å, and
    the virials of spans, (n_spans, 6), eV.
    """
    first_i, j_p, s_p, shifts, n_slots = listed
    width = space.begin.shape[0]
    n_atoms, far = forces.shape[0], shifts.shape[0] - 1
    p_first, p_j, p_s, p_atoms, p_shifts = raw(first_i), raw(j_p), raw(s_p), raw(atoms), raw(shifts)
    own, _, p_result, begin, line_j, line_s = raw(space)
    p_slopes, p_forces = raw(slopes), raw(forces)
    row, zero = 0, splat(lanes, 0.0)
    for span in range(first_span, last_span):
        xx, yy, zz, yz, xz, xy = zero, zero, zero, zero, zero, zero
        stop = min((span + 1) * SPAN, n_atoms)
        for start in range(span * SPAN, stop, width):
            end = min(start + width, stop)
            own_rows(width, start, end, p_atoms, own, p_result)
            n, copied = line_up(width, start, end, p_first, p_j, p_s, far, begin, line_j, line_s)
            js, ss = (line_j, line_s) if copied else (p_j, p_s)
            dF_i = load(lanes, p_result, 0)
            f_x, f_y, f_z = zero, zero, zero
            at = row
            for slot in range(n):
                x, y, z, dF_j = neighbour_rows(lanes, p_atoms, own, p_shifts, js, ss, begin, slot)
                back = load(lanes, p_slopes, at + n_slopes - 1)
                slope = fma(dF_i, load(lanes, p_slopes, at + 1), fma(dF_j, back, load(lanes, p_slopes, at)))
                at += n_slopes
                g_x, g_y, g_z = slope * x, slope * y, slope * z
                f_x, f_y, f_z = f_x + g_x, f_y + g_y, f_z + g_z
                xx, yy, zz = fma(g_x, x, xx), fma(g_y, y, yy), fma(g_z, z, zz)
                yz, xz, xy = fma(g_y, z, yz), fma(g_x, z, xz), fma(g_x, y, xy)
            row += n_slots * n_slopes
            store(p_result, 0, f_x)
            store(p_result, 1, f_y)
            store(p_result, 2, f_z)
            for i in range(start, end):
                for c in range(3):
                    p_forces[3 * i + c] = p_result[c * width + i - start]
        for c, sum_c in enumerate((xx, yy, zz, yz, xz, xy)):
            virial_s[span, c] = 0.5 * total(sum_c)
