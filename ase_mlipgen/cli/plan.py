"""`mlipgen plan`: what a configuration will compute, before it is computed, and which size is worth its labels."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_mlipgen.cli.common import Changes, Debug, Json, show_json, show_table
from ase_mlipgen.config import DataConfig, build, load_any

if TYPE_CHECKING:
    from ase_mlipgen.theory.sizes import SizeOption
    from ase_mlipgen.trainer import DefectTrainer

OTHER_SIZES = 4


def plan(
    config: Annotated[Path, typer.Argument(help="Configuration file.")],
    relax: Annotated[
        bool,
        typer.Option(
            "--relax", help="Relax one training cell by the reference, for the size of the far field."
        ),
    ] = False,
    changes: Changes = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Count cells, labels, rows, functions, memory and time, compare sizes; compute no label.

    For a configuration that fits labels of files: what these hold, as `mlipgen census` says it.
    """
    from ase_mlipgen.census import fit_time
    from ase_mlipgen.progress import duration
    from ase_mlipgen.theory.sizes import worth

    resolved = load_any(config, changes or ())
    if isinstance(resolved, DataConfig):
        _plan_data(resolved, as_json)
        return
    trainer = build.trainer(resolved, progress=False)
    census = trainer.census()
    seconds = fit_time(census.n_rows, census.n_functions)
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
    sizes = _sizes(trainer, relax)
    said = worth(sizes, max(trainer.sizes))
    if as_json:
        show_json(
            {
                "census": asdict(census),
                "cells": cells,
                "large_cell_atoms": large,
                "fit_time": seconds,
                "sizes": [option._asdict() for option in sizes],
                "size_advice": said,
            }
        )
        return
    rows = [[str(value) for value in cell.values()] for cell in cells]
    show_table("training cells", ("cell", "atoms", "labels"), rows, (1, 2))
    typer.echo(
        f"{census.n_labels} labels in all ({trainer.n_perfect} perfect-crystal cells a size, "
        f"those of the matching conditions, train and test)\n"
        f"{census.n_rows} rows, {census.n_functions} functions, about {census.memory / 1e6:.0f} MB and "
        f"{duration(seconds)} for the fit"
    )
    if large is not None:
        typer.echo(f"large cell of {large} atoms: one relaxation by the reference, one by the model")
    _show_sizes(sizes, max(trainer.sizes))
    typer.echo(said)
    for text in census.warnings:
        typer.echo(f"warning: {text}")


def _plan_data(config: DataConfig, as_json: bool) -> None:
    """Show what the files hold, and what the fit of them takes."""
    from ase_mlipgen.census import fit_time
    from ase_mlipgen.cli.census import show
    from ase_mlipgen.data import read_frames, take_census
    from ase_mlipgen.progress import duration

    trainer = build.data_trainer(config, progress=False)
    found, table = trainer.census(), config.data
    given = {"energy": table.energy, "forces": table.forces, "stress": table.stress}
    held = take_census(read_frames([*table.files, *table.test_files], table.group), **given)
    seconds = fit_time(found.n_rows, found.n_functions)
    if as_json:
        show_json({"census": asdict(found), "data": held.todict(), "fit_time": seconds})
        return
    show(held)
    train, test = trainer.label()
    typer.echo(
        f"{len(train)} training and {len(test)} test cells\n{found.n_rows} rows, {found.n_functions} functions, about "
        f"{found.memory / 1e6:.0f} MB and {duration(seconds)} for the fit"
    )
    for text in found.warnings:
        if text not in held.warnings:
            typer.echo(f"warning: {text}")


def _sizes(trainer: "DefectTrainer", relax: bool) -> "list[SizeOption]":
    """Compare the configured size with its neighbours; with a relaxation of the largest configured cell."""
    from ase_mlipgen.theory.sizes import options

    size, planar = max(trainer.sizes), trainer.cells()[0].perfect.pbc.sum() == 2
    known = None
    if relax:
        known = _relaxed(trainer, size)
    first = max(size - 2, 4 if planar else 1)
    several = [*dict.fromkeys([*range(min(first, size), size), *range(size, size + OTHER_SIZES)])]
    return options(trainer.crystal, trainer.defects[0], trainer.basis.cutoff, several, size, known)


def _relaxed(trainer: "DefectTrainer", size: int) -> tuple[Any, Any]:
    from ase_mlipgen.defects import relax

    cell = next(cell for cell in trainer.cells() if cell.size == size)
    found = relax(cell.unrelaxed, trainer.calculator(), trainer.optimizer, trainer.fmax, strict=True)
    return cell.unrelaxed, found.atoms


def _show_sizes(sizes: "list[SizeOption]", current: int) -> None:
    rows = []
    for option in sizes:
        far = [] if option.far is None else [f"{option.far:.3f}"]
        wide = "yes" if option.wide_enough else "no"
        mark = f"{option.size}{' *' if option.size == current else ''}"
        rows.append([mark, str(option.n_atoms), f"{option.width:.1f}", wide, f"{option.relative:.2f}", *far])
    head = ["size", "atoms", "width (Å)", "twice the cutoff", "cell-size term"]
    if sizes[0].far is not None:
        head.append("‖Du‖ outside (Å)")
    show_table("sizes of the training cell, * as configured", head, rows, (1, 2, 4, 5))
