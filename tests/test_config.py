"""Configuration: strict errors that name the key, round trips through TOML, and the objects it stands for."""

import math
import subprocess
import sys
import tomllib
from functools import partial

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.config import ConfigError, build, default, load, parse, to_toml, validate
from ase_mlipgen.labels import AskingCalculator

MINIMAL = """
[crystal]
kind = "triangular"
element = "W"
r0 = 2.72711
[[defects]]
kind = "vacancy"
[simulation]
"""

MISTAKES = {
    "training.ampltude=0.1": 'unknown key "ampltude" in [training]; did you mean "amplitude"?',
    "trainig.size=6": 'unknown key "trainig" in the file; did you mean "training"?',
    "crystal.elemnt=W": 'unknown key "elemnt" in [crystal]; did you mean "element"?',
    "defects.0.indx=1": 'unknown key "indx" in [[defects]] number 1; did you mean "index"?',
    'simulation.defects=[{kind="vacancy", indx=2}]': 'unknown key "indx" in [[simulation.defects]] number 1',
    "training.amplitude=big": '[training] amplitude = "big": expected a number',
    "training.n_train=2.5": "[training] n_train = 2.5: expected a whole number",
    "training.n_train=true": "[training] n_train = true: expected a whole number",
    "crystal.r0=-1.0": "[crystal] r0 = -1.0: expected a number above 0",
    "crystal.r0=inf": "[crystal] r0 = inf: expected a finite number",
    "crystal.kind=hexagonal": '[crystal] kind = "hexagonal": expected one of "triangular", "bulk", "file"',
    "defects=[{}]": '[[defects]] number 1 lacks the key "kind"',
    'defects=[{kind="interstitial"}]': '[[defects]] number 1 lacks the key "scaled_position"',
    "defects=[]": "defects = []: expected at least 1 entries",
    "fit.matching=some": "[fit] matching = \"some\": expected 'exact' or 'none' or a list in [ ]",
    'fit.matching=["x"]': "[fit] matching 1 = \"x\": expected 'energies', 'forces' or 'force_constants'",
    'fit.weights={vacancy={energy="x"}}': '[fit.weights.vacancy] energy = "x": expected a number',
    'basis.r0={W="x"}': '[basis.r0] W = "x": expected a number',
    'basis.elements="W"': '[basis] elements = "W": expected a list in [ ]',
    "training=5": "training = 5: expected a table of keys and values",
    "run.workers=0": "[run] workers = 0: expected a number of at least 1",
}


@pytest.mark.parametrize("change", MISTAKES)
def test_a_mistake_names_table_key_value_and_what_was_expected(change):
    with pytest.raises(ConfigError) as caught:
        parse(MINIMAL, changes=[change])
    assert MISTAKES[change] in str(caught.value)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("training.size", "expected table.key=value"),
        ("defects.3.index=1", "defects.3 is no table"),
        ("crystal.kind.x=1", "crystal.kind is no table"),
    ],
)
def test_a_change_that_has_no_place_is_refused(change, text):
    with pytest.raises(ConfigError, match=text):
        parse(MINIMAL, changes=[change])


def test_changes_are_typed_as_in_toml():
    config = parse(
        MINIMAL,
        changes=[
            "training.size=[4, 5]",
            "reference.factory=EMT",
            "fit.weights.energy=7",
            "defects.0.index=1",
        ],
    )
    assert config.training.size == [4, 5]
    assert config.reference.factory == "EMT"
    assert config.fit.weights == {"energy": 7}
    assert config.defects[0].index == 1


@pytest.mark.parametrize("comments", [False, True])
def test_written_configuration_reads_back_the_same(comments):
    assert parse(to_toml(default(), comments)) == default()


# All that TOML escapes, and one character of each length in UTF-8: drawing from all of Unicode takes seconds.
CHARACTERS = "".join(map(chr, [*range(1, 128), 133, 0xE9, 0x2028, 0xD7FF, 0xFEFF, 0x1F600, 0x10FFFF]))
texts = st.text(CHARACTERS, max_size=12)
plain = st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | texts
tables = st.lists(plain, max_size=3) | st.dictionaries(texts, plain, max_size=3)
values = plain | tables | st.lists(tables, max_size=2) | st.dictionaries(texts, tables, max_size=2)


@settings(deadline=None)  # a busy machine stops any call for longer
@given(arguments=st.dictionaries(texts, values, max_size=4), rtol=st.floats(0, 1, exclude_max=True))
def test_any_values_survive_toml(arguments, rtol):
    """Python's own TOML parser is the judge of the writer."""
    config = validate({**tomllib.loads(MINIMAL), "fit": {"rtol": rtol}})
    config = config.model_copy(
        update={"reference": config.reference.model_copy(update={"arguments": arguments})}
    )
    back = tomllib.loads(to_toml(config, comments=True))
    assert back["reference"]["arguments"] == arguments
    assert math.isclose(back["fit"]["rtol"], rtol, rel_tol=0)


