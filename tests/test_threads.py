"""Sharing of tasks among threads: all done once, errors passed on, also in a forked child."""

import multiprocessing
import threading
import time

import pytest

from ase_mlipgen.threads import in_order, share


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_task_is_done_once(threads):
    done = []
    share(done.append, range(1000), threads)
    assert sorted(done) == list(range(1000))
    assert list(in_order(str, range(50), threads)) == [str(k) for k in range(50)]


def test_helpers_take_part():
    """Each task ends only when another thread has come: one thread alone would wait for ever."""
    meeting = threading.Barrier(2, timeout=30)
    share(lambda _: meeting.wait(), range(2), 2)


@pytest.mark.parametrize("threads", [1, 2])
def test_errors_reach_the_caller(threads):
    def work(task):
        time.sleep(0.001)
        if task == 7:
            raise ZeroDivisionError(f"task {task}")

    with pytest.raises(ZeroDivisionError, match="task 7"):
        share(work, range(20), threads)


def _in_child(queue):
    done = []
    share(done.append, range(100), 2)
    queue.put(len(done))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_children_start_their_own_helpers():
    share(time.sleep, [0.001] * 4, 2)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=30) == 100
    child.join(30)
    assert child.exitcode == 0
