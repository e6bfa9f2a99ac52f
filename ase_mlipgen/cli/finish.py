"""What follows a fit in a run directory: the comparison on the large cell, the error budget, the report.

Enter at `compared`, `reported`, `rewritten`.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_mlipgen.cli.common import unstable_as_a_line
from ase_mlipgen.config import AnyConfig, Config, DataConfig, build, load_any, to_toml
from ase_mlipgen.progress import Progress

if TYPE_CHECKING:
    from ase import Atoms

    from ase_mlipgen.result import TrainingResult
    from ase_mlipgen.theory.budget import ErrorBudget
    from ase_mlipgen.theory.comparison import Comparison
    from ase_mlipgen.trainer import DefectTrainer

COMPARISON = "comparison.npz"
EVERY = 5.0
"""Seconds between two lines about a relaxation."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run came to.

    Attributes
    ----------
    result : the trained model and its errors
    comparison : on the large cell, or None
    numbers : content of metrics.json
    report : path of report.html
    wall_time : s
    """

    result: "TrainingResult"
    comparison: "Comparison | None"
    numbers: dict[str, Any]
    report: Path
    wall_time: float


def compared(
    config: Config,
    cells: "tuple[Atoms, Atoms] | None",
    trainer: "DefectTrainer",
    result: "TrainingResult",
) -> "Comparison | None":
    """Compare reference and model on the large cell and its perfect host; None without one."""
    if cells is None or config.simulation is None:
        return None
    from ase_mlipgen.theory.compare import compare

    large, perfect = cells
    progress = trainer.progress
    progress.say(f"comparing reference and model on the large cell of {len(large)} atoms")
    found = compare(
        trainer.calculator(),
        result.calculator,
        large,
        perfect,
        fmax=config.simulation.fmax,
        optimizer=build.optimizer(config),
        progress=_steps(progress),
        mu=config.simulation.mu,
    )
    for name, relaxation in (("reference", found.reference), ("model", found.surrogate)):
        state = "relaxed" if relaxation.converged else f"not relaxed ({relaxation.failure})"
        progress.say(f"  {name}: {state} in {relaxation.steps} steps, {relaxation.wall_time:.1f} s")
    return found


def _budget(config: Config, result: "TrainingResult", progress: Progress) -> "ErrorBudget | None":
    """Predict the errors on the large cell of the configuration; None without one."""
    table = config.simulation
    if table is None:
        return None
    from ase_mlipgen.defects import as_defect

    crystal = build.crystal(config)
    several = [as_defect(build.defect(item), crystal) for item in table.defects]
    apart = table.separation if isinstance(table.separation, int | float) else None
    found = result.budget(table.size, defects=several, separation=apart)
    progress.say(f"error budget of the large cell: {found.advice[0]}")
    return found


def _steps(progress: Progress) -> Any:
    """Return a callback of a relaxation that says where it is every few seconds."""
    spoke = time.monotonic()

    def report(name: str, step: int, energy: float, fmax: float) -> None:
        nonlocal spoke
        if time.monotonic() - spoke >= EVERY:
            spoke = time.monotonic()
            who = "model" if name == "surrogate" else name
            progress.say(f"  {who}: step {step}, largest force {fmax:.1e} eV/Å")

    return report


def keep_comparison(folder: Path, comparison: "Comparison") -> None:
    """Write a comparison into a run directory, and both relaxed large cells, for others to read."""
    from ase.io import write

    comparison.save(folder / COMPARISON)

    for name, relaxation in (("reference", comparison.reference), ("model", comparison.surrogate)):
        write(folder / f"large_cell_{name}.extxyz", relaxation.atoms, format="extxyz")


def remove_comparison(folder: Path) -> None:
    """Remove what an older model's comparison on the large cell left: it is not this model's."""
    for name in (COMPARISON, "large_cell_reference.extxyz", "large_cell_model.extxyz", "decay.png"):
        (folder / name).unlink(missing_ok=True)


def reported(
    config: AnyConfig | None,
    folder: Path,
    title: str,
    result: "TrainingResult",
    comparison: "Comparison | None",
    progress: Progress,
    begun: float,
) -> Outcome:
    """Write the report, and return what the run came to; without a configuration, from the result alone."""
    from ase_mlipgen.report.citations import citations
    from ase_mlipgen.report.metrics import metrics
    from ase_mlipgen.report.write import write_report

    budget = _budget(config, result, progress) if isinstance(config, Config) else None
    progress.say("writing the report")
    text = "" if config is None else to_toml(config)
    page = write_report(
        folder,
        result,
        comparison,
        title=title,
        citations=citations([] if config is None else cited_by(config)),
        configuration=text,
        extra={"configuration": text} if text else {},
        budget=budget,
    )
    return Outcome(result, comparison, metrics(result, comparison, budget), page, time.perf_counter() - begun)


def rewritten(run: Path, folder: Path, title: str, quiet: bool) -> Outcome:
    """Write the report of a result that is on disk.

    Raises
    ------
    ResultDirectoryError, ComparisonFileError, ConfigError
    """
    from ase_mlipgen.result import TrainingResult
    from ase_mlipgen.theory.comparison import Comparison

    begun = time.perf_counter()
    with unstable_as_a_line():
        result = TrainingResult.load(run)
    comparison = Comparison.load(run / COMPARISON) if (run / COMPARISON).is_file() else None
    config = load_any(run / "config.toml") if (run / "config.toml").is_file() else None
    with Progress(quiet) as progress:
        return reported(config, folder, title, result, comparison, progress, begun)


def cited_by(config: AnyConfig) -> list[str]:
    """Name the citations of a configuration beyond those of every run."""
    found: list[str] = []
    if isinstance(config, DataConfig):
        return ["zbl"] if config.basis.core == "zbl" else found
    if config.reference.factory == "EAM2D" and "potential" not in config.reference.arguments:
        found.append("zhou")
    if config.reference.factory == "EMT":
        found.append("emt")
    name, _, element = config.reference.factory.partition(":")
    if name == "NRLTB":
        found += ["nrl", "nrl-forms"]
        if (element or config.reference.arguments.get("element", "Si")).startswith("Si"):
            found.append("nrl-silicon")
    return [*found, "zbl"] if config.basis.core == "zbl" else found
