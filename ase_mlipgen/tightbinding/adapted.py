"""Orbitals adapted to a symmetry group: which combinations of a representative's orbitals span each irrep's block.

A function on the atoms that transforms as row lambda of the irrep Gamma (dimension d, unitary) is fixed by what it is
on one atom of each orbit. With g_i an element that takes the representative r onto the atom i, D(g) the rotation of
orbitals, and w an (d, n_orbitals) array that the stabiliser of r leaves alone, sum_nu conj(Gamma_mu,nu(s)) D(s) w[nu] =
w[mu], it is

    psi_lambda(i) = sqrt(d / |orbit|) sum_mu conj(Gamma_lambda,mu(g_i)) D(g_i) w[mu],

normalised if w is. The columns w of all orbits span the block; its size is n_atoms n_orbitals d / |G| where no atom
sits on a symmetry element. No symmetry is the trivial group, and k-points enter as phases. Enter at `adapt`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ase_mlipgen.symmetry.irreps import Irrep
from ase_mlipgen.symmetry.operations import Operations
from ase_mlipgen.symmetry.structures import orbits
from ase_mlipgen.tightbinding.slater_koster import rotation_matrix

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Orbits:
    """Atoms sorted into orbits, and how orbitals turn from the representative of an orbit to its members.

    Attributes
    ----------
    atoms_r : (n_r,) representatives
    orbit_i : (n_atoms,) which of them stands for each atom
    element_i : (n_atoms,) an operation that takes it there
    size_r : (n_r,) number of atoms
    stabilizers_r : operations that leave each representative in place
    D_guv : (n_g, n_orbitals, n_orbitals)
    """

    atoms_r: Integers
    orbit_i: Integers
    element_i: Integers
    size_r: Integers
    stabilizers_r: tuple[tuple[int, ...], ...]
    D_guv: Floats

    @classmethod
    def of(cls, operations: Operations, n_orbitals: int) -> "Orbits":
        """Sort atoms by a group of operations."""
        representatives, orbit_i, element_i = orbits(operations.permutations_gi)
        stays_rg = (operations.permutations_gi[:, representatives] == representatives).T
        D_guv = np.array([rotation_matrix(R)[:n_orbitals, :n_orbitals] for R in operations.rotations_gcc])
        return cls(
            representatives,
            orbit_i,
            element_i,
            np.bincount(orbit_i, minlength=len(representatives)),
            tuple(tuple(np.flatnonzero(stays).tolist()) for stays in stays_rg),
            D_guv,
        )

    @property
    def n_orbitals(self) -> int:
        """Orbitals an atom."""
        return self.D_guv.shape[1]


@dataclass(frozen=True, eq=False)
class Adapted:
    """Columns of one irrep's block.

    Attributes
    ----------
    irrep : Irrep
    w_kmua : (n_kinds, d, n_orbitals, d n_orbitals) array, of the type of the irrep's matrices
        w for each kind of stabiliser that occurs; columns beyond those that exist are zero.
    kind_r : (n_r,) which kind a representative is of
    first_r : (n_r + 1,) its columns in the block are ``first_r[r]:first_r[r + 1]``
    """

    irrep: Irrep
    w_kmua: npt.NDArray[np.complex128] | Floats
    kind_r: Integers
    first_r: Integers

    @property
    def size(self) -> int:
        """Rows of the block."""
        return int(self.first_r[-1])


def adapt(found: Orbits, irrep: Irrep) -> Adapted:
    """Return the columns of an irrep's block."""
    kinds = {stabilizer: k for k, stabilizer in enumerate(dict.fromkeys(found.stabilizers_r))}
    kind_r = np.array([kinds[stabilizer] for stabilizer in found.stabilizers_r])
    d, n_orbitals = irrep.dimension, found.n_orbitals
    w_kmua = np.zeros((len(kinds), d, n_orbitals, d * n_orbitals), dtype=irrep.matrices_gmn.dtype)
    columns_k = np.zeros(len(kinds), dtype=np.int64)
    for stabilizer, k in kinds.items():
        w = _invariants(irrep.matrices_gmn[list(stabilizer)], found.D_guv[list(stabilizer)])
        columns_k[k] = w.shape[1]
        w_kmua[k, :, :, : w.shape[1]] = w.reshape(d, n_orbitals, -1)
    first_r = np.concatenate([[0], np.cumsum(columns_k[kind_r])])
    return Adapted(irrep, w_kmua, kind_r, first_r)


def _invariants(
    G_smn: npt.NDArray[np.complex128] | Floats, D_suv: Floats
) -> npt.NDArray[np.complex128] | Floats:
    """Return an orthonormal basis of what conj(Gamma) x D leaves alone, (d n_orbitals, n_columns)."""
    if len(G_smn) == 1:
        whole: Any = np.eye(G_smn.shape[1] * D_suv.shape[1], dtype=G_smn.dtype)
        return whole
    projector = np.einsum("smn,suv->munv", G_smn.conj(), D_suv) / len(G_smn)
    n = projector.shape[0] * projector.shape[1]
    eigenvalues, vectors = np.linalg.eigh(projector.reshape(n, n))
    columns: Any = np.ascontiguousarray(vectors[:, eigenvalues > 0.5])
    return columns
