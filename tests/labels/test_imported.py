"""References by name: what is found, what is refused and in which words, and how it reaches another process."""

import pickle
import subprocess
import sys

import pytest
from ase.calculators.emt import EMT

from ase_mlipgen.config import ConfigError, build, load
from ase_mlipgen.labels import identity
from ase_mlipgen.labels.imported import FolderFunction, imported

FACTORY = """
from ase.calculators.emt import EMT
from neighbour_of_{stem} import NUMBER

limit = 3

def make(asap_cutoff=False, *, number=NUMBER):
    return EMT(asap_cutoff=asap_cutoff)
"""
CONFIG = """
[crystal]
kind = "bulk"
name = "Cu"
[[defects]]
kind = "vacancy"
[reference]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the module `stem`, which imports another one beside it; names differ from test to test."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    stem = f"my_{tmp_path.name}"
    (tmp_path / f"{stem}.py").write_text(FACTORY.format(stem=stem))
    (tmp_path / f"neighbour_of_{stem}.py").write_text("NUMBER = 5\n")
    return tmp_path, stem


def configured(folder, lines):
    (folder / "run.toml").write_text(CONFIG + lines)
    return load(folder / "run.toml")


@pytest.mark.parametrize(
    "form", ["{stem}:make", "{stem}.py:make", "./{stem}.py:make", "../{up}/{stem}.py:make"]
)
def test_modules_and_files_beside_the_configuration(folder, form):
    path, stem = folder
    name = form.format(stem=stem, up=path.name)
    config = configured(path, f'factory = "{name}"\narguments = {{ asap_cutoff = true }}\n')
    factory = build.reference(config)
    assert factory().parameters["asap_cutoff"] is True
    assert (config.reference.factory, config.reference.folder) == (f"{stem}:make", str(path))
    assert f"{stem}.make" in identity(factory)
    assert '"makes": ["ase.calculators.emt.EMT", "ase ' in identity(factory)


def test_a_process_that_does_not_know_the_folder_imports_from_it(folder):
    path, stem = folder
    content = pickle.dumps(imported(f"{stem}:make", str(path)))
    code = f"import pickle; print(type(pickle.loads({content!r})()).__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=True)
    assert done.stdout.strip() == "EMT"


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ('factory = "{stem}.py:mak"', "the module {stem} has no mak; did you mean make?"),
        ('factory = "{stem}.py:limit"', "it is 3; expected a calculator class or a factory"),
        ('factory = "no_such.py:make"', "there is no file .*no_such.py"),
        ('factory = "no_such_module:make"', "No module named 'no_such_module'; install it, or give its `folder`"),
        ('factory = "{stem}.py:make"\narguments = {{ asap = true }}',
         r"got an unexpected keyword argument 'asap'; it is make\(asap_cutoff=False, \*, number=5\)"),
        ('factory = "ase.calculators.mixing:SumCalculator"', "missing a required argument: 'calcs'"),
        ('factory = "broken.py:make"', r"importing broken failed: ZeroDivisionError: .* \(.*broken.py, line 3\)"),
        ('factory = "worse.py:make"', r"importing worse failed: SyntaxError: .*worse.py, line 1"),
        ('factory = "lacking.py:make"', "No module named 'not_installed'; install it"),
        ('factory = "json.py:make"', "json.py is hidden by another module of that name, .*give the file another name"),
    ],
)  # fmt: skip
def test_mistakes_are_told(folder, lines, text):
    path, stem = folder
    (path / "broken.py").write_text("import math\n\nx = 1 / 0\n")
    (path / "worse.py").write_text("def make(:\n")
    (path / "lacking.py").write_text("import not_installed\n")
    (path / "json.py").write_text("def make(): pass\n")
    with pytest.raises(ConfigError, match=text.replace("{stem}", stem)):
        build.reference(configured(path, lines.replace("{stem}", stem).replace("{{", "{").replace("}}", "}")))


def test_a_name_needs_two_parts():
    for name in ("EMT", ":x", "x:"):
        with pytest.raises(ValueError, match=r'expected "package.module:name"'):
            imported(name)
    assert imported("ase.calculators.emt:EMT") is EMT


def test_a_function_of_a_folder_is_like_the_function(folder):
    path, stem = folder
    found = imported(f"{stem}:make", str(path))
    assert isinstance(found, FolderFunction)
    assert (found.__module__, found.__qualname__) == (stem, "make")
    assert repr(found) == f"<{stem}:make in {path}>"
    assert isinstance(pickle.loads(pickle.dumps(found))(), EMT)
