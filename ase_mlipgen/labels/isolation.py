"""A process beside this one that asks the reference, so that a crash or a hang costs one label. Enter at `child_of`.

Each thread that labels has its own child; it starts afresh (no threads or locks are inherited), gets the factory once,
and lives until its thread asks another reference, `end_children`, or the end of this process, however that comes. It
leads a process group, with which it ends: what a file-based code started goes with it.
"""

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import current_process
from typing import Any

from ase import Atoms

from ase_mlipgen.labels.reference import Factory, Label
from ase_mlipgen.labels.verdict import Refusal, judged, refused
from ase_mlipgen.threads import allow_threads

START = 300.0
"""s that a child may take to start and to import the reference."""
WATCH = 0.5
"""s after which a child notices at the latest that its parent is gone, unless compiled code holds it."""
BURIAL = 10.0
"""s that the system may take to end a process that has closed its pipe."""
READY = "ready"
MAIN = 'a script that has labels computed in processes needs `if __name__ == "__main__":` around it'
_children: "dict[tuple[int, int], Child]" = {}
_lock = threading.Lock()


class Ended(RuntimeError):
    """The child was ended from outside, because the run is; this is no verdict on the label."""


class Child:
    """A process that labels configurations for one thread.

    Parameters
    ----------
    factory : callable () -> calculator
    token : str
        Tells references apart.
    run : str
        Of which call; see `end_children`.
    threads : int
        Cores that the package's own calculators may use there.
    """

    def __init__(self, factory: Factory, token: str, run: str, threads: int = 1) -> None:
        self.token, self.run, self.threads = token, run, threads
        self.factory = pickle.dumps(factory)
        self.ready = False
        self.process: Any = None
        self.connection: Any = None
        self.ended = False

    def ask(self, atoms: Atoms, want_stress: bool, limit: float | None) -> Label | Refusal:
        """Label a configuration; return a verdict where the child raises, dies, or needs more than `limit` seconds."""
        if self.process is None and (refusal := self._start()) is not None:
            return refusal
        return self._answer((atoms, want_stress), limit)

    def _start(self) -> Refusal | None:
        self.ready = False
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(theirs, os.getpid(), self.threads), name="label", daemon=True
        )
        with _may_have_children():
            process.start()
        theirs.close()
        self.process = process
        if self.ended:  # while it started
            self.end(False)
            raise Ended("the run was ended")
        answer = self._answer(self.factory, START)
        if answer == READY:
            self.ready = True
            return None
        self.end(False)
        return answer

    def _answer(self, message: Any, limit: float | None) -> Any:
        try:
            self.connection.send(message)
            silent = not wait([self.connection, self.process.sentinel], limit)
            if self.connection.poll():
                return self.connection.recv()
        except (EOFError, OSError):
            silent = False
        if silent:
            told = f"no answer within {limit:g} s" if limit else "no answer"
            return self._refuse("hanging", TimeoutError(told))
        return self._refuse("died", ChildProcessError(self._death()))

    def _refuse(self, verdict: Any, error: Exception) -> Refusal:
        self.end(False)
        if self.ended:
            raise Ended("the run was ended")
        return Refusal(verdict, str(error), error)

    def _death(self) -> str:
        self.process.join(BURIAL)
        code = self.process.exitcode
        if code is None or code >= 0:
            remedy = "" if self.ready else f" before it was ready; {MAIN}"
            return f"the process that computed the label ended with exit code {code}{remedy}"
        name = signal.Signals(-code).name
        hint = ", as the system does where memory runs out" if name == "SIGKILL" else ""
        return f"the process that computed the label was ended by {name}{hint}"

    def end(self, for_good: bool = True) -> None:
        """End the child and what it started; the next question starts another, unless `for_good`."""
        self.ended = self.ended or for_good
        process = self.process
        if process is None:
            return
        with suppress(ProcessLookupError, PermissionError, AttributeError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.join()
        if not for_good:  # else its thread may be waiting at the pipe
            self.connection.close()
            self.process = None


def child_of(factory: Factory, token: str, run: str, threads: int) -> Child:
    """Return this thread's child, a new one where `token` has changed."""
    me = os.getpid(), threading.get_ident()  # a forked process must not use its parent's
    with _lock:
        child = _children.get(me)
        if child is None or child.token != token or child.ended:
            if child is not None:
                child.end(False)
            child = _children[me] = Child(factory, token, run, threads)
    return child


def end_children(run: str) -> None:
    """End all children of this process that were started for a call."""
    with _lock:
        mine = {who: child for who, child in _children.items() if child.run == run and who[0] == os.getpid()}
        for who, child in mine.items():
            child.end()
            del _children[who]


@contextmanager
def _may_have_children() -> Iterator[None]:
    """Allow a daemonic process, as dask's workers are, a child: it ends with its parent by itself."""
    config: dict[str, Any] = current_process()._config  # type: ignore[attr-defined]
    daemon = config.pop("daemon", None)
    try:
        yield
    finally:
        if daemon is not None:
            config["daemon"] = daemon


def _serve(connection: Connection, parent: int, threads: int) -> None:
    """Be the child: get the factory, then label what comes until the pipe is closed."""
    with suppress(OSError, AttributeError):
        os.setsid()
    allow_threads(threads)
    threading.Thread(target=_end_with, args=(parent,), name="watch", daemon=True).start()
    try:
        factory = pickle.loads(connection.recv())
    except Exception as error:
        connection.send(refused(error))
        return
    connection.send(READY)
    while True:
        try:
            atoms, want_stress = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(judged(factory, atoms, want_stress))


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH)
    with suppress(OSError, AttributeError):
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
    os._exit(1)
