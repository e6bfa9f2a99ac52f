"""What is done for one label, wherever there are cores: claim, ask the reference, write, release. Enter at `work`.

The process that computes a label writes it, so that it is kept whatever becomes of the one that asked for it.
"""

import os
import socket
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache
from pathlib import Path

from ase import Atoms

from ase_mlipgen.labels.failure import Failure, now
from ase_mlipgen.labels.isolation import child_of
from ase_mlipgen.labels.reference import Factory, FolderFactory, Label
from ase_mlipgen.labels.store import LabelStore
from ase_mlipgen.labels.verdict import Refusal, judged


class Busy(Enum):
    """Another process computes the label."""

    BUSY = "busy"


BUSY = Busy.BUSY
Outcome = Label | Failure | Busy


def this_process() -> tuple[str, int]:
    """Return what tells this process from all others."""
    return socket.gethostname(), os.getpid()


@dataclass(frozen=True)
class Terms:
    """How labels of one call are made.

    Attributes
    ----------
    factory : callable () -> calculator
    want_stress : bool
    time_limit : float or None
        s a label; None: as long as it takes.
    retries : int
        Further attempts after one that failed.
    directory : Path or None
        Of the store; absolute.
    reference : str
        Identity, for the store.
    token : str
        Hash of the pickled factory; empty if it cannot be pickled, and so not be asked in a child.
    run : str
        Tells this call from others.
    threads : int
        Cores that a child may use.
    home : (host, pid)
        The process that asked.
    begun : str
        When it did.
    """

    factory: Factory
    want_stress: bool
    time_limit: float | None = None
    retries: int = 0
    directory: Path | None = None
    reference: str = ""
    token: str = ""
    run: str = ""
    threads: int = 1
    home: tuple[str, int] = field(default_factory=this_process)
    begun: str = field(default_factory=now)


@dataclass(frozen=True)
class Job:
    """One configuration to be labelled; `key` is its name in the store."""

    atoms: Atoms
    config_type: str = "defect"
    defect: str = ""
    key: str = ""


def work(terms: Terms, job: Job) -> Outcome:
    """Make a label, or a failure; with a store, both are on disk when this returns.

    Returns
    -------
    Label, Failure, or `BUSY` where another living process is computing it

    Raises
    ------
    StoreError
        It could not be written.
    """
    if terms.directory is None:
        return _asked(terms, job)
    store = _store(terms.directory)
    claim = store.claim(job.key)
    if claim is None:
        return BUSY
    with claim:
        # Both may have been written between the first look and the claim.
        if (label := store.get(job.key)) is not None:
            return label
        failure = store.failure(job.key)
        if failure is not None and failure.date > terms.begun:
            return failure
        store.set_aside(job.key)
        if claim.taken_over:
            store.clean(job.key)
        outcome = _asked(terms, job)
        if isinstance(outcome, Label):
            store.put(job.key, outcome, job.atoms, terms.reference, job.config_type, job.defect)
            return outcome
        return replace(outcome, where=store.put_failure(job.key, outcome, job.atoms, terms.reference))


@lru_cache(4)
def _store(directory: Path) -> LabelStore:
    """Return this process's store, which remembers what is not flushed."""
    return LabelStore(directory)


def settle(directory: Path) -> None:
    """Flush names of labels that this process wrote to disk."""
    _store(directory).settle()


def _asked(terms: Terms, job: Job) -> Label | Failure:
    attempts = 0
    while True:
        outcome = _asked_once(terms, job.atoms)
        attempts += 1
        if isinstance(outcome, Label):
            return outcome
        if attempts > terms.retries:
            what = job.config_type, job.defect, len(job.atoms)
            return Failure(outcome.verdict, outcome.reason, attempts, *what, error=outcome.error)


def _asked_once(terms: Terms, atoms: Atoms) -> Label | Refusal:
    """Ask here, or in a child: where there is a time limit, or this is a worker that others need."""
    here = terms.home == this_process()
    if terms.time_limit is None and (here or not terms.token):
        return judged(terms.factory, atoms, terms.want_stress)
    token = f"{terms.token} {terms.run}" if here else terms.token
    child = child_of(terms.factory, token, terms.run, terms.threads)
    outcome = child.ask(atoms, terms.want_stress, terms.time_limit)
    if isinstance(outcome, Refusal) and outcome.verdict in ("hanging", "died"):
        left = (
            terms.factory.left(atoms, terms.want_stress) if isinstance(terms.factory, FolderFactory) else ""
        )
        return replace(outcome, reason=f"{outcome.reason}; files in {left}") if left else outcome
    return outcome
