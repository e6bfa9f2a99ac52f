"""What the theory defines and predicts: norms, force constants, comparisons of two models."""

from ase_mlipgen.theory.compare import compare
from ase_mlipgen.theory.comparison import Comparison
from ase_mlipgen.theory.force_constants import ForceConstants, force_constants_percent
from ase_mlipgen.theory.norms import Bonds, DualNorm, bonds, dual_norm, laplacian, site_strains, strain_norm
from ase_mlipgen.theory.operator_norms import operator_norm, stability_constant
from ase_mlipgen.theory.stability import InstabilityWarning, StabilityError, require_stable

__all__ = [
    "Bonds",
    "Comparison",
    "DualNorm",
    "ForceConstants",
    "InstabilityWarning",
    "StabilityError",
    "bonds",
    "compare",
    "dual_norm",
    "force_constants_percent",
    "laplacian",
    "operator_norm",
    "require_stable",
    "site_strains",
    "stability_constant",
    "strain_norm",
]
