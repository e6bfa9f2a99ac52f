"""`mlipgen export`: a model as files of LAMMPS, compared with the model before they are kept."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_mlipgen.cli.common import Debug, GateError, Json, show_json, show_table
from ase_mlipgen.config import ConfigError

if TYPE_CHECKING:
    from ase_mlipgen.export.lammps import Exported

MOST_CELLS = 50
"""Training cells of a run on which files are compared, evenly chosen; some tenths of a second each."""


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL|RUN", help='Model file, run directory, or "EAM2D".')],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="NAME.yace; for EAM2D NAME.eam.alloy or NAME.eam.fs."),
    ] = None,
    structures: Annotated[
        Path | None,
        typer.Option(
            help="Where the files are compared with the model, any format of ASE; by default training cells "
            "of RUN, else atoms at random positions."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Argument of the model: potential=FeCu.eam.fs."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Export a model that is known not to be stable.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a potential and an input for LAMMPS, and say how far its energies are from the model's.

    Exit code 4, and no file, where that is more than 1e-8 eV an atom, or where the model is not stable.
    """
    from ase_mlipgen.cli.model import load_model, read_structures

    calculator = load_model(model, settings or ())
    if not hasattr(calculator, "export_lammps"):
        raise ConfigError(
            f"{model} has no form that LAMMPS knows; LinearACE models and EAM2D can be exported"
        )
    if (unstable := getattr(calculator, "unstable", "")) and not force:
        raise GateError(f"{model} is not exported: {unstable}. To export it all the same: --force")
    target = output or _default(model, calculator)
    if not target.parent.is_dir():
        raise ConfigError(f"there is no folder {target.parent}: make it first, or choose another --output")
    cells = structures or Path(model) / "labels_train.extxyz"
    frames = read_structures(cells) if structures or cells.is_file() else None
    if frames and not structures:
        frames = frames[:: -(-len(frames) // MOST_CELLS)]
    forced = {"force": True} if unstable else {}
    written: Exported = calculator.export_lammps(target, frames, **forced)
    if as_json:
        show_json(_numbers(written, cells if frames else None))
    else:
        _show(written, f"{cells}" if frames else "random positions")


def _default(model: str, calculator: Any) -> Path:
    """Return the name of the potential: beside the model, or in this folder for a built-in one."""
    ending = getattr(calculator, "setfl_kind", "yace").replace("/", ".")
    if Path(model).is_dir():
        return Path(model) / f"model.{ending}"
    if Path(model).is_file():
        return Path(model).with_suffix(f".{ending}")
    return Path(f"{model.replace(':', '-')}.{ending}")


def _numbers(written: "Exported", cells: Path | None) -> dict[str, Any]:
    return {
        "potentials": [str(path) for path in written.potentials],
        "input": str(written.input),
        "data": str(written.data),
        "n_bytes": written.n_bytes,
        "energy_deviation": written.energy_deviation,
        "force_deviation": written.force_deviation,
        "n_structures": written.n_structures,
        "structures": None if cells is None else str(cells),
        "units": {"energy_deviation": "eV/atom", "force_deviation": "eV/Å"},
    }


def _show(written: "Exported", where: str) -> None:
    rows = [
        ["potential", str(path), f"{path.stat().st_size / 1000:.0f}", "kB"] for path in written.potentials
    ]
    rows += [["input", str(written.input), "", ""], ["structure", str(written.data), "", ""]]
    show_table("for LAMMPS", ("", "file", "size", "unit"), rows, (2,))
    measured = [
        ["energy", f"{written.energy_deviation:.1e}", "eV/atom", "largest difference from the model"],
        ["forces", f"{written.force_deviation:.1e}", "eV/Å", "largest difference of a component"],
    ]
    title = f"compared on {written.n_structures} structures: {where}"
    show_table(title, ("", "deviation", "unit", "definition"), measured, (1,))
    typer.echo(f"run it: mpirun -n 4 lmp -in {written.input.name}")
