"""A reference that is wrong in a known way: springs between nearest neighbours are added to another calculator.

The springs are at rest in the perfect crystal, so that its lattice constant stays and its force constants change by a
share that is the same for every cell. Enter at `WithSprings`.
"""

from typing import Any, ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from ase_mlipgen.neighbors import pairs

REACH = 0.4
"""Of the length at rest: springs are gone where they are longer or shorter by more."""


class WithSprings(Calculator):
    """A calculator plus E = 1/2 sum over pairs of 1/2 k (r - r0)^2 (1 - ((r - r0) / (0.4 r0))^2)^4.

    Parameters
    ----------
    calculator : of energy and forces
    stiffness : k, eV/Å^2
    length : r0, Å
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(self, calculator: Any, stiffness: float, length: float) -> None:
        super().__init__()
        self.parameters.update(stiffness=stiffness, length=length)
        self.inner = calculator

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        """Compute energy (eV) and forces (eV/Å)."""
        super().calculate(atoms, properties, system_changes)
        probe = atoms.copy()
        probe.calc = self.inner
        length, stiffness = self.parameters["length"], self.parameters["stiffness"]
        found = pairs(probe, (1.0 + REACH) * length)
        d_pc, i_p = found.vectors(), found.centres()
        r_p = np.linalg.norm(d_pc, axis=1)
        off_p, width = r_p - length, REACH * length
        room_p = np.maximum(1.0 - (off_p / width) ** 2, 0.0)
        energy_p = 0.5 * stiffness * off_p**2 * room_p**4
        slope_p = stiffness * off_p * room_p**4 - 4.0 * stiffness * off_p**3 / width**2 * room_p**3
        pull_pc = (slope_p / r_p)[:, None] * d_pc
        forces = np.array(probe.get_forces())
        np.add.at(forces, i_p, pull_pc)
        self.results = {
            "energy": probe.get_potential_energy() + 0.5 * float(energy_p.sum()),
            "forces": forces,
        }
