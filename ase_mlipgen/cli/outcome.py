"""What a run tells at its end: rank, errors with definitions and units, wall times, where the files are.

Enter at `show`.
"""

from typing import TYPE_CHECKING, Any

import typer

from ase_mlipgen.cli.common import GateError, show_json, show_table
from ase_mlipgen.progress import duration

if TYPE_CHECKING:
    from ase_mlipgen.cli.finish import Outcome


def show(outcome: "Outcome", as_json: bool) -> None:
    """Print a run's results; raise GateError where a model is not stable or the large cell could not be relaxed."""
    folder = outcome.report.parent
    files = {
        "report": str(outcome.report),
        "picture": str(folder / "summary.png"),
        "model": str(folder / "model.json"),
    }
    if not (folder / "model.json").exists():  # the report was asked for elsewhere
        del files["model"]
    if not (outcome.result.test and outcome.result.cells):
        del files["picture"]
    if as_json:
        show_json({**outcome.numbers, "wall_time": outcome.wall_time, "files": files})
    else:
        _show_errors(outcome.numbers)
        if outcome.comparison is not None:
            _show_large(outcome.numbers["large_cell"], outcome.comparison.definition)
        typer.echo(f"whole run {duration(outcome.wall_time)}")
        for name, path in files.items():
            typer.echo(f"{name}: {path}")
    if outcome.result.unstable:
        raise GateError(outcome.result.unstable)
    if outcome.comparison is not None and outcome.comparison.failure is not None:
        raise GateError(f"a relaxation of the large cell failed: {outcome.comparison.failure}")


def _show_errors(numbers: dict[str, Any]) -> None:
    from ase_mlipgen.theory.errors import DEFINITIONS

    fit, test = numbers["fit"], numbers["errors"]["test"]
    typer.echo(
        f"rank {fit['rank']} of {fit['n_functions']} functions, {fit['n_rows']} rows, rtol {fit['rtol']:g}"
    )
    matched = ", ".join(fit["matched"]).replace("_", " ") or "nothing"
    typer.echo(f"matched exactly: {matched}" + (f"; {fit['note']}" if fit["note"] else ""))
    if fit["hole"]:
        typer.echo(fit["hole"])
    if said := numbers["fit"]["weights"].get("said"):
        typer.echo(said)
    rows = [[label, _measured(test[name]), unit, text] for name, (label, unit, text) in DEFINITIONS.items()]
    show_table(
        f"errors on the test set, {test['n_cells']} cells", ("", "value", "unit", "definition"), rows, (1,)
    )


def _show_large(large: dict[str, Any], definition: Any) -> None:
    names = ("geometry_error", "relaxation_energy_error", "formation_energy_error", "energy_excess")
    rows = []
    for name in names:
        text, unit = definition[name], "Å" if name == "geometry_error" else "eV"
        rows.append([name.replace("_", " "), _number(large[name]), unit, text])
    rows.append(["geometry norm", _number(large["geometry_norm"]), "Å", definition["geometry_norm"]])
    show_table(
        f"errors on the large cell, {large['n_atoms']} atoms", ("", "value", "unit", "definition"), rows, (1,)
    )
    for who, name in (("reference", "reference"), ("model", "surrogate")):
        time, steps = large[f"wall_time_{name}"], large[f"steps_{name}"]
        typer.echo(
            f"relaxation by the {who}: {duration(time)}, {steps} steps, {time / (steps + 1):.3f} s a step"
        )


def _measured(value: float | None) -> str:
    return "not measured" if value is None else _number(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3e}"
