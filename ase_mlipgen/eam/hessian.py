"""Sparse second derivatives of embedded-atom energies by the positions.

    H = sum_p B_p' k_p B_p + G' diag(F'') G,      d_p = B_p r = r_j - r_i,      G_i = d rho_i / d r

with the stiffness k_p of pair p at fixed F'. The first part couples neighbours, the second neighbours of
neighbours: O(n_atoms n_neighbours^2) entries. Exactly symmetric; pairs of an atom with its own image drop
out.
"""

import numpy as np
import scipy.sparse as sp

from ase_mlipgen.eam import kernels
from ase_mlipgen.eam.functions import EAMFunctions, Floats, Ints


def hessian(functions: EAMFunctions, a_i: Ints, i_p: Ints, j_p: Ints, d_pc: Floats) -> sp.csr_matrix:
    """Return the Hessian, (3 n_atoms, 3 n_atoms), eV/Å^2; parameters as for `energy.site_energies`."""
    n_atoms = len(a_i)
    r_p = kernels.lengths(d_pc)
    inside = r_p < functions.cutoff
    i_p, j_p, d_pc, r_p = i_p[inside], j_p[inside], d_pc[inside], r_p[inside]
    terms = functions.pair_terms(r_p, a_i[i_p], a_i[j_p])
    site = functions.site_terms(kernels.sum_pairs(_offsets(i_p, n_atoms), terms.f), a_i)

    between = i_p != j_p
    k_pcc = kernels.pair_stiffness(i_p, d_pc, r_p, site.dF, terms)[between]
    g_pc = ((terms.df / r_p)[:, None] * d_pc)[between]
    i_p, j_p = i_p[between], j_p[between]
    return _bonds(i_p, j_p, k_pcc, n_atoms) + _embedding(i_p, j_p, g_pc, site.ddF)


def _bonds(i_p: Ints, j_p: Ints, k_pcc: Floats, n_atoms: int) -> sp.csr_matrix:
    shape = (3 * n_atoms, 3 * n_atoms)
    first_i = _offsets(i_p, n_atoms)
    one_way = sp.bsr_matrix((k_pcc, j_p, first_i), shape=shape).tocsr()
    one_way.sum_duplicates()
    atoms_i = np.arange(n_atoms + 1)
    k_icc = kernels.sum_ends(i_p, j_p, k_pcc, n_atoms)
    diagonal = sp.bsr_matrix((k_icc, atoms_i[:-1], atoms_i), shape=shape).tocsr()
    H = sp.csr_matrix(diagonal - (one_way + one_way.T))
    H.eliminate_zeros()
    return H


def _embedding(i_p: Ints, j_p: Ints, g_pc: Floats, ddF_i: Floats) -> sp.csr_matrix:
    n_atoms = len(ddF_i)
    atoms_i = np.arange(n_atoms + 1)
    out = sp.bsr_matrix((g_pc[:, None, :], j_p, _offsets(i_p, n_atoms)), shape=(n_atoms, 3 * n_atoms)).tocsr()
    g_ic = np.stack([np.bincount(i_p, g_pc[:, c], minlength=n_atoms) for c in range(3)], axis=1)
    own = sp.bsr_matrix((g_ic[:, None, :], atoms_i[:-1], atoms_i), shape=out.shape).tocsr()
    G = sp.csr_matrix(out - own)
    G.eliminate_zeros()
    half = sp.csr_matrix(G.T @ (sp.diags(0.5 * ddF_i) @ G))
    # Sparse products round the two triangles differently; the sum of both is symmetric to the last bit.
    return sp.csr_matrix(half + half.T)


def _offsets(i_p: Ints, n_atoms: int) -> Ints:
    return np.concatenate([[0], np.cumsum(np.bincount(i_p, minlength=n_atoms))]).astype(np.int64)
