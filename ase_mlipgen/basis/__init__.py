"""The ACE basis as a function of ASE structures: `len(basis)`, `basis.design(atoms)`. Enter at `ACEBasis`."""

from ase_mlipgen.basis.expansion import ACEBasis, Baseline, Design
from ase_mlipgen.basis.parameters import nearest_neighbor_distance

__all__ = ["ACEBasis", "Baseline", "Design", "nearest_neighbor_distance"]
