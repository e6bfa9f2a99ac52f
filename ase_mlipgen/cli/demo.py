"""`mlipgen demo`: the whole way in half a minute, on an embedded example."""

from pathlib import Path
from typing import Annotated

import typer

from ase_mlipgen.cli.common import Changes, Debug, Json, Output, Quiet, Workers, say
from ase_mlipgen.config import validate
from ase_mlipgen.config.load import DEFAULT


def demo(
    output: Output = Path("mlipgen-demo"),
    open_report: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    workers: Workers = None,
    changes: Changes = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train on one vacancy in planar tungsten, predict two of them in a sheet of 3598 atoms."""
    from ase_mlipgen.cli.job import execute
    from ase_mlipgen.cli.outcome import show

    config = validate(DEFAULT, changes=[*(changes or ()), *([f"run.workers={workers}"] if workers else [])])
    say("a vacancy in planar tungsten (EAM): train on small cells, compare on a large one", quiet)
    outcome = execute(config, output, quiet, title="Vacancies in planar tungsten")
    show(outcome, as_json)
    if open_report:
        typer.launch(outcome.report.resolve().as_uri())
