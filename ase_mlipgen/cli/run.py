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
    time_limit: Annotated[float | None, typer.Option(help="Seconds that one label may take.")] = None,
    retries: Annotated[
        int | None, typer.Option(help="Further attempts at a label that failed.", min=0)
    ] = None,
    changes: Changes = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a model, measure it, compare it on a large cell, write the report. The same command again resumes.

    Exit code 3: the reference failed on some configurations, which are listed; the same command tries only these again.
    """
    from ase_mlipgen.cli.job import execute
    from ase_mlipgen.cli.outcome import show

    options = {"run.workers": workers, "labels.time_limit": time_limit, "labels.retries": retries}
    given = [f"{key}={value}" for key, value in options.items() if value is not None]
    resolved = load(config, [*(changes or ()), *given])
    show(execute(resolved, output, quiet, title=f"Training run {config.stem}"), as_json)
