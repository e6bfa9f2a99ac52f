"""Compiled passes over the pairs of a range of atoms: from the list to pair vectors, and from gradients to forces.

`collect` keeps the pairs within reach, as one after another; whoever evaluates them never sees the skin. `spread` adds
their gradients to the forces. Entry points: these two.
"""

import numpy as np

from ase_mlipgen.jit import kernel
from ase_mlipgen.simd import load, raw, square3, store


@kernel
def collect(quad, start, stop, reach, positions, first_i, j_p, s_p, shifts, first_c, j_c, d_cc):
    """Write the pairs of the atoms start:stop that are shorter than `reach`; return the smallest square of a length.

    quad : Lanes(4);  positions, shifts : (n, 4), padded rows;  d_cc : (n_pairs + 1, 4)
    Pairs of atom start + k are first_c[k]:first_c[k + 1] of j_c (neighbour) and d_cc (vector, Å).
    """
    at, of, to = raw(positions), raw(shifts), raw(d_cc)
    n, smallest, square_reach = 0, np.inf, reach * reach
    first_c[0] = 0
    for i in range(start, stop):
        here = load(quad, at, i)
        for p in range(first_i[i], first_i[i + 1]):
            d = load(quad, at, np.int64(j_p[p])) - here + load(quad, of, np.int64(s_p[p]))
            square = square3(d)
            smallest = min(smallest, square)
            j_c[n] = j_p[p]
            store(to, n, d)
            n += (
                square < square_reach
            )  # a pair beyond is overwritten by the next one: no branch to mispredict
        first_c[i - start + 1] = n
    return smallest


@kernel
def spread(start, first_c, j_c, gradient_cc, forces_ic):
    """Add dE/d(pair vector) of the pairs of atoms start, start + 1, ... to the forces on both ends."""
    for k in range(first_c.shape[0] - 1):
        x, y, z = 0.0, 0.0, 0.0
        for p in range(first_c[k], first_c[k + 1]):
            j = j_c[p]
            gx, gy, gz = gradient_cc[p, 0], gradient_cc[p, 1], gradient_cc[p, 2]
            x += gx
            y += gy
            z += gz
            forces_ic[j, 0] -= gx
            forces_ic[j, 1] -= gy
            forces_ic[j, 2] -= gz
        forces_ic[start + k, 0] += x
        forces_ic[start + k, 1] += y
        forces_ic[start + k, 2] += z
