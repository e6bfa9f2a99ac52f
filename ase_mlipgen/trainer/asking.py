"""How a trainer has configurations labelled, and finds the labels again.

With `records` (a directory) beside the store of labels, everything that a reference said is on disk, and a `Recorded`
reference in its place lets the same stages run without it. Enter at `Asking.ask`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ase import Atoms

from ase_mlipgen.defects import unique_names
from ase_mlipgen.executors import NamedExecutor
from ase_mlipgen.fit import Constraints
from ase_mlipgen.labels import Configuration, Folders, LabelledCell
from ase_mlipgen.labels.key import key_of
from ase_mlipgen.result import TrainingCell
from ase_mlipgen.theory.cell_hessian import (
    difference_cells,
    hessian_of_forces,
)
from ase_mlipgen.theory.matching import matching_constraints, transplant_constraints
from ase_mlipgen.theory.setting import Labelling
from ase_mlipgen.trainer.answers import Answers
from ase_mlipgen.trainer.records import MissingError, Recorded

SAMPLES = "samples"


class Asking(Answers):
    """The stages that need the reference; see `DefectTrainer`.

    Attributes
    ----------
    partial : bool
        Whether samples without a label are left out, with a `Recorded` reference.
    """

    folders: Folders | None
    expensive: bool | None
    time_limit: float | None
    retries: int
    partial: bool
    _opened_here: bool

    def sample(self) -> tuple[list[Atoms], list[Atoms]]:
        """Return the training and the test samples around the relaxed cells."""
        raise NotImplementedError

    def ask(self) -> None:
        """Ask the reference everything that the fit needs, and keep it; nothing is fitted.

        Raises
        ------
        LabelError
            The reference failed on some configurations; all others are labelled and kept.
        ValueError
            There is no store to keep labels in.
        """
        if self.store is None:
            raise ValueError("there is no store to keep labels in; give the trainer a directory, store=...")
        with self._workers():
            self.relax()
            self.force_constants()
            self._label([atoms for cells in self.requests().values() for atoms in cells], "labels")
            self.defect_hessians()

    @contextmanager
    def _workers(self) -> Iterator[None]:
        """Close the workers of an executor that was given by its name when a block ends."""
        try:
            yield
        finally:
            if self._opened_here and isinstance(self.executor, NamedExecutor):
                self.executor.shutdown()

    def requests(self) -> dict[str, list[Atoms]]:
        """Return the configurations that are labelled, by stage; they need the relaxed cells."""
        train, test = self.sample()
        found = {SAMPLES: [*train, *test]}
        if self.conditions:
            found |= {"equilibria": self._at_rest(), "references": self._unrelaxed_and_perfect()}
        if self._by_differences():
            moved = [atoms for cell in self.relax() for atoms in self._moved(cell)]
            found["force constants"] = moved
        return found

    def label(self) -> tuple[list[LabelledCell], list[LabelledCell]]:
        """Label the samples by the reference; return training and test cells.

        Raises
        ------
        LabelError
            If the reference fails on samples; all others are labelled, and kept with a store.
        """

        def compute() -> tuple[list[LabelledCell], list[LabelledCell]]:
            train, test = self.sample()
            if self.partial and isinstance(self.reference, Recorded):
                return self._enough(self._there(train)), self._there(test)
            found = self._label([*train, *test], "labels")
            return found[: len(train)], found[len(train) :]

        return self._once("label", compute)

    def _label(self, cells: Sequence[Atoms], stage: str) -> list[LabelledCell]:
        if isinstance(self.reference, Recorded):
            found = self._there(cells)
            if len(found) < len(cells):
                raise MissingError(
                    f"{len(cells) - len(found)} of {len(cells)} {stage} are not on disk; `mlipgen label` makes them"
                )
            return found
        return self.labelling(stage)(cells, self._wanted())

    def _wanted(self) -> list[str]:
        return [
            kind
            for kind in ("energy", "forces", "stress")
            if kind in {"energy", "forces", *self.observations}
        ]

    def label_keys(self, cells: Sequence[Atoms]) -> list[str]:
        """Names of the labels of configurations in the store."""
        who, wanted = self.identity(), self._wanted()
        return [key_of(atoms, who, wanted) for atoms in cells]

    def _there(self, cells: Sequence[Atoms]) -> list[LabelledCell]:
        """Return the labels that are in the store."""
        if self.store is None:
            raise MissingError("there is no store of labels; give the trainer its directory, store=...")
        found = []
        for atoms, key in zip(cells, self.label_keys(cells), strict=True):
            if (made := self.store.get(key)) is not None:
                found.append(LabelledCell(atoms.copy(), *made, *Configuration.of(atoms)[1:]))
        return found

    def _enough(self, train: list[LabelledCell]) -> list[LabelledCell]:
        for name in unique_names(self.defects):
            if not any(cell.defect == name for cell in train):
                raise MissingError(f"no training sample of {name} has a label; `mlipgen label` makes them")
        return train

    def n_absent(self) -> int:
        """Count the samples that are left out because they have no label."""
        if not (self.partial and isinstance(self.reference, Recorded)):
            return 0
        return sum(map(len, self.sample())) - sum(map(len, self.label()))

    def _matching(self) -> dict[str, Constraints]:
        equilibria = self._label(self._at_rest(), "equilibria")
        wanted = "force_constants" in self.conditions
        constants = list(zip(self.hosts(), self.force_constants(), strict=True)) if wanted else []
        others = self._label(self._unrelaxed_and_perfect(), "references")
        found = matching_constraints(
            self.basis, self.one_body(), self.conditions, equilibria, others, constants
        )
        if self.latest:
            found |= transplant_constraints(self.basis, self.one_body(), self.conditions, self.latest)
        return found

    def _at_rest(self) -> list[Atoms]:
        return [tagged(cell.relaxed, "defect", cell.defect) for cell in self.relax()]

    def _unrelaxed_and_perfect(self) -> list[Atoms]:
        defective = [tagged(cell.unrelaxed, "defect", cell.defect) for cell in self.cells()]
        return [*defective, *(tagged(atoms, "perfect", "") for atoms in self.hosts())]

    def labelling(self, stage: str = "labels") -> Labelling:
        """Return how this trainer asks its reference; `stage` is what its progress is called."""
        return Labelling(
            self.reference, self.executor, self.store, self.tag, self.progress.counter(stage), self.time_limit,
            self.retries, self.folders,
        )  # fmt: skip

    def calculator(self) -> Any:
        """Return the reference as a calculator; of an expensive one every answer is a label, kept as others are."""
        return self.labelling().calculator(self.expensive)

    def defect_hessians(self) -> list[Any]:
        """Return the reference's Hessian of each relaxed training cell, eV/Å^2; None where it was not asked for.

        Analytic if the reference can, else from differences of forces, which are labels like others.
        """
        return self._once("defect hessians", lambda: [self._hessian(cell) for cell in self.relax()])

    def _hessian(self, cell: TrainingCell) -> Any:
        if self.is_analytic():
            return self._own_hessian(cell)
        if not self._by_differences():
            return None
        found = self._label(self._moved(cell), "force constants")
        return hessian_of_forces(cell.relaxed, [made.forces for made in found])

    def _moved(self, cell: TrainingCell) -> list[Atoms]:
        return [tagged(atoms, "defect", cell.defect) for atoms in difference_cells(cell.relaxed)]

    def _by_differences(self) -> bool:
        return not self.is_analytic() and bool(self.differences or "force_constants" in self.observations)


def tagged(atoms: Atoms, config_type: str, defect: str) -> Atoms:
    """Return a copy that says which configuration of which defect it is."""
    tagged = atoms.copy()
    tagged.info.update(config_type=config_type, defect=defect)
    return tagged
