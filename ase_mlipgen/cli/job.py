"""A run directory and its stages: label, fit, or all of them with a comparison on the large cell.

The directory holds config.toml, the result (model.json, labels, result.json), metrics.json, report.html with its PNGs,
both relaxed large cells, run.log, citations.bib; and the labels one by one, with records of relaxations and Hessians,
so that the same command again resumes, and a fit needs no reference. A file-based reference works in files/.
Enter at `execute`, `label`, `fit`.
"""

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_mlipgen.cli.finish import Outcome, compared, keep_comparison, remove_comparison, reported
from ase_mlipgen.config import AnyConfig, Config, ConfigError, DataConfig, build, to_toml
from ase_mlipgen.durable import replacing
from ase_mlipgen.progress import Progress

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ase_mlipgen.executors import NamedExecutor
    from ase_mlipgen.result import TrainingResult
    from ase_mlipgen.trainer import DefectTrainer

logger = logging.getLogger("ase_mlipgen.run")
LABELS, RECORDS = "labels", "records"
SHOWN = 20
"""Missing labels that a message lists."""


class LoggedProgress(Progress):
    """Progress whose lines go to the log as well."""

    def say(self, text: str) -> None:
        """Print a line and log it."""
        logger.info("%s", text.strip())
        super().say(text)


def execute(config: AnyConfig, folder: Path, quiet: bool, title: str) -> Outcome:
    """Run a configuration, all stages, and write its directory.

    Raises
    ------
    LabelError, RelaxationError, ConfigError
    """
    if isinstance(config, DataConfig):
        return fit_data(config, folder, quiet, title)
    begun = time.perf_counter()
    cells = build.simulation(config)  # what cannot be built is refused before labels are made
    with asking(config, folder, quiet) as trainer:
        result = _trained(trainer, trainer.progress, folder / LABELS)
        result.save(folder)
        comparison = compared(config, cells, trainer, result)
        if comparison is not None:
            keep_comparison(folder, comparison)
        return reported(config, folder, title, result, comparison, trainer.progress, begun)


def label(config: Config, folder: Path, quiet: bool) -> None:
    """Ask the reference everything that the fit needs, and stop.

    Raises
    ------
    LabelError, RelaxationError, ConfigError
    """
    with asking(config, folder, quiet) as trainer:
        trainer.progress.say(str(trainer.census()))
        _kept(trainer.ask, trainer.progress, folder / LABELS)


def fit(config: Config, folder: Path, quiet: bool, title: str, partial: bool) -> Outcome:
    """Fit the labels that a run directory holds; the reference is not asked.

    Raises
    ------
    ConfigError, MissingError
    """
    begun = time.perf_counter()
    with _log(folder / "run.log"):
        trainer = recorded_trainer(config, folder, LoggedProgress(quiet))
        require_labels(trainer, partial)
        trainer.partial = partial
        _write_configuration(folder, config)
        result = _quietly(trainer.run)
        result.save(folder)
        remove_comparison(folder)
        return reported(config, folder, title, result, None, trainer.progress, begun)


def fit_data(config: DataConfig, folder: Path, quiet: bool, title: str) -> Outcome:
    """Fit labels of files, and write the run directory."""
    begun = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    with _log(folder / "run.log"):
        progress = LoggedProgress(quiet)
        trainer = build.data_trainer(config, progress)
        _write_configuration(folder, config)
        result = trainer.run()
        result.save(folder)
        return reported(config, folder, title, result, None, progress, begun)


def recorded_trainer(config: Config, folder: Path, progress: "Progress | bool") -> "DefectTrainer":
    """Return a trainer on what a run directory holds, without the reference.

    Raises
    ------
    ConfigError
        This reference was never asked in this directory.
    """
    from ase_mlipgen.trainer.records import Records

    records = Records(folder / RECORDS)
    reference = build.recorded(config, records)
    if reference is None:
        raise ConfigError(
            f"{folder} holds no labels of the reference {config.reference.factory} as it is configured; "
            f"`mlipgen label CONFIG.toml -o {folder}` makes them"
        )
    trainer = build.trainer(config, None, folder / LABELS, progress, reference)
    trainer.records = records
    return trainer


def require_labels(trainer: "DefectTrainer", partial: bool) -> None:
    """Refuse to fit where something is missing.

    Raises
    ------
    MissingError
    """
    from ase_mlipgen.trainer.inventory import take_inventory
    from ase_mlipgen.trainer.records import MissingError

    found = take_inventory(trainer, check=True)
    if found.is_complete or (partial and found.only_samples_absent and not found.n_damaged):
        return
    listed = [f"\n  {one}" for one in found.absent[:SHOWN]]
    if len(found.absent) > SHOWN:
        listed.append(f"\n  and {len(found.absent) - SHOWN} more")
    remedy = "`mlipgen label` makes them"
    if found.only_samples_absent and not found.n_damaged:
        remedy += ", and --partial fits what is there"
    raise MissingError(f"not on disk: {', '.join(found.missing())}; {remedy}{''.join(listed)}")


@contextmanager
def asking(config: Config, folder: Path, quiet: bool) -> "Iterator[DefectTrainer]":
    """Give a trainer that asks its reference and keeps the answers in a run directory."""
    from ase_mlipgen.trainer.records import Records

    folder.mkdir(parents=True, exist_ok=True)
    with _log(folder / "run.log"), executor_of(config) as executor:
        progress = LoggedProgress(quiet)
        trainer = build.trainer(config, executor, folder / LABELS, progress)
        trainer.records = Records(folder / RECORDS)
        _write_configuration(folder, config)
        build.remember(config, trainer, trainer.records)
        yield trainer


def _write_configuration(folder: Path, config: AnyConfig) -> None:
    with replacing(folder / "config.toml") as temporary:
        temporary.write_text(to_toml(config), encoding="utf-8")


def _trained(trainer: "DefectTrainer", progress: Progress, labels: Path) -> "TrainingResult":
    found: TrainingResult = _kept(lambda: _quietly(trainer.run), progress, labels)
    return found


def _quietly(run: Callable[[], Any]) -> Any:
    """Run without warnings that are said elsewhere: the census has them, instabilities fail the run at its end."""
    with warnings.catch_warnings():
        for category in _warnings():
            warnings.simplefilter("ignore", category)
        return run()


def _kept(work: Callable[[], Any], progress: Progress, labels: Path) -> Any:
    try:
        return work()
    except KeyboardInterrupt:
        progress.say(f"labels made so far are kept in {labels}; the same command goes on from there")
        raise


def _warnings() -> tuple[type[Warning], ...]:
    from ase_mlipgen.census import TrainingWarning
    from ase_mlipgen.theory.stability import InstabilityWarning

    return TrainingWarning, InstabilityWarning


def executor_of(config: Config, workers: int | None = None) -> "AbstractContextManager[NamedExecutor | None]":
    """Give the executor of a configuration, and close it at the end; None where this process does the work."""
    return build.executor(config, workers) or nullcontext()


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
