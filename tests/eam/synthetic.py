"""Two-element Finnis-Sinclair functions without physical meaning; each density differs from all others."""

import numpy as np

from ase_mlipgen.eam.tables import Tables

CUTOFF = 5.0


def tables(n_r=2001, n_rho=2001, symmetric=False):
    """Return tables of smooth functions that vanish at the cutoff; densities of order 1 to 20."""
    r, rho = np.linspace(0, CUTOFF, n_r), np.linspace(0, 60.0, n_rho)
    fade = (1 - r / CUTOFF) ** 4
    f = (
        np.array([[9 * np.exp(-0.3 * r), 7 * np.exp(-0.4 * r)], [5 * np.exp(-0.2 * r), 8 * np.exp(-0.5 * r)]])
        * fade
    )
    if symmetric:
        f = np.broadcast_to(f[0], f.shape)
    z = np.array([[30 * np.exp(-1.2 * r), 20 * np.exp(-r)], [20 * np.exp(-r), 25 * np.exp(-0.9 * r)]]) * fade
    F = np.array([-1.3 * np.sqrt(1 + rho), -1.7 * np.log(2 + rho)])
    return Tables(("Fe", "Cu"), CUTOFF, r[1], rho[1], F, np.ascontiguousarray(f), z)
