"""Bonds of representatives -> a block of H and S, and its eigenvectors -> density matrices of the bonds; compiled.

In the notation of `adapted`, with X = H_rj D(g_j) for the bond from r to j in the orbit of r', phi its Bloch phase, and
p = sum_n a_n C_n C_n^H:

    h_rr' = sqrt(|o_r| / |o_r'|) sum_j phi_j sum_mu,kappa conj(Gamma_mu,kappa(g_j)) w_r[mu]^H X_j w_r'[kappa]
    rho_rj = d / sqrt(|o_r| |o_r'|) Re conj(phi_j) sum_mu,kappa Gamma_mu,kappa(g_j) w_r[mu] p_rr' w_r'[kappa]^H D(g_j)^T

All arrays of a block are real where its irrep and its phases are. Entry points: `assemble`, `spread`.
"""

import numpy as np

from ase_mlipgen.jit import helper, kernel


@helper
def _rotated(B, D, X):
    """X = B D."""
    n = B.shape[0]
    for u in range(n):
        for v in range(n):
            total = 0.0
            for t in range(n):
                total += B[u, t] * D[t, v]
            X[u, v] = total


@helper
def _add_projected(X, factor, G, w, columns, w_other, columns_other, Y, block):
    """Block += factor sum_mu,kappa conj(G_mu,kappa) w[mu]^H X w_other[kappa]; Y (n_orbitals, columns) is scratch."""
    d, n = G.shape[0], X.shape[0]
    for mu in range(d):
        Y[:, :columns_other] = 0.0
        for kappa in range(d):
            g = np.conj(G[mu, kappa]) * factor
            for u in range(n):
                for v in range(n):
                    x = g * X[u, v]
                    for b in range(columns_other):
                        Y[u, b] += x * w_other[kappa, v, b]
        for u in range(n):
            for a in range(columns):
                x = np.conj(w[mu, u, a])
                if x != 0.0:
                    for b in range(columns_other):
                        block[a, b] += x * Y[u, b]


@kernel
def assemble(
    bonds, H_puv, S_puv, orbit_i, element_i, size_r, D_guv, G_gmn, w_kmua, kind_r, first_r, phase_s, h, s
):
    """Fill the lower triangles of h and s, (n, n), zero before."""
    n = D_guv.shape[1]
    X = np.empty((n, n))
    Y = np.empty((n, w_kmua.shape[3]), h.dtype)
    for r in range(len(size_r)):
        w, a = w_kmua[kind_r[r]], first_r[r]
        m = first_r[r + 1] - a
        for p in range(bonds.first_r[r], bonds.first_r[r + 1]):
            j = bonds.j_p[p]
            other = orbit_i[j]
            if other > r:
                continue
            w_other, b = w_kmua[kind_r[other]], first_r[other]
            m_other = first_r[other + 1] - b
            factor = phase_s[bonds.s_p[p]] * np.sqrt(size_r[r] / size_r[other])
            G, D = G_gmn[element_i[j]], D_guv[element_i[j]]
            _rotated(H_puv[p], D, X)
            _add_projected(X, factor, G, w, m, w_other, m_other, Y, h[a : a + m, b : b + m_other])
            _rotated(S_puv[p], D, X)
            _add_projected(X, factor, G, w, m, w_other, m_other, Y, s[a : a + m, b : b + m_other])


@helper
def _collect(p, G, w, columns, w_other, columns_other, Y, Z, rho):
    """Rho = sum_mu,kappa G_mu,kappa w[mu] p w_other[kappa]^H; Y (d, n, columns) and Z (n, columns) are scratch."""
    d, n = G.shape[0], rho.shape[0]
    for mu in range(d):
        for u in range(n):
            Y[mu, u, :columns_other] = 0.0
            for a in range(columns):
                x = w[mu, u, a]
                if x != 0.0:
                    for b in range(columns_other):
                        Y[mu, u, b] += x * p[a, b]
    rho[:] = 0.0
    for kappa in range(d):
        Z[:, :columns_other] = 0.0
        for mu in range(d):
            for u in range(n):
                for b in range(columns_other):
                    Z[u, b] += G[mu, kappa] * Y[mu, u, b]
        for u in range(n):
            for v in range(n):
                total = rho[u, v]
                for b in range(columns_other):
                    total += Z[u, b] * np.conj(w_other[kappa, v, b])
                rho[u, v] = total


@kernel
def spread(
    bonds,
    tile,
    orbit_i,
    element_i,
    size_r,
    D_guv,
    G_gmn,
    w_kmua,
    kind_r,
    first_r,
    phase_s,
    near_r,
    scale,
    p_ab,
    out_puv,
):
    """Add scale times the density of a block to the bonds of some representatives.

    Parameters
    ----------
    tile : first representative, and the one after the last
    near_r : (n_r,) first column in `p_ab` of the orbits that occur there
    p_ab : rows of the tile's representatives, columns of the orbits that they have bonds with
    out_puv : (n_bonds, n_orbitals, n_orbitals)
    """
    n, d = D_guv.shape[1], G_gmn.shape[1]
    Y, Z = np.empty((d, n, w_kmua.shape[3]), p_ab.dtype), np.empty((n, w_kmua.shape[3]), p_ab.dtype)
    rho = np.empty((n, n), p_ab.dtype)
    for r in range(tile[0], tile[1]):
        a = first_r[r] - first_r[tile[0]]
        m = first_r[r + 1] - first_r[r]
        for p in range(bonds.first_r[r], bonds.first_r[r + 1]):
            j = bonds.j_p[p]
            other, b = orbit_i[j], near_r[orbit_i[j]]
            m_other = first_r[other + 1] - first_r[other]
            block = p_ab[a : a + m, b : b + m_other]
            G, D = G_gmn[element_i[j]], D_guv[element_i[j]]
            _collect(block, G, w_kmua[kind_r[r]], m, w_kmua[kind_r[other]], m_other, Y, Z, rho)
            factor = scale * d / np.sqrt(size_r[r] * size_r[other]) * np.conj(phase_s[bonds.s_p[p]])
            for u in range(n):
                for v in range(n):
                    total = 0.0
                    for t in range(n):
                        total += np.real(factor * rho[u, t]) * D[v, t]
                    out_puv[p, u, v] += total
