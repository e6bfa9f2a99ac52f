"""Difference of two models' homogeneous force constants, as a stencil that acts on any cell of the crystal.

Far from the cores two models differ, to first order, by the forces (H~ - H) u of their perfect-crystal Hessians. The
columns come from one perfect training cell, folded to the nearest image; where several images are equally near they
share. Differences u(m) - u(l) are used, so that a rigid shift gives nothing and a homogeneous strain may be added.
Enter at `difference_stencil`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.theory.force_constants import ForceConstants
from ase_mlipgen.theory.sites import Primitive, Sites, nearest_images

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Stencil:
    """Force constants between a site of each sublattice and the sites around it.

    Attributes
    ----------
    offsets_bkc : list of (n_k, 3) arrays, Å, from the site to the others
    matrices_bkcc : list of (n_k, 3, 3) arrays, eV/Å^2
    """

    offsets_bkc: list[Floats]
    matrices_bkcc: list[Floats]

    def targets(self, sites: Sites) -> list[tuple[Ints, Ints]]:
        """Find, for each sublattice, its sites (n_s,) and the sites at all offsets (n_s, n_k).

        Raises
        ------
        ValueError
            An offset leads to no site: the lattices differ.
        """
        found = []
        for b, offsets_kc in enumerate(self.offsets_bkc):
            own = np.flatnonzero(sites.sublattice_s == b)
            places = sites.positions_sc[own][:, None, :] + offsets_kc[None, :, :]
            target = sites.at(places.reshape(-1, 3)).reshape(len(own), len(offsets_kc))
            if np.any(target < 0):
                raise ValueError("the cell's lattice is not that of the force constants")
            found.append((own, target))
        return found

    def apply(
        self, targets: list[tuple[Ints, Ints]], u_sc: Floats, strain: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """Compute H v of v = u + strain x, and each site's share of v' H v / 2.

        Parameters
        ----------
        targets : of the cell's sites
        u_sc : (n_sites, 3) array, Å, periodic
        strain : (3, 3) array, displacement gradient that is added

        Returns
        -------
        (n_sites, 3) array, eV/Å; (n_sites,) array, eV
        """
        product_sc, energy_s = np.zeros_like(u_sc), np.zeros(len(u_sc))
        for (own, target), offsets_kc, matrices in zip(
            targets, self.offsets_bkc, self.matrices_bkcc, strict=True
        ):
            differences = u_sc[target] - u_sc[own][:, None, :]
            if strain is not None:
                differences = differences + offsets_kc @ strain.T
            forces = np.einsum("kab,skb->ska", matrices, differences)
            product_sc[own] = forces.sum(axis=1)
            energy_s[own] = -0.25 * np.einsum("ska,ska->s", differences, forces)
        return product_sc, energy_s


def difference_stencil(
    host: Primitive, perfect: Atoms, surrogate: ForceConstants, reference: ForceConstants
) -> Stencil:
    """Build the stencil of H~ - H.

    Parameters
    ----------
    host : primitive cell read off `perfect`
    perfect : the cell of both models' force constants

    Raises
    ------
    ValueError
        The columns do not belong to the primitive cell's atoms.
    """
    for constants in (surrogate, reference):
        if not np.array_equal(constants.sites_s, host.members_b):
            raise ValueError(
                f"force constants of atoms {constants.sites_s.tolist()}, but the primitive cell's are "
                f"{host.members_b.tolist()}; compute both for this perfect cell"
            )
    columns_sanb = surrogate.columns_sanb - reference.columns_sanb
    d = columns_sanb.shape[1]
    cell = np.asarray(perfect.cell.complete())
    offsets, matrices = [], []
    for columns_anb, site in zip(columns_sanb, host.members_b, strict=True):
        images = nearest_images(perfect.positions - perfect.positions[site], cell, host.pbc)
        counts = np.array([len(found) for found in images])
        atom_k = np.repeat(np.arange(len(perfect)), counts)
        full = np.zeros((len(atom_k), 3, 3))
        full[:, :d, :d] = columns_anb.transpose(1, 0, 2)[atom_k] / counts[atom_k][:, None, None]
        offsets.append(np.concatenate(images))
        matrices.append(full)
    return Stencil(offsets, matrices)
