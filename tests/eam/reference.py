"""Embedded-atom energies in plain NumPy, from the scalar functions: E_i, forces and virial from dE/d(pair vector)."""

import numpy as np


def evaluate(functions, a_i, pairs):
    """Return energies_i, forces, virial and the shortest distance."""
    i, j, d = pairs.centres(), pairs.j_p, pairs.vectors()
    r = np.linalg.norm(d, axis=1)
    terms = functions.pair_terms(r, a_i[i], a_i[j])
    rho, phi = (np.bincount(i, x, minlength=len(a_i)) for x in (terms.f, terms.phi))
    site = functions.site_terms(rho, a_i)
    g = ((site.dF[i] * terms.df + terms.dphi / 2) / r)[:, None] * d
    forces = np.stack(
        [np.bincount(i, g[:, c], len(a_i)) - np.bincount(j, g[:, c], len(a_i)) for c in range(3)], axis=1
    )
    W = d.T @ g
    W = (W + W.T) / 2
    return site.F + phi / 2, forces, W[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], r.min(initial=np.inf)
