"""Which transplanted cores are symmetric images of one another, so that one label serves them all.

Two transplants of one training cell are equivalent where an operation of that cell takes the strain and the
displacements of one into those of the other. Enter at `classes`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.symmetry.operations import Operations, find_operations
from ase_mlipgen.theory.transplant import TrainedCore, Transplant

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TOLERANCE = 1e-3
"""Å: displacements of equivalent cores differ by less; a few per cent of a vacancy's relaxation."""

SYMPREC = 1e-4
"""Å: tolerance for the symmetry of an unrelaxed training cell."""


class Image(NamedTuple):
    """A transplant as the image of another: of which one, under which rotation, atom i going to `permutation_i[i]`."""

    of: int
    rotation: Floats
    permutation_i: Ints

    def forces(self, f_ic: Floats) -> Floats:
        """Give the image's forces from those of the one that was labelled."""
        turned = np.empty_like(f_ic)
        turned[self.permutation_i] = f_ic @ self.rotation.T
        return turned


def operations_of(core: TrainedCore) -> Operations:
    """Find the symmetry of a training cell with its unrelaxed defect."""
    cell = core.cell
    return find_operations(
        cell.positions, np.asarray(cell.cell.complete()), np.asarray(cell.pbc), cell.numbers, SYMPREC
    )


def classes(moved: Sequence[Transplant], tolerance: float = TOLERANCE) -> list[Image]:
    """Say of each transplant which earlier one it is an image of; of itself if of none.

    Parameters
    ----------
    moved : in order; those of one kind share their `core` object
    tolerance : Å, largest difference of a displacement, that of the strained cell's face included
    """
    groups = {id(t.core): operations_of(t.core) for t in moved}
    images: list[Image] = []
    firsts: list[int] = []
    for k, transplant in enumerate(moved):
        operations = groups[id(transplant.core)]
        found = None
        for first in firsts:
            if moved[first].core is transplant.core:
                found = _image(first, moved[first], transplant, operations, tolerance)
            if found is not None:
                break
        if found is None:
            n_atoms = len(transplant.core.cell)
            found = Image(k, np.eye(3), np.arange(n_atoms, dtype=np.int64))
            firsts.append(k)
        images.append(found)
    return images


def _image(
    index: int, first: Transplant, other: Transplant, operations: Operations, tolerance: float
) -> Image | None:
    before, after = first.displacement, other.displacement
    size = first.core.reach
    for rotation, permutation_i in zip(operations.rotations_gcc, operations.permutations_gi, strict=True):
        off = after[permutation_i] - before @ rotation.T
        strain_off = rotation @ first.strain @ rotation.T - other.strain
        if max(np.abs(off).max(initial=0.0), size * np.abs(strain_off).max()) < tolerance:
            return Image(index, np.asarray(rotation), np.asarray(permutation_i, dtype=np.int64))
    return None
