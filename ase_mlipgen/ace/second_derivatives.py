"""Second derivatives of the energy of a linear ACE model by the positions, with its repulsive core.

With E = sum_k E_k(pair vectors of site k), H v follows from the change of dE/d(pair vector) along v_j - v_i, spread to
both ends as forces are; the sparse H from the blocks of all sites. Both go in blocks of atoms, in threads, summed in
the order of the sites: the same to the last bit for any number of threads (compare `evaluation`). Memory beside the
list and the results: some tens of megabytes a thread.
Entry points: :func:`hessian_products`, :func:`hessian`.
"""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ase_mlipgen.ace import hessian_kernels, lane_tangents
from ase_mlipgen.ace.evaluation import Potential
from ase_mlipgen.ace.lane_collect import spread
from ase_mlipgen.ace.lane_tangent_core import core_tangents
from ase_mlipgen.ace.sites import Sites, Structure, collect_sites, padded
from ase_mlipgen.simd import host_lanes
from ase_mlipgen.threads import in_order
from ase_mlipgen.workspace import Workspace

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
BLOCK = 1024  # atoms of one task of `hessian_products`
VECTORS = 8  # of one task; they share the values of the sites
BLOCK_BYTES = 2**24  # of the site Hessians of one task of `hessian`


def hessian_products(structure: Structure, potential: Potential, v_vic: Floats, threads: int = 1) -> Floats:
    """Return the Hessian times displacements, without forming it.

    Parameters
    ----------
    structure, potential
        As for `evaluation.evaluate`; orders up to 4.
    v_vic : (n_v, n_atoms, 3) array
        Å.
    threads : int

    Returns
    -------
    (n_v, n_atoms, 3) array
        eV/Å.
    """
    structure, n_atoms = padded(structure), len(structure.mu_i)
    H_v = np.zeros(v_vic.shape)
    for first in range(0, len(v_vic), VECTORS):
        some = np.ascontiguousarray(v_vic[first : first + VECTORS])
        starts = range(0, n_atoms, BLOCK)

        def work(start: int, some: Floats = some) -> tuple[Sites, Floats]:
            sites = collect_sites(
                start, min(start + BLOCK, n_atoms), structure, potential.cutoff, Workspace()
            )
            return sites, _changes(sites, structure.mu_i, potential, some)

        for sites, change_vcc in in_order(work, starts, min(threads, len(starts))):
            for k, change_cc in enumerate(change_vcc):
                spread(sites.start, sites.first_c, sites.j_c, change_cc, H_v[first + k])
    return np.negative(H_v, out=H_v)


def hessian(structure: Structure, potential: Potential, threads: int = 1) -> sp.csr_matrix:
    """Return the Hessian, (3 n_atoms, 3 n_atoms), eV/Å^2, exactly symmetric.

    Parameters
    ----------
    structure, potential
        As for `evaluation.evaluate`; orders up to 4.
    threads : int
    """
    structure, n_atoms = padded(structure), len(structure.mu_i)
    _, first_c, j_c, _, _ = collect_sites(0, n_atoms, structure, potential.cutoff, Workspace())
    indptr, indices = _pattern(first_c, j_c)
    data = np.zeros((len(indices), 3, 3))
    widest = int(np.diff(first_c).max())
    size = int(np.clip(BLOCK_BYTES // (72 * (widest + 1) ** 2), 8, BLOCK))

    def work(start: int) -> tuple[Sites, Floats, Floats]:
        sites = collect_sites(start, min(start + size, n_atoms), structure, potential.cutoff, Workspace())
        return sites, *_site_blocks(sites, structure.mu_i, potential, widest)

    starts = range(0, n_atoms, size)
    for sites, stiffness_ccc, block_kcc in in_order(work, starts, min(threads, len(starts))):
        hessian_kernels.add_sites(
            sites.start, sites.first_c, sites.j_c, stiffness_ccc, block_kcc, indptr, indices, data
        )
    hessian_kernels.symmetrise(indptr, indices, data)
    H = sp.csr_matrix(sp.bsr_matrix((data, indices, indptr), shape=(3 * n_atoms, 3 * n_atoms)))
    H.eliminate_zeros()
    return H


def _pattern(first_c: Ints, j_c: npt.NDArray[np.int32]) -> tuple[Ints, Ints]:
    """Return the 3 x 3 blocks as rows of sorted columns: two atoms are tied if they are members of one site."""
    n = len(first_c) - 1
    members_ki = sp.csr_array((np.ones(len(j_c)), j_c, first_c), shape=(n, n)) + sp.eye_array(n)
    tied_ii = sp.csr_array(members_ki.T @ members_ki)
    tied_ii.sort_indices()
    return tied_ii.indptr.astype(np.int64), tied_ii.indices.astype(np.int64)


def _changes(sites: Sites, mu_i: Ints, potential: Potential, v_vic: Floats) -> Floats:
    """Return the change of dE/d(pair vector) along the displacements, (n_v, n_pairs + 1, 3), eV/Å."""
    start, first_c, j_c, d_cc, _ = sites
    mu_k = mu_i[start : start + len(first_c) - 1]
    change_vcc = np.zeros((len(v_vic), len(j_c) + 1, 3))
    for a, model in enumerate(potential.models):
        lane_tangents.products(
            np.flatnonzero(mu_k == a), first_c, j_c, d_cc, mu_i, model,
            potential.radial[a], potential.angular, start, v_vic, change_vcc,
        )  # fmt: skip
    _core(sites, mu_i, potential, v_vic, change_vcc, np.empty((0, 3, 3)))
    return change_vcc


def _site_blocks(sites: Sites, mu_i: Ints, potential: Potential, widest: int) -> tuple[Floats, Floats]:
    """Return the stiffness of the core, and the Hessians of the sites with room for their centre."""
    start, first_c, j_c, d_cc, _ = sites
    mu_k = mu_i[start : start + len(first_c) - 1]
    block_kcc = np.zeros((len(mu_k), 3 * (widest + 1), 3 * (widest + 1)))
    for a, model in enumerate(potential.models):
        lane_tangents.site_blocks(
            np.flatnonzero(mu_k == a), first_c, j_c, d_cc, mu_i, model,
            potential.radial[a], potential.angular, block_kcc,
        )  # fmt: skip
    stiffness_ccc = np.zeros((len(j_c), 3, 3))
    _core(sites, mu_i, potential, np.empty((0, 0, 3)), np.empty((0, 0, 3)), stiffness_ccc)
    return stiffness_ccc, block_kcc


def _core(
    sites: Sites, mu_i: Ints, potential: Potential, v_vic: Floats, change_vcc: Floats, stiffness_ccc: Floats
) -> None:
    """Run `lane_tangent_core.core_tangents` if there is a core."""
    if potential.cores is None:
        return
    lanes = host_lanes()
    buffer = Workspace().empty(2, lanes.width)
    core_tangents(
        lanes,
        *sites[:4],
        mu_i,
        len(potential.radial),
        potential.cores,
        buffer,
        v_vic,
        change_vcc,
        stiffness_ccc,
    )
