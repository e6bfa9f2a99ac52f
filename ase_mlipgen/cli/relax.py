"""`mlipgen relax`: a structure, or the large cell of a configuration, to its minimum.

A checkpoint beside the output is written on the way, and the same command continues from it. Enter at `relax`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_mlipgen.cli.common import Debug, GateError, Json, Quiet, show_json
from ase_mlipgen.progress import Progress

if TYPE_CHECKING:
    from ase import Atoms

    from ase_mlipgen.cli.watching import Watching
    from ase_mlipgen.defects import Meter, Relaxation

DEFAULT_FMAX = 1e-4


@dataclass(frozen=True)
class Task:
    """What is relaxed by what: atoms, calculator, its identity, optimiser class, tolerance (eV/Å), output."""

    atoms: "Atoms"
    calculator: Any
    identity: str | None
    optimizer: Callable[..., Any] | None
    fmax: float
    output: Path


def relax(
    model: Annotated[
        str,
        typer.Argument(
            help='Model file, run directory, "EAM2D", "NRLTB:Si" ..., or CONFIG.toml: its reference.'
        ),
    ],
    structure: Annotated[
        Path | None,
        typer.Argument(
            help="Structure, any format of ASE; the last one of a trajectory. Without it the [simulation] cell of "
            "CONFIG.toml."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write; NAME-relaxed.extxyz.")
    ] = None,
    fmax: Annotated[
        float | None,
        typer.Option(help="Tolerance of the largest force, eV/Å; 1e-4, or that of the configuration."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Most steps.")] = 1000,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Argument of the model, kT=0.025, or change of CONFIG.toml, simulation.size=6. May be repeated.",
        ),
    ] = None,
    grade: Annotated[
        float | None,
        typer.Option(
            help="Warn where an atom's extrapolation grade is above this; 1, the farthest atom of the training samples."
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew, and delete the checkpoint of this output.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Relax positions; the cell stays. The same command continues what was interrupted or killed.

    A trained model is watched: a warning tells where it extrapolates.
    """
    from ase_mlipgen.cli.model import output_format
    from ase_mlipgen.cli.watching import Watching
    from ase_mlipgen.defects import Meter
    from ase_mlipgen.durable import remove

    task = _task(model, structure, output, fmax, settings or [])
    style, meter = output_format(task.output), Meter(task.calculator)
    watching = Watching(task.atoms, task.calculator, grade)
    checkpoint = task.output.with_name(f"{task.output.stem}.checkpoint.npz")
    if restart:
        remove(checkpoint)
    with Progress(quiet) as progress:
        found = _relaxed(task, meter, steps, checkpoint, progress, watching)
    watching.end(found)
    _write(task.output, style, found, task.calculator)
    if found.converged:
        remove(checkpoint)
    _show(task, found, checkpoint, as_json, watching)


def _task(
    model: str, structure: Path | None, output: Path | None, fmax: float | None, settings: list[str]
) -> Task:
    from ase_mlipgen.cli.model import identity_of, load_model, read_structures
    from ase_mlipgen.config import ConfigError, build, load

    if model.endswith(".toml"):
        config = load(model, settings)
        cells = None if structure is not None else build.simulation(config, trained=False)
        if structure is None and cells is None:
            raise ConfigError(f"{model} has no table [simulation]: add one, or give a structure")
        atoms = cells[0] if cells is not None else read_structures(Path(str(structure)), "-1")[0]
        factory, optimizer = build.reference(config), build.optimizer(config)
        calculator, identity = None, identity_of(factory, config.reference.tag)
        tolerance = DEFAULT_FMAX if cells is None or config.simulation is None else config.simulation.fmax
    elif structure is None:
        raise ConfigError(
            f"what is to be relaxed by {model}? Give a structure, or CONFIG.toml with [simulation]"
        )
    else:
        atoms, calculator = read_structures(structure, "-1")[0], load_model(model, settings)
        optimizer, identity, tolerance = None, identity_of(calculator), DEFAULT_FMAX
    source = structure or Path(model)
    path = output or source.with_name(f"{source.stem}-relaxed.extxyz")
    if calculator is None:
        calculator = build.labelling(config, path.with_name("files")).calculator()
    return Task(atoms, calculator, identity, optimizer, tolerance if fmax is None else fmax, path)


