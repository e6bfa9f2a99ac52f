"""`mlipgen init`: write a commented configuration to start from."""

from pathlib import Path
from typing import Annotated

import typer

from ase_mlipgen.cli.common import Debug, Quiet, say
from ase_mlipgen.config import ConfigError, default, to_toml

HEAD = """\
# A training run. Check it with `mlipgen plan {name}`, start it with `mlipgen run {name}`.
# Lengths in Å, energies in eV. Relative paths are relative to this file.

"""


def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("mlipgen.toml"),
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite an existing file.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a commented configuration: the demonstration, to be changed."""
    if path.exists() and not force:
        raise ConfigError(f"{path} exists; choose another name, or overwrite it with --force")
    path.write_text(HEAD.format(name=path.name) + to_toml(default(), comments=True), encoding="utf-8")
    say(f"wrote {path}; next: mlipgen plan {path}", quiet)
