"""Our calculators and others', with structures that they are made for, for tests and for docs/how-to-testing.md."""

import tempfile
from copy import deepcopy
from functools import cache, partial
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.eam import EAM
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixCartesian
from matscipy.calculators.eam import EAM as MatscipyEAM

from ase_mlipgen import EAM2D, NRLTB, ACEBasis, DefectTrainer, LinearACE, Vacancy

R0 = 2.7271057
R_IN = 2.1
"""Å: the data of `fitted` reach down to there; the expansion ends, and the core alone goes on."""
SUPERCELL = {"supercell": "the k-points of a supercell are others"}
SKEWED = {"skewed_cell": "a density makes another mesh for other cell vectors"}


def sheet():
    """Triangular tungsten sheet, kept flat in dynamics."""
    height = np.sqrt(3) * R0
    atoms = Atoms(
        "W2", positions=[[0, 0, 0], [R0 / 2, height / 2, 0]], cell=[R0, height, 20.0], pbc=(True, True, False)
    )
    atoms = atoms.repeat((2, 1, 1))
    atoms.set_constraint(FixCartesian(range(len(atoms)), mask=(False, False, True)))
    return atoms


def bcc():
    return bulk("W", a=3.165, cubic=True)


def copper():
    return bulk("Cu", a=3.6, cubic=True)


def silicon():
    return bulk("Si", a=5.507, cubic=True)


def alloy():
    atoms = bulk("Cu", a=3.6, cubic=True)
    atoms.symbols[3] = "Ni"
    return atoms


@cache
def setfl():
    path = Path(tempfile.mkdtemp()) / "W.eam.alloy"
    EAM2D().write_setfl(path, n_r=2001, n_rho=2001)
    return str(path)


@cache
def table():
    return EAM2D(setfl())


def setfl_calculator():
    return deepcopy(table())


@cache
def fitted(order):
    """A potential of copper as users make them, from cells with a vacancy and perfect ones, labelled by EMT."""
    basis = ACEBasis(["Cu"], order=order, degree=5 if order == 1 else 9, cutoff=3.5, r_in=R_IN)
    return DefectTrainer(
        copper(), Vacancy(), EMT, basis, 2, 40, 2, amplitude=0.12, n_perfect=20, matching=None,
        observations=("energy", "forces", "stress"), progress=False,
    ).run().calculator  # fmt: skip


def alloy_ace():
    """A potential of two elements with small random coefficients beside the repulsive core."""
    basis = ACEBasis(["Cu", "Ni"], order=3, degree=6, cutoff=4.0)
    rng = np.random.default_rng(3)
    return LinearACE(basis, rng.normal(0, 0.002, len(basis)), E0={"Cu": -1.5})


def nrltb(kpts=(1, 1, 1)):
    return NRLTB("Si", kT=0.1, kpts=kpts, threads=1)


# name -> (factory, structure, checks that do not apply)
OURS = {
    "EAM2D, sheet": (EAM2D, sheet, {}),
    "EAM2D, bcc": (EAM2D, bcc, {}),
    "EAM2D, setfl": (setfl_calculator, bcc, {}),
    "NRLTB, Gamma": (nrltb, silicon, SUPERCELL),
    "NRLTB, k-points": (partial(nrltb, {"density": 1.2, "gamma": True}), silicon, SUPERCELL | SKEWED),
    "LinearACE, order 1": (lambda: deepcopy(fitted(1)), copper, {}),
    "LinearACE, order 2": (lambda: deepcopy(fitted(2)), copper, {}),
    "LinearACE, order 3": (lambda: deepcopy(fitted(3)), copper, {}),
    "LinearACE, order 4": (lambda: deepcopy(fitted(4)), copper, {}),
    "LinearACE, two elements": (alloy_ace, alloy, {}),
}
OTHERS = {
    "EMT": (EMT, copper, {}),
    "LennardJones": (partial(LennardJones, sigma=2.3, epsilon=0.2, rc=6.0), copper, {}),
    "LennardJones, smooth": (partial(LennardJones, sigma=2.3, epsilon=0.2, rc=6.0, smooth=True), copper, {}),
    "EAM": (lambda: EAM(potential=setfl(), form="alloy", elements=["W"]), bcc, {}),
    "matscipy EAM": (lambda: MatscipyEAM(setfl()), bcc, {}),
}
