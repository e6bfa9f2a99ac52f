"""The solver: blocks of H and S, their levels, occupations, density matrices of the bonds, forces; bohr and rydberg.

Every block, of an irrep at Gamma or of a k-point, goes the same way: assembled from the bonds of representatives,
solved, kept until all levels are known and filled, and spread over the bonds again. Enter at `System`, `solve`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ase_mlipgen.symmetry.operations import Operations
from ase_mlipgen.symmetry.structures import symmetrised_tensor, symmetrised_vectors
from ase_mlipgen.threads import blas_threads, in_order
from ase_mlipgen.tightbinding.adapted import Adapted, Orbits
from ase_mlipgen.tightbinding.assembly import assemble, spread
from ase_mlipgen.tightbinding.bonds import Blocks, Bonds, Model, differentiate, onsite_strengths
from ase_mlipgen.tightbinding.eigensolvers import Eigensolver, block_bytes, schedule, seconds
from ase_mlipgen.tightbinding.kpoints import KPoints
from ase_mlipgen.tightbinding.occupations import Occupations, occupy

Floats = npt.NDArray[np.float64]
SPIN = 2.0
NEGLIGIBLE = 1e-18
"""Occupations below this, and entropies, are left out of the density matrices."""
ALONE = 1500
"""Order below which one thread of the BLAS solves a single block: more gain little, and on busy cores lose much."""
TILE_ROWS = 96
"""Rows of a density matrix that are computed at once, about: enough for the BLAS, little beyond the bonds."""


@dataclass(frozen=True, eq=False)
class Block:
    """An eigenproblem of its own.

    Attributes
    ----------
    adapted : columns
    phase_s : (n_shifts,) Bloch phases of periodic images
    weight : electrons that each of its levels holds
    """

    adapted: Adapted
    phase_s: Any
    weight: float

    @property
    def is_real(self) -> bool:
        """Whether its matrices are real."""
        return self.adapted.irrep.is_real and not np.iscomplexobj(self.phase_s)

    @property
    def dtype(self) -> type:
        """Type of its matrices."""
        return float if self.is_real else complex


@dataclass(frozen=True, eq=False)
class System:
    """What is to be solved.

    Attributes
    ----------
    orbits, bonds, matrices : representatives of the group that makes the blocks, and what they are bound to
    operations : by which results are made symmetric
    blocks : in the order in which they are solved: of irreps at Gamma, or one for each of `points`
    points : k-points
    electrons : of the cell
    """

    orbits: Orbits
    operations: Operations
    bonds: Bonds
    matrices: Blocks
    blocks: Sequence[Block]
    points: KPoints
    electrons: float

    def build(self, block: Block) -> tuple[Any, Any]:
        """Return the lower triangles of a block's H and S, rydberg, Fortran order."""
        n, adapted = block.adapted.size, block.adapted
        h: Any
        s: Any
        h, s = (np.zeros((n, n), dtype=block.dtype, order="F") for _ in range(2))
        assemble(
            self.bonds, self.matrices.H_puv, self.matrices.S_puv,
            self.orbits.orbit_i, self.orbits.element_i, self.orbits.size_r, self.orbits.D_guv,
            adapted.irrep.matrices_gmn, adapted.w_kmua, adapted.kind_r, adapted.first_r, block.phase_s, h, s,
        )  # fmt: skip
        return h, s

    def memory(self, at_once: int) -> float:
        """Return the bytes of an evaluation with several blocks at once."""
        sizes = [block_bytes(block.adapted.size, block.is_real) for block in self.blocks]
        n_orbitals = self.orbits.n_orbitals
        of_bonds = len(self.bonds.j_p) * (40 + 8 * 5 * n_orbitals**2)
        kept, extra = sum(stays for stays, _ in sizes), sorted((extra for _, extra in sizes), reverse=True)
        # One block's eigenvectors are copied while its density is computed.
        return of_bonds + kept + max(sum(extra[:at_once]), max(stays for stays, _ in sizes))

    def seconds(self) -> float:
        """Return how long one core takes for the eigenproblems, roughly."""
        return sum(seconds(block.adapted.size, block.is_real) for block in self.blocks)


