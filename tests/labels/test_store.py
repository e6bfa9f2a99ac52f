"""The store returns the same bits, makes nothing twice, and survives damaged files."""

import json
import logging
from functools import partial

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from ase_mlipgen.labels import Label, LabelStore, label
from ase_mlipgen.labels.store import key_of
from tests.labels.references import Spring, spring


def cells(n=3):
    rng = np.random.default_rng(0)
    return [Atoms("W2", rng.normal(size=(2, 3)), cell=[5, 5, 5], pbc=True) for _ in range(n)]


def counted(monkeypatch):
    calls = []
    calculate = Spring.calculate
    monkeypatch.setattr(Spring, "calculate", lambda *a, **k: calls.append(1) or calculate(*a, **k))
    return calls


def test_second_run_computes_nothing(tmp_path, monkeypatch):
    calls = counted(monkeypatch)
    first = label(cells(), partial(spring, 2.0), store=LabelStore(tmp_path), observations=("stress",))
    assert len(calls) == 3
    seen = []
    again = label(
        cells(4),
        partial(spring, 2.0),
        store=LabelStore(tmp_path),
        observations=("stress",),
        progress=lambda *counts: seen.append(counts),
    )
    assert len(calls) == 4
    assert seen == [(3, 4), (4, 4)]
    for a, b in zip(first, again[:3], strict=True):
        assert a.energy == b.energy
        assert a.forces.tobytes() == b.forces.tobytes()
        assert a.stress.tobytes() == b.stress.tobytes()


def test_another_question_is_another_label(tmp_path, monkeypatch):
    calls = counted(monkeypatch)
    store = LabelStore(tmp_path)
    label(cells(1), partial(spring, 2.0), store=store)
    label(cells(1), partial(spring, 3.0), store=store)
    label(cells(1), partial(spring, 2.0), store=store, observations=("stress",))
    label(cells(1), partial(spring, 2.0), store=store, tag="other machine")
    assert len(calls) == len(store) == 4


def test_key_sees_every_bit():
    atoms = cells(1)[0]
    base = key_of(atoms, "r", ("energy", "forces"))
    assert base == key_of(atoms.copy(), "r", ("forces", "energy"))
    keys = {
        base,
        key_of(atoms, "s", ("energy", "forces")),
        key_of(atoms, "r", ("energy", "forces", "stress")),
    }
    for change in (
        lambda a: a.positions.__setitem__((0, 0), np.nextafter(a.positions[0, 0], 9)),
        lambda a: a.cell.__setitem__((0, 0), np.nextafter(5.0, 9)),
        lambda a: a.set_pbc((1, 1, 0)),
        lambda a: a.numbers.__setitem__(0, 42),
        lambda a: a.set_initial_magnetic_moments([1.0, 0.0]),
    ):
        changed = atoms.copy()
        change(changed)
        keys.add(key_of(changed, "r", ("energy", "forces")))
    assert len(keys) == 8


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text(path.read_text()[:-40]),
        lambda path: path.write_text(""),
        lambda path: path.write_bytes(b"\xff\xfe" + path.read_bytes()),
        lambda path: path.write_text("[]"),
        lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), "energy": 7.0})),
    ],
    ids=["truncated", "empty", "not text", "another thing", "changed"],
)
def test_damaged_label_is_made_again(tmp_path, monkeypatch, caplog, damage):
    store = LabelStore(tmp_path)
    (good,) = label(cells(1), Spring, store=store)
    (path,) = tmp_path.rglob("*.json")
    damage(path)
    calls = counted(monkeypatch)
    with caplog.at_level(logging.WARNING):
        (again,) = label(cells(1), Spring, store=store)
    assert len(calls) == 1
    assert "is damaged" in caplog.text
    assert path.name in caplog.text
    assert (again.energy, again.forces.tobytes()) == (good.energy, good.forces.tobytes())
    assert store.get(path.stem) is not None


def test_label_in_a_wrong_file_is_not_believed(tmp_path, caplog):
    store = LabelStore(tmp_path)
    label(cells(1), Spring, store=store)
    (path,) = tmp_path.rglob("*.json")
    (tmp_path / "00").mkdir(exist_ok=True)
    path.rename(store.path("0" * 64))
    assert store.get("0" * 64) is None
    assert "holds the label" in caplog.text


def test_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    store = LabelStore(tmp_path)
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        store.put("key", Label(1.0, np.zeros((2, 3)), None), cells(1)[0], "r")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_instance_without_identity_needs_a_tag(tmp_path):
    store = LabelStore(tmp_path)
    copper = [Atoms("Cu2", [[0, 0, 0], [0, 0, 2.5]])]
    with pytest.raises(ValueError, match="give a tag"):
        label(copper, EMT(), store=store)
    label(copper, EMT(), store=store, tag="plain EMT")
    assert len(store) == 1
