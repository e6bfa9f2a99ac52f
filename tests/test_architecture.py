"""The house's rules: imports run one way, nobody imports the root, heavy libraries stay in their rooms, no pickle."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ase_mlipgen

PACKAGE = Path(ase_mlipgen.__file__).parent
LEVELS = [
    {"arguments", "durable", "jit", "lapack", "simd", "symmetry", "threads", "workspace"},
    {"ace", "eam", "executors", "neighbors", "progress", "tightbinding"},
    {"basis"},
    {"export", "posterior"},
    {"calculators", "extrapolation"},
    {"defects", "labels", "fit"},
    {"data", "theory"},
    {"result"},
    {"census"},
    {"trainer"},
    {"refinement", "studies"},
    {"report"},
    {"config"},
    {"cli"},
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
NUMBERS_ONLY = {
    "ace": {"numpy", "scipy", "numba"},
    "eam": {"numpy", "scipy", "numba"},
    "tightbinding": {"numpy", "scipy", "threadpoolctl", "torch"},
}
AT_HOME = {
    "dask": {"executors"},
    "distributed": {"executors"},
    "executorlib": {"executors"},
    "matplotlib": {"report"},
    "typer": {"cli"},
    "rich": {"cli", "progress"},
    "pydantic": {"config"},
    "spglib": {"defects", "symmetry", "theory"},
    "torch": {"tightbinding"},
    "yaml": {"export"},
}


def sources():
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py") if parts[0] != "__init__.py" else ""


def imports(path):
    """Yield the dotted names that a file imports, at any depth of its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the full name"
            yield node.module
            if node.module == "ase_mlipgen":
                yield from (f"ase_mlipgen.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    room = room_of(path)
    if room == "":
        return
    assert room in LEVEL, f"{room} has no level: give it one in this test, and in the architecture page"
    for name in imports(path):
        if not name.startswith("ase_mlipgen"):
            continue
        assert name != "ase_mlipgen", f"{path} imports the root"
        target = name.split(".")[1]
        if target == "__version__":
            continue
        assert target == room or LEVEL[target] < LEVEL[room], f"{path} ({room}) imports {name}: not below it"


def test_calculators_do_not_import_one_another():
    for path in (PACKAGE / "calculators").glob("*.py"):
        siblings = {n for n in imports(path) if n.startswith("ase_mlipgen.calculators.")}
        assert siblings <= {"ase_mlipgen.calculators.base"}, f"{path} imports {siblings}"


@pytest.mark.parametrize("room", NUMBERS_ONLY)
def test_kernel_rooms_know_numbers_only(room):
    for path in (PACKAGE / room).glob("*.py"):
        for name in imports(path):
            top = name.split(".")[0]
            allowed = top in NUMBERS_ONLY[room] | {"ase_mlipgen"} or top in sys.stdlib_module_names
            assert allowed, f"{path} imports {name}"


@pytest.mark.parametrize("library", AT_HOME)
def test_libraries_stay_in_their_rooms(library):
    for path in sources():
        for name in imports(path):
            if name.split(".")[0] == library:
                assert room_of(path) in AT_HOME[library], f"{path} imports {name}"


def test_no_pickle_reaches_the_disk():
    for path in sources():
        text = path.read_text()
        assert "pickle.load(" not in text, path
        assert "pickle.dump(" not in text, path
        assert "allow_pickle=True" not in text, path


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, ase_mlipgen; print([m for m in ('numba', 'ase', 'scipy', 'matplotlib') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_public_names_exist():
    for name in ase_mlipgen.__all__:
        assert getattr(ase_mlipgen, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'DefectTrainr'"):
        ase_mlipgen.DefectTrainr  # noqa: B018
