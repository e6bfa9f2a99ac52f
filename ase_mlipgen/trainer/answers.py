"""What a trainer asks its reference besides labels: relaxations, force constants, Hessians; each kept as a record.

Enter at `Answers.relax`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ase import Atoms

from ase_mlipgen.defects import PointDefect, relax
from ase_mlipgen.durable import remove
from ase_mlipgen.labels import LabelStore, identity
from ase_mlipgen.labels.key import key_of
from ase_mlipgen.progress import duration
from ase_mlipgen.result import TrainingCell
from ase_mlipgen.theory.cell_hessian import analytic_hessian, has_hessian
from ase_mlipgen.theory.force_constants import ForceConstants, force_constants
from ase_mlipgen.trainer.fitting import Fitting
from ase_mlipgen.trainer.records import Arrays, Recorded, Records, packed, unpacked


class Answers(Fitting):
    """The reference's equilibria and Hessians; see `DefectTrainer`.

    How the reference is had as a calculator, `calculator`, is said by the class that this one is joined with.

    Attributes
    ----------
    records : Records or None
        Where they are kept; None: in memory only.
    """

    reference: Any
    defects: list[PointDefect]
    tag: str | None
    optimizer: Callable[..., Any] | None
    fmax: float
    differences: bool | None
    records: Records | None
    store: LabelStore | None

    def relax(self) -> list[TrainingCell]:
        """Relax the training cells by the reference and return them.

        Raises
        ------
        RelaxationError
            If a cell does not reach `fmax`.
        """
        return self._once("relax", lambda: [self._relaxed(cell) for cell in self.cells()])

    def relaxation_key(self, cell: TrainingCell) -> str:
        """Name of the record of a relaxation."""
        return key_of(cell.unrelaxed, self.identity(), ["relaxation", *self._way()])

    def _way(self) -> list[str]:
        """Return what decides over the end of a relaxation besides its start and the reference."""
        return [getattr(self.optimizer, "__qualname__", str(self.optimizer)), f"fmax {self.fmax!r}"]

    def _relaxed(self, cell: TrainingCell) -> TrainingCell:
        def compute() -> Arrays:
            found = self._relaxation(cell)
            self.progress.say(f"  {cell.name}: relaxed in {found.steps} steps, {duration(found.wall_time)}")
            return {"positions": found.atoms.positions, "steps": found.steps, "wall_time": found.wall_time}

        found = self._recorded(lambda: self.relaxation_key(cell), compute)
        relaxed = cell.unrelaxed.copy()
        relaxed.positions = found["positions"]
        steps, wall_time = int(found["steps"]), float(found["wall_time"])
        return TrainingCell(
            cell.name, cell.defect, cell.size, cell.unrelaxed, relaxed, cell.perfect, steps, wall_time
        )

    def _relaxation(self, cell: TrainingCell) -> Any:
        """Relax a cell; with records or a store, a run that was killed continues where it was."""
        return relax(
            cell.unrelaxed, self.calculator(), self.optimizer, self.fmax, strict=True,
            checkpoint=self._checkpoint(cell), model=None if self.records is None else self.identity(),
        )  # fmt: skip

    def _checkpoint(self, cell: TrainingCell) -> Path | None:
        """Return where a relaxation is kept: beside its record until that is written, else for good in the store."""
        if self.records is not None:
            self.records.directory.mkdir(parents=True, exist_ok=True)
            return self.records.directory / f"{self.relaxation_key(cell)}.checkpoint.npz"
        if self.store is None:
            return None
        return self.store.checkpoint(cell.unrelaxed, self.identity(), self._way())

    def force_constants(self) -> list[ForceConstants]:
        """Return the reference's force constants of each size's perfect cell, from its Hessian or its forces."""
        return self._once("force constants", lambda: [self._constants(atoms) for atoms in self.hosts()])

    def _constants(self, perfect: Atoms) -> ForceConstants:
        def compute() -> Arrays:
            return dict(vars(force_constants(perfect, self.calculator())))

        found = self._recorded(lambda: self.constants_key(perfect), compute)
        return ForceConstants(**{**found, "n_calls": int(found["n_calls"])})

    def constants_key(self, perfect: Atoms) -> str:
        """Name of the record of a perfect cell's force constants."""
        return key_of(perfect, self.identity(), ["force constants"])

    def hosts(self) -> list[Atoms]:
        """Return the perfect cell of each size."""
        return [cell.perfect for cell in self.cells()[:: len(self.defects)]]

    def _largest_constants(self) -> ForceConstants:
        hosts = self.hosts()
        return self.force_constants()[max(range(len(hosts)), key=lambda k: len(hosts[k]))]

    def _own_hessian(self, cell: TrainingCell) -> Any:
        def compute() -> Arrays:
            return packed(analytic_hessian(cell.relaxed, self.calculator()))

        return unpacked(self._recorded(lambda: self.hessian_key(cell), compute))

    def hessian_key(self, cell: TrainingCell) -> str:
        """Name of the record of a relaxed cell's Hessian."""
        return key_of(cell.relaxed, self.identity(), ["hessian"])

    def is_analytic(self) -> bool:
        """Say whether the reference's Hessians are its own, not from differences of forces."""
        return self.differences is not False and self.has_hessian()

    def has_hessian(self) -> bool:
        """Say whether the reference has analytic second derivatives."""
        if isinstance(self.reference, Recorded):
            return self.reference.has_hessian
        return has_hessian(self.calculator())

    def calculator(self) -> Any:
        """Return the reference as a calculator."""
        raise NotImplementedError

    def identity(self) -> str:
        """Return the identity of the reference: see `labels.identity`."""
        return (
            self.reference.identity
            if isinstance(self.reference, Recorded)
            else identity(self.reference, self.tag)
        )

    def _recorded(self, key: Callable[[], str], compute: Callable[[], Arrays]) -> Mapping[str, Any]:
        """Return what is on record, else what is computed, which is recorded."""
        if self.records is None:
            return compute()
        name = key()
        found = self.records.get(name)
        if found is None:
            found = compute()
            self.records.put(name, found)
            remove(self.records.directory / f"{name}.checkpoint.npz")
        return found
