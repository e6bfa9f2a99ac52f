"""What the theory defines and predicts: norms, force constants, comparisons of two models."""

from ase_mlipgen.theory.compare import Comparison, compare
from ase_mlipgen.theory.force_constants import ForceConstants, force_constants_percent
from ase_mlipgen.theory.norms import Bonds, DualNorm, bonds, dual_norm, laplacian, site_strains, strain_norm

__all__ = [
    "Bonds",
    "Comparison",
    "DualNorm",
    "ForceConstants",
    "bonds",
    "compare",
    "dual_norm",
    "force_constants_percent",
    "laplacian",
    "site_strains",
    "strain_norm",
]
