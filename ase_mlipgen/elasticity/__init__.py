"""Derivatives by strain: exact for site energies, else differences; and the properties that matscipy makes of them."""

from ase_mlipgen.elasticity.derivatives import (
    StrainDerivatives,
    UnstableError,
    differences_by_strain,
    opened,
    strain_derivatives,
)
from ase_mlipgen.elasticity.properties import PROPERTIES, StrainProperties

__all__ = [
    "PROPERTIES",
    "StrainDerivatives",
    "StrainProperties",
    "UnstableError",
    "differences_by_strain",
    "opened",
    "strain_derivatives",
]
