"""Starting and closing workers, library by library. Enter at `OPENERS`."""

import importlib.util
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from ase_mlipgen.threads import available_threads

LIBRARIES = {"dask": "distributed", "executorlib": "executorlib"}
CLASSES = (
    "SingleNodeExecutor",
    "SlurmJobExecutor",
    "SlurmClusterExecutor",
    "FluxJobExecutor",
    "FluxClusterExecutor",
)
"""Of executorlib: on this machine; within an allocation of SLURM or Flux; and jobs that are sent to their queues."""


@dataclass(frozen=True)
class Request:
    """What a name and its settings ask for.

    Attributes
    ----------
    name : str
        As it was given.
    kind : "processes", "dask" or "executorlib"
    where : str
        Address of a scheduler, class of executorlib, or empty.
    workers : int or None
    settings : dict
    timeout : float, s
    """

    name: str
    kind: str
    where: str
    workers: int | None
    settings: dict[str, Any]
    timeout: float

    @property
    def is_remote(self) -> bool:
        """Whether the workers are, or may be, on other machines."""
        return self.where not in ("", CLASSES[0])


Opened = tuple[Executor, int | None]


def require_library(kind: str) -> None:
    """Raise ImportError, with the remedy, if the library of a kind is not installed."""
    library = LIBRARIES.get(kind)
    if library is not None and importlib.util.find_spec(library) is None:
        raise ImportError(
            f'executor = "{kind}" needs the package {library}: pip install "ase-mlipgen[{kind}]"',
            name=library,
        )


def open_processes(request: Request, stack: ExitStack) -> Opened:
    """Start worker processes afresh, so that they inherit no threads of this one."""
    n = request.workers or available_threads()
    context = multiprocessing.get_context("spawn")
    return stack.enter_context(ProcessPoolExecutor(n, mp_context=context, initializer=_watch_parent)), n


def _watch_parent() -> None:
    """Have this worker end with the process that started it, also where that is killed: the pool's own would stay."""
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), name="watch", daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def open_dask(request: Request, stack: ExitStack) -> Opened:
    """Start a cluster of processes on this machine, or connect with a scheduler."""
    from distributed import Client, LocalCluster

    if request.where:
        return _connected(request, stack)
    n = request.workers or available_threads()
    # One task at a time in each process: threads of one process would share its BLAS and its working directory.
    options = {
        "threads_per_worker": 1,
        "processes": True,
        "dashboard_address": "127.0.0.1:0",
        "death_timeout": request.timeout,
        **request.settings,
    }
    try:
        cluster = stack.enter_context(LocalCluster(n_workers=n, **options))
    except (TypeError, ValueError) as error:
        raise _refused(request, error) from error
    except (RuntimeError, OSError) as error:
        raise ConnectionError(
            f"executor = {request.name!r}: {n} dask workers did not start within {request.timeout:g} s ({error}); "
            "take fewer, or raise the timeout"
        ) from error
    client = stack.enter_context(Client(cluster, set_as_default=False))
    return _executor_of(client), n


def _executor_of(client: Any) -> Executor:
    """Return an executor that runs every call: dask answers one that was made before by what that one returned.

    A label that another run was making is asked for again in the same words.
    """
    return client.get_executor(pure=False)


def _connected(request: Request, stack: ExitStack) -> Opened:
    from distributed import Client

    options = {"set_as_default": False, **request.settings}
    limit = f"{request.timeout:g} s"
    try:
        client = stack.enter_context(Client(request.where, timeout=request.timeout, **options))
    except OSError as error:
        raise ConnectionError(
            f"executor = {request.name!r}: no dask scheduler answers at {request.where} within {limit} ({error}); "
            "start one with `dask scheduler`, correct the address, or raise the timeout"
        ) from error
    except (TypeError, ValueError) as error:
        raise _refused(request, error) from error
    wanted = request.workers or 1
    try:
        client.wait_for_workers(wanted, timeout=request.timeout)
    except TimeoutError:
        found = len(client.scheduler_info(n_workers=-1)["workers"])
        raise ConnectionError(
            f"executor = {request.name!r}: the scheduler has {found} of {wanted} workers after {limit}; "
            f"start them with `dask worker {request.where}`, or raise the timeout"
        ) from None
    return _executor_of(client), sum(client.nthreads().values())


def open_executorlib(request: Request, stack: ExitStack) -> Opened:
    """Start a class of executorlib, its settings passed through."""
    import executorlib

    name = request.where or CLASSES[0]
    options = dict(request.settings)
    n = request.workers
    if n is None and name == CLASSES[0] and not {"max_workers", "max_cores"} & set(options):
        n = available_threads()
    if n is not None:
        options.setdefault("max_workers", n)
    if not name.endswith("ClusterExecutor"):
        # Workers that stay: starting Python and the compiled kernels takes longer than most labels.
        options.setdefault("block_allocation", True)
    try:
        made = stack.enter_context(getattr(executorlib, name)(**options))
    except ImportError as error:
        raise ImportError(
            f"executor = {request.name!r}: {error}; executorlib has this in an extra of its own, such as "
            'pip install "executorlib[cluster]"',
            name=error.name,
        ) from error
    except (TypeError, ValueError) as error:
        raise _refused(request, error) from error
    return made, options.get("max_workers", options.get("max_cores"))


def _refused(request: Request, error: Exception) -> ValueError:
    return ValueError(f"executor = {request.name!r} with settings {request.settings}: {error}")


OPENERS: dict[str, Callable[[Request, ExitStack], Opened]] = {
    "processes": open_processes,
    "dask": open_dask,
    "executorlib": open_executorlib,
}
