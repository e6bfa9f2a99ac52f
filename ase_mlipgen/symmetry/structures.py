"""What a group does to atoms: orbits, and means of vectors, positions and tensors over the group."""

import numpy as np
import numpy.typing as npt

from ase_mlipgen.symmetry.lattice import Floats, Ints
from ase_mlipgen.symmetry.operations import Operations


def orbits(permutations_gi: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the sets of atoms that a group takes onto one another.

    Parameters
    ----------
    permutations_gi : (n_g, n_atoms) int array
        Of a group, the identity first.

    Returns
    -------
    representative_o : (n_orbits,) int64 array
        First atom of each orbit, ascending.
    orbit_of_i : (n_atoms,) int64 array
    element_i : (n_atoms,) int64 array
        First element of the group that takes the representative to the atom.
    """
    first_i = permutations_gi.min(axis=0)
    representative_o, orbit_of_i = np.unique(first_i, return_inverse=True)
    arrives_gi = permutations_gi[:, first_i] == np.arange(permutations_gi.shape[1])
    return (
        representative_o.astype(np.int64),
        orbit_of_i.ravel().astype(np.int64),
        arrives_gi.argmax(axis=0).astype(np.int64),
    )


def symmetrised_vectors(vectors_ic: Floats, operations: Operations) -> Floats:
    """Return the mean over the group of vectors on atoms, such as forces, (n_atoms, 3)."""
    total = np.zeros(np.shape(vectors_ic))
    for R, image in zip(operations.rotations_gcc, operations.permutations_gi, strict=True):
        total[image] += vectors_ic @ R.T
    return total / operations.order


def symmetrised_positions(
    positions: Floats, cell: Floats, pbc: npt.NDArray[np.bool_], operations: Operations
) -> Floats:
    """Return the nearest positions that have the symmetry exactly, (n_atoms, 3), Å; not wrapped, drift kept.

    Parameters
    ----------
    positions : (n_atoms, 3) array
        Å; nearly symmetric: images of an atom must be nearer to it than to its periodic images.
    cell : (3, 3) array
        Å.
    pbc : (3,) array of bool
    operations : Operations
    """
    moves = np.zeros(np.shape(positions))
    for image, off in zip(
        operations.permutations_gi, operations.fitted(positions, cell, pbc)[1], strict=True
    ):
        moves[image] -= off
    return np.asarray(positions, float) + moves / operations.order


def symmetrised_tensor(tensor_cc: Floats, operations: Operations) -> Floats:
    """Return the mean over the group of a tensor, such as a stress or a dipole tensor, (3, 3)."""
    rotations = operations.rotations_gcc
    return np.einsum("gab,bc,gdc->ad", rotations, tensor_cc, rotations) / operations.order
