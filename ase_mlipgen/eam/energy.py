"""Site energies and pair gradients of embedded-atom functions.

E_i = F(rho_i) + 1/2 sum_{p of i} phi_p, and dE/dd_p = (F'(rho_i) f'_p + phi'_p / 2) d_p / r_p. O(n_pairs).
"""

from ase_mlipgen.eam import kernels
from ase_mlipgen.eam.functions import EAMFunctions, Floats, Ints


def site_energies(
    functions: EAMFunctions, a_i: Ints, i_p: Ints, j_p: Ints, d_pc: Floats, first_i: Ints
) -> tuple[Floats, Floats]:
    """Return site energies and the gradient of the energy by the pair vectors.

    Parameters
    ----------
    functions : EAMFunctions
    a_i : (n_atoms,) int64 array
        Element indices.
    i_p, j_p, d_pc, first_i : arrays
        A full list of pairs, sorted by i; d_pc in Å, none zero. Pairs beyond the cutoff add nothing.

    Returns
    -------
    energies_i : (n_atoms,) array
        eV.
    gradient_pc : (n_pairs, 3) array
        eV/Å.
    """
    r_p = kernels.lengths(d_pc)
    terms = functions.pair_terms(r_p, a_i[i_p], a_i[j_p])
    site = functions.site_terms(kernels.sum_pairs(first_i, terms.f), a_i)
    energies_i = site.F + 0.5 * kernels.sum_pairs(first_i, terms.phi)
    return energies_i, kernels.pair_gradients(i_p, d_pc, r_p, site.dF, terms.df, terms.dphi)
