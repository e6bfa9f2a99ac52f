"""Born constants, non-affine forces and elastic constants of a calculator, as matscipy asks for them.

Enter at `StrainProperties`; the numbers come from `derivatives`.
"""

from collections.abc import Mapping
from typing import Any

from ase import Atoms
from matscipy.calculators.calculator import MatscipyCalculator

from ase_mlipgen.elasticity.derivatives import Floats, StrainDerivatives, relaxation
from ase_mlipgen.sanity import volume_of

PROPERTIES = (
    "nonaffine_forces",
    "born_constants",
    "stress_elastic_contribution",
    "birch_coefficients",
    "nonaffine_elastic_contribution",
    "elastic_constants",
)
"""Names under which matscipy asks for what `StrainProperties` has."""


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
        return volume_of(atoms.cell.array)
