"""`mlipgen relax`: a structure to its minimum, by a model."""

from pathlib import Path
from typing import Annotated

import typer

from ase_mlipgen.cli.common import Debug, GateError, Json, Quiet, show_json


def relax(
    model: Annotated[str, typer.Argument(help='Model file, run directory, or "EAM2D".')],
    structure: Annotated[
        Path, typer.Argument(help="Structure, any format of ASE; the last one of a trajectory.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write; NAME-relaxed.extxyz.")
    ] = None,
    fmax: Annotated[float, typer.Option(help="Tolerance of the largest force, eV/Å.")] = 1e-4,
    steps: Annotated[int, typer.Option(min=1, help="Most steps.")] = 1000,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Relax the positions of a structure; the cell stays. Planar crystals stay in their plane."""
    from ase.io import write

    from ase_mlipgen.cli.model import load_model, read_structures
    from ase_mlipgen.defects import relax as relaxed
    from ase_mlipgen.progress import Progress

    atoms, calculator = read_structures(structure, "-1")[0], load_model(model)
    path = output or structure.with_name(f"{structure.stem}-relaxed.extxyz")
    with Progress(quiet) as progress:
        count = progress.counter("relaxation steps")
        found = relaxed(
            atoms,
            load_model(model),
            fmax=fmax,
            steps=steps,
            progress=lambda step, energy, force: count(step, steps),
        )
    if found.converged:
        found.atoms.calc = calculator
        found.atoms.get_forces()
    write(path, found.atoms)
    if as_json:
        names = ("energy", "initial_energy", "converged", "steps", "fmax", "wall_time", "failure")
        units = {"energy": "eV", "initial_energy": "eV", "fmax": "eV/Å", "wall_time": "s"}
        show_json({**{name: getattr(found, name) for name in names}, "output": str(path), "units": units})
    else:
        typer.echo(
            f"{len(atoms)} atoms, {found.steps} steps, {found.wall_time:.2f} s: energy {found.initial_energy:.6f} -> "
            f"{found.energy:.6f} eV, largest force {found.fmax:.2e} eV/Å; wrote {path}"
        )
    if not found.converged:
        raise GateError(f"the relaxation did not converge: {found.failure}")
