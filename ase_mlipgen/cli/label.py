"""`mlipgen label`: everything that the reference is asked, into a run directory; nothing is fitted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ase_mlipgen.cli.common import (
    Changes,
    Debug,
    Json,
    Quiet,
    Retries,
    RunOrConfig,
    TimeLimit,
    Workers,
    overrides,
    place_of,
    show_json,
)
from ase_mlipgen.config import load

if TYPE_CHECKING:
    from ase_mlipgen.trainer.inventory import Inventory

Directory = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Directory of the run; RUN, or runs/mlipgen, if not given."),
]


def label(
    source: RunOrConfig,
    output: Directory = None,
    workers: Workers = None,
    time_limit: TimeLimit = None,
    retries: Retries = None,
    changes: Changes = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Relax the training cells and label the samples by the reference, and stop; `mlipgen fit` goes on.

    The same command again makes what is missing. Exit code 3: the reference failed on some configurations; they are
    listed, all others are labelled.
    """
    from ase_mlipgen.cli import job
    from ase_mlipgen.labels import LabelError
    from ase_mlipgen.trainer.inventory import take_inventory

    path, folder = place_of(source, output)
    config = load(path, overrides(changes, workers, time_limit, retries))
    failed = None
    try:
        job.label(config, folder, quiet)
    except LabelError as error:
        failed = error
    found = take_inventory(job.recorded_trainer(config, folder, False))
    following = f"mlipgen {'fit' if found.is_complete else 'label'} {folder}"
    if as_json:
        failures = () if failed is None else failed.failures
        extra = {"run": str(folder), "failures": [failure.record() for failure in failures]}
        show_json({**extra, **found.todict(), "next": following})
    else:
        show_inventory(found)
        typer.echo(f"next: {following}")
    if failed is not None:
        raise failed


def show_inventory(found: "Inventory") -> None:
    """Print how much of each stage is on disk."""
    counts = {"relaxations": found.relaxations, "force constants of perfect cells": found.force_constants}
    counts["Hessians of relaxed cells"] = found.hessians
    counts |= {f"labels, {stage}": count for stage, count in found.labels.items()}
    for name, count in counts.items():
        if count.total:
            typer.echo(f"{name}: {count.done} of {count.total}")
