"""`mlipgen run`: a whole configuration, into a run directory."""

from pathlib import Path
from typing import Annotated

import typer

from ase_mlipgen.cli.common import (
    DEFAULT_RUN,
    Changes,
    Debug,
    Json,
    Output,
    Quiet,
    Retries,
    TimeLimit,
    Workers,
    overrides,
)
from ase_mlipgen.config import load_any


def run(
    config: Annotated[Path, typer.Argument(help="Configuration file.")],
    output: Output = DEFAULT_RUN,
    workers: Workers = None,
    time_limit: TimeLimit = None,
    retries: Retries = None,
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

    resolved = load_any(config, overrides(changes, workers, time_limit, retries))
    show(execute(resolved, output, quiet, title=f"Training run {config.stem}"), as_json)
