"""Pairs, symmetry and k-points -> the `System` that is solved. Enter at `set_up`, `Group`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ase_mlipgen.symmetry.irreps import irreps
from ase_mlipgen.symmetry.operations import Operations
from ase_mlipgen.tightbinding.adapted import Adapted, Orbits, adapt
from ase_mlipgen.tightbinding.bonds import Blocks, Bonds, Model, fill_blocks, find_bonds
from ase_mlipgen.tightbinding.kpoints import (
    GAMMA,
    KPoints,
    merged,
    operations_of,
    phases,
    reciprocal_rotations,
)
from ase_mlipgen.tightbinding.solution import SPIN, Block, System

Floats = npt.NDArray[np.float64]
BOHR = 0.5291772105638411
RYDBERG = 13.605693012183622
"""Å and eV, CODATA 2014, as in ase.units."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """A neighbour list in Å, and the periodic images that its shifts stand for, whole numbers of cell vectors."""

    positions: Floats
    first_i: npt.NDArray[np.int64]
    j_p: npt.NDArray[np.int32]
    s_p: npt.NDArray[np.int32]
    shifts: Floats
    images_sc: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls,
        positions: Floats,
        first_i: npt.NDArray[np.int64],
        j_p: npt.NDArray[np.int32],
        s_p: npt.NDArray[np.int32],
        shifts: Floats,
        cell: Floats,
    ) -> "Pairs":
        """Add the home cell, as the last image, to a neighbour list."""
        shifts = np.vstack([shifts, np.zeros(3)])
        return cls(
            positions, first_i, j_p, s_p, shifts, np.rint(shifts @ np.linalg.inv(cell)).astype(np.int64)
        )


@dataclass(frozen=True, eq=False)
class Group:
    """A group of operations, its orbits and the columns of its irreps: what does not change while atoms relax."""

    operations: Operations
    orbits: Orbits
    adapted: Sequence[Adapted]

    @classmethod
    def of(cls, operations: Operations, n_orbitals: int) -> "Group":
        """Decompose the orbitals of all atoms."""
        found = Orbits.of(operations, n_orbitals)
        blocks = [adapt(found, irrep) for irrep in irreps(operations.product_gh)]
        return cls(operations, found, [block for block in blocks if block.size])


def no_symmetry(n_atoms: int) -> Operations:
    """Return the group of the identity alone."""
    return Operations(np.eye(3)[None], np.zeros((1, 3)), np.arange(n_atoms)[None])


def at_gamma(group: Group, n_images: int) -> list[Block]:
    """Return the blocks of the irreps of a group, largest first."""
    blocks = [
        Block(adapted, np.ones(n_images), SPIN * adapted.irrep.dimension * adapted.irrep.multiplicity)
        for adapted in group.adapted
    ]
    return sorted(blocks, key=lambda block: -block.adapted.size)


def at_points(group: Group, points: KPoints, images_sc: npt.NDArray[np.int64]) -> list[Block]:
    """Return a block for each k-point; the group is that of the identity."""
    (adapted,) = group.adapted
    return [
        Block(adapted, phases(k_c, images_sc), SPIN * weight) for k_c, weight in zip(*points, strict=True)
    ]


def wedge(points: KPoints, operations: Operations, cell: Floats) -> tuple[KPoints, Operations]:
    """Keep one k-point of each star, and the operations that take the set of points onto itself."""
    rotations = reciprocal_rotations(operations.rotations_gcc, cell)
    kept = operations_of(points, rotations)
    return merged(points, rotations[kept]), operations.subgroup(kept)


def set_up(
    pairs: Pairs,
    model: Model,
    electrons: float,
    group: Group,
    points: KPoints | None = None,
    operations: Operations | None = None,
) -> System:
    """Prepare what `solve` needs.

    Parameters
    ----------
    pairs : Pairs
    model : Model
    electrons : of all atoms
    group : of the blocks; that of the identity with k-points
    points : k-points; None for Gamma alone, where the group makes the blocks
    operations : by which forces are made symmetric; None for those of the group
    """
    found = find_bonds(
        group.orbits.atoms_r, len(pairs.shifts) - 1, pairs.positions, pairs.first_i, pairs.j_p, pairs.s_p,
        pairs.shifts, 1 / BOHR, model.cutoff,
    )  # fmt: skip
    bonds = Bonds(*found)
    images_sc = pairs.images_sc
    blocks = at_gamma(group, len(images_sc)) if points is None else at_points(group, points, images_sc)
    matrices = Blocks(*fill_blocks(bonds, model))
    return System(
        group.orbits, operations or group.operations, bonds, matrices, blocks, points or GAMMA, electrons
    )
