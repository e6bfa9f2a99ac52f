"""Compiled loops for changes of the forces along displacements of the atoms, in batches as in `lane_kernels`.

With s = f'/r or phi'/r, which changes by its curvature c times w = d . (v_j - v_i):

    change of rho_i     sum_p f'_ij w / r
    change of F_i       sum_p (F'_i s_ij + F'_j s_ji + s_phi) (v_j - v_i) + (dF'_i s_ij + dF'_j s_ji
                            + (F'_i c_ij + F'_j c_ji + c_phi) w) d

Slopes and curvatures of a slot stand together: phi, f (and the neighbour's), then the curvatures. Enter at
`curvatures`, then for each displacement `density_changes` and `force_changes`.
"""

from ase_mlipgen.eam.lane_gather import neighbour_rows
from ase_mlipgen.eam.lane_kernels import SPAN, line_up, own_rows
from ase_mlipgen.eam.lane_terms import pair_terms
from ase_mlipgen.jit import kernel
from ase_mlipgen.simd import fma, load, raw, splat, store


@kernel
def curvatures(lanes, form, first_span, last_span, listed, n_slopes, atoms, space, rho_i, terms):
    """Sum f over the pairs of each atom, and keep slopes and curvatures, 2 n_slopes of each slot.

    Parameters as for `lane_kernels.densities`.
    """
    first_i, j_p, s_p, shifts, n_slots = listed
    width, n_atoms, far = space.begin.shape[0], rho_i.shape[0], shifts.shape[0] - 1
    table = raw(form)
    p_first, p_j, p_s, p_atoms, p_shifts = raw(first_i), raw(j_p), raw(s_p), raw(atoms), raw(shifts)
    own, _, result, begin, line_j, line_s = raw(space)
    p_terms, row = raw(terms), 0
    for start in range(first_span * SPAN, min(last_span * SPAN, n_atoms), width):
        end = min(start + width, n_atoms)
        own_rows(width, start, end, p_atoms, own, result)
        n, copied = line_up(width, start, end, p_first, p_j, p_s, far, begin, line_j, line_s)
        js, ss = (line_j, line_s) if copied else (p_j, p_s)
        a, rho, at = load(lanes, result, 0), splat(lanes, 0.0), row
        for slot in range(n):
            x, y, z, b = neighbour_rows(lanes, p_atoms, own, p_shifts, js, ss, begin, slot)
            square = fma(x, x, fma(y, y, z * z))
            found = pair_terms(lanes, table, square, a, b)
            f, _, f_slope, back_slope, phi_slope, f_curve, back_curve, phi_curve = found
            rho = rho + f
            store(p_terms, at, phi_slope)
            store(p_terms, at + 1, f_slope)
            store(p_terms, at + n_slopes - 1, back_slope)
            store(p_terms, at + n_slopes, phi_curve)
            store(p_terms, at + n_slopes + 1, f_curve)
            store(p_terms, at + 2 * n_slopes - 1, back_curve)
            at += 2 * n_slopes
        row += n_slots * 2 * n_slopes
        store(result, 0, rho)
        for i in range(start, end):
            rho_i[i] = result[i - start]


