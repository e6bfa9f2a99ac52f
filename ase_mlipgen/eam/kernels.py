"""Compiled loops over pairs that hold for any embedded-atom functions; O(n_pairs)."""

import numpy as np

from ase_mlipgen.jit import kernel


@kernel
def lengths(d_pc):
    """Return the lengths of pair vectors."""
    r_p = np.empty(d_pc.shape[0])
    for p in range(d_pc.shape[0]):
        r_p[p] = np.sqrt(d_pc[p, 0] ** 2 + d_pc[p, 1] ** 2 + d_pc[p, 2] ** 2)
    return r_p


@kernel
def sum_pairs(first_i, x_p):
    """Return the sum of x over the pairs of each atom."""
    x_i = np.zeros(first_i.shape[0] - 1)
    for i in range(x_i.shape[0]):
        for p in range(first_i[i], first_i[i + 1]):
            x_i[i] += x_p[p]
    return x_i


@kernel
def pair_stiffness(i_p, d_pc, r_p, dF_i, terms):
    """Return k_p = s'' n n' + (s'/r) (1 - n n'), (n_pairs, 3, 3), with s = F'_i f + phi/2 at fixed F'."""
    _, df, ddf, _, dphi, ddphi = terms
    k_pcc = np.zeros((d_pc.shape[0], 3, 3))
    for p in range(d_pc.shape[0]):
        along = dF_i[i_p[p]] * ddf[p] + 0.5 * ddphi[p]
        across = (dF_i[i_p[p]] * df[p] + 0.5 * dphi[p]) / r_p[p]
        for a in range(3):
            k_pcc[p, a, a] = across
            for b in range(3):
                k_pcc[p, a, b] += (along - across) * (d_pc[p, a] * d_pc[p, b] / (r_p[p] * r_p[p]))
    return k_pcc


@kernel
def sum_ends(i_p, j_p, k_pcc, n_atoms):
    """Return the sum of blocks over the pairs that an atom begins or ends, (n_atoms, 3, 3)."""
    k_icc = np.zeros((n_atoms, 3, 3))
    for p in range(i_p.shape[0]):
        for a in range(3):
            for b in range(3):
                k_icc[i_p[p], a, b] += k_pcc[p, a, b]
                k_icc[j_p[p], a, b] += k_pcc[p, a, b]
    return k_icc