def _relaxed(
    task: Task, meter: "Meter", steps: int, checkpoint: Path, progress: Progress, watching: "Watching"
) -> "Relaxation":
    from ase_mlipgen.defects import relax as relaxed

    tell = _reporter(meter, task.calculator, checkpoint, progress)

    def report(step: int, energy: float, fmax: float) -> None:
        tell(step, energy, fmax)
        if energy == energy:  # else the model was not asked there
            watching.follow(step, meter)

    try:
        return relaxed(
            task.atoms,
            meter,
            task.optimizer,
            task.fmax,
            steps,
            None,
            report,
            False,
            checkpoint,
            task.identity,
        )
    except KeyboardInterrupt:
        if checkpoint.is_file():
            progress.say(f"the steps so far are kept in {checkpoint}; the same command continues")
        raise


def _reporter(
    meter: "Meter", calculator: Any, checkpoint: Path, progress: Progress
) -> Callable[[int, float, float], None]:
    """Return a callback that says how the cell is solved and where the relaxation is, at most every few seconds."""
    from ase_mlipgen.cli.finish import EVERY

    continues, spoke, plan = checkpoint.is_file(), time.monotonic(), None

    def report(step: int, energy: float, fmax: float) -> None:
        nonlocal continues, spoke, plan
        current = getattr(calculator, "plan", None)
        if current is not None and str(current) != plan:
            plan = str(current)
            progress.say(plan)
        if continues:
            progress.say(f"continuing at step {step}: energy {energy:.6f} eV, largest force {fmax:.1e} eV/Å")
        elif time.monotonic() - spoke >= EVERY:
            per_call = meter.seconds / max(meter.calls, 1)
            progress.say(
                f"  step {step}: energy {energy:.6f} eV, largest force {fmax:.1e} eV/Å, {per_call:.2g} s a force call"
            )
            spoke = time.monotonic()
        continues = False

    return report


def _write(path: Path, style: str, found: "Relaxation", calculator: Any) -> None:
    """Write the relaxed structure with the energy and forces that are at hand."""
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    from ase_mlipgen.durable import replacing

    atoms = found.atoms
    if found.forces is not None:
        known = getattr(calculator, "atoms", None)
        at_hand = getattr(calculator, "results", {}) if known is not None and known == atoms else {}
        rest = {"stress": at_hand["stress"]} if "stress" in at_hand else {}
        atoms.calc = SinglePointCalculator(
            atoms, energy=found.energy, free_energy=found.energy, forces=found.forces, **rest
        )
    with replacing(path) as temporary:
        write(temporary, atoms, format=style)


def _show(task: Task, found: "Relaxation", checkpoint: Path, as_json: bool, watching: "Watching") -> None:
    if as_json:
        names = (
            "energy",
            "initial_energy",
            "converged",
            "steps",
            "calls",
            "resumed",
            "fmax",
            "wall_time",
            "failure",
        )
        units = {"energy": "eV", "initial_energy": "eV", "fmax": "eV/Å", "wall_time": "s"}
        kept = str(checkpoint) if checkpoint.is_file() else None
        values = {name: getattr(found, name) for name in names}
        unstable = getattr(task.calculator, "unstable", "") or None
        doubts = {"unstable": unstable, "grade": watching.numbers()}
        show_json({**values, "output": str(task.output), "checkpoint": kept, **doubts, "units": units})
    else:
        typer.echo(
            f"{len(found.atoms)} atoms, {found.steps} steps, {found.calls} force calls, {found.wall_time:.2f} s: "
            f"energy {found.initial_energy:.6f} -> {found.energy:.6f} eV, largest force {found.fmax:.2e} eV/Å; "
            f"wrote {task.output}"
        )
        if told := watching.summary():
            typer.echo(told)
    if not found.converged:
        further = (
            f"; with more --steps the same command continues from {checkpoint}"
            if checkpoint.is_file()
            else ""
        )
        raise GateError(f"the relaxation did not converge: {found.failure}{further}")
