"""Models and structures named on the command line. Enter at `load_model`, `read_structures`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase_mlipgen.cli.common import unstable_as_a_line
from ase_mlipgen.config import ConfigError, build


def load_model(name: str, settings: Sequence[str] = ()) -> Any:
    """Return a calculator; of a model that is not stable a line on standard error says so.

    Parameters
    ----------
    name : a model (.json, .yace), a run directory, or a built-in calculator: "EAM2D", "NRLTB:Si"; "package.module:name"
    settings : ``key=value``, keyword arguments of the calculator; values in JSON, else they are texts

    Raises
    ------
    ConfigError
        No such file or calculator, or it refuses its arguments.
    """
    arguments = dict(_setting(text) for text in settings)
    path = Path(name) / "model.json" if Path(name).is_dir() else Path(name)
    if path.is_file():
        from ase_mlipgen.calculators.linear_ace import LinearACE

        with unstable_as_a_line():
            return (LinearACE.from_yace if path.suffix == ".yace" else LinearACE.load)(path, **arguments)
    if ":" not in name and name not in build.SHORT_NAMES:
        known = ", ".join(f'"{short}"' for short in build.SHORT_NAMES)
        raise ConfigError(
            f"there is no model file {path}; expected a model.json, a run directory, or one of {known}, with an "
            f'element where it needs one: "NRLTB:Si"'
        )
    try:
        return build.factory(name, arguments, "model")()
    except ConfigError:
        raise
    except (TypeError, ValueError, OSError) as error:
        raise ConfigError(f"the model {name} cannot be made with {arguments}: {error}") from error


def _setting(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not key.strip().isidentifier():
        raise ConfigError(f"--set {text}: expected argument=value, such as kT=0.025")
    try:
        return key.strip(), json.loads(value)
    except json.JSONDecodeError:
        return key.strip(), value.strip()


def identity_of(reference: Any, tag: str | None = None) -> str | None:
    """Return the identity of a calculator or factory, None where it has none but its class and parameters."""
    from ase_mlipgen.labels import IdentityError, identity

    try:
        return identity(reference, tag)
    except IdentityError:
        return None


def output_format(path: Path) -> str:
    """Return ASE's name of the format that a file name stands for; refuse what cannot be written."""
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats

    try:
        found = str(filetype(str(path), read=False))
    except UnknownFileTypeError:
        found = ""
    if found not in ioformats or not ioformats[found].can_write:
        raise ConfigError(f"ASE writes no format of the name {path}: end it in .extxyz, .cif, .vasp ...")
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent}: make it first, or choose another --output")
    return found


def read_structures(path: Path, index: str = ":") -> list[Any]:
    """Read the structures of a file that ASE knows; at least one."""
    from ase.io import read

    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    try:
        found = read(path, index=index)
    except Exception as error:
        # ASE's readers raise whatever their parsers stumble over.
        raise ConfigError(f"{path} cannot be read as a structure: {type(error).__name__}: {error}") from error
    structures = found if isinstance(found, list) else [found]
    if not structures:
        raise ConfigError(f"{path} holds no structure")
    return structures
