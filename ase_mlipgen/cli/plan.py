"""`mlipgen plan`: what a configuration will compute, before anything is computed."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ase_mlipgen.cli.common import Changes, Debug, Json, show_json, show_table
from ase_mlipgen.config import build, load


def plan(
    config: Annotated[Path, typer.Argument(help="Configuration file.")],
    changes: Changes = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Count cells, labels, rows, functions and memory; compute no label."""
    resolved = load(config, changes or ())
    trainer = build.trainer(resolved, progress=False)
    census = trainer.census()
    cells = [
        {
            "name": cell.name,
            "n_atoms": len(cell.unrelaxed),
            "labels": trainer.n_train + trainer.n_test,
        }
        for cell in trainer.cells()
    ]
    simulation = build.simulation(resolved)
    large = None if simulation is None else len(simulation[0])
    if as_json:
        show_json({"census": asdict(census), "cells": cells, "large_cell_atoms": large})
        return
    rows = [[str(value) for value in cell.values()] for cell in cells]
    show_table("training cells", ("cell", "atoms", "labels"), rows, (1, 2))
    typer.echo(
        f"{census.n_labels} labels in all ({trainer.n_perfect} perfect-crystal cells a size, "
        f"those of the matching conditions, train and test)\n"
        f"{census.n_rows} rows, {census.n_functions} functions, about {census.memory / 1e6:.0f} MB for the fit"
    )
    if large is not None:
        typer.echo(f"large cell of {large} atoms: one relaxation by the reference, one by the model")
    for text in census.warnings:
        typer.echo(f"warning: {text}")
