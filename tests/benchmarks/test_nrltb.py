"""NRLTB on silicon beside QUIP: energy and forces of rattled cells at Gamma, the same numbers, no symmetry.

Both solve the whole generalised eigenproblem by LAPACK (QUIP by the one in its wheel) with one thread of the BLAS and
form density matrices, and bonds, anew.
"""

from itertools import cycle

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from ase_mlipgen.calculators.nrltb import NRLTB
from ase_mlipgen.tightbinding.parameters import find_parameters
from tests.benchmarks.models import crystal
from tests.benchmarks.races import at_least
from tests.oracles import quippy_oracle

GROUP = "NRLTB, energy and forces of rattled silicon at Gamma"
KT = 0.01


def step(calculator, atoms):
    """Return a call of ASE with all atoms moved, there and back."""
    atoms = atoms.copy()
    atoms.calc = calculator
    moved = atoms.positions + np.random.default_rng(0).normal(0, 0.01, (len(atoms), 3))
    places = cycle([moved, atoms.positions.copy()])

    def call():
        atoms.positions = next(places)
        with threadpool_limits(1):
            return atoms.get_forces(), atoms.get_potential_energy()

    return call


@pytest.mark.parametrize(("repeats", "bar"), [((2, 2, 2), None), ((4, 4, 4), 4)], ids=["64", "512"])
def test_beside_quip(race, repeats, bar):
    atoms = crystal(repeats)
    ours = step(NRLTB("Si", kT=KT, threads=1), atoms)
    quip = step(quippy_oracle.potential(find_parameters("Si"), KT), atoms)
    (forces, energy), (other_forces, other_energy) = ours(), quip()
    assert abs(energy - other_energy) < 1e-6 * len(atoms)
    assert abs(forces - other_forces).max() < 1e-3  # QUIP's are no derivatives where levels are partly filled
    race(
        GROUP,
        f"{len(atoms)} atoms, one thread",
        ours,
        {"QUIP": quip},
        unit="s",
        bar=at_least(bar, "QUIP") if bar else None,
        fewest=3,
    )


def test_two_threads(race):
    atoms = crystal((4, 4, 4))
    one, two = (step(NRLTB("Si", kT=KT, threads=n), atoms) for n in (1, 2))
    race(GROUP, f"{len(atoms)} atoms, two threads", two, {"one thread": one}, unit="s", fewest=3)
