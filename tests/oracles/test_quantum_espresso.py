"""Quantum ESPRESSO as the reference: energies, signs, meshes, identity, failures; a vacancy from TOML to report.

Skipped where pw.x or the pseudopotential is missing. Cells and cutoffs are as small as they go.
"""

import json
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read
from typer.testing import CliRunner

from ase_mlipgen.cli.app import app
from ase_mlipgen.labels import Folders, LabelError, LabelStore, identity, label
from examples.references.quantum_espresso import espresso, pseudo_dir
from tests.labels.programs import SILICON, need_quantum_espresso

EXAMPLE = Path(__file__).parents[2] / "examples" / "silicon_quantum_espresso.toml"
coarse = partial(espresso, {"Si": SILICON}, ecutwfc=8.0, kspacing=0.2)


@pytest.fixture(autouse=True)
def _installed(monkeypatch):
    need_quantum_espresso()
    # OpenBLAS 0.3.21 with its kernels for newer processors kills pw.x at random.
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")


def pair(strain=0.0, shift=0.0):
    """Return silicon's unit cell, its second atom moved off its site along x."""
    atoms = bulk("Si", a=5.4)
    atoms.positions[1, 0] += 0.1 + shift
    atoms.set_cell(atoms.cell.array * (1 + strain), scale_atoms=True)
    return atoms


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """Labels of the cell, of two displaced and two strained ones; and the folder of their files."""
    need_quantum_espresso()
    folder = tmp_path_factory.mktemp("espresso")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENBLAS_CORETYPE", "Haswell")
        cells = [pair(), pair(shift=0.01), pair(shift=-0.01), pair(strain=0.005), pair(strain=-0.005)]
        reference = partial(coarse, degauss=0.05)
        found = label(
            cells, reference, observations=("energy", "forces", "stress"), store=LabelStore(folder / "labels"),
            folders=Folders(folder / "files", keep=True),
        )  # fmt: skip
    return found, folder


def test_the_energy_is_the_one_whose_gradient_the_forces_are(labels):
    """With smearing that is E - TS, which pw.x prints as the total energy."""
    (cell, plus, minus, *_), folder = labels
    assert cell.forces[1, 0] == pytest.approx(-(plus.energy - minus.energy) / 0.02, abs=2e-3)
    assert abs(cell.forces[1, 0]) > 0.3
    texts = [path.read_text() for path in folder.glob("files/*/espresso.pwo")]
    entropies = [float(re.findall(r"\(-TS\)\s+=\s+(\S+) Ry", text)[-1]) for text in texts]
    totals = [
        float(re.findall(r"!\s+total energy\s+=\s+(\S+) Ry", text)[-1]) * 13.6056980659 for text in texts
    ]
    assert min(map(abs, entropies)) * 13.6 > 0.005
    assert min(abs(total - cell.energy) for total in totals) < 1e-4


def test_tension_is_positive(labels):
    """Trace of the stress = dE/d(strain)/V. Plane waves change with the cell, so the sign and the size, no digits."""
    cell, _, _, wide, narrow = labels[0]
    slope = [sum(c.stress[:3]) for c in (narrow, cell, wide)]
    assert slope[0] < slope[1] < slope[2]
    bulk_modulus = (slope[2] - slope[0]) / 9 / 0.01  # eV/Å^3, of about 0.6
    assert 0.4 < bulk_modulus < 0.8


@pytest.mark.parametrize(("n", "mesh"), [(1, 4), (2, 2), (4, 1)])
def test_the_mesh_follows_the_cell(n, mesh, tmp_path):
    """1/(n 5.4 Å) / 0.05 rounded up: the density of k-points stays."""
    calculator = espresso({"Si": SILICON}, kspacing=0.05)
    calculator.directory = tmp_path
    calculator.write_inputfiles(bulk("Si", a=5.4, cubic=True) * n, ["energy"])
    (found,) = re.findall(r"K_POINTS automatic\n(.*)\n", (tmp_path / "espresso.pwi").read_text())
    assert found.split() == [str(mesh)] * 3 + ["0"] * 3


def test_identity_names_version_parameters_and_content_of_the_pseudopotential(labels, tmp_path, monkeypatch):
    text = identity(coarse)
    assert re.search(r'"program": "espresso \d\.\d', text)
    assert '"ecutwfc": 8.0' in text
    assert pseudo_dir([SILICON]) not in text
    assert identity(partial(coarse, ecutwfc=9.0)) != text
    assert identity(partial(coarse, command="env LANG=C pw.x")) == text
    used = coarse()
    with Folders(tmp_path / "files").working(used, "x"):
        used.write_inputfiles(pair(), ["energy"])  # which writes into the parameters
        assert identity(used) == text
    assert identity(used) == text
    copy = tmp_path / SILICON
    shutil.copy(Path(pseudo_dir([SILICON])) / SILICON, copy)
    monkeypatch.setattr("examples.references.quantum_espresso.pseudo_dir", lambda names: str(tmp_path))
    assert identity(coarse) == text
    copy.write_text(copy.read_text() + " ")
    assert identity(coarse) != text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"electrons": {"electron_maxstep": 2}}, r"convergence NOT achieved after +\d+ iterations"),
        ({"system": {"nspin": 3}}, "nspin out of range"),
    ],
)
def test_a_failure_says_what_the_program_said(settings, text, tmp_path):
    with pytest.raises(LabelError, match=text) as caught:
        label([pair()], partial(coarse, **settings), folders=Folders(tmp_path))
    (folder,) = tmp_path.iterdir()
    assert str(folder) in str(caught.value)
    assert (folder / "espresso.pwi").is_file()


def mlipgen(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_vacancy_from_toml_to_report_and_again(tmp_path):
    """The example, coarser: about thirty calculations of seven or eight atoms."""
    coarser = ["reference.arguments.ecutwfc=8.0", "training.n_train=4",
               "training.n_test=2", "training.fmax=2e-2"]  # fmt: skip
    words = ["run", EXAMPLE, "-o", tmp_path, "--json", *(w for change in coarser for w in ("--set", change))]
    done = mlipgen(*words)
    assert done.exit_code == 0, done.output
    numbers = json.loads(done.stdout)
    warned = " ".join(numbers["census"]["warnings"])
    assert "5.40 Å wide, less than twice the cutoff" in warned
    assert "only 2 test cells" in warned
    page = (tmp_path / "report.html").read_text()
    assert "less than twice the cutoff" in page
    assert "Only 2 test cells" in page
    cells = read(tmp_path / "labels_train.extxyz", ":")
    assert {len(atoms) for atoms in cells} == {7, 8}
    assert np.isfinite(numbers["errors"]["test"]["force_rmse"])
    assert list((tmp_path / "files").iterdir()) == []

    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "labels").rglob("*.json")}
    again = mlipgen(*words)
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["errors"] == numbers["errors"]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "labels").rglob("*.json")} == stamps
