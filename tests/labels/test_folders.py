"""Working folders of file-based codes: one a label, kept where it failed, gone or kept where it did not."""

import os
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.mixing import SumCalculator

from ase_mlipgen.defects import relax
from ase_mlipgen.labels import (
    AskingCalculator,
    FileCodeError,
    Folders,
    LabelError,
    LabelStore,
    file_based,
    label,
    label_one,
)
from ase_mlipgen.labels.reference import FolderFactory
from ase_mlipgen.theory.setting import Labelling
from tests.labels.programs import CommandSpring, NewSpring, OldSpring

KINDS = [NewSpring, OldSpring, CommandSpring]
kinds = pytest.mark.parametrize("kind", KINDS)


def cells(n=4, *, far=(), how_far=200.0):
    """Return n cells of two atoms; the program does not converge on those in `far`, and hangs on those at 2000 Å."""
    found = []
    for k in range(n):
        atoms = bulk("Cu", cubic=True)[:2]
        atoms.rattle(0.1, seed=k)
        atoms.positions[0, 0] += how_far if k in far else 0.0
        found.append(atoms)
    return found


def expected(atoms):
    return 0.5 * np.sum(atoms.positions**2)


@kinds
@pytest.mark.parametrize("pool", [None, ThreadPoolExecutor, ProcessPoolExecutor])
def test_workers_do_not_write_into_one_folder(kind, pool, tmp_path):
    """Four copies of one calculator, which has one directory; the program fails where somebody else writes."""
    calculator = kind(directory=str(tmp_path / "own"))
    root = tmp_path / "files"
    if pool is None:
        found = label(cells(), calculator, folders=Folders(root, keep=True))
    else:
        with pool(2) as executor:
            found = label(cells(), calculator, executor, folders=Folders(root, keep=True))
    assert [cell.energy for cell in found] == pytest.approx([expected(a) for a in cells()], abs=1e-12)
    folders = sorted(root.iterdir())
    assert len(folders) == 4
    assert all((folder / "in.txt").is_file() for folder in folders)
    assert not (tmp_path / "own").exists()
    assert str(calculator.directory) == str(tmp_path / "own")


@kinds
def test_files_are_removed_unless_they_are_to_be_kept(kind, tmp_path):
    store = LabelStore(tmp_path / "labels")
    label(cells(2), kind, store=store, tag="spring")
    assert list((tmp_path / "labels" / "files").iterdir()) == []
    assert len(store) == 2


@kinds
def test_a_failure_names_its_folder_and_says_what_the_program_said(kind, tmp_path):
    store = LabelStore(tmp_path / "labels")
    with pytest.raises(LabelError, match="convergence NOT achieved after 2 iterations") as caught:
        label(cells(3, far=[1]), kind, store=store, tag="spring")
    (folder,) = (tmp_path / "labels" / "files").iterdir()
    assert str(folder) in str(caught.value)
    assert "NOT achieved" in (folder / "out.txt").read_text()
    with pytest.raises(LabelError):
        label(cells(3, far=[1]), kind, store=store, tag="spring")
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, f"{folder.name}-2"}


def test_what_killed_and_failed_attempts_left_goes_when_the_label_is_made(tmp_path):
    (atoms,) = cells(1)
    store, files = LabelStore(tmp_path / "labels"), tmp_path / "labels" / "files"
    folders = Folders(files, keep=True)
    label([atoms], NewSpring, store=store, folders=folders)
    (left,) = files.iterdir()
    store.path(next(store.directory.rglob("*.json")).stem).unlink()
    (files / f"{left.name}-2").mkdir()
    (files / "another").mkdir()
    label([atoms], NewSpring, store=store)
    assert [path.name for path in files.iterdir()] == ["another"]


def test_without_a_store_folders_are_below_the_calculators_own(tmp_path):
    label(cells(1), NewSpring(directory=tmp_path / "own"), folders=Folders(keep=True))
    (folder,) = (tmp_path / "own").iterdir()
    assert (folder / "forces").is_file()