@kernel
def density_changes(
    lanes, first_span, last_span, listed, n_slopes, atoms, moves, still, space, terms, change_i
):  # fmt: skip
    """Sum the changes of f over the pairs of each atom.

    `moves` (n_atoms, 4) are displacements, Å, and something; `still` as many rows of zeros as there are shifts.
    """
    first_i, j_p, s_p, shifts, n_slots = listed
    width, n_atoms, far = space.begin.shape[0], change_i.shape[0], shifts.shape[0] - 1
    p_first, p_j, p_s, p_atoms, p_shifts = raw(first_i), raw(j_p), raw(s_p), raw(atoms), raw(shifts)
    own, own_v, result, begin, line_j, line_s = raw(space)
    p_terms, p_moves, p_still, row = raw(terms), raw(moves), raw(still), 0
    for start in range(first_span * SPAN, min(last_span * SPAN, n_atoms), width):
        end = min(start + width, n_atoms)
        own_rows(width, start, end, p_atoms, own, result)
        own_rows(width, start, end, p_moves, own_v, result)
        n, copied = line_up(width, start, end, p_first, p_j, p_s, far, begin, line_j, line_s)
        js, ss = (line_j, line_s) if copied else (p_j, p_s)
        change, at = splat(lanes, 0.0), row
        for slot in range(n):
            x, y, z, _ = neighbour_rows(lanes, p_atoms, own, p_shifts, js, ss, begin, slot)
            v_x, v_y, v_z, _ = neighbour_rows(lanes, p_moves, own_v, p_still, js, ss, begin, slot)
            w = fma(x, v_x, fma(y, v_y, z * v_z))
            change = fma(w, load(lanes, p_terms, at + 1), change)
            at += 2 * n_slopes
        row += n_slots * 2 * n_slopes
        store(result, 0, change)
        for i in range(start, end):
            change_i[i] = result[i - start]


@kernel
def force_changes(
    lanes, first_span, last_span, listed, n_slopes, atoms, moves, still, space, terms, change_ic
):  # fmt: skip
    """Sum the changes of the forces, (n_atoms, 3), eV/Å; the fourth numbers are F' and its change."""
    first_i, j_p, s_p, shifts, n_slots = listed
    width, n_atoms, far = space.begin.shape[0], change_ic.shape[0], shifts.shape[0] - 1
    p_first, p_j, p_s, p_atoms, p_shifts = raw(first_i), raw(j_p), raw(s_p), raw(atoms), raw(shifts)
    own, own_v, result, begin, line_j, line_s = raw(space)
    p_terms, p_moves, p_still, p_change, row = raw(terms), raw(moves), raw(still), raw(change_ic), 0
    for start in range(first_span * SPAN, min(last_span * SPAN, n_atoms), width):
        end = min(start + width, n_atoms)
        own_rows(width, start, end, p_atoms, own, result)
        dF_i = load(lanes, result, 0)
        own_rows(width, start, end, p_moves, own_v, result)
        ddF_i = load(lanes, result, 0)
        n, copied = line_up(width, start, end, p_first, p_j, p_s, far, begin, line_j, line_s)
        js, ss = (line_j, line_s) if copied else (p_j, p_s)
        f_x, f_y, f_z, at = splat(lanes, 0.0), splat(lanes, 0.0), splat(lanes, 0.0), row
        for slot in range(n):
            x, y, z, dF_j = neighbour_rows(lanes, p_atoms, own, p_shifts, js, ss, begin, slot)
            v_x, v_y, v_z, ddF_j = neighbour_rows(lanes, p_moves, own_v, p_still, js, ss, begin, slot)
            w = fma(x, v_x, fma(y, v_y, z * v_z))
            there, back = load(lanes, p_terms, at + 1), load(lanes, p_terms, at + n_slopes - 1)
            slope = fma(dF_i, there, fma(dF_j, back, load(lanes, p_terms, at)))
            at += n_slopes
            curve = fma(dF_i, load(lanes, p_terms, at + 1), load(lanes, p_terms, at))
            curve = fma(dF_j, load(lanes, p_terms, at + n_slopes - 1), curve)
            at += n_slopes
            bend = fma(ddF_i, there, fma(ddF_j, back, curve * w))
            f_x = fma(slope, v_x, fma(bend, x, f_x))
            f_y = fma(slope, v_y, fma(bend, y, f_y))
            f_z = fma(slope, v_z, fma(bend, z, f_z))
        row += n_slots * 2 * n_slopes
        store(result, 0, f_x)
        store(result, 1, f_y)
        store(result, 2, f_z)
        for i in range(start, end):
            for c in range(3):
                p_change[3 * i + c] = result[c * width + i - start]
