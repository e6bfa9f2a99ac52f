"""What is written into which page: one list, for the command that writes and for the test that compares."""

from ase_mlipgen.config.schema import Config, DataConfig
from docs.reference.architecture import picture, rooms
from docs.reference.commands import commands
from docs.reference.configuration import tables
from docs.reference.names import names
from docs.reference.page import DOCS

PARTS = [
    ("cli.md", "commands", commands),
    ("configuration.md", "tables", lambda: tables(Config)),
    ("configuration.md", "data tables", lambda: tables(DataConfig)),
    ("architecture.md", "rooms", rooms),
    ("api.md", "names", names),
]
"""Page, name of the part, what makes its text."""

PICTURE = DOCS / "figures" / "architecture.svg"
"""Holds what `picture` makes."""

__all__ = ["PARTS", "PICTURE", "picture"]
