"""Tasks in threads: order, bound on what is in flight, errors, early ends, forks."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
import warnings

import pytest

from ase_mlipgen.threads import available_threads, in_order


def slow_square(k):
    time.sleep(0.002 * ((7 * k) % 5))
    return k * k


@pytest.mark.parametrize("threads", [1, 2, 3, 9])
@pytest.mark.parametrize("n", [0, 1, 2, 25])
def test_results_come_in_order(threads, n):
    assert list(in_order(slow_square, range(n), threads)) == [k * k for k in range(n)]


def test_tasks_run_side_by_side():
    meeting = threading.Barrier(2, timeout=20)
    assert len(list(in_order(lambda _: meeting.wait(), range(2), 2))) == 2


@pytest.mark.parametrize("threads", [2, 4])
def test_few_results_wait(threads):
    begun, most = [], 0
    for taken, _ in enumerate(in_order(lambda k: begun.append(k), range(60), threads)):
        time.sleep(0.001)
        most = max(most, len(begun) - taken)
    assert most <= threads + 2


@pytest.mark.parametrize("threads", [1, 3])
def test_the_error_of_the_first_failing_task_is_raised(threads):
    def work(k):
        if k in (4, 5):
            raise ValueError(f"task {k}")
        return k

    results = in_order(work, range(20), threads)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="task 4"):
        next(results)
    assert list(in_order(abs, range(5), threads)) == [0, 1, 2, 3, 4]


def test_an_early_end_leaves_nothing_running():
    running = []

    def work(k):
        running.append(k)
        time.sleep(0.005)
        running.remove(k)

    results = in_order(work, range(100), 3)
    next(results)
    results.close()
    assert running == []


def _sum_in_child(connection):
    connection.send(sum(in_order(slow_square, range(10), 2)))


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_forked_process_has_threads_of_its_own():
    assert sum(in_order(slow_square, range(10), 2)) == 285
    ours, theirs = multiprocessing.Pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: forking while threads run
        child = multiprocessing.get_context("fork").Process(target=_sum_in_child, args=(theirs,))
        child.start()
    assert ours.poll(20)
    assert ours.recv() == 285
    child.join(20)


def test_there_is_a_thread():
    assert available_threads() >= 1


SIDE_BY_SIDE = """
import threading, time
import scipy.linalg
from threadpoolctl import threadpool_info
from ase_mlipgen.threads import one_blas_thread

def limits():
    return sorted(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")

def long_task():
    with one_blas_thread():
        began.set()
        left.wait(20)
        inside.append(limits())

before, inside, began, left = limits(), [], threading.Event(), threading.Event()
thread = threading.Thread(target=long_task)
with one_blas_thread():
    thread.start()
    began.wait(20)
left.set()
thread.join()
assert set(inside[0]) == {1}, inside
assert limits() == before, (limits(), before)
print(len(before))
"""


def test_blas_stays_on_one_thread_until_the_last_task_leaves():
    """Two tasks in one process: the first to leave must not lift the limit under the other."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SIDE_BY_SIDE], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
