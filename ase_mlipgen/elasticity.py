"""Second derivatives of an energy by strain: non-affine forces and elastic constants, as matscipy asks for them.

Positions and cell follow x -> (1 + G) x. With E the sum of site energies, an *open* list of pairs has every periodic
image as an atom of its own, without pairs: then a strain is one displacement G x of these atoms, and the Hessian H of
the open list has all second derivatives, also where an atom is its own neighbour:

    non-affine forces   Xi_icab = dF_ic / dG_ab = - sum_{images k of i} sum_l H_kc,la x_lb
    affine              D_abcd = d2E / dG_ab dG_cd = sum_kl x_kb H_ka,lc x_ld
    Born                C_abcd = D_abcd / V - delta_ac sigma_bd, by the Green-Lagrange strain

Elastic constants at a stress sigma are those of the Cauchy stress, d sigma_ab / d epsilon_cd (Birch coefficients;
Wallace, Phys. Rev. 162, 776 (1967)), and atoms relax: B = C + stress term - Xi H^-1 Xi / V.
Enter at `StrainProperties`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from ase import Atoms
from matscipy.calculators.calculator import MatscipyCalculator
from scipy.sparse.linalg import LinearOperator, cg

from ase_mlipgen.neighbors import Pairs
from ase_mlipgen.symmetry.differences import slope

Floats = npt.NDArray[np.float64]

PROPERTIES = (
    "nonaffine_forces",
    "born_constants",
    "stress_elastic_contribution",
    "birch_coefficients",
    "nonaffine_elastic_contribution",
    "elastic_constants",
)
"""Names under which matscipy asks for what `StrainProperties` has."""

TOLERANCE = 1e-10
"""Of the non-affine displacements, relative to the largest force constant times 1 Å."""


class UnstableError(ArithmeticError):
    """The non-affine displacements have no minimum: the Hessian has a negative eigenvalue."""


class StrainDerivatives(NamedTuple):
    """Second derivatives at fixed scaled positions.

    Parameters
    ----------
    nonaffine_icab : (n_atoms, 3, 3, 3) array
        dF_ic / dG_ab, eV/Å.
    born_abcd : (3, 3, 3, 3) array
        By the Green-Lagrange strain, eV: Born constants times the volume.
    """

    nonaffine_icab: Floats
    born_abcd: Floats


def opened(pairs: Pairs) -> tuple[Pairs, npt.NDArray[np.int64]]:
    """Return the pairs with every image as an atom of its own that has no pairs, and whose image each atom is.

    The first atoms are those of `pairs`, in their order.
    """
    n_atoms = len(pairs.positions)
    is_image_p = np.any(pairs.shifts != 0.0, axis=1)[pairs.s_p]
    keys = pairs.s_p[is_image_p].astype(np.int64) * n_atoms + pairs.j_p[is_image_p]
    images, place = np.unique(keys, return_inverse=True)
    j_p = pairs.j_p.copy()
    j_p[is_image_p] = n_atoms + place
    of_images = images % n_atoms
    positions = np.concatenate(
        [pairs.positions, pairs.positions[of_images] + pairs.shifts[images // n_atoms]]
    )
    first_i = np.concatenate([pairs.first_i, np.full(len(images), pairs.first_i[-1])])
    found = Pairs(positions, first_i, j_p, np.zeros_like(pairs.s_p), np.zeros((1, 3)))
    return found, np.concatenate([np.arange(n_atoms), of_images])


def strain_derivatives(
    H: sp.csr_matrix, positions: Floats, source_k: npt.NDArray[np.int64], virial: Floats
) -> StrainDerivatives:
    """Return second derivatives by strain from the Hessian of an open list.

    Parameters
    ----------
    H : (3 n, 3 n) sparse matrix
        Of the pairs of `opened`, eV/Å^2.
    positions : (n, 3) array
        Of its atoms, Å.
    source_k : (n,) ints
        The atom that each is an image of.
    virial : (3, 3) array
        eV.
    """
    n = len(positions)
    fields = np.zeros((n, 3, 3, 3))
    for a in range(3):
        fields[:, a, a, :] = positions
    change_kcab = -np.asarray(H @ fields.reshape(3 * n, 9)).reshape(n, 3, 3, 3)
    nonaffine_icab = np.zeros((int(source_k.max()) + 1, 3, 3, 3))
    np.add.at(nonaffine_icab, source_k, change_kcab)
    born_abcd = -np.einsum("kb,kacd->abcd", positions, change_kcab)
    born_abcd -= np.einsum("ac,bd->abcd", np.eye(3), virial)
    return StrainDerivatives(nonaffine_icab, born_abcd)


def differences_by_strain(
    evaluate: Callable[[Floats], tuple[Floats, Floats]], step: float
) -> StrainDerivatives:
    """Return second derivatives by strain from differences, of fourth order: 25 evaluations.

    Six strains are enough: under a rotation forces and virial turn.

    Parameters
    ----------
    evaluate : callable
        Turns F, (3, 3), into forces, (n_atoms, 3), eV/Å, and the virial, (3, 3), eV, of atoms and cell at F x.
    step : float
        Largest strain.
    """
    forces, _ = evaluate(np.eye(3))
    turned = np.einsum("ca,ib->icab", np.eye(3), forces)
    nonaffine_icab = 0.5 * (turned - turned.swapaxes(2, 3))
    born_abcd = np.empty((3, 3, 3, 3))
    for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        along = np.zeros((3, 3))
        along[a, b] += 0.5
        along[b, a] += 0.5

        def both(h: float, along: Floats = along) -> Floats:
            """Return the forces and the derivative of the energy by the Green-Lagrange strain."""
            F = np.eye(3) + h * along
            forces, virial = evaluate(F)
            back = np.linalg.inv(F)
            return np.concatenate([forces, back @ virial @ back.T])

        change = slope(both, step)
        born_abcd[:, :, a, b] = born_abcd[:, :, b, a] = change[-3:]
        nonaffine_icab[:, :, a, b] += change[:-3]
        if a != b:
            nonaffine_icab[:, :, b, a] += change[:-3]
    born_abcd = 0.5 * (born_abcd + born_abcd.transpose(2, 3, 0, 1))
    return StrainDerivatives(nonaffine_icab, born_abcd)


def relaxation(H: sp.csr_matrix, nonaffine_icab: Floats, options: Mapping[str, Any]) -> Floats:
    """Return what the relaxation of the atoms adds to the second derivatives by strain, (3, 3, 3, 3), eV.

    Parameters
    ----------
    H : (3 n_atoms, 3 n_atoms) sparse matrix, eV/Å^2
    nonaffine_icab : (n_atoms, 3, 3, 3) array, eV/Å
    options : mapping
        Of `scipy.sparse.linalg.cg`, over the defaults.

    Raises
    ------
    UnstableError
        No minimum is found.
    """
    symmetric = 0.5 * (nonaffine_icab + nonaffine_icab.swapaxes(2, 3))
    symmetric -= symmetric.mean(axis=0)  # rounding, along translations
    sides = symmetric.reshape(-1, 9)
    scale = float(abs(H).max()) if H.nnz else 1.0
    settings = {"rtol": 0.0, "atol": TOLERANCE * scale, "maxiter": 10 * len(sides), **options}
    u = np.zeros_like(sides)
    for k in range(9):
        a, b = divmod(k, 3)
        if a > b:
            u[:, k] = u[:, 3 * b + a]
            continue
        u[:, k], info = cg(_checked(H, f"{'xyz'[a]}{'xyz'[b]}"), sides[:, k], **settings)
        if info != 0:
            raise UnstableError(
                f"conjugate gradients did not converge in {info} steps: expected a Hessian without zero or negative "
                f"eigenvalues but for translations; relax the atoms, or pass cg_parameters with a preconditioner M"
            )
    return -(sides.T @ u).reshape(3, 3, 3, 3)


def _checked(H: sp.csr_matrix, strain: str) -> LinearOperator:
    """Return H times a vector, which raises where the curvature along the vector is negative."""

    def times(v: Floats) -> Floats:
        H_v = H @ v
        if np.vdot(v, H_v) < -TOLERANCE * np.linalg.norm(v) * np.linalg.norm(H_v):
            raise UnstableError(
                f"the atoms do not relax under the strain {strain}: the energy has negative curvature; relax the "
                f"atoms, or look for soft modes of the structure"
            )
        return np.asarray(H_v)

    return LinearOperator(H.shape, times, dtype=float)


class StrainProperties(MatscipyCalculator):
    """What matscipy asks a calculator for beyond forces and stress, for energies of many bodies.

    A subclass has `strain_derivatives` and `get_hessian`; the inherited formulas of matscipy hold for pair potentials.
    """

    def strain_derivatives(self, atoms: Atoms) -> StrainDerivatives:
        """Return second derivatives of the energy by strain, at fixed scaled positions."""
        raise NotImplementedError(f"{type(self).__name__} has no strain_derivatives()")

    def get_nonaffine_forces(self, atoms: Atoms) -> Floats:
        """Return the forces that an affine deformation x -> (1 + G) x causes.

        Parameters
        ----------
        atoms : Atoms

        Returns
        -------
        (n_atoms, 3, 3, 3) array
            dF_ic / dG_ab, eV/Å. Zero by symmetry where every atom is a centre of inversion.

        Raises
        ------
        PropertyNotImplementedError
            The potential has no second derivatives.
        """
        return self.strain_derivatives(atoms).nonaffine_icab

    def get_born_elastic_constants(self, atoms: Atoms) -> Floats:
        """Return the second derivatives of the energy by the Green-Lagrange strain, atoms not relaxed.

        Parameters
        ----------
        atoms : Atoms
            Any stress; see `get_birch_coefficients` for its other part.

        Returns
        -------
        (3, 3, 3, 3) array
            eV/Å^3, of the volume of the cell, vacuum included.

        Raises
        ------
        PropertyNotImplementedError
            No second derivatives, or a cell without a volume.
        """
        volume = self._volume(atoms)
        return self.strain_derivatives(atoms).born_abcd / volume

    def get_non_affine_contribution_to_elastic_constants(
        self, atoms: Atoms, cg_parameters: Mapping[str, Any] | None = None
    ) -> Floats:
        """Return what the relaxation of the atoms adds to elastic constants: negative semidefinite.

        Parameters
        ----------
        atoms : Atoms
            At an equilibrium.
        cg_parameters : mapping, optional
            Options of `scipy.sparse.linalg.cg`; the defaults converge to 1e-10.

        Returns
        -------
        (3, 3, 3, 3) array
            eV/Å^3.

        Raises
        ------
        UnstableError
            The Hessian has a negative eigenvalue.
        """
        volume = self._volume(atoms)
        H = self.get_hessian(atoms, format="sparse")
        return relaxation(H, self.get_nonaffine_forces(atoms), cg_parameters or {}) / volume

    def get_elastic_constants(self, atoms: Atoms, cg_parameters: Mapping[str, Any] | None = None) -> Floats:
        """Return the elastic constants at zero temperature: slopes of the Cauchy stress, atoms relaxed.

        Born constants, the stress's own part and the relaxation of the atoms, as in matscipy. Under a stress that is
        not hydrostatic C_abcd and C_cdab differ.

        Parameters
        ----------
        atoms : Atoms
            At an equilibrium; its cell may be under stress.
        cg_parameters : mapping, optional
            Options of `scipy.sparse.linalg.cg`.

        Returns
        -------
        (3, 3, 3, 3) array
            eV/Å^3; `matscipy.elasticity.full_3x3x3x3_to_Voigt_6x6` turns it into a matrix, and ``/ ase.units.GPa``
            into gigapascals.

        Raises
        ------
        UnstableError
            The Hessian has a negative eigenvalue.
        PropertyNotImplementedError
            No second derivatives, or a cell without a volume.
        """
        volume = self._volume(atoms)
        nonaffine_icab, born_abcd = self.strain_derivatives(atoms)
        H = self.get_hessian(atoms, format="sparse")
        relaxing = relaxation(H, nonaffine_icab, cg_parameters or {})
        return (born_abcd + relaxing) / volume + self.get_stress_contribution_to_elastic_constants(atoms)

    def _volume(self, atoms: Atoms) -> float:
        """Return the volume; atoms without one have no stress, and that is said."""
        self.get_property("stress", atoms)
        return float(abs(np.linalg.det(atoms.cell.array)))
