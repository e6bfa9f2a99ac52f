"""`mlipgen report`: the report of a result that is there, from a run or from `result.save`."""

from pathlib import Path
from typing import Annotated

import typer

from ase_mlipgen.cli.common import Debug, Json, Quiet


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a run, or one of result.save.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Directory of the report; the run's if not given.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the page.")] = None,
    open_report: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write report, figures and metrics of a trained model again; nothing is labelled, fitted or relaxed."""
    from ase_mlipgen.cli.finish import rewritten
    from ase_mlipgen.cli.outcome import show

    outcome = rewritten(run, output or run, title or f"Training run {run.resolve().name}", quiet)
    show(outcome, as_json)
    if open_report:
        typer.launch(outcome.report.resolve().as_uri())
