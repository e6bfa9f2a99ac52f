"""Claims: one owner at a time; those of dead processes and silent hosts are taken over, by one of many."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import pytest

from ase_mlipgen.labels import LabelStore, claims
from ase_mlipgen.labels.claims import Owner, state_of, take


@pytest.fixture
def path(tmp_path):
    return tmp_path / "key.claim"


def dead():
    """Id of a process that has been there."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def written(path, **changes):
    owner = replace(Owner(*claims._machine(), os.getpid(), claims._started(os.getpid()), "token"), **changes)
    path.write_text(json.dumps(asdict(owner)))
    return owner


def test_one_owner_at_a_time(path):
    with take(path) as claim:
        assert not claim.taken_over
        assert take(path) is None
        assert state_of(path).alive
        assert state_of(path).owner.pid == os.getpid()
    assert not path.exists()
    assert state_of(path) is None
    assert take(path) is not None


@pytest.mark.parametrize(
    "change",
    [lambda: {"pid": dead()}, lambda: {"started": "1"}],
    ids=["the process is gone", "its id was given to another process"],
)
def test_a_dead_process_loses_its_claim(path, change):
    written(path, **change())
    assert not state_of(path).alive
    with take(path) as claim:
        assert claim.taken_over
        assert state_of(path).alive
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("elsewhere", [{"host": "other"}, {"boot": "before"}, {"namespace": "pid:[1]"}])
def test_another_host_is_alive_while_it_gives_signs(path, elsewhere):
    written(path, pid=1, **elsewhere)
    assert take(path) is None
    os.utime(path, (time.time() - claims.STALE - 30,) * 2)
    with take(path) as claim:
        assert claim.taken_over


def test_a_claim_that_was_never_signed_is_given_time(path):
    path.touch()
    assert take(path) is None
    os.utime(path, (time.time() - claims.GRACE - 5,) * 2)
    assert take(path).taken_over


def test_of_many_that_find_it_dead_one_takes_over(path):
    for _ in range(20):
        written(path, pid=1, started="0")
        won, gate = [], threading.Barrier(4)

        def try_it(won=won, gate=gate):
            gate.wait()
            won.append(take(path))

        threads = [threading.Thread(target=try_it) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        claimed = [claim for claim in won if claim is not None]
        assert len(claimed) == 1
        claimed[0].release()
        assert os.listdir(path.parent) == []


def test_who_died_while_taking_over_is_taken_over_from(path):
    owner = written(path, pid=1, started="0")
    written(path.with_name(f"{path.name}.{owner.token[:8]}"), pid=1, started="0", token="second")
    with take(path) as claim:
        assert claim.taken_over
    assert os.listdir(path.parent) == []


def test_a_claim_taken_over_from_a_living_owner_is_not_released_by_it(path):
    claim = take(path)
    other = written(path, host="other", token="theirs")
    claim.release()
    assert state_of(path).owner == other


def test_owners_give_signs_of_life(path, monkeypatch):
    monkeypatch.setattr(claims, "BEAT", 0.02)
    monkeypatch.setattr(claims, "_beating", {})
    with take(path):
        os.utime(path, (0, 0))
        for _ in range(500):
            if path.stat().st_mtime > 0:
                break
            time.sleep(0.01)
        assert path.stat().st_mtime > 0


def test_a_store_lists_its_claims(tmp_path):
    store = LabelStore(tmp_path)
    with store.claim("ab" * 32):
        assert store.claimed("ab" * 32)
        (state,) = store.claims()
        assert (state.key, state.alive) == ("ab" * 32, True)
    assert store.claims() == []
    assert not store.claimed("ab" * 32)
