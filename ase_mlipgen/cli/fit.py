"""`mlipgen fit`: a model from the labels that a run directory holds; the reference is not asked."""

from typing import Annotated

import typer

from ase_mlipgen.cli.common import Changes, Debug, Json, Quiet, RunOrConfig, overrides, place_of
from ase_mlipgen.cli.label import Directory
from ase_mlipgen.config import DataConfig, load_any


def fit(
    source: RunOrConfig,
    output: Directory = None,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial", help="Leave out the samples that have no label, if nothing else is missing."
        ),
    ] = False,
    changes: Changes = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Fit the labels that are there and write model, errors and report.

    The reference is not asked and need not be installed: settings of [basis] and [fit] can change without new labels.
    What compares with the reference on a large cell is left to `mlipgen run`.
    """
    from ase_mlipgen.cli import job
    from ase_mlipgen.cli.outcome import show

    path, folder = place_of(source, output)
    config = load_any(path, overrides(changes))
    title = f"Training run {path.stem if source is path else folder.resolve().name}"
    if isinstance(config, DataConfig):
        show(job.fit_data(config, folder, quiet, title), as_json)
    else:
        show(job.fit(config, folder, quiet, title, partial), as_json)
