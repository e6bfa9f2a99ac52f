"""A disk that is full, and one that changes bytes: nothing that was written is lost, nothing wrong is believed."""

import errno
import logging
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from ase_mlipgen.cli.common import LABELS_FAILED, exit_code
from ase_mlipgen.labels import LabelStore, StoreError, label, status_of
from tests.faults.campaign import cells, numbers
from tests.labels.references import unruly

FULL = """
import resource, sys
from ase import Atoms
from ase_mlipgen.labels import LabelStore, StoreError, label
from tests.labels.references import unruly
small = [Atoms("W2", [[0, i, 0], [0, 0, 1]]) for i in range(3)]
large = Atoms("W200", [[0, i, 1] for i in range(200)])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    label([*small, large, small[0]], unruly, store=LabelStore(sys.argv[1]))
except StoreError as error:
    print(error)
"""


@pytest.mark.parametrize("where", ["serial", "threads"])
def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path, monkeypatch, where):
    """ENOSPC from the fifth label on, as the system would raise it."""
    written, lock, write = [], threading.Lock(), Path.write_bytes

    def full(path, content):
        with lock:
            written.append(path)
            if len(written) > 4:
                write(path, content[: len(content) // 2])
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, content)

    store = LabelStore(tmp_path)
    executor = ThreadPoolExecutor(2) if where == "threads" else None
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(
            StoreError, match=r"No space left on device; what was written\s+before is kept"
        ) as error:
            label(cells(10), unruly, executor, store=store)
        if executor is not None:
            executor.shutdown()  # while the disk is still full for labels under way
    assert exit_code(error.value) == LABELS_FAILED
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)
    status = status_of(store, check=True)
    assert (status.n_labels, status.damaged, status.failures, status.at_work) == (4, (), (), ())
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".json"] == []
    log = tmp_path.parent / f"{tmp_path.name}.log"
    again = label(cells(10), unruly, store=store)
    assert numbers(again) == numbers(label(cells(10), partial(unruly, log)))


def test_a_file_that_the_system_refuses_to_let_grow(tmp_path):
    """The system's own refusal: a limit on the size of files stands for a quota, for lack of a small disk."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert "File too large; what was written before is kept" in done.stdout
    assert status_of(tmp_path, check=True).n_labels == 3
    assert status_of(tmp_path, check=True).damaged == ()


@pytest.fixture
def one(tmp_path):
    """Return a store with one label, its key, file and bytes."""
    store = LabelStore(tmp_path)
    label([Atoms("W2", [[0, 1, 0], [0, 0, 1 / 3]])], unruly, store=store)
    (key,) = store.keys()
    return store, key, store.path(key), store.path(key).read_bytes()


def test_any_flipped_byte_is_detected(one, caplog):
    store, key, path, content = one
    logging.disable(logging.WARNING)
    try:
        for place in range(len(content)):
            changed = bytearray(content)
            changed[place] ^= 1 << (place % 8)
            path.write_bytes(changed)
            assert store.get(key) is None, place
    finally:
        logging.disable(logging.NOTSET)
    path.write_bytes(content)
    assert store.get(key) is not None


def test_any_truncation_is_detected(one):
    store, key, path, content = one
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        assert store.get(key) is None, length


def test_changed_swapped_and_truncated_labels_are_made_again(tmp_path, caplog):
    store, log = LabelStore(tmp_path / "store"), tmp_path / "log"
    good = numbers(label(cells(6), partial(unruly, log), store=store, tag="x"))
    log.unlink()
    paths = [store.path(key) for key in sorted(store.keys())]
    content = [path.read_bytes() for path in paths]
    paths[0].write_bytes(content[1])
    paths[1].write_bytes(content[0])
    paths[2].write_bytes(content[2].replace(b"1", b"2", 1))
    paths[3].write_bytes(content[3][:100])
    with caplog.at_level(logging.WARNING):
        again = label(cells(6), partial(unruly, log), store=store, tag="x")
    assert numbers(again) == good
    assert len(log.read_text().split()) == 4
    assert all(path.name in caplog.text for path in paths[:4])
    assert [path.read_bytes() for path in paths] == content
    assert len(list(store.directory.rglob("*.damaged"))) == 4
    assert status_of(store, check=True).damaged == ()


def test_a_flat_store_of_the_first_format_is_read(tmp_path):
    """Labels as they were written before there were sub-directories."""
    import hashlib
    import json

    from ase_mlipgen.labels.key import key_of
    from ase_mlipgen.labels.record import described

    atoms = cells(1)[0]
    (made,) = label([atoms], unruly)
    key = key_of(atoms, '{"old": 1}', ("energy", "forces"))
    record = {"format": 1, "key": key, "reference": '{"old": 1}', **described(atoms), "energy": made.energy}
    record |= {"forces": made.forces.tolist(), "stress": None}
    record["checksum"] = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    path = tmp_path / f"{key}.json"
    path.write_text(json.dumps(record))
    store = LabelStore(tmp_path)
    assert store.get(key).forces.tobytes() == made.forces.tobytes()
    assert list(store.keys()) == [key]
    path.write_text(json.dumps(record).replace('"energy": ', '"energy": 1'))
    assert store.get(key) is None


def test_arrays_beside_a_label_come_back_whole_or_not_at_all(one, caplog):
    store, key, _, _ = one
    atoms, hessian = Atoms("W2", [[0, 1, 0], [0, 0, 1 / 3]]), np.random.default_rng(0).normal(size=(6, 6))
    assert store.arrays(key) is None
    store.put(key, store.get(key), atoms, "r", arrays={"hessian": hessian})
    assert store.arrays(key)["hessian"].tobytes() == hessian.tobytes()
    path = store.path(key).with_suffix(".npz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert store.arrays(key) is None
    assert "does not agree with the label's" in caplog.text
    with pytest.raises(ValueError, match="'things' holds Python objects"):
        store.put(key, store.get(key), atoms, "r", arrays={"things": np.array([{}], dtype=object)})
