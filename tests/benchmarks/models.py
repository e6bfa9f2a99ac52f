"""Models with random coefficients and the rattled diamond-structure crystals that they are timed on."""

import functools
import tempfile
from pathlib import Path

import numpy as np
from ase.build import bulk

from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.calculators.linear_ace import LinearACE
from tests.oracles import pace_oracle

CUTOFF = 5.5  # Å
SILICON = ("Si",)


def crystal(repeats, elements=SILICON):
    """Return 8 repeats^3 atoms of silicon, moved by 0.1 Å at random, half of them of the last element."""
    atoms = bulk("Si", cubic=True).repeat(repeats)
    atoms.rattle(0.1, seed=1)
    if len(elements) > 1:
        atoms.symbols[np.random.default_rng(0).random(len(atoms)) < 0.5] = elements[-1]
    return atoms


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
    return pace_oracle.write_yace(Path(folder.name) / name, found, coefficients(elements, order, degree))


@functools.cache
def _folder():
    return tempfile.TemporaryDirectory()