def test_default_is_the_demonstration():
    config = default()
    trainer = build.trainer(config, progress=False)
    census = trainer.census()
    assert len(trainer.cells()[0].unrelaxed) == 69
    assert census.n_functions == 383
    assert census.n_rows == 200 * (1 + 3 * 69) + 20 * (1 + 3 * 70)
    large, perfect = build.simulation(config)
    assert (len(large), len(perfect)) == (60 * 60 - 2, 60 * 60)
    assert build.reference(config) is EAM2D


def test_three_dimensional_crystal_defects_and_elements():
    config = validate(
        {
            "crystal": {"kind": "bulk", "name": "Cu", "a": 3.6},
            "defects": [
                {"kind": "interstitial", "scaled_position": [0.5, 0.5, 0.5], "element": "Ni"},
                {"kind": "substitution", "element": "Au", "index": 2},
            ],
            "reference": {"factory": "EMT", "arguments": {"asap_cutoff": True}},
            "basis": {"core": "none", "degree": 6, "order": 2},
            "training": {"optimizer": "FIRE"},
        }
    )
    np.testing.assert_allclose(build.crystal(config).cell.array, bulk("Cu", a=3.6, cubic=True).cell.array)
    assert [defect.name for defect in build.defects(config)] == ["interstitial-Ni", "substitution-Au-2"]
    basis = build.basis(config)
    assert basis.elements == ("Ni", "Cu", "Au")
    assert basis.core is None
    assert isinstance(build.reference(config)(), EMT)
    assert build.reference(config)().parameters["asap_cutoff"] is True
    assert build.optimizer(config).__name__ == "FIRE"
    assert build.simulation(config) is None


def test_relative_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    write(folder / "cell.xyz", bulk("Cu", cubic=True), format="extxyz")
    (folder / "my_reference_of_test.py").write_text(
        "from ase.calculators.emt import EMT\n\ndef make(table): return EMT()\n"
    )
    (folder / "table.txt").write_text("x")
    (folder / "run.toml").write_text(
        '[crystal]\nkind = "file"\npath = "cell.xyz"\n[[defects]]\nkind = "vacancy"\n'
        '[reference]\nfactory = "my_reference_of_test:make"\narguments = { table = "table.txt" }\n'
    )
    monkeypatch.chdir(tmp_path)
    config = load(folder / "run.toml")
    assert len(build.crystal(config)) == 4
    assert config.reference.arguments == {"table": str(folder / "table.txt")}
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert isinstance(build.reference(config)(), EMT)
    assert parse(to_toml(config), tmp_path) == config


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("reference.factory=LAMMPS", 'expected EAM2D, NRLTB, EMT or "package.module:name"'),
        ("reference.factory=no_such_package:x", "No module named 'no_such_package'"),
        ("reference.factory=ase.calculators.emt:EMTT", "has no EMTT"),
        ("basis.elements=[\"Xy\"]", r"in \[basis\]: unknown element 'Xy'"),
        ("simulation.separation=50", r"in \[simulation\]"),
        ("crystal.element=Xy", r"in \[crystal\]"),
    ],
)  # fmt: skip
def test_what_a_room_refuses_is_reported_with_its_table(change, text):
    config = parse(MINIMAL, changes=[change])
    make = build.simulation if change.startswith("simulation") else partial(build.trainer, progress=False)
    with pytest.raises(ConfigError, match=text):
        make(config)


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(ConfigError, match=r"no file .*mlipgen init"):
        load(tmp_path / "absent.toml")
    (tmp_path / "broken.toml").write_text("[crystal\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(tmp_path / "broken.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = " + "[" * 100_000, "not valid TOML"),
        ("x = " + "9" * 10_000, "not valid TOML"),
        (".".join(["a"] * 20_000) + " = 1", "tables within tables"),
    ],
    ids=["deep", "long number", "many tables"],
)
def test_hostile_files_are_refused(tmp_path, text, said):
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        load(tmp_path / "run.toml")


def test_importing_the_configuration_imports_nothing_heavy():
    heavy = "('ase', 'matscipy', 'numba', 'scipy')"
    code = f"import sys, ase_mlipgen.config; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_file_based_reference_is_told_where_to_work(tmp_path):
    table = '[reference]\nfactory = "EMT"\nfiles = "scratch"\nkeep_files = true\nexpensive = true\n'
    config = parse(MINIMAL.replace("[[defects]]", table + "[[defects]]", 1), tmp_path)
    trainer = build.trainer(config, store=tmp_path / "run" / "labels", progress=False)
    assert (trainer.folders.root, trainer.folders.keep) == (str(tmp_path / "scratch"), True)
    assert isinstance(trainer.calculator(), AskingCalculator)
    plain = build.trainer(parse(MINIMAL), store=tmp_path / "run" / "labels", progress=False)
    assert (plain.folders.root, plain.folders.keep) == (tmp_path / "run" / "files", False)
    assert isinstance(plain.calculator(), EAM2D)
