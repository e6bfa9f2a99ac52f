"""Pages say what is there: links, commands, options, keys, names and rooms; and the quickstart runs."""

import re
import tomllib
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

import ase_mlipgen
from ase_mlipgen.cli.app import app
from ase_mlipgen.config import default, to_toml, validate
from ase_mlipgen.config.schema import Config, DataConfig
from docs.reference.page import part
from docs.reference.parts import PARTS, PICTURE, picture
from tests.test_architecture import LEVELS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
QUICKSTART = (DOCS / "quickstart.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^(\s*)(```+)\s*(\S*)[^\n]*\n(.*?)^\1\2\s*$", flags=re.S | re.M)
RUNNER = CliRunner()

each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def blocks(text, *languages):
    """The fenced blocks of a page in any of these languages."""
    return [found[4] for found in FENCE.finditer(text) if found[3] in languages]


def prose(text):
    """A page without its blocks."""
    return FENCE.sub("", text)


def slugs(path):
    """Anchors of a page's headings, as code hosts and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", prose(path.read_text(encoding="utf-8")), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_and_pictures_resolve(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), f"{path.name} links to {target}, which is not there"
        if anchor:
            assert anchor in slugs(there), f"{path.name} links to {target}: no such heading"


def test_every_page_is_reachable_from_the_first():
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    entries = [line for block in blocks(text, "{toctree}") for line in block.splitlines()]
    entries = [line for line in entries if line and not line.startswith(":")]
    names = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    for name in names:
        assert any(fnmatch(name, entry) for entry in entries), f"{name}.md is in no table of contents"
    for entry in entries:
        assert any(fnmatch(name, entry) for name in names), f"index.md names {entry}, which is not there"


@pytest.mark.parametrize(
    ("page", "name", "make"), PARTS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_written_parts_are_up_to_date(page, name, make):
    same = part(page, name) == make()  # a difference of long texts would take pytest a minute to show
    assert same, f"docs/{page} is stale: run python -m docs.reference"


def test_picture_of_the_rooms_agrees_with_the_levels():
    text = PICTURE.read_text(encoding="utf-8")
    same = text == picture()
    assert same, "docs/figures/architecture.svg is stale: run python -m docs.reference"
    drawn = ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")
    heights = {node.text: float(node.get("y")) for node in drawn if node.get("text-anchor") == "middle"}
    assert heights.keys() == set().union(*LEVELS)
    of_levels = [{heights[room] for room in rooms} for rooms in LEVELS]
    assert all(len(of_level) == 1 for of_level in of_levels), "rooms of a level stand side by side"
    assert sorted((max(h) for h in of_levels), reverse=True) == [max(h) for h in of_levels]


@pytest.mark.parametrize("config", [Config, DataConfig])
def test_configuration_page_has_every_key(config):
    """The schema as pydantic exports it is the judge."""
    text = (DOCS / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \| (.*) \|$", text, flags=re.M)
    found = {(key, meaning) for key, _, _, meaning in rows}
    for table in config.model_json_schema()["$defs"].values():
        assert table["description"] in text
        for key, value in table["properties"].items():
            assert (key, value["description"]) in found


def help_of(name):
    """Options that `mlipgen NAME --help` shows."""
    shown = RUNNER.invoke(app, [name, "--help"], env={"COLUMNS": "300", "TERM": "dumb"})
    assert shown.exit_code == 0
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", re.sub(r"\x1b\[[\d;]*m", "", shown.output)))


def commands():
    return [command.name for command in app.registered_commands]


def test_page_of_commands_is_their_help():
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text.split("<!-- commands:")[1], flags=re.M)[1:]
    assert [section.split("\n")[0] for section in sections] == commands()
    for name, section in zip(commands(), sections, strict=True):
        cells = " ".join(re.findall(r"^\| `([^`]*)` \|", section, flags=re.M))
        assert set(re.findall(r"--[a-z][a-z-]*", cells)) == help_of(name) - {"--help"}


@each_page
def test_commands_of_pages_exist_with_their_options(path):
    text = path.read_text(encoding="utf-8")
    lines = re.findall(r"^\$ (mlipgen .*)$", text, flags=re.M)
    lines += re.findall(r"`(mlipgen [^`]*)`", prose(text).replace("\n", " "))
    for line in lines:
        words = line.split("#")[0].split(";")[0].split()
        name = words[1] if len(words) > 1 else "--help"
        if name.startswith(("-", "NAME", "VERB")):
            continue
        assert name in commands(), f"{path.name}: {line}"
        for option in (word.split("=")[0] for word in words if word.startswith("--")):
            assert option in help_of(name), f"{path.name}: {line} has no {option}"


@each_page
def test_programs_of_pages_are_python(path):
    for code in blocks(path.read_text(encoding="utf-8"), "python", "{code-cell}"):
        compile(re.sub(r"^:.*$", "", code, flags=re.M), path.name, "exec")  # less the options of a cell


@each_page
def test_configurations_of_pages_are_valid(path):
    """Parts of one are tables that exist, with keys that exist; whole ones are valid."""
    for text in blocks(path.read_text(encoding="utf-8"), "toml"):
        content = tomllib.loads(text)
        if "data" in content:
            DataConfig.model_validate(content)
        else:  # what a part lacks comes from the demonstration
            Config.model_validate({**tomllib.loads(to_toml(default())), **content})


def test_page_of_names_has_all_that_is_public():
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    directives = re.findall(r"^\.\. auto(?:class|function|data):: (\S+)$", text, flags=re.M)
    assert len(set(directives)) == len(directives)
    for name in set(ase_mlipgen.__all__) - {"__version__"}:
        assert f"ase_mlipgen.{name}" in directives
    for directive in directives:
        module, _, name = directive.rpartition(".")
        assert getattr(import_module(module), name).__doc__, f"{directive} says nothing of itself"
    for room in ("theory", "labels", "fit", "data", "defects", "basis", "executors"):
        for name in import_module(f"ase_mlipgen.{room}").__all__:
            assert {f"ase_mlipgen.{room}.{name}", f"ase_mlipgen.{name}"} & set(directives), f"{room}.{name}"


def test_quickstart_in_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in blocks(QUICKSTART, "python"):
        exec(compile(code, "quickstart.md", "exec"), names)
    shown = capsys.readouterr().out
    for words in ("rank", "predicted errors", "verdict: ok", "geometry error"):
        assert words in shown
    assert (tmp_path / "W.json").is_file()


def test_quickstart_configuration_runs(tmp_path, monkeypatch):
    """Each command of its console, as it stands there, but smaller."""
    monkeypatch.chdir(tmp_path)
    (text,) = blocks(QUICKSTART, "toml")
    validate(tomllib.loads(text))
    Path("copper.toml").write_text(text, encoding="utf-8")
    smaller = (
        "training.n_train=3",
        "training.n_test=2",
        "training.size=2",
        "basis.degree=6",
        "simulation.size=3",
    )
    for line in re.findall(r"^\$ mlipgen (.*)$", QUICKSTART, flags=re.M):
        words = line.split()
        if words[0] in ("demo", "eval"):
            continue
        if words[0] == "run":
            words += ["--quiet", *(word for change in smaller for word in ("--set", change))]
        done = RUNNER.invoke(app, words)
        assert done.exit_code == 0, f"{line}: {done.output}"
    assert Path("runs/copper/report.html").is_file()
