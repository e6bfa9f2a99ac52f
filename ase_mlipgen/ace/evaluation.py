"""Energy, forces and virial of a linear ACE model with its repulsive core, from a list of pairs.

Atoms are taken in blocks of a fixed size: the pairs of a block within the cutoff are collected into vectors, evaluated
(`lanes`, `lane_core`), and their gradients spread to both ends. Blocks run in threads; their forces are summed in the
order of the blocks, so that results are the same to the last bit for any number of threads. Memory beside the list
and the results: some megabytes a thread. Entry point: :func:`evaluate`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.ace import lanes
from ase_mlipgen.ace.lane_collect import spread
from ase_mlipgen.ace.lane_core import CoreTables, add_core
from ase_mlipgen.ace.plan import Angular, Radial
from ase_mlipgen.ace.sites import Sites, Structure, collect_sites, padded
from ase_mlipgen.simd import host_lanes
from ase_mlipgen.threads import in_order
from ase_mlipgen.workspace import Workspace, borrow, give_back

Floats = npt.NDArray[np.float64]
BLOCK = 512  # atoms; a block has megabytes of vectors and gradients, and 4096 atoms have blocks for several threads


class Potential(NamedTuple):
    """Tables of a model, one entry a centre element; `cores` is None without a core.

    Without models, the core alone is evaluated.
    """

    cutoff: float
    models: tuple[lanes.LaneModel, ...]
    radial: tuple[Radial, ...]
    angular: Angular
    cores: CoreTables | None


class Totals(NamedTuple):
    """Results of a structure.

    Attributes
    ----------
    energies_i : (n_atoms,) array, eV
    forces : (n_atoms, 3) array, eV/Å
    virial : (6,) array, eV
        Symmetric part of sum_p d_pa dE/dd_pb, in Voigt order xx, yy, zz, yz, xz, xy.
    closest : float
        Length of the shortest pair, Å; infinite without pairs.
    """

    energies_i: Floats
    forces: Floats
    virial: Floats
    closest: float


class _Block(NamedTuple):
    """Gradients of the pairs of some sites, in memory of `space`."""

    sites: Sites
    gradient_cc: Floats
    energies_k: Floats
    virial_ab: Floats
    space: Workspace


def evaluate(structure: Structure, potential: Potential, threads: int = 1) -> Totals:
    """Return site energies, forces and virial; E0 of the elements not included."""
    n_atoms = len(structure.mu_i)
    energies_i, forces, virial_ab = np.empty(n_atoms), np.zeros((n_atoms, 3)), np.zeros((3, 3))
    smallest = np.inf
    starts = range(0, n_atoms, BLOCK)
    size = _scratch_size(structure, potential)
    structure = padded(structure)

    def work(start: int) -> _Block:
        return _block(start, structure, potential, borrow(size))

    for block in in_order(work, starts, min(threads, len(starts))):
        sites = block.sites
        energies_i[sites.start : sites.start + len(block.energies_k)] = block.energies_k
        spread(sites.start, sites.first_c, sites.j_c, block.gradient_cc, forces)
        virial_ab += block.virial_ab
        smallest = min(smallest, sites.smallest_square)
        give_back(block.space)
    return Totals(energies_i, forces, _voigt(virial_ab), float(np.sqrt(smallest)))


def _scratch_size(structure: Structure, potential: Potential) -> int:
    """Return the numbers of scratch memory for the largest block: eleven a pair, and what the lanes need."""
    first_i = structure.first_i
    room = int(np.diff(first_i[:-1:BLOCK], append=first_i[-1]).max())
    widest = int(np.max(np.diff(first_i)))
    lane = [
        lanes.scratch_size(model, radial, potential.angular, widest)
        for model, radial in zip(potential.models, potential.radial, strict=False)
    ]
    return 11 * room + 3 * BLOCK + sum(lane) + 1000


def _block(start: int, structure: Structure, potential: Potential, space: Workspace) -> _Block:
    """Evaluate the atoms start, start + 1, ... of a padded structure."""
    mu_i, stop = structure.mu_i, min(start + BLOCK, len(structure.mu_i))
    sites = collect_sites(start, stop, structure, potential.cutoff, space)
    _, first_c, j_c, d_cc, _ = sites
    energies_k, gradient_cc, virial_ab = np.zeros(stop - start), space.empty(*d_cc.shape), np.zeros((3, 3))
    if not all(model.lane_plan for model in potential.models) or not potential.models:
        gradient_cc[:] = 0.0
    for a, model in enumerate(potential.models):
        virial_ab += lanes.evaluate(
            np.flatnonzero(mu_i[start:stop] == a), first_c, j_c, d_cc, mu_i,
            model, potential.radial[a], potential.angular, energies_k, gradient_cc, space=space,
        )  # fmt: skip
    if potential.cores is not None:
        add_core(
            host_lanes(), start, first_c, j_c, d_cc, mu_i, len(potential.radial), potential.cores,
            space.empty(2, len(j_c), dtype=np.int64), space.empty(3, host_lanes().width),
            energies_k, gradient_cc, virial_ab,
        )  # fmt: skip
    return _Block(sites, gradient_cc, energies_k, virial_ab, space)


def _voigt(W_ab: Floats) -> Floats:
    symmetric = (W_ab + W_ab.T) / 2
    return np.array([symmetric[a, b] for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))])
