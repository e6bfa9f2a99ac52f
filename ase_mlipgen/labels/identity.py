"""Who made a label: a string that changes when the reference does, or an error that asks for a tag.

ASE calculators have no honest identity of their own (``EMT().todict()`` is empty), so it is formed from the
qualified name, the version of the package (or a hash of the source, for code outside packages), every
parameter, and the content of the files that parameters name. Of an external program its own version and input count,
however it was set up. What cannot be formed is refused rather than guessed. A calculator may offer its own
``label_identity()`` -> str.
"""

import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from ase_mlipgen.labels.folders import file_based
from ase_mlipgen.labels.programs import UnknownProgramError, program_of
from ase_mlipgen.labels.reference import is_calculator


class IdentityError(ValueError):
    """The identity of a reference cannot be formed; a tag is needed."""


def identity(reference: Any, tag: str | None = None) -> str:
    """Identity of a reference, the same on every machine with the same versions and files.

    Parameters
    ----------
    reference : calculator, class, function, or functools.partial of one
    tag : str or None
        Stands for everything but name and version, where these do not tell two references apart. Change it
        whenever the reference changes.

    Returns
    -------
    str
        JSON with sorted keys.

    Raises
    ------
    IdentityError
        Parameters unknown or not representable, a lambda or local function, code without version or source.
    """
    parts: dict[str, Any]
    if tag is not None:
        parts = {"name": _name(reference), "tag": tag}
        if not _is_local(reference):
            parts["version"] = _version(reference, required=False)
    elif is_calculator(reference):
        parts = _of_calculator(reference)
    else:
        parts = _of_factory(reference)
    return json.dumps(parts, sort_keys=True)


def _of_calculator(calculator: Any) -> dict[str, Any]:
    if hasattr(calculator, "label_identity"):
        return _parts(calculator, identity=str(calculator.label_identity()))
    if programs := file_based(calculator):
        return _of_programs(calculator, programs)
    todict = getattr(calculator, "todict", None)
    stated = todict() if callable(todict) else {}
    if not stated:
        raise IdentityError(
            f"{_name(calculator)} does not tell its parameters (todict() is empty), so its labels cannot be "
            f"told from those of another setting: give a tag, or a factory, such as the class itself or "
            f"functools.partial of it"
        )
    parameters = {**stated, **getattr(calculator, "parameters", {})}
    folders = _folders([parameters, getattr(getattr(calculator, "profile", None), "__dict__", {})])
    return _parts(calculator, parameters=_plain(parameters, folders, _name(calculator)))


def _of_factory(factory: Any) -> dict[str, Any]:
    function, arguments = factory, {}
    if isinstance(factory, functools.partial):
        function = factory.func
        arguments = {"args": list(factory.args), "keywords": factory.keywords}
    if _is_local(function):
        raise IdentityError(
            f"the reference {_name(function)} is a lambda or a local object, which has no name to be known "
            f"by: define it at the top of a module, or give a tag"
        )
    made = _made_by(factory)
    if made is not None and file_based(made):
        return _of_calculator(made)
    if made is not None and not isinstance(function, type):
        arguments |= {"makes": [_name(made), _version(made, required=False)]}
    return _parts(function, arguments=_plain(arguments, _folders([arguments]), _name(function)))


def _of_programs(calculator: Any, programs: list[Any]) -> dict[str, Any]:
    if programs != [calculator]:
        raise IdentityError(
            f"{_name(calculator)} mixes calculators of programs, and does not say how: give a tag for this reference"
        )
    try:
        parts, folders = program_of(calculator)
    except UnknownProgramError as error:
        raise IdentityError(
            f"{_name(calculator)} cannot be told from one with other settings: {error}. Give a tag for this reference, "
            f"and another one when program, settings or files change"
        ) from error
    return _parts(calculator, **_plain(parts, folders, _name(calculator)))


def _made_by(factory: Any) -> Any:
    """Return what a factory makes; None where it fails, which will be said when it is asked for a label."""
    try:
        made = factory()
    except Exception:
        return None
    return made if is_calculator(made) else None


def _parts(thing: Any, **rest: Any) -> dict[str, Any]:
    return {"name": _name(thing), "version": _version(thing), **rest}


def _named(thing: Any) -> Any:
    """Return what has the name: a function or class, the class of an instance, the function of a partial."""
    if isinstance(thing, functools.partial):
        return _named(thing.func)
    return thing if hasattr(thing, "__qualname__") else type(thing)


def _name(thing: Any) -> str:
    named = _named(thing)
    return f"{named.__module__}.{named.__qualname__}"


def _is_local(thing: Any) -> bool:
    """Lambdas, closures, methods, callable instances: their names do not tell what they do."""
    if inspect.ismethod(getattr(thing, "func", thing)):
        return True
    if not (hasattr(thing, "__qualname__") or isinstance(thing, functools.partial) or is_calculator(thing)):
        return True
    return "<" in _named(thing).__qualname__


def _version(thing: Any, required: bool = True) -> str:
    """Version of the package that `thing` is from; a hash of its source where there is none."""
    named = _named(thing)
    top = named.__module__.split(".")[0]
    try:
        return f"{top} {metadata.version(top)}"
    except metadata.PackageNotFoundError:
        pass
    version = getattr(sys.modules.get(top), "__version__", None)
    if version is not None:
        return f"{top} {version}"
    try:
        return "source " + hashlib.sha256(inspect.getsource(named).encode()).hexdigest()
    except (OSError, TypeError) as error:
        if not required:
            return ""
        raise IdentityError(
            f"{_name(thing)} has neither a package version nor readable source: give a tag"
        ) from error


def _folders(values: Any) -> list[Path]:
    return sorted({Path(text) for text in _strings(values) if text and Path(text).is_dir()})


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


def _plain(value: Any, folders: list[Path], who: str) -> Any:
    """`value` in JSON's terms; a name of a file becomes its content's hash."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, str | Path):
        return _text_or_file(value, folders)
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"shape": list(value.shape), "dtype": value.dtype.str, "sha256": digest}
    if isinstance(value, Mapping):
        return {str(key): _plain(item, folders, who) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, folders, who) for item in value]
    raise IdentityError(
        f"{who} has a parameter {value!r} that has no fixed text: give a tag for this reference"
    )


def _text_or_file(value: str | Path, folders: list[Path]) -> Any:
    for path in (Path(value), *(folder / value for folder in folders)):
        if str(value) and path.is_file():
            return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return str(value)
