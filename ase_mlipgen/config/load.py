"""From TOML text to a checked `Config`: file, changes from the command line, relative paths.

Relative paths in a file are relative to that file, and absolute in the configuration that comes back. Enter at
`load`.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ase_mlipgen.config.errors import ConfigError, sentences
from ase_mlipgen.config.schema import AnyConfig, Config, DataConfig, Reference
from ase_mlipgen.files import DamagedError, read_text

NOT_BESIDE_DATA = ("crystal", "defects", "reference", "training", "simulation")
MOST_BYTES = 2**24
DEFAULT: dict[str, Any] = {
    "crystal": {"kind": "triangular", "element": "W", "r0": 2.72711},
    "defects": [{"kind": "vacancy"}],
    "basis": {"elements": ["W"]},
    "simulation": {},
}


def default() -> Config:
    """Return the demonstration: a vacancy in planar tungsten, two of them in a sheet of 60 r0."""
    return validate(DEFAULT)


def load(path: str | Path, changes: Iterable[str] = ()) -> Config:
    """Read a configuration file.

    Parameters
    ----------
    path : str or Path
    changes : iterable of str
        ``table.key=value``, with the value as in TOML; quotes around texts may be left out.

    Raises
    ------
    ConfigError
        No such file, not TOML, or a content that is refused: also one that fits labels of files, see `load_any`.
    """
    config = load_any(path, changes)
    if isinstance(config, DataConfig):
        raise ConfigError(
            f"{path} fits labels of files, [data], and has no crystal and no reference, which this command needs"
        )
    return config


def load_any(path: str | Path, changes: Iterable[str] = ()) -> AnyConfig:
    """Read a configuration file of either kind: see `load`."""
    path = Path(path)
    try:
        text = read_text(path, MOST_BYTES)
    except FileNotFoundError:
        raise ConfigError(f"no file {path}; `mlipgen init {path}` writes one to start from") from None
    except (OSError, DamagedError) as error:
        old = _with_old_comments(path)
        if old is None:
            raise ConfigError(f"{path} cannot be read: {error}") from error
        text = old
    try:
        return parse_any(text, path.parent, changes)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error.__cause__
    except RecursionError as error:
        raise ConfigError(f"{path}: tables within tables, deeper than any configuration has them") from error


def _with_old_comments(path: Path) -> str | None:
    """Return the text of a file that is UTF-8 but for its comments, which may be in Latin-1; None of any other."""
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        return None
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    try:
        return None if r"\udc" in repr(tomllib.loads(text)) else text
    except (ValueError, RecursionError):
        return None


def parse(text: str, folder: str | Path = ".", changes: Iterable[str] = ()) -> Config:
    """Check TOML text; relative paths in it are relative to `folder`."""
    return validate(_content(text), folder, changes)


def parse_any(text: str, folder: str | Path = ".", changes: Iterable[str] = ()) -> AnyConfig:
    """Check TOML text of either kind."""
    content = _content(text)
    return (_validate_data if "data" in content else validate)(content, folder, changes)


def _content(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(
            "not valid TOML: lists or tables lie deeper in one another than any that is read"
        ) from None
    except ValueError as error:  # of a number with more digits than Python converts
        raise ConfigError(f"not valid TOML: {error}") from error


def _validate_data(content: dict[str, Any], folder: str | Path, changes: Iterable[str]) -> DataConfig:
    if beside := [name for name in NOT_BESIDE_DATA if name in content]:
        tables = ", ".join(f"[{name}]" for name in beside)
        raise ConfigError(f"[data] stands in the place of {tables}: leave one of both out")
    content = {key: value for key, value in content.items() if key not in ("run", "labels")}
    for change in changes:
        if not change.startswith(("run.", "labels.")):
            _change(content, change)
    try:
        config = DataConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError("; ".join(sentences(error, DataConfig))) from error
    folder = Path(folder).resolve()
    files = {
        name: [str(folder / path) for path in getattr(config.data, name)] for name in ("files", "test_files")
    }
    return config.model_copy(update={"data": config.data.model_copy(update=files)})


def validate(content: Mapping[str, Any], folder: str | Path = ".", changes: Iterable[str] = ()) -> Config:
    """Check the content of a file, after applying changes ``table.key=value``."""
    content = {key: _copied(value) for key, value in content.items()}
    for change in changes:
        _change(content, change)
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        raise ConfigError("; ".join(sentences(error, Config))) from error
    return _absolute(config, Path(folder).resolve())


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _change(content: dict[str, Any], change: str) -> None:
    """Set one value: ``training.size=6``, ``defects.0.index=1``."""
    name, sign, text = change.partition("=")
    keys = [key.strip() for key in name.split(".")]
    if not sign or not all(keys):
        raise ConfigError(f"--set {change}: expected table.key=value, such as training.size=6")
    place: Any = content
    for depth, key in enumerate(keys[:-1]):
        entry = _entry(place, key)
        if entry is None and isinstance(place, dict):
            entry = place[key] = {}
        if not isinstance(entry, dict | list):
            raise ConfigError(f"--set {change}: {'.'.join(keys[: depth + 1])} is no table")
        place = entry
    if isinstance(place, list):
        if _entry(place, keys[-1]) is None:
            raise ConfigError(f"--set {change}: the list has {len(place)} entries, numbered from 0")
        place[int(keys[-1])] = _value(text)
    else:
        place[keys[-1]] = _value(text)


def _entry(place: Any, key: str) -> Any:
    if isinstance(place, list):
        return place[int(key)] if key.isdecimal() and int(key) < len(place) else None
    return place.get(key)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text.strip()}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text.strip()


def _absolute(config: Config, folder: Path) -> Config:
    """Make the paths absolute, also those among the reference's arguments that name an existing file."""
    crystal, simulation, reference = config.crystal, config.simulation, config.reference
    update: dict[str, Any] = {
        "crystal": _resolved(crystal, folder),
        "defects": [_resolved(defect, folder) for defect in config.defects],
        "reference": reference.model_copy(update=_reference(reference, folder)),
    }
    if simulation is not None:
        several = [_resolved(defect, folder) for defect in simulation.defects]
        update["simulation"] = simulation.model_copy(update={"defects": several})
    return config.model_copy(update=update)


def _reference(table: Reference, folder: Path) -> dict[str, Any]:
    """Return what changes in the reference: a file of a factory becomes a module and its folder."""
    changed: dict[str, Any] = {
        "arguments": {key: _existing(value, folder) for key, value in table.arguments.items()}
    }
    if table.files is not None:
        changed["files"] = str(folder / table.files)
    home = folder if table.folder is None else folder / table.folder
    module, colon, name = table.factory.partition(":")
    if colon and module.endswith(".py"):
        path = (home / module).resolve()
        if not path.is_file():
            raise ConfigError(f'reference.factory = "{table.factory}": there is no file {path}')
        return changed | {"factory": f"{path.stem}:{name}", "folder": str(path.parent)}
    if table.folder is not None or (colon and (folder / f"{module.split('.')[0]}.py").is_file()):
        changed["folder"] = str(home)
    return changed


def _resolved(table: Any, folder: Path) -> Any:
    path = getattr(table, "path", None)
    return table if path is None else table.model_copy(update={"path": str(folder / path)})


def _existing(value: Any, folder: Path) -> Any:
    if isinstance(value, str) and value and (folder / value).is_file():
        return str(folder / value)
    return value
