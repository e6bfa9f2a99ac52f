"""Label many configurations, here or through any `concurrent.futures.Executor`.

Results come in the order of the configurations and are the same whatever the executor, if the reference's
results do not depend on what it computed before. A configuration that the reference gives no label for does not
stop the others; all failures are listed at the end. With a store every label that was made is kept, two runs at
once make each label once, and the same call again makes only what is missing.
"""

import hashlib
import logging
import pickle
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, as_completed
from dataclasses import replace
from typing import Any

from ase import Atoms

from ase_mlipgen.labels.asked import Configuration, check_limits, observations_of
from ase_mlipgen.labels.cell import LabelledCell
from ase_mlipgen.labels.failure import Failure, LabelError, StoreError
from ase_mlipgen.labels.folders import Folders
from ase_mlipgen.labels.identity import identity
from ase_mlipgen.labels.isolation import Ended, end_children
from ase_mlipgen.labels.key import key_of
from ase_mlipgen.labels.reference import Factory, FolderFactory, Label, as_factory
from ase_mlipgen.labels.store import LabelStore
from ase_mlipgen.labels.worker import BUSY, Job, Outcome, Terms, settle, work
from ase_mlipgen.threads import available_threads

POLL = (0.05, 2.0)
"""s between two looks at what others compute: at first, and at most."""
Progress = Callable[[int, int], None]
logger = logging.getLogger(__name__)


def label(
    cells: Sequence[Configuration | tuple[Any, ...] | Atoms],
    reference: Any,
    executor: Executor | None = None,
    observations: Iterable[str] = ("energy", "forces"),
    progress: Progress | None = None,
    store: LabelStore | None = None,
    tag: str | None = None,
    time_limit: float | None = None,
    retries: int = 0,
    folders: Folders | None = None,
) -> list[LabelledCell]:
    """Energies and forces (and stresses) of configurations by a reference.

    Parameters
    ----------
    cells : sequence of Configuration, of tuples (atoms, config_type, defect), or of Atoms
    reference : calculator, class, or picklable callable () -> calculator
    executor : concurrent.futures.Executor or None
        None: one after the other, in this process. Workers that are other processes ask the reference in a process
        of its own, so that one that dies costs one label.
    observations : iterable of "energy", "forces", "stress"
        Energy and forces are always taken.
    progress : callable (done, total) or None
        Called in this process after each label, and once with what the store had.
    store : LabelStore or None
        Labels found there are not made again; new ones are written by who makes them, as soon as they are made.
        What another run is making is waited for.
    tag : str or None
        See `identity`; only used with a store.
    time_limit : float or None
        s that one label may take; then its process is ended and that counts as a failure. Every label is made in a
        process of its own then, which needs a reference that can be pickled. None: as long as it takes.
    retries : int
        Further attempts at a label that failed.
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
        On some configurations the reference raised, did not converge, returned something unusable, took too long or
        died. All others are labelled; with a store, the same call again tries only these.
    StoreError
        The store cannot be written to.
    IdentityError
        The store needs a tag for this reference.
    ValueError
        `time_limit` is not positive, `retries` negative, or an observation unknown.
    """
    wanted = observations_of(observations)
    check_limits(time_limit, retries)
    configurations = [Configuration(c) if isinstance(c, Atoms) else Configuration(*c) for c in cells]
    factory = as_factory(reference, executor, time_limit is not None)
    who = "" if store is None else identity(reference, tag)
    default = Folders(None if store is None else store.directory / "files")
    factory = FolderFactory(factory, folders or default, who)
    jobs = [Job(*c, "" if store is None else key_of(c.atoms, who, wanted)) for c in configurations]
    terms = Terms(
        factory,
        "stress" in wanted,
        time_limit,
        retries,
        None if store is None else store.directory.absolute(),
        who,
        "" if executor is None and time_limit is None else _token(factory),
        uuid.uuid4().hex,
        available_threads() if executor is None else 1,
    )
    labels = _Run(jobs, terms, executor, progress, store).labels()
    return [LabelledCell(j.atoms.copy(), *labels[i], j.config_type, j.defect) for i, j in enumerate(jobs)]


def _token(factory: Factory) -> str:
    """Hash of the pickled factory; empty where it needs more than pickle."""
    try:
        return hashlib.sha256(pickle.dumps(factory)).hexdigest()
    except Exception:
        return ""


