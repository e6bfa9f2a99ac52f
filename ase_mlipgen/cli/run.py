"""`mlipgen run`: a whole configuration, into a run directory."""

from pathlib import Path
from typing import Annotated

import typer

from ase_mlipgen.cli.common import Changes, Debug, Json, Output, Quiet, Workers
from ase_mlipgen.config import load


def run(
    config: Annotated[Path, typer.Argument(help="Configuration file.")],
    output: Output = Path("runs/mlipgen"),
    workers: Workers = None,
    changes: Changes = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a model, measure it, compare it on a large cell, write the report. The same command again resumes."""
    from ase_mlipgen.cli.job import execute
    from ase_mlipgen.cli.outcome import show

    resolved = load(config, [*(changes or ()), *([f"run.workers={workers}"] if workers else [])])
    show(execute(resolved, output, quiet, title=f"Training run {config.stem}"), as_json)
