"""Round trips through extended XYZ, bit for bit; and ASE as the reader of the same file."""

import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms
from ase.io import read, write
from ase.stress import voigt_6_to_full_3x3_stress
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_mlipgen.labels import LabelledCell, read_cells, write_cells

finite = st.floats(allow_nan=False, allow_infinity=False, width=64)


def bits(array):
    return np.asarray(array, dtype=float).tobytes()


def cell_of(seed=0, n=4, **changes):
    rng = np.random.default_rng(seed)
    atoms = Atoms(
        "W" * n, rng.normal(size=(n, 3)), cell=rng.normal(size=(3, 3)) + 9 * np.eye(3), pbc=(1, 1, 0)
    )
    values = {
        "energy": rng.normal(),
        "forces": rng.normal(size=(n, 3)),
        "stress": rng.normal(size=6),
        "config_type": "defect",
        "defect": "vacancy (0, 1)",
    }
    return LabelledCell(atoms, **{**values, **changes})


def assert_same(a, b):
    for name in ("positions", "cell"):
        assert bits(getattr(a.atoms, name)) == bits(getattr(b.atoms, name))
    assert (a.atoms.numbers == b.atoms.numbers).all()
    assert (a.atoms.pbc == b.atoms.pbc).all()
    assert bits(a.energy) == bits(b.energy)
    assert bits(a.forces) == bits(b.forces)
    assert (a.stress is None) == (b.stress is None)
    assert a.stress is None or bits(a.stress) == bits(b.stress)
    assert (a.config_type, a.defect) == (b.config_type, b.defect)


def test_round_trip_is_bit_exact(tmp_path):
    cells = [cell_of(0), cell_of(1, n=1, stress=None), cell_of(2, config_type="perfect", defect="")]
    cells[0].atoms.set_tags([1, 2, 3, 4])
    cells[0].atoms.info["amplitude"] = 0.1
    write_cells(tmp_path / "cells.xyz", cells)
    back = read_cells(tmp_path / "cells.xyz")
    for a, b in zip(cells, back, strict=True):
        assert_same(a, b)
    assert (back[0].atoms.get_tags() == [1, 2, 3, 4]).all()
    assert back[0].atoms.info == {"amplitude": 0.1}


@settings(max_examples=30, deadline=None)
@given(energy=finite, force=finite, position=finite)
def test_any_float_survives(tmp_path_factory, energy, force, position):
    path = tmp_path_factory.mktemp("cells") / "cells.xyz"
    cell = cell_of(energy=energy, forces=np.full((4, 3), force))
    cell.atoms.positions[1, 1] = position
    write_cells(path, [cell])
    assert_same(cell, read_cells(path)[0])


def test_ase_reads_the_same_numbers(tmp_path):
    cell = cell_of()
    write_cells(tmp_path / "cells.xyz", [cell])
    atoms = read(tmp_path / "cells.xyz")
    assert atoms.info["REF_energy"] == cell.energy
    assert (atoms.arrays["REF_forces"] == cell.forces).all()
    assert (atoms.info["REF_stress"].reshape(3, 3) == voigt_6_to_full_3x3_stress(cell.stress)).all()
    assert atoms.calc is None


def test_reads_what_ase_writes(tmp_path):
    cell = cell_of()
    atoms = cell.atoms.copy()
    atoms.set_constraint(FixAtoms([0]))
    atoms.info.update(REF_energy=cell.energy, REF_stress=cell.stress)
    atoms.arrays["REF_forces"] = cell.forces
    write(tmp_path / "ase.xyz", atoms)
    back = read_cells(tmp_path / "ase.xyz")[0]
    np.testing.assert_allclose(back.forces, cell.forces, atol=1e-8)
    np.testing.assert_array_equal(back.stress, cell.stress)
    assert (back.energy, back.config_type, back.defect) == (cell.energy, "defect", "")


def test_frame_without_labels_is_named(tmp_path):
    good, bare = cell_of(), cell_of(1).atoms
    write_cells(tmp_path / "cells.xyz", [good])
    write(tmp_path / "cells.xyz", bare, append=True)
    with pytest.raises(ValueError, match=r"frame 1 \(4 atoms\): REF_energy and REF_forces missing"):
        read_cells(tmp_path / "cells.xyz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forces": np.zeros((3, 3))}, r"forces have shape \(3, 3\); expected \(4, 3\)"),
        ({"energy": np.nan}, "the energy is nan"),
        ({"forces": np.full((4, 3), np.inf)}, "not finite on 4 atoms, first on atom 0"),
        ({"stress": np.zeros((3, 3))}, "stress has shape"),
        ({"stress": np.full(6, np.nan)}, "stress is not finite"),
        ({"config_type": "bulk"}, "config_type is 'bulk'"),
    ],
)
def test_bad_labels_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        cell_of(**change)


def test_empty_lists_of_info_survive_being_written_twice(tmp_path):
    atoms = Atoms("Cu")
    atoms.info = {"defect_names": [], "defect_centres": [], "note": "x"}
    cells = [LabelledCell(atoms, -1.0, np.zeros((1, 3)))]
    for _ in range(2):
        write_cells(tmp_path / "cells.extxyz", cells)
        cells = read_cells(tmp_path / "cells.extxyz")
    assert cells[0].energy == -1.0
    assert cells[0].atoms.info["note"] == "x"