@dataclass(frozen=True, eq=False)
class Solution:
    """What the electrons do, rydberg and bohr.

    Attributes
    ----------
    points : k-points that were solved
    levels_b, weights_b : levels of each block, ascending, and the electrons that each level holds
    occupations : filling of the levels, all blocks one after the other
    free_energy : A = E_band - T S
    entropy_term : T S
    energies_i : (n_atoms,) Mulliken's share of each atom of A
    populations_i : (n_atoms,) Mulliken's electrons
    forces : (n_atoms, 3)
    virial : (3, 3) dA / d strain
    """

    points: KPoints
    levels_b: Sequence[Floats]
    weights_b: Floats
    occupations: Occupations
    free_energy: float
    entropy_term: float
    energies_i: Floats
    populations_i: Floats
    forces: Floats
    virial: Floats


@dataclass
class Workers:
    """Means: threads, memory to keep within, and who solves eigenproblems (side by side, or it has its own ways)."""

    eigensolver: Eigensolver
    threads: int = 1
    memory: float = float("inf")
    side_by_side: bool = field(default=True)

    def split(self, system: System) -> tuple[int, int]:
        """Say how many blocks are solved at once, and with how many threads of the BLAS each."""
        if not self.side_by_side:
            return 1, self.threads
        if max(block.adapted.size for block in system.blocks) < ALONE and len(system.blocks) == 1:
            return 1, 1
        costs = [seconds(block.adapted.size, block.is_real) for block in system.blocks]
        at_once, _ = schedule(costs, self.threads)
        while at_once > 1 and system.memory(at_once) > self.memory:
            at_once -= 1
        return at_once, max(1, self.threads // at_once)


def solve(system: System, model: Model, kT: float, workers: Workers) -> Solution:
    """Return the solution of a system at a smearing of kT rydberg."""
    at_once, threads = workers.split(system)

    def diagonalise(block: Block) -> tuple[Floats, Any]:
        return workers.eigensolver(*system.build(block))

    with blas_threads(threads):
        solved = list(in_order(diagonalise, system.blocks, at_once))
    levels_b, vectors_b = [w for w, _ in solved], [C for _, C in solved]
    del solved
    weights_n = np.concatenate(
        [np.full(len(w), block.weight) for w, block in zip(levels_b, system.blocks, strict=True)]
    )
    occupations = occupy(np.concatenate(levels_b), weights_n, system.electrons, kT)
    densities = _densities(system, levels_b, vectors_b, occupations, kT, workers.threads)
    return _finish(system, model, kT, levels_b, weights_n, occupations, densities)


def _densities(
    system: System,
    levels_b: list[Floats],
    vectors_b: list[Any],
    occupations: Occupations,
    kT: float,
    threads: int,
) -> Floats:
    """Return P, W, and the density of entropy times -kT, on the bonds, (3, n_bonds, n_orbitals, n_orbitals)."""
    n = system.orbits.n_orbitals
    densities = np.zeros((3, len(system.bonds.j_p), n, n))
    ends = np.cumsum([len(w) for w in levels_b])
    with blas_threads(1):
        for b, block in enumerate(system.blocks):
            own = slice(ends[b] - len(levels_b[b]), ends[b])
            f_n, s_n = occupations.fractions_n[own], occupations.entropies_n[own]
            filled = np.flatnonzero(np.maximum(f_n, s_n) > NEGLIGIBLE)
            stop = int(filled[-1]) + 1 if filled.size else 0
            partly = np.flatnonzero(s_n > NEGLIGIBLE)
            C = np.ascontiguousarray(vectors_b[b][:, :stop])
            vectors_b[b] = None
            factors = np.stack([f_n[:stop], f_n[:stop] * levels_b[b][:stop]])
            _spread_block(system, block, C, factors, partly, -kT * s_n[partly], densities, threads)
    return densities


def _spread_block(
    system: System,
    block: Block,
    C: Any,
    factors: Floats,
    partly: npt.NDArray[np.int64],
    entropy_factors: Floats,
    densities: Floats,
    threads: int,
) -> None:
    """Add a block's density matrices to those of the bonds, tile by tile."""
    if C.shape[1] == 0:
        return
    adapted, orbits, bonds = block.adapted, system.orbits, system.bonds
    widths = np.diff(adapted.first_r)
    C_partly = np.ascontiguousarray(C[:, partly])

    def work(tile: tuple[int, int]) -> None:
        first, last = tile
        near = np.unique(orbits.orbit_i[bonds.j_p[bonds.first_r[first] : bonds.first_r[last]]])
        offsets = np.concatenate([[0], np.cumsum(widths[near])])
        near_r = np.full(len(widths), -1)
        near_r[near] = offsets[:-1]
        columns = np.repeat(adapted.first_r[near] - offsets[:-1], widths[near]) + np.arange(offsets[-1])
        rows = slice(adapted.first_r[first], adapted.first_r[last])
        right = C[columns].conj().T
        products = [(C[rows] * factor) @ right for factor in factors]
        products.append((C_partly[rows] * entropy_factors) @ C_partly[columns].conj().T)
        for p_ab, out_puv in zip(products, densities, strict=True):
            spread(
                bonds, np.array(tile), orbits.orbit_i, orbits.element_i, orbits.size_r, orbits.D_guv,
                adapted.irrep.matrices_gmn, adapted.w_kmua, adapted.kind_r, adapted.first_r,
                block.phase_s, near_r, block.weight / adapted.irrep.dimension, p_ab, out_puv,
            )  # fmt: skip

    for _ in in_order(work, _tiles(widths), threads):
        pass


def _symmetrised(values_i: Floats, operations: Operations) -> Floats:
    """Return the mean of equivalent atoms."""
    return np.asarray(values_i[operations.permutations_gi].mean(axis=0))


def _tiles(widths: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Cut representatives into runs of about TILE_ROWS rows."""
    group = (np.cumsum(widths) - widths) // TILE_ROWS
    cuts = np.concatenate([[0], np.flatnonzero(np.diff(group)) + 1, [len(widths)]])
    return [(int(a), int(b)) for a, b in pairwise(cuts)]


def _finish(
    system: System,
    model: Model,
    kT: float,
    levels_b: list[Floats],
    weights_n: Floats,
    occupations: Occupations,
    densities: Floats,
) -> Solution:
    P, W, T = densities
    orbits, bonds, S = system.orbits, system.bonds, system.matrices.S_puv
    q_r = onsite_strengths(bonds, system.matrices.slopes_rv, P)
    forces_r, virial = differentiate(bonds, model, P, W, q_r, orbits.orbit_i, orbits.size_r)
    rotations_icc = system.operations.rotations_gcc[orbits.element_i]
    forces = np.einsum("iab,ib->ia", rotations_icc, forces_r[orbits.orbit_i])
    starts = bonds.first_r[:-1]
    energies_r, populations_r = (np.add.reduceat(np.sum(M * S, axis=(1, 2)), starts) for M in (W + T, P))
    band = float(np.sum(weights_n * occupations.fractions_n * np.concatenate(levels_b)))
    entropy_term = float(kT * np.sum(weights_n * occupations.entropies_n))
    return Solution(
        system.points,
        levels_b,
        np.array([block.weight for block in system.blocks]),
        occupations,
        band - entropy_term,
        entropy_term,
        _symmetrised(energies_r[orbits.orbit_i], system.operations),
        _symmetrised(populations_r[orbits.orbit_i], system.operations),
        symmetrised_vectors(forces, system.operations),
        symmetrised_tensor(virial, system.operations),
    )
