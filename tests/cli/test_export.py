"""`mlipgen export`: files that LAMMPS reads, what is printed, and what is refused."""

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from typer.testing import CliRunner

from ase_mlipgen import ACEBasis, LinearACE
from ase_mlipgen.cli.app import app
from ase_mlipgen.export import lammps
from ase_mlipgen.labels import LabelledCell, write_cells


def invoke(*words):
    return CliRunner().invoke(app, ["export", *map(str, words)])


@pytest.fixture
def run(tmp_path):
    """What of a run directory the command reads: the model and the training cells."""
    basis = ACEBasis(["W"], order=2, degree=6, cutoff=5.0)
    model = LinearACE(basis, np.random.default_rng(0).normal(size=len(basis)))
    folder = tmp_path / "run"
    folder.mkdir()
    model.save(folder / "model.json")
    cells = []
    for seed in range(2):
        atoms = bulk("W", cubic=True) * 2
        atoms.rattle(0.1, seed=seed)
        cells.append(LabelledCell(atoms, 0.0, np.zeros((len(atoms), 3))))
    write_cells(folder / "labels_train.extxyz", cells)
    return folder


def test_a_run_directory_is_compared_on_its_training_cells(run):
    done = invoke(run, "--json")
    assert done.exit_code == 0, done.output
    numbers = json.loads(done.stdout)
    assert numbers["potentials"] == [str(run / "model.yace")]
    assert numbers["structures"] == str(run / "labels_train.extxyz")
    assert numbers["n_structures"] == 2
    assert numbers["energy_deviation"] < 1e-12
    assert numbers["force_deviation"] < 1e-12
    assert numbers["n_bytes"] == (run / "model.yace").stat().st_size
    assert "pair_coeff * * model.yace W\n" in (run / "in.model").read_text()
    assert "16 atoms" in (run / "model.data").read_text()


def test_a_table_is_printed(run, tmp_path):
    write(tmp_path / "one.xyz", bulk("W", cubic=True))
    done = invoke(run / "model.json", "-o", tmp_path / "mine.yace", "--structures", tmp_path / "one.xyz")
    assert done.exit_code == 0, done.output
    assert "mine.yace" in done.stdout
    assert "compared on 1 structures" in done.stdout
    assert "eV/atom" in done.stdout
    assert (tmp_path / "in.mine").is_file()


def test_a_deviation_is_exit_code_4_and_leaves_no_file(run, monkeypatch):
    before = sorted(run.iterdir())
    exact = lammps.direct.evaluate

    def wrong(contents, atoms):
        energies, forces = exact(contents, atoms)
        return energies + 2e-8, forces

    monkeypatch.setattr(lammps.direct, "evaluate", wrong)
    done = invoke(run)
    assert done.exit_code == 4
    assert "2.00e-08 eV/atom" in done.stderr
    assert sorted(run.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["NRLTB:Si"], "no form that LAMMPS knows"),
        (["{run}", "-o", "model.txt"], "ends in .yace"),
        (["{run}", "-o", "nowhere/model.yace"], "no folder nowhere"),
        (["{run}", "--structures", "none.xyz"], "no file none.xyz"),
        (["EAM2D", "-o", "W.yace"], "end in .eam.alloy"),
    ],
)
def test_what_is_refused(words, said, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invoke(*(word.format(run=run) for word in words))
    assert done.exit_code == 2
    assert said in done.stderr
    assert not list(tmp_path.glob("*.yace"))


def test_embedded_atoms(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invoke("EAM2D")
    assert done.exit_code == 0, done.output
    assert {path.name for path in tmp_path.iterdir()} >= {"EAM2D.eam.alloy", "in.EAM2D", "EAM2D.data"}
