"""Every command with its arguments and options, as Markdown, from the application itself. Enter at `commands`.

What is read is the signature of each command, with the remarks that typer reads too: no detail of how typer keeps them.
"""

import inspect
from pathlib import Path
from types import UnionType
from typing import Literal, Union, get_args, get_origin

import typer

from ase_mlipgen.cli.app import app
from docs.reference.page import table

VALUES = {int: "NUMBER", float: "NUMBER", str: "TEXT", Path: "PATH"}


def commands():
    """Return a section for each command, in the order of `mlipgen --help`."""
    return "\n\n".join(section(command.name, command.callback) for command in app.registered_commands)


def section(name, function):
    """Return the section of one command: how it is called, what it does, its arguments and options."""
    parameters = inspect.signature(function).parameters.values()
    arguments = [argument(p) for p in parameters if isinstance(remark(p), typer.models.ArgumentInfo)]
    options = [option(p) for p in parameters if isinstance(remark(p), typer.models.OptionInfo)]
    usage = " ".join(["mlipgen", name, *(row[0].strip("`") for row in arguments), "[OPTIONS]"])
    about = [f"## {name}", f"```text\n{usage}\n```", inspect.getdoc(function)]
    return "\n\n".join([*about, table(["argument or option", "default", "meaning"], [*arguments, *options])])


def remark(parameter):
    """Return what typer was told of a parameter."""
    return get_args(parameter.annotation)[1]


def argument(parameter):
    """Return the row of an argument."""
    told = remark(parameter)
    name = told.metavar or parameter.name.upper()
    shown = name if required(parameter) else f"[{name}]"
    return [f"`{shown}`", default(parameter), told.help]


def option(parameter):
    """Return the row of an option; typer keeps the first of its names as a default, as it has no other use for it."""
    told = remark(parameter)
    names = [name for name in (told.default, *(told.param_decls or ())) if isinstance(name, str)]
    names = names or [f"--{parameter.name.replace('_', '-')}"]
    return [f"`{' '.join([', '.join(names), value(parameter)]).strip()}`", default(parameter), told.help]


def kind(parameter):
    """Return the type of a parameter, which may also be None."""
    annotation = get_args(parameter.annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (inner for inner in get_args(annotation) if inner is not type(None))
    return annotation


def value(parameter):
    """Return what stands after an option; nothing after a switch."""
    told, type_ = remark(parameter), kind(parameter)
    if told.metavar:
        return told.metavar
    if get_origin(type_) is list:
        (type_,) = get_args(type_)
    if get_origin(type_) is Literal:
        return "|".join(get_args(type_))
    return "" if type_ is bool else VALUES[type_]


def required(parameter):
    """Return whether a parameter has to be given."""
    return parameter.default is inspect.Parameter.empty


def default(parameter):
    """Return the default as it is typed; nothing where there is none."""
    if required(parameter):
        return "required"
    return "" if parameter.default in (None, False, True) else f"`{parameter.default}`"
