"""`mlipgen budget`: what a run's model will miss on a large cell, term by term, and what to change first."""

from pathlib import Path
from typing import Annotated

import typer

from ase_mlipgen.cli.common import Debug, Json, show_json, unstable_as_a_line


def budget(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a run.")],
    size: Annotated[int, typer.Option(min=1, help="Large cell, in unit cells (r0 in 2D).")] = 60,
    n_defects: Annotated[int, typer.Option(min=1, help="Defects in it, of the trained kinds.")] = 2,
    defects: Annotated[
        list[str] | None, typer.Option("--defect", help="Name of a defect in it instead. May be repeated.")
    ] = None,
    separation: Annotated[
        float | None,
        typer.Option(help="Least distance of two, in unit cells; the training cell's width if not given."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--figure", help="Write the terms as bars into this PNG.")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Predict a model's errors on large cells without any label, and say what to improve."""
    from ase_mlipgen.result import TrainingResult

    with unstable_as_a_line():
        result = TrainingResult.load(run)
    found = result.budget(size, n_defects, defects or None, separation)
    if output is not None:
        from ase_mlipgen.report.budget import budget_figure
        from ase_mlipgen.report.write import as_png

        output.write_bytes(as_png(budget_figure(found)))
    if as_json:
        show_json(found.todict())
    else:
        typer.echo(str(found))