class _Run:
    """One call of `label`: rounds over what is missing, until nothing is."""

    def __init__(
        self,
        jobs: list[Job],
        terms: Terms,
        executor: Executor | None,
        progress: Progress | None,
        store: LabelStore | None,
    ) -> None:
        self.jobs, self.terms, self.executor = jobs, terms, executor
        self.progress, self.store = progress, store
        self.made: dict[int, Label] = {}
        self.failed: dict[int, Failure] = {}

    def labels(self) -> dict[int, Label]:
        """Return all labels by number, or raise LabelError."""
        self._find()
        todo = [i for i in range(len(self.jobs)) if i not in self.made]
        busy: list[int] = []
        try:
            while todo or busy:
                busy += [i for i, outcome in self._round(todo) if not self._take(i, outcome)]
                todo = self._given_up(busy)
                busy = sorted(set(busy) - set(todo))
        finally:
            end_children(self.terms.run)
            if self.terms.directory is not None:
                settle(self.terms.directory)
        if self.failed:
            failures = [self.failed[i] for i in sorted(self.failed)]
            raise LabelError.of(failures, len(self.jobs)) from failures[0].error
        return self.made

    def _find(self) -> None:
        """Take the labels that the store has."""
        if self.store is None:
            return
        for i, job in enumerate(self.jobs):
            if (found := self.store.get(job.key)) is not None:
                self.made[i] = found
        if self.made:
            level = logging.INFO if len(self.jobs) > 1 else logging.DEBUG  # relaxations ask one at a time
            logger.log(
                level, "%d of %d labels found in %s", len(self.made), len(self.jobs), self.store.directory
            )
            self._report()

    def _round(self, todo: list[int]) -> Iterator[tuple[int, Outcome]]:
        """Try every label once, in any order."""
        if self.executor is None:
            for i in todo:
                yield i, work(self.terms, self.jobs[i])
        else:
            yield from self._submitted(todo, self.executor)

    def _submitted(self, todo: list[int], executor: Executor) -> Iterator[tuple[int, Outcome]]:
        number_of: dict[Future[Any], int] = {}
        try:
            for i in todo:
                try:
                    number_of[executor.submit(work, self.terms, self.jobs[i])] = i
                except BrokenExecutor as error:
                    yield i, self._lost(i, error)
            for future in as_completed(number_of):
                yield number_of[future], self._result(number_of[future], future)
        finally:
            for future in number_of:
                future.cancel()

    def _result(self, i: int, future: Future[Any]) -> Outcome:
        """Return what a future brought, also when the whole worker died, which it has no record of."""
        try:
            outcome: Outcome = future.result()
        except (StoreError, Ended):
            raise
        except (Exception, CancelledError) as error:
            return self._lost(i, error)
        return outcome

    def _lost(self, i: int, error: BaseException) -> Failure:
        job = self.jobs[i]
        cause = error if isinstance(error, Exception) else RuntimeError(str(error))
        reason = f"no answer from its worker ({type(error).__name__}: {error})"
        return Failure("died", reason, 1, job.config_type, job.defect, len(job.atoms), error=cause)

    def _take(self, i: int, outcome: Outcome) -> bool:
        """Keep a label or a failure; False if another process computes it."""
        if outcome is BUSY:
            return False
        if isinstance(outcome, Failure):
            self.failed[i] = replace(outcome, number=i)
            logger.warning("no label: %s", self.failed[i])
        elif isinstance(outcome, Label):
            self.made[i] = outcome
            self._keep(i, outcome)
            self._report()
        return True

    def _keep(self, i: int, made: Label) -> None:
        """Write a label here if its worker does not see this disk."""
        job = self.jobs[i]
        if self.store is not None and not self.store.path(job.key).exists():
            logger.warning("a worker does not see %s; its labels are written from here", self.store.directory)
            self.store.put(job.key, made, job.atoms, self.terms.reference, job.config_type, job.defect)

    def _given_up(self, busy: list[int]) -> list[int]:
        """Wait until others have made or given up some of the labels that they compute; return these."""
        pause, most = POLL
        if busy:
            logger.info("waiting for %d labels that other processes compute", len(busy))
        while busy and self.store is not None:
            if free := [i for i in busy if not self.store.claimed(self.jobs[i].key)]:
                return free
            time.sleep(pause)
            pause = min(2 * pause, most)
        return []

    def _report(self) -> None:
        if self.progress is not None:
            self.progress(len(self.made), len(self.jobs))
