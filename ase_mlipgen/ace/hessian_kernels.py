"""Compiled assembly of a Hessian from the second derivatives of site energies.

The energy of a site ties each two of its members, the centre and its neighbours. Displacing the centre moves all pair
vectors backwards, so its rows are minus the sums of the others. Pairs of an atom with its own image never change.
Entry points: :func:`add_sites`, :func:`symmetrise`.
"""

import numpy as np

from ase_mlipgen.jit import kernel


@kernel
def add_sites(start, first_c, j_c, stiffness_ccc, block_kcc, indptr, indices, data):
    """Add the Hessians of the sites start, start + 1, ... to 3 x 3 blocks, in rows of sorted columns.

    Parameters
    ----------
    first_c, j_c
        Pairs of site k, as for `lane_tangents.site_blocks`.
    stiffness_ccc : (n_pairs, 3, 3)
        Added to the diagonal: second derivatives of functions of one pair vector.
    block_kcc : (n_sites, 3 n + 3, 3 n + 3)
        See `lane_tangents.site_blocks`; changed.
    indptr, indices, data : (n_atoms + 1,), (n_blocks,), (n_blocks, 3, 3)
    """
    place, atoms = np.empty(len(indptr) - 1, np.int64), np.empty(block_kcc.shape[1] // 3, np.int64)
    for k in range(len(block_kcc)):
        centre, block, n = start + k, block_kcc[k], first_c[k + 1] - first_c[k]
        own = 3 * n
        for s in range(n):
            atoms[s] = j_c[first_c[k] + s]
            for c in range(3):
                for e in range(3):
                    block[3 * s + c, 3 * s + e] += stiffness_ccc[first_c[k] + s, c, e]
            if atoms[s] != centre:
                for c in range(3):
                    for q in range(own):
                        block[own + c, q] -= block[3 * s + c, q]
        atoms[n] = centre
        for s in range(n):
            for c in range(3):
                for e in range(3):
                    block[3 * s + c, own + e] = block[own + e, 3 * s + c]
                    if atoms[s] != centre:
                        block[own + c, own + e] -= block[own + c, 3 * s + e]
        for s in range(n + 1):
            if atoms[s] == centre and s < n:
                continue
            for at in range(indptr[atoms[s]], indptr[atoms[s] + 1]):
                place[indices[at]] = at
            for t in range(n + 1):
                if atoms[t] == centre and t < n:
                    continue
                at = place[atoms[t]]
                for c in range(3):
                    for e in range(3):
                        data[at, c, e] += block[3 * s + c, 3 * t + e]


@kernel
def symmetrise(indptr, indices, data):
    """Make the two triangles equal to the last bit: both become their mean. Columns of a row are sorted."""
    following = indptr[:-1].copy()
    for i in range(len(indptr) - 1):
        for at in range(following[i], indptr[i + 1]):
            j = indices[at]
            other = following[j]  # rows are taken in order, so row j meets its columns in order
            following[j] += 1
            for c in range(3):
                for e in range(3):
                    mean = 0.5 * (data[at, c, e] + data[other, e, c])
                    data[at, c, e], data[other, e, c] = mean, mean
