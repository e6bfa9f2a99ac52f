"""Names of executors, and the executor that a name stands for. Enter at `named`."""

import functools
import importlib
import pickle
import threading
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack
from typing import Any

from ase_mlipgen.executors.opening import CLASSES, OPENERS, Request, require_library

KINDS = ("serial", *OPENERS)
EXPECTED = (
    '"serial", "processes", "dask" or "executorlib"; after a colon may stand a number of workers ("processes:4"), '
    f'the address of a scheduler ("dask:tcp://host:8786") or a class of executorlib ({", ".join(CLASSES)})'
)
TIMEOUT = 120.0
"""Seconds that a scheduler and its workers have to answer."""


class NamedExecutor(Executor):
    """An executor that a name stands for; workers are started by `open`, or by the first `submit`.

    As a context it opens its workers at once and closes them at the end. `shutdown` closes them as well; a later
    `submit` starts them again, so that one executor serves the stages of a training run whenever they are asked for.

    Parameters
    ----------
    request : Request

    Attributes
    ----------
    name : str
    """

    def __init__(self, request: Request) -> None:
        self.request, self.name = request, request.name
        self._stack, self._lock = ExitStack(), threading.RLock()
        self._opened: tuple[Executor, int | None] | None = None
        weakref.finalize(self, self._stack.close)  # workers of an executor that is forgotten go with it

    def __repr__(self) -> str:
        return f"<executor {self.name!r}, {'not open' if self._opened is None else self.n_workers} workers>"

    def __enter__(self) -> "NamedExecutor":
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self.shutdown(cancel_futures=kind is not None)

    @property
    def is_remote(self) -> bool:
        """Whether its workers are, or may be, on other machines."""
        return self.request.is_remote

    @property
    def n_workers(self) -> int | None:
        """Number of workers, which are started if they are not there; None where nobody knows."""
        return self.open()[1]

    def open(self) -> tuple[Executor, int | None]:
        """Start the workers, if they are not there.

        Returns
        -------
        Executor, int or None
            The library's own executor, and its number of workers.

        Raises
        ------
        OSError
            A scheduler, or its workers, did not answer in time.
        ValueError
            The library refused the settings.
        ImportError
            The library, or a part that it needs, is not installed.
        """
        with self._lock:
            if self._opened is None:
                with ExitStack() as stack:
                    opened = OPENERS[self.request.kind](self.request, stack)
                    self._stack.push(stack.pop_all())
                self._opened = opened
                _open_ones().add(self)
            return self._opened

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run ``fn(*args, **kwargs)`` on a worker; see `concurrent.futures.Executor.submit`.

        Processes that broke down because one of them died are started anew.
        """
        try:
            return self.open()[0].submit(fn, *args, **kwargs)
        except BrokenExecutor:
            self.shutdown()
            return self.open()[0].submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Close the workers; see `concurrent.futures.Executor.shutdown`."""
        with self._lock:
            if self._opened is None:
                return
            executor, self._opened = self._opened[0], None
            try:
                if cancel_futures and self.request.kind == "dask":
                    executor.shutdown(wait=False)  # which cancels, there
                else:
                    executor.shutdown(wait=wait, **({"cancel_futures": True} if cancel_futures else {}))
            finally:
                self._stack.close()


@functools.cache
def _open_ones() -> "weakref.WeakSet[NamedExecutor]":
    """Return the executors that are closed when the program ends.

    Python waits for the threads of an executor before it calls what is registered with `atexit`, so that those of
    executorlib would wait for ever. Another thread sees the main one end.
    """
    opened: weakref.WeakSet[NamedExecutor] = weakref.WeakSet()

    def close() -> None:
        threading.main_thread().join()
        for executor in list(opened):
            executor.shutdown(cancel_futures=True)

    threading.Thread(target=close, name="ase_mlipgen executors", daemon=False).start()
    return opened


def named(
    name: str,
    workers: int | None = None,
    settings: Mapping[str, Any] | None = None,
    timeout: float = TIMEOUT,
) -> NamedExecutor | None:
    """Return the executor of a name, its workers not yet started; None for "serial".

    Parameters
    ----------
    name : str
        A kind, and after a colon what it needs:

        - "serial": one task after the other, in this process;
        - "processes", "processes:4": worker processes of this machine;
        - "dask", "dask:4": the same by dask; "dask:tcp://host:8786": the workers of a scheduler that runs;
        - "executorlib", "executorlib:SlurmClusterExecutor": a class of executorlib, `SingleNodeExecutor` by default.
    workers : int, optional
        How many; by default, the cores that this process may use. Of a dask scheduler: how many to wait for (one).
    settings : mapping, optional
        Keyword arguments of ``dask.distributed.LocalCluster``, of its ``Client`` if there is an address, or of the
        class of executorlib.
    timeout : float
        Seconds that a dask scheduler and its workers have to answer.

    Raises
    ------
    ValueError
        An unknown name; a number of workers or settings that its kind does not have.
    ImportError
        The library is not installed; the message names the extra.

    Examples
    --------
    >>> with named("processes", workers=2) as executor:  # doctest: +SKIP
    ...     executor.submit(pow, 2, 5).result()
    32
    """
    kind, _, where = name.partition(":")
    if kind not in KINDS or (where and kind == "serial"):
        raise ValueError(f"executor = {name!r}: expected {EXPECTED}")
    if where.isdecimal() and kind != "executorlib":
        if workers not in (None, int(where)):
            raise ValueError(f"executor = {name!r} with workers = {workers}: give one number of workers")
        workers, where = int(where), ""
    if workers is not None and workers < 1:
        raise ValueError(f"executor = {name!r}: {workers} workers; expected at least 1")
    if not timeout > 0:
        raise ValueError(f"executor = {name!r}: timeout = {timeout} s; expected a positive number")
    if kind in ("serial", "processes") and settings:
        raise ValueError(f"executor = {name!r} takes no settings; given are {', '.join(settings)}")
    if kind == "serial":
        if workers not in (None, 1):
            raise ValueError(f'executor = "serial" with workers = {workers}: name "processes", or one worker')
        return None
    if (kind == "processes" and where) or (kind == "executorlib" and where not in ("", *CLASSES)):
        raise ValueError(f"executor = {name!r}: expected {EXPECTED}")
    require_library(kind)
    return NamedExecutor(Request(name, kind, where, workers, dict(settings or {}), float(timeout)))


def workers_of(executor: Executor | None) -> int | None:
    """Return the number of workers of any executor, None where nobody knows; those of a name are started."""
    if executor is None:
        return 1
    if isinstance(executor, NamedExecutor):
        return executor.n_workers
    return getattr(executor, "_max_workers", None)


def is_remote(executor: Executor | None) -> bool:
    """Whether an executor that was named may have workers on other machines; False of any other."""
    return isinstance(executor, NamedExecutor) and executor.is_remote


def pickler_of(executor: Executor | None) -> Callable[[Any], bytes] | None:
    """Return what turns tasks into bytes for the workers; None where they stay here, or where it is not known."""
    if isinstance(executor, ProcessPoolExecutor):
        return pickle.dumps
    if isinstance(executor, NamedExecutor):
        if executor.request.kind == "processes":
            return pickle.dumps
        dumps: Callable[[Any], bytes] = importlib.import_module("cloudpickle").dumps
        return dumps
    return None
