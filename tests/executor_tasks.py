"""What workers do in the tests of executors, at module level so that other processes can import it."""

import os
import time

from threadpoolctl import threadpool_info

from ase_mlipgen.threads import one_blas_thread


def double(x):
    return 2 * x


def die():
    os._exit(3)


def where(seconds=0.0):
    time.sleep(seconds)
    return os.getpid()


def blas():
    """Threads of every BLAS library while rows are folded."""
    with one_blas_thread():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
