"""Verdicts on references that misbehave: each costs one label, is kept with its reason, and is tried again."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from ase_mlipgen.labels import Label, LabelError, LabelStore, label, status_of
from ase_mlipgen.labels.claims import _started
from ase_mlipgen.labels.isolation import Child
from ase_mlipgen.labels.reference import CopyFactory
from ase_mlipgen.threads import available_threads
from tests.labels.references import Spring, Threads, Unruly, absent, unruly

HANGS, SEGFAULTS, IS_KILLED = 1, 2, 3
IN_PROCESS = {
    4: "not converged",
    5: "not converged",
    6: "raised",
    7: "not finite",
    8: "wrong shape",
    9: "not converged",
}


def springs(*what):
    """Pairs of atoms that misbehave as `what` says; all different."""
    return [Atoms("W2", [[w, i, 0], [0, 0, 2]], cell=[9, 9, 9]) for i, w in enumerate(what)]


def failures(*arguments, **options):
    with pytest.raises(LabelError) as caught:
        label(*arguments, **options)
    assert caught.value.__cause__ is not None
    return {f.number: f for f in caught.value.failures}


def lines(path):
    return sorted(float(line) for line in path.read_text().split())


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


def test_each_kind_of_failure_has_its_verdict(tmp_path):
    store = LabelStore(tmp_path)
    found = failures(springs(0, *IN_PROCESS, 0), unruly, store=store)
    assert {n: f.verdict for n, f in found.items()} == {
        i + 1: IN_PROCESS[w] for i, w in enumerate(IN_PROCESS)
    }
    assert len(store) == 2
    assert found[1].reason == "SCFError: no luck"
    assert "RuntimeError: SCF did not converge in 60 steps" in str(found[2])


@pytest.mark.parametrize("where", ["serial", "threads", "processes"])
def test_hangs_and_crashes_cost_one_label_each(tmp_path, where, processes):
    store, log = LabelStore(tmp_path / "store"), tmp_path / "log"
    executor = {"serial": None, "threads": ThreadPoolExecutor(2), "processes": processes}[where]
    cells = springs(0, HANGS, 0, SEGFAULTS, IS_KILLED, 0)
    begun = time.perf_counter()
    found = failures(cells, partial(unruly, log), executor, store=store, tag="log", time_limit=1.0)
    assert time.perf_counter() - begun < 60
    assert {n: f.verdict for n, f in found.items()} == {1: "hanging", 3: "died", 4: "died"}
    assert found[1].reason == "no answer within 1 s"
    assert "SIGSEGV" in found[3].reason
    assert "SIGKILL, as the system does where memory runs out" in found[4].reason
    assert len(store) == 3
    assert lines(log) == [0, 1, 2, 3, 4, 5]
    plain = label([cells[i] for i in (0, 2, 5)], unruly)
    kept = label([cells[i] for i in (0, 2, 5)], partial(unruly, log), store=store, tag="log")
    assert lines(log) == [0, 1, 2, 3, 4, 5]
    for a, b in zip(plain, kept, strict=True):
        assert (a.energy, a.forces.tobytes()) == (b.energy, b.forces.tobytes())
    if where == "threads":
        executor.shutdown()


def test_a_process_pool_survives_a_crash_without_a_limit(processes):
    found = failures(springs(0, SEGFAULTS, 0), unruly, processes)
    assert {n: f.verdict for n, f in found.items()} == {1: "died"}
    assert len(label(springs(0, 0), unruly, processes)) == 2


def test_failures_are_kept_and_only_they_are_tried_again(tmp_path):
    store, log = LabelStore(tmp_path / "store"), tmp_path / "log"
    cells = springs(0, 6, 0, 7)
    found = failures(cells, partial(unruly, log), store=store, tag="log", retries=2)
    assert [f.attempts for f in found.values()] == [3, 3]
    assert lines(log) == [0, 1, 1, 1, 2, 3, 3, 3]
    kept = store.failures()
    assert sorted((f.verdict, f.attempts) for f in kept.values()) == [("not finite", 3), ("raised", 3)]
    for key, failure in kept.items():
        assert Path(failure.where).is_file()
        assert failure.where in {f.where for f in found.values()}
        x = {"raised": 6, "not finite": 7}[failure.verdict]
        assert store.failed_atoms(key).positions[0, 0] == x
    log.unlink()
    failures(cells, partial(unruly, log), store=store, tag="log")
    assert lines(log) == [1, 3]


def test_a_success_forgets_the_failure(tmp_path, monkeypatch):
    store = LabelStore(tmp_path)
    failures(springs(0, 6), unruly, store=store)
    assert len(store.failures()) == 1
    good = {"energy": 1.0, "forces": np.zeros((2, 3))}
    monkeypatch.setattr(Unruly, "calculate", lambda self, *_: setattr(self, "results", dict(good)))
    assert len(label(springs(0, 6), unruly, store=store)) == 2
    assert store.failures() == {}


def test_the_same_configuration_twice_is_asked_once(tmp_path):
    log = tmp_path / "log"
    cells = springs(0, 6)
    with ThreadPoolExecutor(3) as pool:
        found = failures(
            [*cells, *cells, *cells], partial(unruly, log), pool, store=LabelStore(tmp_path / "s")
        )
    assert sorted(found) == [1, 3, 5]
    assert lines(log) == [0, 1]


def test_the_status_of_a_store(tmp_path):
    store = LabelStore(tmp_path)
    failures(springs(0, 6, 4, 0), unruly, store=store)
    with store.claim("ab" * 32):
        status = status_of(tmp_path)
    assert (status.n_labels, len(status.failures), len(status.at_work), status.damaged) == (2, 2, 1, None)
    assert "2 labels, 2 failures, 1 at work, 0 abandoned" in str(status)
    assert "SCFError: no luck" in str(status)
    assert f"process {os.getpid()}" in str(status)
    assert {f["verdict"] for f in status.as_dict()["failures"]} == {"raised", "not converged"}
    key = next(iter(store.keys()))
    store.path(key).write_text("{")
    assert status_of(store, check=True).damaged == (key,)
    with pytest.raises(FileNotFoundError, match="no label store"):
        status_of(tmp_path / "absent")


def test_what_a_killed_process_left_beside_its_label_says_nothing(tmp_path):
    store = LabelStore(tmp_path)
    failures(springs(6), unruly, store=store)
    (failed,) = tmp_path.rglob("*.failed.json")
    record = failed.read_bytes()
    key = failed.name.removesuffix(".failed.json")
    store.put(key, Label(1.0, np.zeros((2, 3)), None), springs(6)[0], "r")
    failed.write_bytes(record)
    assert store.failure(key) is None
    with store.claim(key):
        status = status_of(store)
    assert (status.n_labels, status.failures, status.at_work, status.abandoned) == (1, (), (), ())


def test_a_child_is_kept_and_gets_its_reference_once():
    child = Child(CopyFactory(Spring(k=2.0)), "token", "run")
    answers = [child.ask(atoms, True, 60.0) for atoms in springs(0, 3)]
    pid = child.process.pid
    assert child.ask(springs(5)[0], False, None).energy == 29.0
    assert child.process.pid == pid
    assert [answer.energy for answer in answers] == [4.0, 14.0]
    child.end()
    assert _started(pid) is None


def test_a_child_without_siblings_may_use_all_cores():
    (alone,) = label(springs(0), Threads, time_limit=60.0)
    with ThreadPoolExecutor(1) as pool:
        (among_others,) = label(springs(0), Threads, pool, time_limit=60.0)
    assert (alone.energy, among_others.energy) == (available_threads(), 1)


def test_what_cannot_start_is_a_verdict_that_says_why():
    found = failures(springs(0), absent, time_limit=60.0)
    assert "ImportError: no such code here" in found[0].reason
    with pytest.raises(TypeError, match="cannot be pickled for worker processes"):
        label(springs(0), lambda: Spring(), time_limit=60.0)


def test_children_end_with_the_run_and_with_their_parent(tmp_path):
    before = _children()
    label(springs(0), partial(unruly, tmp_path / "log"), time_limit=60.0)
    assert _children() == before
    code = (
        "import os, sys, ase\n"
        "from tests.labels.references import unruly\n"
        "from ase_mlipgen.labels.isolation import Child\n"
        "child = Child(unruly, '', '')\n"
        "child.ask(ase.Atoms('W2', [[0, 0, 0], [0, 0, 1]]), False, None)\n"
        "print(child.process.pid, flush=True)\n"
        "child.ask(ase.Atoms('W2', [[1, 0, 0], [0, 0, 1]]), False, None)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert _started(child) is not None
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    for _ in range(100):
        if _started(child) is None:
            break
        time.sleep(0.1)
    assert _started(child) is None


def _children():
    """Children of this process that were started afresh; not the one that tracks them."""
    return {process.pid for process in multiprocessing.active_children()}


def test_limits_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="time_limit = 0"):
        label(springs(0), unruly, time_limit=0)
    with pytest.raises(ValueError, match="retries = -1"):
        label(springs(0), unruly, retries=-1)


def test_a_worker_that_dies_with_its_pool_is_listed(tmp_path):
    class Broken(ThreadPoolExecutor):
        def submit(self, *_):
            from concurrent.futures.process import BrokenProcessPool

            raise BrokenProcessPool("all gone")

    found = failures(springs(0, 0), unruly, Broken(1))
    assert "no answer from its worker (BrokenProcessPool: all gone)" in found[1].reason


def test_labels_that_a_worker_writes_elsewhere_are_written_here(tmp_path, monkeypatch, caplog):
    from ase_mlipgen.labels import run

    def blind(terms, job):
        from dataclasses import replace

        from ase_mlipgen.labels.worker import work

        return work(replace(terms, directory=tmp_path / "elsewhere"), job)

    monkeypatch.setattr(run, "work", blind)
    store = LabelStore(tmp_path / "store")
    with caplog.at_level(logging.WARNING):
        label(springs(0, 0), unruly, store=store)
    assert "does not see" in caplog.text
    assert len(store) == 2


def test_another_run_at_work_is_waited_for(tmp_path):
    """While one label is claimed by somebody else, the others are made; it is made when that one gives up."""
    store, log = LabelStore(tmp_path / "store"), tmp_path / "log"
    label(springs(0), partial(unruly, log), store=store, tag="log")
    (key,) = store.keys()
    store.path(key).unlink()
    log.unlink()
    claim = store.claim(key)
    done = threading.Thread(
        target=label, args=(springs(0, 0, 0), partial(unruly, log)), kwargs={"store": store, "tag": "log"}
    )
    done.start()
    for _ in range(200):
        if log.exists() and lines(log) == [1, 2]:
            break
        time.sleep(0.05)
    assert lines(log) == [1, 2]
    assert done.is_alive()
    claim.release()
    done.join(30)
    assert lines(log) == [0, 1, 2]
