"""`mlipgen census`: what files of labels hold, what is doubtful, and the table [data] that fits them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_mlipgen.cli.common import BAD_CONFIGURATION, Debug, Json, fail, show_json, show_table

if TYPE_CHECKING:
    from ase_mlipgen.data import DataCensus, Kind


def census(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Extended XYZ with labels.")],
    energy: Annotated[str | None, typer.Option(help="Key of the energies.")] = None,
    forces: Annotated[str | None, typer.Option(help="Key of the forces.")] = None,
    stress: Annotated[str | None, typer.Option(help="Key of the stresses.")] = None,
    group: Annotated[str, typer.Option(help="Key that says which kind a frame is.")] = "config_type",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Count what files of labels hold: kinds of frames, keys, ranges, duplicates, doubtful units.

    Exit code 2 where the files allow two readings; the message names the line of [data] that settles it.
    """
    from ase_mlipgen.data import read_frames, take_census

    frames = read_frames(files, group)
    given = {"energy": energy, "forces": forces, "stress": stress}
    found = take_census(frames, **given, want_stress=stress is not None)
    if as_json:
        show_json({**found.todict(), "n_frames": len(frames)})
    else:
        show(found)
        _show_table(found, files, stress is not None)
    if found.problems:
        fail("; ".join(found.problems), BAD_CONFIGURATION)


def show(found: "DataCensus") -> None:
    """Print the table and what is doubtful."""
    head = (
        "file", "group", "frames", "atoms", "elements", "pbc", "energy (eV/atom)", "largest force (eV/Å)",
        "closest (Å)", "volume (Å^3/atom)", "no forces", "duplicates", "keys",
    )  # fmt: skip
    rows = [_row(kind) for kind in found.kinds]
    show_table("labels", head, rows, (2, 3, 6, 7, 8, 9, 10, 11))
    for text in found.warnings:
        typer.echo(f"warning: {text}")


def _show_table(found: "DataCensus", files: list[Path], with_stress: bool) -> None:
    """Print the configuration that fits the files."""
    if found.keys is not None:
        typer.echo("[data]\nfiles = " + json.dumps([str(path) for path in files], ensure_ascii=False))
        for name in ("energy", "forces", *(["stress"] if with_stress else [])):
            typer.echo(f"{name} = {json.dumps(getattr(found.keys, name))}")


def _row(kind: "Kind") -> list[str]:
    keys = ", ".join(
        name if count == kind.n_frames else f"{name} ({count})" for name, count in sorted(kind.keys.items())
    )
    return [
        Path(kind.file).name,
        kind.group + (f" ({kind.n_isolated} isolated)" if kind.n_isolated else ""),
        str(kind.n_frames),
        _span(kind.n_atoms, "d"),
        " ".join(kind.elements),
        " ".join(kind.pbc),
        _span(kind.energy, ".4f"),
        "-" if kind.largest_force is None else f"{kind.largest_force:.3g}",
        "-" if kind.closest_distance is None else f"{kind.closest_distance:.3f}",
        _span(kind.volume, ".3f"),
        str(kind.n_without_forces),
        str(kind.n_duplicates),
        keys or "none",
    ]


def _span(found: Any, style: str) -> str:
    if found is None:
        return "-"
    low, high = (format(value, style) for value in found)
    return low if low == high else f"{low} to {high}"
