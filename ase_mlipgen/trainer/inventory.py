"""What of a run is on disk, and what is still to be asked. Enter at `take_inventory`."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from ase import Atoms

from ase_mlipgen.labels import Failure
from ase_mlipgen.trainer.asking import SAMPLES, Asking
from ase_mlipgen.trainer.training_set import TrainingSet


class Count(NamedTuple):
    """How many there are, of how many."""

    done: int
    total: int


@dataclass(frozen=True)
class Absent:
    """A label that is not on disk.

    Attributes
    ----------
    stage : str
    number : int
        Of the configuration in its stage.
    what : str
        Kind, defect, number of atoms.
    failure : Failure or None
        Why the reference gave no label, if it was asked.
    damaged : bool
        Whether there is a label that does not agree with its checksum.
    """

    stage: str
    number: int
    what: str
    failure: Failure | None
    damaged: bool = False

    def __str__(self) -> str:
        why = "damaged" if self.damaged else "not made yet"
        if self.failure is not None:
            why = f"{self.failure.verdict}: {self.failure.reason}"
        return f"{self.stage}, configuration {self.number} ({self.what}): {why}"


@dataclass(frozen=True)
class Inventory:
    """State of the stages that ask the reference.

    Attributes
    ----------
    relaxations, force_constants, hessians : Count
        The latter two are records; Hessians from differences of forces are counted as labels.
    labels : dict of str to Count
        By stage; before the cells are relaxed only how many there will be, about.
    absent : tuple of Absent
        Labels that are not there; empty before the cells are relaxed.
    """

    relaxations: Count
    force_constants: Count
    hessians: Count
    labels: dict[str, Count]
    absent: tuple[Absent, ...]

    @property
    def is_complete(self) -> bool:
        """Whether the fit can do without the reference."""
        return all(count.done == count.total for count in self._counts())

    @property
    def only_samples_absent(self) -> bool:
        """Whether all but labels of samples is there: what a partial fit needs."""
        others = [count for stage, count in self.labels.items() if stage != SAMPLES]
        counts = [self.relaxations, self.force_constants, self.hessians, *others]
        return all(count.done == count.total for count in counts)

    @property
    def n_damaged(self) -> int:
        """Labels that do not agree with their checksum, as far as that was looked at."""
        return sum(one.damaged for one in self.absent)

    def _counts(self) -> list[Count]:
        return [self.relaxations, self.force_constants, self.hessians, *self.labels.values()]

    def missing(self) -> list[str]:
        """Say what is missing, a sentence part each."""
        named = {"relaxations": self.relaxations, "force constants of perfect cells": self.force_constants}
        named |= {"Hessians of relaxed cells": self.hessians}
        named |= {f"labels of {stage}": count for stage, count in self.labels.items()}
        return [f"{c.total - c.done} of {c.total} {name}" for name, c in named.items() if c.done < c.total]

    def todict(self) -> dict[str, Any]:
        """Return everything in a form that JSON can hold."""
        counts = ("relaxations", "force_constants", "hessians")
        return {
            **{name: getattr(self, name)._asdict() for name in counts},
            "labels": {stage: count._asdict() for stage, count in self.labels.items()},
            "absent": [
                {**asdict(one), "failure": None if one.failure is None else one.failure.record()}
                for one in self.absent
            ],
        }


def take_inventory(trainer: TrainingSet, check: bool = False) -> Inventory:
    """Look at the store and the records of a trainer; the reference is not asked.

    Parameters
    ----------
    trainer : DefectTrainer
        With a store and records; its reference is best a `Recorded` one.
    check : bool
        Read every label, about half a millisecond each, instead of looking for its file.
    """
    cells, hosts = trainer.cells(), trainer.hosts()
    relaxations = _there(trainer, map(trainer.relaxation_key, cells))
    constants = _there(trainer, map(trainer.constants_key, hosts))
    if relaxations.done < relaxations.total:
        planned = {SAMPLES: Count(0, trainer.census().n_labels)}
        return Inventory(relaxations, constants, Count(0, len(cells)), planned, ())
    hessians = Count(0, 0)
    if trainer.is_analytic():
        hessians = _there(trainer, map(trainer.hessian_key, trainer.relax()))
    labels, absent = {}, []
    for stage, wanted in trainer.requests().items():
        found = _absent(trainer, stage, wanted, check)
        labels[stage] = Count(len(wanted) - len(found), len(wanted))
        absent += found
    return Inventory(relaxations, constants, hessians, labels, tuple(absent))


def _there(trainer: Asking, keys: Iterable[str]) -> Count:
    records, several = trainer.records, list(keys)
    n = 0 if records is None else sum(records.path(key).is_file() for key in several)
    return Count(n, len(several))


def _absent(trainer: Asking, stage: str, wanted: Sequence[Atoms], check: bool) -> list[Absent]:
    store = trainer.store
    found = []
    for number, (atoms, key) in enumerate(zip(wanted, trainer.label_keys(wanted), strict=True)):
        there = store is not None and store.path(key).is_file()
        damaged = check and there and store is not None and store.get(key) is None
        if damaged or not there:
            words = (atoms.info.get("config_type", ""), atoms.info.get("defect", ""), f"{len(atoms)} atoms")
            failure = None if store is None else store.failure(key)
            found.append(Absent(stage, number, " ".join(filter(None, words)), failure, damaged))
    return found
