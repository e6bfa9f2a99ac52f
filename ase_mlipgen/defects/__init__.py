"""Host crystals, point defects, the cells that hold them, samples around them, and their relaxation."""

from ase_mlipgen.defects.cells import OverlapWarning, simulation_cell, training_cell
from ase_mlipgen.defects.checkpoint import CheckpointError
from ase_mlipgen.defects.geometry import (
    cell_width,
    is_planar,
    minimum_image,
    nearest_distances,
    spacing,
    wrapped,
)
from ase_mlipgen.defects.guards import Guards, potential_energy
from ase_mlipgen.defects.lattices import triangular_lattice, triangular_primitive
from ase_mlipgen.defects.meter import Meter
from ase_mlipgen.defects.optimizer import TightLBFGS
from ase_mlipgen.defects.point_defects import Interstitial, PointDefect, Substitution, Vacancy, unique_names
from ase_mlipgen.defects.readymade import as_defect
from ase_mlipgen.defects.relaxation import Relaxation, RelaxationError, relax
from ase_mlipgen.defects.sampling import Samples, displaced, training_samples

__all__ = [
    "CheckpointError",
    "Guards",
    "Interstitial",
    "Meter",
    "OverlapWarning",
    "PointDefect",
    "Relaxation",
    "RelaxationError",
    "Samples",
    "Substitution",
    "TightLBFGS",
    "Vacancy",
    "as_defect",
    "cell_width",
    "displaced",
    "is_planar",
    "minimum_image",
    "nearest_distances",
    "potential_energy",
    "relax",
    "simulation_cell",
    "spacing",
    "training_cell",
    "training_samples",
    "triangular_lattice",
    "triangular_primitive",
    "unique_names",
    "wrapped",
]
