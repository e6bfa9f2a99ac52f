"""Labels out and in again: the same bits; a store that was filled from a file computes nothing."""

from functools import partial

import numpy as np
import pytest
from ase import Atoms
from ase.db import connect
from ase.io import read

from ase_mlipgen.labels import LabelledCell, LabelStore, export_labels, import_labels, label
from tests.labels.references import Spring, spring


def cells(n=4):
    rng = np.random.default_rng(1)
    return [
        LabelledCell(
            Atoms(
                "WCu", rng.normal(size=(2, 3)), cell=rng.normal(size=(3, 3)) + 5 * np.eye(3), pbc=[1, 1, 0]
            ),
            rng.normal() / 3,
            rng.normal(size=(2, 3)) * 1e-7,
            rng.normal(size=6) if i % 2 else None,
            "perfect" if i == 0 else "defect",
            "" if i == 0 else "12",
        )
        for i in range(n)
    ]


def bits(cell):
    stress = b"" if cell.stress is None else cell.stress.tobytes()
    arrays = (cell.atoms.positions, cell.atoms.cell.array, cell.atoms.pbc, cell.atoms.numbers, cell.forces)
    return [a.tobytes() for a in arrays], cell.energy, stress, cell.config_type, cell.defect


@pytest.mark.parametrize("name", ["labels.extxyz", "labels.db", "labels.json"])
def test_a_round_trip_is_bit_exact(tmp_path, name):
    path = tmp_path / name
    assert export_labels(cells(), path, weights={"energy": 100.0, "forces": 1.0}) == 4
    assert (
        export_labels(cells(), path, weights={"energy": 100.0, "forces": 1.0}) == 4
    )  # replaces, appends nothing
    found = import_labels(path)
    assert [bits(cell) for cell in found] == [bits(cell) for cell in cells()]
    assert all(cell.atoms.info["config_energy_weight"] == 100.0 for cell in found)
    assert all(cell.atoms.info["config_forces_weight"] == 1.0 for cell in found)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_other_readers_find_what_they_look_for(tmp_path):
    export_labels(cells(), tmp_path / "labels.extxyz", weights={"forces": 2.0})
    frames = read(tmp_path / "labels.extxyz", ":")
    for frame, cell in zip(frames, cells(), strict=True):
        assert frame.info["REF_energy"] == cell.energy
        np.testing.assert_array_equal(frame.arrays["REF_forces"], cell.forces)
        assert frame.info["config_type"] == cell.config_type
        assert frame.info["config_forces_weight"] == 2.0
    export_labels(cells(), tmp_path / "labels.db")
    with connect(str(tmp_path / "labels.db")) as database:
        rows = list(database.select(config_type="defect"))
    assert [row.energy for row in rows] == [cell.energy for cell in cells()[1:]]


@pytest.mark.parametrize("name", ["labels.extxyz", "labels.db"])
def test_a_store_filled_from_a_file_computes_nothing(tmp_path, monkeypatch, name):
    store, copy = LabelStore(tmp_path / "store"), LabelStore(tmp_path / "copy")
    jobs = [(cell.atoms, "defect", "vacancy") for cell in cells()]
    made = label(jobs, partial(spring, 2.0), store=store, observations=("stress",))
    assert export_labels(store, tmp_path / name) == 4
    assert len(import_labels(tmp_path / name, copy, partial(spring, 2.0))) == 4
    monkeypatch.setattr(Spring, "calculate", lambda *_: pytest.fail("computed again"))
    again = label(jobs, partial(spring, 2.0), store=copy, observations=("stress",))
    assert [bits(cell) for cell in again] == [bits(cell) for cell in made]
    assert {cell.defect for cell in copy.cells()} == {"vacancy"}


def test_what_cannot_be_exchanged_is_named(tmp_path):
    with pytest.raises(ValueError, match="no weight of 'energies'"):
        export_labels(cells(), tmp_path / "a.extxyz", weights={"energies": 1.0})
    export_labels(cells(), tmp_path / "a.extxyz")
    with pytest.raises(ValueError, match="give the reference"):
        import_labels(tmp_path / "a.extxyz", LabelStore(tmp_path / "store"))
    with connect(str(tmp_path / "bare.db")) as database:
        database.write(Atoms("H"))
    with pytest.raises(ValueError, match="row 1: energy and forces missing"):
        import_labels(tmp_path / "bare.db")
    with pytest.raises(FileNotFoundError, match="no file"):
        import_labels(tmp_path / "absent.db")
