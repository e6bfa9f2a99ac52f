"""The command line, `mlipgen`: one file a command, each command one public call.

Loading this room loads neither ASE nor matscipy: commands import what they need when they run. Exit codes: 0 ok, 2 bad
configuration or usage, 3 labels failed, 4 a gate failed (a relaxation or a tolerance), 130 interrupted.
"""

from ase_mlipgen.cli.app import main

__all__ = ["main"]
