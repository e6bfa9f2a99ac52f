import warnings

import pytest

from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.census import NarrowCellWarning
from ase_mlipgen.defects import Interstitial, Vacancy, simulation_cell, triangular_lattice
from ase_mlipgen.theory.compare import compare
from ase_mlipgen.trainer import DefectTrainer


@pytest.fixture(scope="session")
def result():
    """Two defects in a cell of 12 atoms, a basis of 25 functions."""
    crystal, basis = triangular_lattice("W", 2.72711), ACEBasis(["W"], order=3, degree=6, cutoff=6.0)
    defects = [Vacancy(), Interstitial((0.5, 1 / 6))]
    trainer = DefectTrainer(
        crystal,
        defects,
        EAM2D(),
        basis,
        size=5,
        n_train=8,
        n_test=4,
        n_perfect=2,
        matching=None,
        progress=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NarrowCellWarning)
        return trainer.run()


@pytest.fixture(scope="session")
def comparison(result):
    crystal = triangular_lattice("W", 2.72711)
    large, perfect = (simulation_cell(crystal, defects, 12, 5) for defects in ([Vacancy(), Vacancy()], []))
    return compare(EAM2D(), result.calculator, large, perfect, fmax=1e-4)
