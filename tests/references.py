"""References for trainer tests: importable by worker processes."""

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT


class Failing(Calculator):
    """EMT that raises, or returns NaN, once the atoms have moved away from the crystal's forces."""

    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012

    def __init__(self, how, patience):
        super().__init__()
        self.how, self.patience, self.calls = how, patience, 0

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        inner = atoms.copy()
        inner.calc = EMT()
        energy, forces = inner.get_potential_energy(), inner.get_forces()
        if self.calls > self.patience:
            if self.how == "raises":
                raise RuntimeError("the code crashed")
            forces = forces * np.nan
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
