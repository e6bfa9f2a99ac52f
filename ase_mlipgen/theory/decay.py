"""The far field of a point defect, |Du(l)| ~ c r^-d: its constant, and its sum beyond a cell. Enter at `far_decay`."""

from math import gamma, pi

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.defects import cell_width, is_planar, spacing
from ase_mlipgen.theory.compare import core_distances
from ase_mlipgen.theory.norms import Bonds, site_strains


def far_decay(atoms: Atoms, links: Bonds, u: npt.ArrayLike) -> float:
    """Return c of |Du(l)| ~ c r^-d, r from the core, as the root mean square between 0.3 and 0.7 of half the width.

    Parameters
    ----------
    atoms : the unrelaxed cell; `info["defect_centres"]` says where the core is
    links : its bonds
    u : (n_atoms, 3) array, Å, displacements

    Returns
    -------
    Å^(d + 1)

    Raises
    ------
    ValueError
        The cell does not say where its core is, or has no atoms there.
    """
    r = core_distances(atoms)
    if r is None:
        raise ValueError("the cell does not say where its defect is: info['defect_centres'] is missing")
    radius = 0.5 * cell_width(atoms)
    ring = (r > 0.3 * radius) & (r < 0.7 * radius)
    if not ring.any():
        raise ValueError(
            f"no atoms between {0.3 * radius:.2f} and {0.7 * radius:.2f} Å from the defect: too small"
        )
    strain = site_strains(links, u)[ring]
    return float(np.sqrt(np.mean((strain * r[ring] ** links.dimension) ** 2)))


def tail(c: float, radius: float, d: int, density: float) -> float:
    """Return the sum of (c r^-d)^2 over sites of a density (Å^-d) beyond a radius (Å), Å^2."""
    sphere = 2.0 * pi ** (d / 2.0) / gamma(d / 2.0)
    return float(density * sphere * c**2 * radius ** (-d) / d)


def site_density(atoms: Atoms) -> float:
    """Return the atoms an Å^d, d = 2 for planar cells."""
    return float(spacing(atoms) ** (-2 if is_planar(atoms) else -3))
