"""Training cells, and what a run is going to cost. Enter at `TrainingCell` and `Census`."""

from dataclasses import dataclass

from ase import Atoms


@dataclass(frozen=True, eq=False)
class TrainingCell:
    """One training cell: before and after relaxation, and its perfect host.

    Attributes
    ----------
    name : str
        Such as ``vacancy, L = 8``.
    defect : str
    size : int
    unrelaxed, relaxed, perfect : Atoms
    steps : int
        Steps of the relaxation.
    wall_time : float
        Of the relaxation, s.
    """

    name: str
    defect: str
    size: int
    unrelaxed: Atoms
    relaxed: Atoms
    perfect: Atoms
    steps: int
    wall_time: float


@dataclass(frozen=True)
class Census:
    """What a run will compute, known before it starts.

    Attributes
    ----------
    n_cells : int
        Training cells (defects times sizes).
    n_labels : int
        Calls of the reference for labels; relaxations, the force constants of the perfect cells and, where they are
        asked for and not analytic, those of the training cells (6 an atom, 4 in a plane) come on top.
    n_atoms : int
        Atoms of the largest cell.
    n_rows, n_functions : int
        Shape of the least-squares system.
    memory : int
        Bytes that the fit holds at most, about.
    warnings : tuple of str
        Why the result may be poor, in sentences.
    """

    n_cells: int
    n_labels: int
    n_atoms: int
    n_rows: int
    n_functions: int
    memory: int
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"{self.n_cells} training cell{'s' * (self.n_cells != 1)} of up to {self.n_atoms} atoms, "
            f"{self.n_labels} labels",
            f"{self.n_rows} rows, {self.n_functions} functions, about {self.memory / 1e6:.0f} MB for the fit",
        ]
        return "\n".join(lines + [f"warning: {text}" for text in self.warnings])
