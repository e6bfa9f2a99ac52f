"""Whether it is right to store the slots of the neighbours: cost of one neighbour from 22 to 359 of them.

The evaluator keeps what it computed of every neighbour (its slot) between the pass that sums over neighbours and the
pass that takes gradients; the slots of a vector of atoms grow with the cutoff to megabytes, more than the second
cache has. If that cost more than computing them twice, the cost of a neighbour would rise with their number.
"""

import numpy as np
import pytest

from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.calculators.linear_ace import LinearACE
from tests.benchmarks.models import CUTOFF, SILICON, crystal
from tests.benchmarks.races import Contender, at_most

GROUP = "Cost of a neighbour against their number, 383 functions, 512 atoms, one thread"


def evaluation(cutoff, atoms):
    """Return a contender whose units are pairs of atom and neighbour within the cutoff, and the forces of a call."""
    basis = ACEBasis(SILICON, order=3, degree=14, cutoff=cutoff, core=None)
    calculator = LinearACE(basis, np.random.default_rng(0).normal(size=len(basis)), threads=1)
    inputs = calculator._inputs(atoms)
    n_pairs = int((np.linalg.norm(inputs[1].vectors(), axis=1) < cutoff).sum())
    return Contender(lambda: calculator.evaluate(*inputs), n_pairs), calculator.evaluate(*inputs).forces


@pytest.mark.parametrize("cutoff", [4.5, CUTOFF, 8.0, 12.0], ids=lambda cutoff: f"{cutoff:g} A")
def test_neighbours(race, cutoff):
    atoms = crystal(4)
    ours, forces = evaluation(cutoff, atoms)
    reference, _ = evaluation(CUTOFF, atoms)
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-9 * np.abs(forces).sum())
    name = f"at {CUTOFF:g} Å"
    race(
        GROUP,
        f"{cutoff:g} Å, {ours.units / len(atoms):.0f} neighbours",
        ours,
        {} if cutoff == CUTOFF else {name: reference},
        unit="ns/neighbour",
        bar=at_most(1.25, name) if cutoff > CUTOFF else None,
    )
