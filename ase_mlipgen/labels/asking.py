"""A calculator whose every answer is a label: kept in the store, made in a folder of its own, on any executor.

Relaxations and force constants ask their reference one place at a time. Of an expensive reference each answer is worth
keeping, and a run that is repeated finds them; `AskingCalculator` makes ordinary labels of them.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from ase_mlipgen.labels.cell import LabelledCell

Ask = Callable[[Atoms, Sequence[str]], LabelledCell]


class AskingCalculator(Calculator):
    """An ASE calculator in front of labels.

    Parameters
    ----------
    ask : callable (atoms, observations) -> LabelledCell
        Observations are those of `ase_mlipgen.labels.label`.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self.ask = ask

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Label the atoms; energy and free energy are both the label's."""
        super().calculate(atoms, list(properties), list(system_changes))
        observations = ("energy", "forces", "stress")[: 3 if "stress" in properties else 2]
        found = self.ask(self.atoms.copy(), observations)
        self.results = {"energy": found.energy, "free_energy": found.energy, "forces": found.forces.copy()}
        if found.stress is not None:
            self.results["stress"] = found.stress.copy()
