"""Which commands import the code that a configuration names, as docs/security.md has it; each a process of its own."""

import subprocess
import sys

import pytest

NAMED = {
    "reference.py": """
import pathlib
from ase_mlipgen.calculators.eam2d import EAM2D

pathlib.Path(__file__).with_suffix(".imported").touch()


def factory():
    return EAM2D()
""",
    "optimizer.py": """
import pathlib
from ase.optimize import BFGS

pathlib.Path(__file__).with_suffix(".imported").touch()


class Optimizer(BFGS):
    pass
""",
}
CONFIGURATION = """
[crystal]
kind = "triangular"
element = "W"
r0 = 2.72711
[[defects]]
kind = "vacancy"
[reference]
factory = "reference.py:factory"
tag = "of this test"
[basis]
order = 2
degree = 6
[training]
size = 6
n_train = 4
n_test = 2
n_perfect = 2
fmax = 1e-2
optimizer = "optimizer:Optimizer"
[fit]
matching = "none"
"""


def mlipgen(folder, *words):
    """Run a command and return which of the named modules it imported."""
    for old in folder.glob("*.imported"):
        old.unlink()
    call = [sys.executable, "-c", "from ase_mlipgen.cli import main; main()", *words]
    run = subprocess.run(call, cwd=folder, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr
    return {path.stem for path in folder.glob("*.imported")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign")
    for name, text in NAMED.items():
        (folder / name).write_text(text)
    (folder / "run.toml").write_text(CONFIGURATION)
    assert mlipgen(folder, "run", "run.toml", "-o", "there", "--quiet") == {"reference", "optimizer"}
    return folder


def test_planning_imports_them(folder):
    assert mlipgen(folder, "plan", "run.toml") == {"reference", "optimizer"}


@pytest.mark.parametrize(
    "words", [("status", "there"), ("fit", "there", "--quiet")], ids=lambda words: words[0]
)
def test_stages_after_labelling_leave_the_reference_alone(folder, words):
    assert mlipgen(folder, *words) == {"optimizer"}


@pytest.mark.parametrize(
    "words",
    [("eval", "there", "there/labels_test.extxyz"), ("budget", "there"), ("cite", "there")],
    ids=lambda words: words[0],
)
def test_what_reads_a_result_imports_nothing(folder, words):
    assert mlipgen(folder, *words) == set()
