"""docs/how-to-dft.md: its programs run as far as they can here, its tables are accepted, its files exist."""

import re
import tomllib
from pathlib import Path

import pytest

from ase_mlipgen.config.schema import Reference
from ase_mlipgen.labels import file_based, identity
from ase_mlipgen.trainer import DefectTrainer

PAGE = Path(__file__).parents[1] / "docs" / "how-to-dft.md"
TEXT = PAGE.read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)
TABLES = re.findall(r"```toml\n(.*?)```", TEXT, flags=re.S)


def executed(code):
    names = {}
    exec(compile(code, PAGE.name, "exec"), names)
    return names


def test_factory_of_the_page():
    calculator = executed(PROGRAMS[0])["espresso"]({"Si": "Si.pz-vbc.UPF"}, ecutwfc=20.0)
    assert file_based(calculator) == [calculator]
    assert calculator.parameters["input_data"]["system"]["ecutwfc"] == 20.0


def test_trainer_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(PAGE.parents[1] / "examples" / "references")
    trainer = executed(PROGRAMS[1])["trainer"]
    assert isinstance(trainer, DefectTrainer)
    assert trainer.folders.keep


def test_keywords_of_other_codes_are_those_that_ase_takes(tmp_path):
    """Calculators that can be made without their code, are."""
    (_, _, code) = PROGRAMS
    names = executed(code)
    vasp = names["vasp"]()
    assert (vasp.float_params["kspacing"], vasp.int_params["isym"]) == (0.25, 0)
    assert file_based(vasp) == [vasp]
    assert names["aims"](tmp_path).parameters["k_grid_density"] == 3.5
    with pytest.raises(ValueError, match="tag"):
        identity(names["vasp"])
    assert {"gpaw", "cp2k", "xtb"} <= names.keys()


@pytest.mark.parametrize("code", ["gpaw", "xtb"])
def test_codes_that_may_be_installed(code):
    pytest.importorskip({"gpaw": "gpaw", "xtb": "tblite"}[code], reason=f"{code} is not installed")
    assert executed(PROGRAMS[2])[code]().parameters


@pytest.mark.parametrize("text", TABLES)
def test_tables_are_accepted(text):
    assert Reference(**tomllib.loads(text)["reference"]).factory.endswith(("espresso", "vasp"))


def test_files_that_are_named_exist():
    for link in re.findall(r"\]\((\.\./.*?)\)", TEXT):
        assert (PAGE.parent / link).is_file()
    assert (PAGE.parents[1] / "examples" / "silicon_quantum_espresso.toml").is_file()
