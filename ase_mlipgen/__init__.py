"""Train an atomic cluster expansion on small defect cells and know its error on large ones.

The public names are imported on first use, so that ``import ase_mlipgen`` stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase_mlipgen.basis import ACEBasis
    from ase_mlipgen.calculators.eam2d import EAM2D
    from ase_mlipgen.calculators.linear_ace import LinearACE
    from ase_mlipgen.calculators.nrltb import NRLTB
    from ase_mlipgen.data import read_data
    from ase_mlipgen.defects import (
        Interstitial,
        Substitution,
        Vacancy,
        simulation_cell,
        training_cell,
        triangular_lattice,
    )
    from ase_mlipgen.extrapolation import ExtrapolationError, ExtrapolationWarning, ExtrapolationWatch
    from ase_mlipgen.registration import register
    from ase_mlipgen.result import TrainingResult
    from ase_mlipgen.trainer import DataTrainer, DefectTrainer

__version__ = "0.1.0"

_ROOMS = {
    "ACEBasis": "basis",
    "EAM2D": "calculators.eam2d",
    "LinearACE": "calculators.linear_ace",
    "NRLTB": "calculators.nrltb",
    "DataTrainer": "trainer",
    "DefectTrainer": "trainer",
    "ExtrapolationError": "extrapolation",
    "ExtrapolationWarning": "extrapolation",
    "ExtrapolationWatch": "extrapolation",
    "TrainingResult": "result",
    "Vacancy": "defects",
    "Interstitial": "defects",
    "Substitution": "defects",
    "triangular_lattice": "defects",
    "training_cell": "defects",
    "simulation_cell": "defects",
    "read_data": "data",
    "register": "registration",
}

__all__ = [
    "EAM2D",
    "NRLTB",
    "ACEBasis",
    "DataTrainer",
    "DefectTrainer",
    "ExtrapolationError",
    "ExtrapolationWarning",
    "ExtrapolationWatch",
    "Interstitial",
    "LinearACE",
    "Substitution",
    "TrainingResult",
    "Vacancy",
    "__version__",
    "read_data",
    "register",
    "simulation_cell",
    "training_cell",
    "triangular_lattice",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its room on first use (PEP 562)."""
    if name not in _ROOMS:
        raise AttributeError(f"module 'ase_mlipgen' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(f"ase_mlipgen.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
