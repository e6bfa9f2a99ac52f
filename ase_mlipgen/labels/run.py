"""Label many configurations, here or through any `concurrent.futures.Executor`.

Results come in the order of the configurations and are the same whatever the executor, if the reference's
results do not depend on what it computed before. The first failure stops the run: what has not started is
cancelled, what has is waited for, and with a store every label that was made is kept, so that the same call
goes on from there.
"""

import logging
import pickle
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed, wait
from typing import Any, NamedTuple

from ase import Atoms

from ase_mlipgen.labels.cell import LabelledCell
from ase_mlipgen.labels.folders import Folders
from ase_mlipgen.labels.identity import identity
from ase_mlipgen.labels.reference import Factory, FolderFactory, Label, as_factory, label_one
from ase_mlipgen.labels.store import LabelStore, key_of

OBSERVATIONS = ("energy", "forces", "stress")
Progress = Callable[[int, int], None]
logger = logging.getLogger(__name__)


class Configuration(NamedTuple):
    """What is to be labelled: atoms, "defect" or "perfect", and the name of the defect."""

    atoms: Atoms
    config_type: str = "defect"
    defect: str = ""


class LabelError(RuntimeError):
    """The reference failed on a configuration; the cause is chained.

    Attributes
    ----------
    number : int
        Index of the configuration in the sequence that was given.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message, number)
        self.number = number

    def __str__(self) -> str:
        return str(self.args[0])


def label(
    cells: Sequence[Configuration | tuple[Any, ...] | Atoms],
    reference: Any,
    executor: Executor | None = None,
    observations: Iterable[str] = ("energy", "forces"),
    progress: Progress | None = None,
    store: LabelStore | None = None,
    tag: str | None = None,
    folders: Folders | None = None,
) -> list[LabelledCell]:
    """Energies and forces (and stresses) of configurations by a reference.

    Parameters
    ----------
    cells : sequence of Configuration, of tuples (atoms, config_type, defect), or of Atoms
    reference : calculator, class, or picklable callable () -> calculator
    executor : concurrent.futures.Executor or None
        None: one after the other, in this process.
    observations : iterable of "energy", "forces", "stress"
        Energy and forces are always taken.
    progress : callable (done, total) or None
        Called in this process after each label, and once with what the store had.
    store : LabelStore or None
        Labels found there are not made again; new ones are written as soon as they are made.
    tag : str or None
        See `identity`; only used with a store.
    folders : Folders or None
        Where a file-based code works, each label in a folder of its own. None: in ``files`` below the store, removed
        when the label is made; without a store, below the calculator's own `directory`.

    Returns
    -------
    list of LabelledCell
        In the order of `cells`.

    Raises
    ------
    LabelError
        The reference raised, or returned something unusable.
    IdentityError
        The store needs a tag for this reference.
    """
    wanted = _observations(observations)
    jobs = [Configuration(c) if isinstance(c, Atoms) else Configuration(*c) for c in cells]
    factory = as_factory(reference, executor)
    who = "" if store is None else identity(reference, tag)
    factory = FolderFactory(
        factory, folders or Folders(None if store is None else store.directory / "files"), who
    )
    run = _Run(jobs, "stress" in wanted, progress, store, who)
    labels = run.found(wanted)
    todo = [i for i in range(len(jobs)) if i not in labels]
    labels |= run.serial(factory, todo) if executor is None else run.parallel(factory, todo, executor)
    return [LabelledCell(j.atoms.copy(), *labels[i], j.config_type, j.defect) for i, j in enumerate(jobs)]


def _observations(observations: Iterable[str]) -> set[str]:
    given = [observations] if isinstance(observations, str) else list(observations)
    for name in given:
        if name not in OBSERVATIONS:
            raise ValueError(f"cannot label {name!r}; a label has {', '.join(OBSERVATIONS)}")
    return {"energy", "forces", *given}


class _Run:
    """One call of `label`: where labels go as they are made."""

    def __init__(
        self,
        jobs: list[Configuration],
        want_stress: bool,
        progress: Progress | None,
        store: LabelStore | None,
        reference: str,
    ) -> None:
        self.jobs, self.want_stress, self.progress = jobs, want_stress, progress
        self.store, self.reference = store, reference
        self.keys: list[str] = []
        self.done = 0

    def found(self, observations: set[str]) -> dict[int, Label]:
        """Labels that the store has."""
        if self.store is None:
            return {}
        self.keys = [key_of(job.atoms, self.reference, observations) for job in self.jobs]
        labels = {i: found for i, key in enumerate(self.keys) if (found := self.store.get(key)) is not None}
        if labels:
            logger.info("%d of %d labels found in %s", len(labels), len(self.jobs), self.store.directory)
            self._count(len(labels))
        return labels

    def serial(self, factory: Factory, todo: list[int]) -> dict[int, Label]:
        return {i: self._take(i, _attempt(factory, self.jobs[i].atoms, self.want_stress)) for i in todo}

    def parallel(self, factory: Factory, todo: list[int], executor: Executor) -> dict[int, Label]:
        number_of: dict[Future[Any], int] = {}
        labels: dict[int, Label] = {}
        try:
            for i in todo:
                number_of[self._submit(i, factory, executor)] = i
            for future in as_completed(number_of):
                labels[number_of[future]] = self._take(number_of[future], _result(future))
        except LabelError:
            self._salvage({f: i for f, i in number_of.items() if i not in labels})
            raise
        finally:
            for future in number_of:
                future.cancel()
        return labels

    def _submit(self, i: int, factory: Factory, executor: Executor) -> Future[Any]:
        try:
            return executor.submit(_attempt, factory, self.jobs[i].atoms.copy(), self.want_stress)
        except BrokenExecutor as error:
            self._take(i, error)
            raise

    def _salvage(self, number_of: dict[Future[Any], int]) -> None:
        """After a failure: cancel what has not started, wait for the rest and keep it."""
        started = [future for future in number_of if not future.cancel()]
        wait(started)
        for future in started:
            outcome = _result(future)
            if isinstance(outcome, Label):
                self._take(number_of[future], outcome)

    def _take(self, i: int, outcome: Label | Exception) -> Label:
        """Keep a label, or raise a failure with the configuration's name."""
        job = self.jobs[i]
        if isinstance(outcome, Exception):
            what = " ".join(word for word in (job.config_type, job.defect) if word)
            raise LabelError(
                f"the reference failed on configuration {i} ({what}, {len(job.atoms)} atoms): "
                f"{type(outcome).__name__}: {outcome}",
                i,
            ) from outcome
        if self.store is not None:
            self.store.put(self.keys[i], outcome, job.atoms, self.reference)
        self._count(1)
        return outcome

    def _count(self, n: int) -> None:
        self.done += n
        if self.progress is not None:
            self.progress(self.done, len(self.jobs))


def _result(future: Future[Any]) -> Label | Exception:
    """Return what a future brought: also when the worker died."""
    try:
        outcome: Label | Exception = future.result()
    except Exception as error:
        return error
    return outcome


def _attempt(factory: Factory, atoms: Atoms, want_stress: bool) -> Label | Exception:
    """Label, or the exception as a value, in a form that can travel between processes."""
    try:
        return label_one(factory, atoms, want_stress)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return RuntimeError(f"{type(error).__name__}: {error}")
        return error
