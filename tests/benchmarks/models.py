"""Models with random coefficients, and what they are timed on: rattled silicon and planar sheets of tungsten."""

import functools
import tempfile
from pathlib import Path

import numpy as np
from ase.build import bulk

from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.calculators.linear_ace import LinearACE
from ase_mlipgen.defects import triangular_lattice

CUTOFF = 5.5  # Å
SILICON = ("Si",)
SHEET_R0 = 2.72711  # Å, nearest neighbours of the sheet


def crystal(repeats, elements=SILICON):
    """Return 8 repeats^3 atoms of silicon, moved by 0.1 Å at random, half of them of the last element."""
    atoms = bulk("Si", cubic=True).repeat(repeats)
    atoms.rattle(0.1, seed=1)
    if len(elements) > 1:
        atoms.symbols[np.random.default_rng(0).random(len(atoms)) < 0.5] = elements[-1]
    return atoms


def sheet(size):
    """Return 2 nx ny atoms of the triangular lattice of tungsten, moved in their plane by 0.05 Å at random."""
    atoms = triangular_lattice("W", SHEET_R0, size)
    atoms.positions += moves_in_plane(atoms, 0.05)
    return atoms


def moves_in_plane(atoms, deviation):
    """Return normal displacements with a standard deviation (Å) a component, none along z."""
    return np.random.default_rng(0).normal(0, deviation, (len(atoms), 3)) * [1, 1, 0]


@functools.cache
def basis(elements, order, degree):
    return ACEBasis(elements, order=order, degree=degree, cutoff=CUTOFF, core=None)


@functools.cache
def coefficients(elements, order, degree):
    return np.random.default_rng(0).normal(size=len(basis(elements, order, degree)))


def calculator(elements, order, degree, threads=1):
    return LinearACE(basis(elements, order, degree), coefficients(elements, order, degree), threads=threads)


@functools.cache
def yace(elements, order, degree):
    """Return the path of the model as a file of ML-PACE; its folder lives as long as the process."""
    folder = _folder()
    name = f"{'-'.join(elements)}-{order}-{degree}.yace"
    found = basis(elements, order, degree)
    model = LinearACE(found, coefficients(elements, order, degree))
    return model.export_lammps(Path(folder.name) / name).potentials[0]


@functools.cache
def _folder():
    return tempfile.TemporaryDirectory()
