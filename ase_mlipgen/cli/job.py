"""A whole run: train, compare on the large cell, write the run directory. `mlipgen run` and `mlipgen demo` share it.

The directory holds config.toml, the result (model.json, labels, result.json), metrics.json, report.html with its PNGs,
both relaxed large cells, run.log, citations.bib; and the labels one by one, so that the same command again resumes.
A file-based reference works in files/.
Enter at `execute`.
"""

import logging
import multiprocessing
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_mlipgen.config import Config, build, to_toml
from ase_mlipgen.progress import Progress

if TYPE_CHECKING:
    from ase import Atoms

    from ase_mlipgen.result import TrainingResult
    from ase_mlipgen.theory.budget import ErrorBudget
    from ase_mlipgen.theory.compare import Comparison
    from ase_mlipgen.trainer import DefectTrainer

logger = logging.getLogger("ase_mlipgen.run")
LABELS = "labels"
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


class LoggedProgress(Progress):
    """Progress whose lines go to the log as well."""

    def say(self, text: str) -> None:
        """Print a line and log it."""
        logger.info("%s", text.strip())
        super().say(text)


def execute(config: Config, folder: Path, quiet: bool, title: str) -> Outcome:
    """Run a configuration and write its directory.

    Raises
    ------
    LabelError, RelaxationError, ConfigError
    """
    from ase_mlipgen.report.citations import citations
    from ase_mlipgen.report.metrics import metrics
    from ase_mlipgen.report.write import write_report

    begun = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    text = to_toml(config)
    cells = build.simulation(config)  # what cannot be built is refused before labels are made
    with _log(folder / "run.log"), label_workers(config.run.workers) as executor:
        progress = LoggedProgress(quiet)
        trainer = build.trainer(config, executor, folder / LABELS, progress)
        (folder / "config.toml").write_text(text, encoding="utf-8")
        with warnings.catch_warnings():
            # The census has said it already; instabilities fail the run when all is written.
            for category in _warnings():
                warnings.simplefilter("ignore", category)
            result = _trained(trainer, progress, folder / LABELS)
        result.save(folder)
        comparison = _compare(config, cells, trainer, result, progress)
        if comparison is not None:
            _write_cells(folder, comparison)
        budget = _budget(config, result, progress)
        progress.say("writing the report")
        cited = citations(cited_by(config))
        page = write_report(
            folder,
            result,
            comparison,
            title=title,
            citations=cited,
            configuration=text,
            extra={"configuration": text},
            budget=budget,
        )
    return Outcome(result, comparison, metrics(result, comparison, budget), page, time.perf_counter() - begun)


def _trained(trainer: "DefectTrainer", progress: Progress, labels: Path) -> "TrainingResult":
    try:
        return trainer.run()
    except KeyboardInterrupt:
        progress.say(f"labels made so far are kept in {labels}; the same command goes on from there")
        raise


def cited_by(config: Config) -> list[str]:
    """Name the citations of a configuration beyond those of every run."""
    found = []
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


def _warnings() -> tuple[type[Warning], ...]:
    from ase_mlipgen.census import TrainingWarning
    from ase_mlipgen.theory.stability import InstabilityWarning

    return TrainingWarning, InstabilityWarning


def _compare(
    config: Config,
    cells: "tuple[Atoms, Atoms] | None",
    trainer: "DefectTrainer",
    result: "TrainingResult",
    progress: Progress,
) -> "Comparison | None":
    if cells is None or config.simulation is None:
        return None
    from ase_mlipgen.theory.compare import compare

    large, perfect = cells
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


def _write_cells(folder: Path, comparison: "Comparison") -> None:
    from ase.io import write

    for name, relaxation in (("reference", comparison.reference), ("model", comparison.surrogate)):
        write(folder / f"large_cell_{name}.extxyz", relaxation.atoms, format="extxyz")


@contextmanager
def label_workers(workers: int) -> Iterator[Executor | None]:
    """Give worker processes that start afresh, so that no threads of this one are inherited; None for one worker."""
    if workers == 1:
        yield None
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@contextmanager
def _log(path: Path) -> Iterator[None]:
    """Write what the package logs into a file."""
    root = logging.getLogger("ase_mlipgen")
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    except BaseException as error:
        root.error("ended by %s: %s", type(error).__name__, error)
        raise
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()
