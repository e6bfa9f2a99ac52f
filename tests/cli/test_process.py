"""The installed command as a process of its own: start-up, exit codes, worker processes."""

import subprocess
import sys
from importlib.metadata import version

import pytest

LOADED = "print([m for m in ('ase', 'matscipy', 'numba', 'scipy', 'matplotlib') if m in __import__('sys').modules])"


def python(code, *arguments):
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["run", "--help"], ["init", "new.toml", "--quiet"]]
)
def test_light_commands_import_nothing_heavy(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = f"import atexit, sys\natexit.register(lambda: {LOADED})\nfrom ase_mlipgen.cli import main\nmain()"
    done = python(code, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_version_is_the_packages():
    done = python("from ase_mlipgen.cli import main; main()", "--version")
    assert done.stdout.split() == ["mlipgen", version("ase-mlipgen")]


def test_results_go_to_standard_output_and_messages_to_standard_error(tmp_path):
    done = python("from ase_mlipgen.cli import main; main()", "plan", tmp_path / "absent.toml")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("mlipgen: no file ")
