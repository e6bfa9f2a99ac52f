"""What makes a potential worse than its test errors say, told by the setting alone. Enter at `doubts`."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from ase import Atoms

from ase_mlipgen.defects import cell_width


class TrainingWarning(UserWarning):
    """Something in the setting that will make the potential worse than its test errors say."""


class NarrowCellWarning(TrainingWarning):
    """A training cell is narrower than twice the cutoff; large cells will be predicted worse than test errors say."""


class UndeterminedEnergyWarning(TrainingWarning):
    """No perfect-crystal cells: the energy per bulk atom is not determined by the data."""


class Trained(Protocol):
    """What is needed of a training cell."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def unrelaxed(self) -> Atoms: ...  # noqa: D102


def doubts(
    cells: Sequence[Trained], cutoff: float, n_perfect: int
) -> Iterator[tuple[type[TrainingWarning], str]]:
    """Yield what will make the potential worse than its test errors say: a category and a sentence each."""
    for cell in cells:
        width = cell_width(cell.unrelaxed)
        if width < 2.0 * cutoff:
            yield (
                NarrowCellWarning,
                f"the training cell of {cell.name} is {width:.2f} Å wide, less than twice the cutoff "
                f"({2 * cutoff:.2f} Å): large cells will be predicted worse than the test errors say; "
                "take a larger size or a shorter cutoff",
            )
    if n_perfect == 0:
        yield (
            UndeterminedEnergyWarning,
            "no perfect-crystal cells: the energy per bulk atom and so formation energies are undetermined; "
            "take n_perfect of 1 or more",
        )