def test_a_calculator_is_left_as_it_was(tmp_path):
    """ASE's templates write into the parameters; a relative directory of the profile is still found."""
    os.makedirs(tmp_path / "tables")
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        calculator = NewSpring(directory="own", tables="tables", k=1)
        label(cells(1), calculator, folders=Folders("files"))
        with Folders("files").working(calculator, "x"):
            assert Path(calculator.profile.tables) == tmp_path / "tables"
            assert Path(calculator.directory) == tmp_path / "files" / "x"
    finally:
        os.chdir(before)
    assert calculator.parameters == {"k": 1}
    assert (str(calculator.directory), calculator.profile.tables) == ("own", "tables")
    assert (
        list(tmp_path.iterdir()) == [tmp_path / "tables", tmp_path / "files"]
        or not (tmp_path / "own").exists()
    )


def test_mixed_calculators_get_a_folder_each(tmp_path):
    mixed = SumCalculator([NewSpring(), EMT(), OldSpring()])
    assert [type(user) for user in file_based(mixed)] == [NewSpring, OldSpring]
    (atoms,) = cells(1)
    (found,) = label([atoms], mixed, folders=Folders(tmp_path, keep=True))
    alone = label_one(EMT, atoms)
    np.testing.assert_allclose(found.forces, alone.forces - 2 * atoms.positions, rtol=0, atol=1e-12)
    assert {path.relative_to(tmp_path).parts[1] for path in tmp_path.rglob("forces")} == {"0", "1"}


def test_calculators_without_files_make_no_folder(tmp_path):
    assert file_based(EMT()) == []
    label(cells(1), EMT, store=LabelStore(tmp_path / "labels"))
    assert list(tmp_path.rglob("files")) == []


def test_errors_travel_between_processes(tmp_path):
    factory = FolderFactory(OldSpring, Folders(tmp_path))
    with pytest.raises(FileCodeError) as caught:
        label_one(pickle.loads(pickle.dumps(factory)), cells(1, far=[0])[0])
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.folder) == (str(caught.value), str(next(tmp_path.iterdir())))


def test_the_last_words_are_of_text_files(tmp_path):
    def broken():
        with Folders(tmp_path).working(OldSpring(), "x"):
            (tmp_path / "x" / "WAVECAR").write_bytes(b"\0error" * 100)
            (tmp_path / "x" / "log").write_text("one\n\ntwo\n%%%%\n" + "long " * 100)
            raise ValueError("no")

    with pytest.raises(
        FileCodeError, match=r"ValueError: no; files in .*; log says: one \| two \| long"
    ) as caught:
        broken()
    assert len(str(caught.value)) < 400


def test_every_step_of_a_relaxation_is_a_label_and_is_found_again(tmp_path):
    store = LabelStore(tmp_path / "labels")
    atoms = cells(1)[0][1:]
    labelling = Labelling(partial(NewSpring, k=1), store=store)
    calculator = labelling.calculator()
    assert isinstance(calculator, AskingCalculator)
    first = relax(atoms, calculator, fmax=1e-3, strict=True)
    np.testing.assert_allclose(first.atoms.positions, 0, atol=1e-3)
    n = len(store)
    assert n == first.calls > 1
    assert list((store.directory / "files").iterdir()) == []
    again = relax(atoms, labelling.calculator(), fmax=1e-3, strict=True)
    np.testing.assert_array_equal(again.atoms.positions, first.atoms.positions)
    assert len(store) == n
    assert not isinstance(Labelling(EMT).calculator(), AskingCalculator)
    asked = Labelling(EMT).calculator(expensive=True)
    copper = bulk("Cu")
    np.testing.assert_array_equal(asked.get_stress(copper), EMT().get_stress(copper))


@kinds
def test_verdicts_of_programs(kind, tmp_path):
    folders = Folders(tmp_path / "files")
    with pytest.raises(LabelError) as caught:
        label(cells(2, far=[0]), kind, folders=folders, retries=1)
    (failure,) = caught.value.failures
    assert (failure.verdict, failure.attempts) == ("not converged", 2)
    assert len(list((tmp_path / "files").iterdir())) == 2


def test_a_program_that_hangs_is_ended_and_its_folder_named(tmp_path):
    with pytest.raises(LabelError) as caught:
        label(cells(2, far=[0], how_far=2000.0), NewSpring, folders=Folders(tmp_path), time_limit=4.0)
    (failure,) = caught.value.failures
    (folder,) = tmp_path.iterdir()
    assert failure.verdict == "hanging"
    assert f"files in {folder}" in failure.reason
    assert (folder / "out.txt").read_text() == "spring begins\n"
