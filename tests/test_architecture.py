"""The house's rules: imports run one way, nobody imports the root, heavy libraries stay in their rooms, no pickle."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import ase_mlipgen
from ase_mlipgen.export import reading

PACKAGE = Path(ase_mlipgen.__file__).parent
LEVELS = [
    {"arguments", "durable", "files", "jit", "lapack", "sanity", "simd", "symmetry", "threads", "workspace"},
    {"ace", "eam", "executors", "neighbors", "progress", "tightbinding"},
    {"basis", "elasticity"},
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
    {"registration", "testing"},
    {"plugin"},
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
    "sphinx": set(),  # builds docs/ only
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


def test_the_contract_knows_no_calculator_of_ours():
    """It serves others' calculators: NumPy, ASE and the standard library suffice."""
    for path in (PACKAGE / "testing").glob("*.py"):
        for name in imports(path):
            top = name.split(".")[0]
            assert top in {"numpy", "ase"} | sys.stdlib_module_names or name.startswith(
                "ase_mlipgen.testing"
            ), f"{path} imports {name}"


def test_only_the_entry_point_loads_the_plug_in():
    for path in sources():
        assert path.name == "plugin.py" or "ase_mlipgen.plugin" not in set(imports(path)), path
        assert path.name == "plugin.py" or not any(n.startswith("ase._4") for n in imports(path)), path


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


def calls(path):
    """Yield the dotted name of every call, and the node."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_no_pickle_reaches_the_disk():
    for path in sources():
        text = path.read_text()
        assert "pickle.load(" not in text, path
        assert "pickle.dump(" not in text, path
        assert "allow_pickle=True" not in text, path


def test_no_reader_executes_what_a_file_says():
    """Arrays, JSON and texts are read in the room `files`; what unpickles or imports is listed with its reason."""
    unpickles = {
        "fit/assemble.py",
        "labels/isolation.py",
        "labels/verdict.py",
        "testing/copies.py",
        "testing/worker.py",
    }  # messages of own processes and copies of a caller's calculator, no files
    imports_names = {
        "__init__.py",
        "executors/named.py",
        "labels/imported.py",
        "registration.py",
        "testing/__main__.py",
    }  # own names; what a user's TOML or command line names
    never = {
        "eval",
        "exec",
        "compile",
        "__import__",
        "np.load",
        "np.fromfile",
        "marshal.loads",
        "yaml.unsafe_load",
    }
    never |= {"yaml.full_load", "yaml.load_all", "ast.literal_eval", "os.system", "shelve.open", "torch.load"}
    for path in sources():
        place = path.relative_to(PACKAGE).as_posix()
        for name, node in calls(path):
            assert name not in never, f"{path}, line {node.lineno}: {name}"
            assert name not in ("pickle.loads", "loads") or place in unpickles, (
                f"{path}, line {node.lineno}: {name}"
            )
            if name.endswith("import_module"):
                assert place in imports_names, f"{path}, line {node.lineno}: {name}"
            if name == "yaml.load":
                assert [ast.unparse(k.value) for k in node.keywords] == ["_Loader"], (
                    f"{path}, line {node.lineno}"
                )
            assert "shell" not in {k.arg for k in node.keywords}, f"{path}, line {node.lineno}: a shell"
    assert issubclass(reading._Loader, yaml.constructor.SafeConstructor)
    assert not issubclass(reading._Loader, yaml.constructor.FullConstructor)


def test_json_is_parsed_in_one_place():
    """Elsewhere texts would come with NaN, keys that come twice and RecursionError; a command line may be."""
    elsewhere = {"files/content.py", "cli/model.py", "testing/__main__.py"}
    for path in sources():
        if path.relative_to(PACKAGE).as_posix() not in elsewhere:
            assert not {"json.loads", "json.load"} & {name for name, _ in calls(path)}, path


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, ase_mlipgen; print([m for m in ('numba', 'ase', 'scipy', 'matplotlib') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_public_names_exist():
    for name in ase_mlipgen.__all__:
        assert getattr(ase_mlipgen, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'DefectTrainr'"):
        ase_mlipgen.DefectTrainr  # noqa: B018
