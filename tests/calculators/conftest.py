"""The calculators and small crystals that the ecosystem tests run on; one more line adds another."""

from copy import deepcopy
from functools import cache

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from ase_mlipgen import ACEBasis, DefectTrainer, Vacancy
from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.calculators.nrltb import NRLTB

R0 = 2.7271057


def sheet():
    """Two-atom rectangular cell of the triangular tungsten sheet."""
    height = np.sqrt(3) * R0
    positions = [[0, 0, 0], [R0 / 2, height / 2, 0]]
    return Atoms("W2", positions=positions, cell=[R0, height, 20.0], pbc=(True, True, False))


def bcc():
    return bulk("W", a=3.165, cubic=True)


def fcc():
    return bulk("Cu", a=3.58982559, cubic=True)


def trained(crystal, reference, size, cutoff, order, degree):
    """A potential as users make them; the amplitude and the stresses are for molecular dynamics and strained cells."""
    (element,) = set(crystal.symbols)
    basis = ACEBasis([element], order=order, degree=degree, cutoff=cutoff)
    result = DefectTrainer(
        crystal, Vacancy(), reference, basis, size, 40, 2, amplitude=0.12, n_perfect=30, matching=None,
        observations=("energy", "forces", "stress"), progress=False,
    ).run()  # fmt: skip
    return result.calculator


@cache
def ace_sheet():
    return trained(sheet(), EAM2D, 6, 5.5, 3, 10)


@cache
def ace_copper():
    return trained(fcc(), EMT, 2, 3.5, 4, 9)


def silicon():
    return bulk("Si", a=5.5071087)


def tight_binding():
    """The same k-points about Gamma for the primitive cell and its repetitions: 2 x 2 x 2 and Gamma of eight cells."""
    return NRLTB("Si", kT=0.1, kpts={"density": 0.8, "gamma": True}, threads=1)


# name -> (calculator factory, factory of a small relaxed crystal)
CALCULATORS = {
    "eam2d-sheet": (EAM2D, sheet),
    "eam2d-bcc": (EAM2D, bcc),
    "linear-ace-sheet": (lambda: deepcopy(ace_sheet()), sheet),
    "linear-ace-fcc": (lambda: deepcopy(ace_copper()), fcc),
    "nrltb-silicon": (tight_binding, silicon),
}


@pytest.fixture(params=CALCULATORS)
def case(request):
    return CALCULATORS[request.param]


@pytest.fixture
def make(case):
    """Factory of calculators."""
    return case[0]


@pytest.fixture
def crystal(case):
    """A perfect crystal, a calculator attached."""
    atoms = case[1]()
    atoms.calc = case[0]()
    return atoms


@pytest.fixture
def rattled(case):
    """A supercell with displaced atoms, a calculator attached; a sheet stays flat."""
    cell = case[1]()
    atoms = cell.repeat(np.where(cell.pbc, 2, 1))
    atoms.positions += np.random.default_rng(3).normal(0, 0.05, atoms.positions.shape) * atoms.pbc
    atoms.calc = case[0]()
    return atoms
