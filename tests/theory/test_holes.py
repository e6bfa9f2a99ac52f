"""Holes of models at short distances, held against potentials whose wells are known."""

from typing import ClassVar

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes

from ase_mlipgen.defects import triangular_lattice
from ase_mlipgen.theory.holes import find_hole

COPPER = bulk("Cu", cubic=True, a=3.6) * 2
BOND = 3.6 / np.sqrt(2)


class Pair(Calculator):
    """Sum of V(r) over the pairs of the first atom."""

    implemented_properties: ClassVar = ["energy"]

    def __init__(self, V):
        super().__init__()
        self.V = V

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] = float(
            self.V(self.atoms.get_distances(0, range(1, len(self.atoms)), mic=True)).sum()
        )


def test_what_repels_has_no_hole():
    assert find_hole(Pair(lambda r: 1.0 / r**8), COPPER) is None


def test_a_hole_has_the_depth_and_the_places_that_were_put_in():
    """A hard sphere's rise with a well at 0.6 of a bond; other pairs are out of its range."""

    def V(r):
        rise = np.where(r < 0.86 * BOND, 30.0 * (0.86 - r / BOND), 0.0)
        return rise - 50.0 * np.exp(-((r - 0.6 * BOND) ** 2) / 0.03)

    found = find_hole(Pair(V), COPPER)
    r = np.linspace(0.05, 1.0, 200_001) * BOND
    inward = V(r[::-1])
    falls = np.maximum.accumulate(inward) - inward
    assert found.pair == "Cu-Cu"
    assert found.depth == pytest.approx(falls.max(), rel=2e-2)
    assert found.bottom == pytest.approx(r[::-1][falls.argmax()], rel=0.03)
    assert found.barrier == pytest.approx(inward[: falls.argmax()].max(), rel=0.02)
    assert found.bottom < found.top < BOND


def test_every_two_kinds_are_pressed_together():
    alloy = bulk("CuAu", "rocksalt", a=5.0) * 2
    asked = []

    class Watched(Pair):
        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            asked.append(
                int(
                    np.flatnonzero(np.abs(self.atoms.positions - alloy.positions).max(axis=1) > 1e-9)[
                        :1
                    ].sum()
                )
            )

    assert find_hole(Watched(lambda r: np.maximum(2.5 - r, 0.0) ** 2), alloy) is None
    assert len(asked) == 3 * 120


def test_a_plane_stays_a_plane():
    sheet = triangular_lattice("W", 2.7, size=(6, 6))
    seen = []

    class Flat(Pair):
        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            seen.append(np.ptp(self.atoms.positions[:, 2]))

    assert find_hole(Flat(lambda r: 1.0 / r**6), sheet) is None
    assert max(seen) == 0.0
