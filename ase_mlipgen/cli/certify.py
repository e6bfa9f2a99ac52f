"""`mlipgen certify` and `mlipgen refine`: the error of a run's model on a large cell, and a model that makes less.

Both read a run directory (`mlipgen run`), ask its reference for a few labels, and exit with 4 where the certified
geometry error is above the target.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_mlipgen.cli.common import (
    Debug,
    GateError,
    Json,
    Quiet,
    Workers,
    show_json,
    show_table,
    unstable_as_a_line,
)
from ase_mlipgen.config import Config, ConfigError, build, load, to_toml
from ase_mlipgen.progress import Progress

if TYPE_CHECKING:
    from ase import Atoms

    from ase_mlipgen.result import TrainingResult
    from ase_mlipgen.theory.certificate import Certificate

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a run.")]
Structure = Annotated[
    Path | None,
    typer.Option(help="Unrelaxed large cell, any format of ASE; that of the configuration if not given."),
]
Size = Annotated[
    int | None, typer.Option(min=1, help="Training cells for the cores; one more than trained if not given.")
]


def certify(
    run: Run,
    structure: Structure = None,
    size: Size = None,
    target: Annotated[
        float | None, typer.Option(help="Gate: exit with 4 above this geometry error, Å.")
    ] = None,
    workers: Workers = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Predict the errors of a run's model on a large cell, from one or two labels a core."""
    with _opened(run, structure, workers, quiet) as job:
        made = job.result.certify(job.atoms, size=size, mu=job.mu)
        files = _write(run, made)
    _show(made, files, as_json)
    _gate(made, target)


def refine(
    run: Run,
    target: Annotated[float, typer.Option(help="Geometry error to be reached, Å.")],
    structure: Structure = None,
    rounds: Annotated[int, typer.Option(min=1, help="Refits at most.")] = 3,
    samples: Annotated[int, typer.Option(min=0, help="Labelled copies of each transplanted core.")] = 10,
    degree_step: Annotated[
        int, typer.Option(min=0, help="Growth of a basis too small to match; 0: never.")
    ] = 2,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Directory; RUN/refined.")] = None,
    workers: Workers = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Add the cores of a large cell to the training set, match there, fit again, until the certified error is low."""
    from ase_mlipgen.refinement import refinement

    folder = output or run / "refined"
    rows: list[dict[str, Any]] = []
    with _opened(run, structure, workers, quiet) as job:
        for found in refinement(job.result, job.atoms, target, rounds, samples, degree_step):
            made = found.certificate
            rows.append(
                {"round": found.number, "n_functions": len(found.result.calculator.basis), **_brief(made)}
            )
            job.progress.say(f"  round {found.number}: certified geometry error {made.geometry_error:.2e} Å")
        found.result.save(folder)
        # With its own configuration the refined model is a run like others: it can be certified and refined again.
        basis = job.config.basis.model_copy(update={"degree": found.result.calculator.basis.degree})
        text = to_toml(job.config.model_copy(update={"basis": basis}))
        (folder / "config.toml").write_text(text, encoding="utf-8")
        files = {"model": str(folder / "model.json"), **_write(folder, made)}
    if as_json:
        show_json({"target": target, "rounds": rows, "files": files})
    else:
        head = (
            "round",
            "functions",
            "geometry (Å)",
            "relaxation (eV)",
            "formation (eV)",
            "labels",
            "verdict",
        )
        texts = [[_text(value) for value in row.values()] for row in rows]
        show_table(f"refinement to {target:g} Å", head, texts, tuple(range(6)))
        for name, path in files.items():
            typer.echo(f"{name}: {path}")
    _gate(made, target)


@dataclass(frozen=True, eq=False)
class _Job:
    config: Config
    result: "TrainingResult"
    atoms: "Atoms"
    mu: dict[str, float] | None
    progress: Progress


@contextmanager
def _opened(run: Path, structure: Path | None, workers: int | None, quiet: bool) -> Iterator[_Job]:
    """Read a run, with a trainer that asks its reference."""
    from ase_mlipgen.cli.job import LABELS, executor_of
    from ase_mlipgen.result import TrainingResult

    if not (run / "config.toml").is_file():
        raise ConfigError(f"{run} is no run directory: it has no config.toml; make one with `mlipgen run`")
    config = load(run / "config.toml")
    with unstable_as_a_line():
        result = TrainingResult.load(run)
    with executor_of(config, workers) as executor, Progress(quiet) as progress:
        trainer = build.trainer(config, executor, run / LABELS, progress)
        mu = None if config.simulation is None else config.simulation.mu
        yield _Job(config, trainer.adopt(result), _large(config, structure), mu, progress)


def _large(config: Config, structure: Path | None) -> "Atoms":
    if structure is not None:
        from ase_mlipgen.cli.model import read_structures

        atoms: Atoms = read_structures(structure, "-1")[0]
        atoms.calc = None
        atoms.info = {}
        return atoms
    cells = build.simulation(config)
    if cells is None:
        raise ConfigError("the configuration has no [simulation]: give a large cell with --structure")
    return cells[0]


def _write(folder: Path, made: "Certificate") -> dict[str, str]:
    from ase.io import write

    from ase_mlipgen.report.certificates import certificate_figure

    files = {"certificate": folder / "certificate.json", "picture": folder / "certificate.png"}
    made.save(files["certificate"])
    certificate_figure(made).savefig(files["picture"])
    if made.has_numbers:
        files["corrected geometry"] = folder / "large_cell_corrected.extxyz"
        write(files["corrected geometry"], made.corrected, format="extxyz")
    return {name: str(path) for name, path in files.items()}


def _brief(made: "Certificate") -> dict[str, Any]:
    numbers = made.numbers()
    names = ("geometry_error", "relaxation_energy_error", "formation_energy_error", "n_labels", "verdict")
    return {name: numbers[name] for name in names}


def _show(made: "Certificate", files: dict[str, str], as_json: bool) -> None:
    if as_json:
        show_json({**made.numbers(), "files": files})
        return
    typer.echo(str(made))
    for name, path in files.items():
        typer.echo(f"{name}: {path}")


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3e}" if isinstance(value, float) else str(value)


def _gate(made: "Certificate", target: float | None) -> None:
    if not made.has_numbers:
        raise GateError(f"{made.verdict}: {' '.join(made.notes)}")
    if target is not None and not made.geometry_error <= target:
        raise GateError(f"the certified geometry error is {made.geometry_error:.3e} Å, above {target:g} Å")
