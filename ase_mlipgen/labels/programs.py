"""What an external program's labels depend on: its version, everything that goes into its input, files by content.

Of ASE's calculators only those with a template and a profile (`GenericFileIOCalculator`: Espresso, Aims, Abinit,
Octopus ...) hold all of it; of others a tag is asked for. Enter at `program_of`.
"""

import copy
from pathlib import Path
from typing import Any

from ase.calculators.genericfileio import GenericFileIOCalculator
from ase.io.espresso import Namelist

PLACES = ("pseudo_dir", "outdir", "wfcdir", "prefix")
"""Of Quantum ESPRESSO's input: where files are and what they are called."""
_versions: dict[tuple[type, str], str] = {}


class UnknownProgramError(ValueError):
    """It cannot be said which program computes, or with what."""


def program_of(calculator: Any) -> tuple[dict[str, Any], list[Path]]:
    """Return what the labels of a file-based calculator depend on, and where the files are that are named in it.

    Parameters
    ----------
    calculator : calculator
        New or used: ASE writes defaults into the parameters of one that was used.

    Returns
    -------
    dict
        "program" with its version, "parameters", and "profile" without its command.
    list of Path
        Directories in which names among the parameters are looked for.

    Raises
    ------
    UnknownProgramError
        The calculator is of another kind, or its program does not say its version.
    """
    if not isinstance(calculator, GenericFileIOCalculator):
        raise UnknownProgramError(
            "it does not know the version of the program that it runs, nor the files of that"
        )
    profile = {key: value for key, value in vars(calculator.profile).items() if key != "command"}
    parameters = copy.deepcopy(calculator.parameters)
    folders = [Path(value) for value in profile.values() if isinstance(value, str | Path) and value]
    if calculator.template.name == "espresso":
        parameters, more = _espresso(parameters)
        folders += more
        profile = {key: value for key, value in profile.items() if key not in PLACES}
    parts = {
        "program": f"{calculator.template.name} {_version(calculator.profile)}",
        "parameters": parameters,
        "profile": profile,
    }
    return parts, [folder for folder in folders if folder.is_dir()]


def _espresso(parameters: dict[str, Any]) -> tuple[dict[str, Any], list[Path]]:
    """Bring the input into the form that ASE writes, without places; and return the directory that it names."""
    data = Namelist(parameters.pop("input_data", None))
    data.to_nested("pw")
    place = data["control"].get("pseudo_dir")
    sections = {
        name: {key: value for key, value in section.items() if key not in PLACES}
        for name, section in data.items()
    }
    stated = {name: section for name, section in sections.items() if section}
    return {**parameters, "input_data": stated}, [] if place is None else [Path(place)]


def _version(profile: Any) -> str:
    """Ask a program for its version, once."""
    who = type(profile), str(getattr(profile, "command", ""))
    if who not in _versions:
        try:
            _versions[who] = str(profile.version())
        except Exception as error:
            raise UnknownProgramError(
                f"{who[1]!r} does not say its version ({type(error).__name__}: {error})"
            ) from error
    return _versions[who]
