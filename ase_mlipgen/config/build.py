"""What a configuration stands for: crystal, defects, reference, basis, trainer, large cell.

One function each; what a room refuses is reported with the table that it came from. Enter at `trainer`.
"""

import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase_mlipgen.config.errors import ConfigError
from ase_mlipgen.config.schema import (
    Basis,
    BulkCrystal,
    Config,
    DataConfig,
    DataFit,
    FileDefect,
    Fit,
    InterstitialTable,
    SubstitutionTable,
    TriangularCrystal,
    VacancyTable,
)

if TYPE_CHECKING:
    from ase import Atoms

    from ase_mlipgen.basis import ACEBasis
    from ase_mlipgen.data import DataSet
    from ase_mlipgen.executors import NamedExecutor
    from ase_mlipgen.progress import Progress
    from ase_mlipgen.theory.setting import Labelling
    from ase_mlipgen.trainer import DataTrainer, DefectTrainer
    from ase_mlipgen.trainer.records import Recorded, Records

SHORT_NAMES = {
    "EAM2D": "ase_mlipgen.calculators.eam2d:EAM2D",
    "NRLTB": "ase_mlipgen.calculators.nrltb:NRLTB",
    "EMT": "ase.calculators.emt:EMT",
}


@contextmanager
def _table(name: str) -> Iterator[None]:
    """Report what a room refuses as a mistake in a table."""
    try:
        yield
    except ConfigError:
        raise
    except (ValueError, TypeError, KeyError, OSError, RuntimeError, ImportError) as error:
        raise ConfigError(f"in [{name}]: {error}") from error


def crystal(config: Config) -> "Atoms":
    """Return the host's unit cell."""
    table = config.crystal
    with _table("crystal"):
        if isinstance(table, TriangularCrystal):
            from ase_mlipgen.defects import triangular_lattice

            return triangular_lattice(table.element, table.r0)
        if isinstance(table, BulkCrystal):
            from ase.build import bulk

            return bulk(**table.model_dump(exclude={"kind"}))
        return _read(table.path)


def defects(config: Config) -> list[Any]:
    """Return the defects of the training cells."""
    return [defect(table) for table in config.defects]


def defect(table: Any) -> Any:
    """Return the defect of one table."""
    from ase_mlipgen.defects import Interstitial, Substitution, Vacancy

    with _table("defects"):
        if isinstance(table, VacancyTable):
            return Vacancy(table.index)
        if isinstance(table, InterstitialTable):
            return Interstitial(table.scaled_position, table.element, table.closest)
        if isinstance(table, SubstitutionTable):
            return Substitution(table.element, table.index)
        return _read(table.path)


def _read(path: str) -> "Atoms":
    from ase.io import read

    if not Path(path).is_file():
        raise ConfigError(f"there is no file {path}")
    return read(path)


def reference(config: Config) -> Callable[[], Any]:
    """Return the reference's factory: a class or function, with the arguments bound if there are any."""
    table = config.reference
    with _table("reference"):
        return factory(table.factory, table.arguments, "factory", table.folder)


def factory(
    name: str, arguments: Mapping[str, Any], key: str, folder: str | None = None
) -> Callable[..., Any]:
    """Return the class or function of a name, with the arguments bound if there are any.

    Parameters
    ----------
    name : one of `SHORT_NAMES`, with an element or without, as in "NRLTB:Si"; or "package.module:name"
    arguments : keyword arguments; the element is the argument ``element``
    key, folder : as in `named`

    Raises
    ------
    ConfigError
        There is no such thing.
    """
    short, colon, element = name.partition(":")
    if short not in SHORT_NAMES:
        found = named(name, key, folder)
    else:
        found = named(SHORT_NAMES[short], key)
        arguments = {"element": element, **arguments} if colon else arguments
    _require_fit(found, name, arguments)
    return functools.partial(found, **arguments) if arguments else found


def named(name: str, key: str, folder: str | None = None) -> Callable[..., Any]:
    """Import ``package.module:name``.

    Raises
    ------
    ConfigError
        The name has another form, or there is no such thing.
    """
    from ase_mlipgen.labels.imported import imported

    if ":" not in name.strip(":"):
        raise ConfigError(f'{key} = "{name}": expected {", ".join(SHORT_NAMES)} or "package.module:name"')
    try:
        return imported(name, folder)
    except (ValueError, ImportError, AttributeError, TypeError) as error:
        raise ConfigError(f'{key} = "{name}": {error}') from error


def _require_fit(found: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that a factory does not take, or lacks, before anything is computed."""
    try:
        signature = inspect.signature(found)
    except (ValueError, TypeError):  # of compiled code
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise ConfigError(
            f'factory = "{name}": {error}; it is {name.partition(":")[2] or name}{signature}'
        ) from error


def basis(config: Config) -> "ACEBasis":
    """Return the basis; without elements, that of the crystal's and the defects'."""
    return _basis(config.basis, lambda: _elements(config))


def _basis(table: Basis, elements_of: Callable[[], list[str]]) -> "ACEBasis":
    from ase_mlipgen.basis import ACEBasis

    options = table.model_dump(exclude={"elements", "core"})
    with _table("basis"):
        elements = elements_of() if table.elements is None else table.elements
        return ACEBasis(elements, **options, core=None if table.core == "none" else table.core)


def _elements(config: Config) -> list[str]:
    found = set(crystal(config).get_chemical_symbols())
    for table, made in zip(config.defects, defects(config), strict=True):
        symbols = (
            made.get_chemical_symbols() if isinstance(table, FileDefect) else [getattr(made, "element", None)]
        )
        found |= {symbol for symbol in symbols if symbol is not None}
    return sorted(found)


def optimizer(config: Config) -> Callable[..., Any] | None:
    """Return the optimiser class; None for the package's own."""
    name = config.training.optimizer
    if name is None:
        return None
    with _table("training"):
        return named(name if ":" in name else f"ase.optimize:{name}", "optimizer", config.reference.folder)


def executor(config: Config, workers: int | None = None) -> "NamedExecutor | None":
    """Return the executor of a configuration, its workers started; None where this process does the work.

    Parameters
    ----------
    config : Config
    workers : int, optional
        Instead of the configuration's.
    """
    from ase_mlipgen.executors import named

    table = config.run
    workers = table.workers if workers is None else workers
    name = table.executor or ("serial" if workers in (None, 1) else "processes")
    with _table("run"):
        found = named(name, workers, table.settings, table.timeout)
        if found is not None:
            found.open()
        return found


def trainer(
    config: Config,
    executor: Executor | None = None,
    store: str | Path | None = None,
    progress: "Progress | bool" = True,
    asked: "Recorded | None" = None,
) -> "DefectTrainer":
    """Return the trainer, ready to run; a file-based reference works beside the store.

    With `asked` it stands on what that reference has answered before.
    """
    from ase_mlipgen.labels import Folders
    from ase_mlipgen.trainer import DefectTrainer

    training, fit = config.training, config.fit
    model = reference(config) if asked is None else asked
    parts = crystal(config), defects(config), model, basis(config)
    names = ("size", "n_train", "n_test", "amplitude", "n_perfect", "fmax", "seed", "distribution")
    with _table("training"):
        return DefectTrainer(
            *parts,
            **{name: getattr(training, name) for name in names} | _of_fit(fit),
            force_norm=fit.force_norm,
            force_constants=fit.force_constants,
            on_unstable="warn",
            optimizer=optimizer(config),
            executor=executor,
            fit_executor=None if executor is None else config.run.fit,
            store=store,
            tag=config.reference.tag,
            time_limit=config.labels.time_limit,
            retries=config.labels.retries,
            progress=progress,
            folders=Folders(config.reference.files or _beside(store), config.reference.keep_files),
            expensive=config.reference.expensive,
        )


def data(config: DataConfig) -> "DataSet":
    """Read the labels of the files."""
    from ase_mlipgen.data import read_data

    table = config.data
    with _table("data"):
        return read_data(**table.model_dump(), want_stress="stress" in config.fit.observations)


def data_trainer(config: DataConfig, progress: "Progress | bool" = True) -> "DataTrainer":
    """Return the trainer on labels of files, ready to run."""
    from ase_mlipgen.trainer import DataTrainer

    labels = data(config)
    parts = labels, _basis(config.basis, lambda: labels.elements)
    with _table("fit"):
        return DataTrainer(*parts, **_of_fit(config.fit), progress=progress)


def _of_fit(table: Fit | DataFit) -> dict[str, Any]:
    """Return the arguments that all trainers have."""
    return {
        "weights": table.weights,
        "matching": None if table.matching == "none" else table.matching,
        "observations": table.observations,
        "rtol": table.rtol,
        "scaling": None if table.scaling == "none" else table.scaling,
        "E0": table.E0,
    }


def remember(config: Config, trainer: "DefectTrainer", records: "Records") -> None:
    """Write down who the reference is, so that `recorded` finds its answers without it."""
    content = {
        "table": config.reference.model_dump(mode="json"),
        "identity": trainer.identity(),
        "name": trainer.settings()["reference"],
        "has_hessian": trainer.has_hessian(),
    }
    records.note(_note_of(config), content)


def recorded(config: Config, records: "Records") -> "Recorded | None":
    """Return the reference of a configuration as it was asked before; None if it was not."""
    from ase_mlipgen.trainer.records import Recorded

    found = records.noted(_note_of(config))
    return None if found is None else Recorded(found["identity"], found["name"], bool(found["has_hessian"]))


def _note_of(config: Config) -> str:
    table = config.reference.model_dump(mode="json", exclude={"files", "keep_files"})
    return "reference-" + hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()[:16]


def labelling(config: Config, files: str | Path) -> "Labelling":
    """Return how the reference is asked outside a training run; `files` is where a file-based one works by default."""
    from ase_mlipgen.labels import Folders
    from ase_mlipgen.theory.setting import Labelling

    table = config.reference
    return Labelling(
        reference(config),
        tag=table.tag,
        time_limit=config.labels.time_limit,
        retries=config.labels.retries,
        folders=Folders(table.files or files, table.keep_files),
    )


def _beside(store: str | Path | None) -> Path | None:
    return None if store is None else Path(store).with_name("files")


def simulation(config: Config, trained: bool = True) -> "tuple[Atoms, Atoms] | None":
    """Return the unrelaxed large cell and its perfect host; None where the configuration has none.

    Where it is meant for a trained model, cores that are closer than the training cell's images are warned of.
    """
    from ase_mlipgen.defects import simulation_cell, training_cell

    table = config.simulation
    if table is None:
        return None
    host = crystal(config)
    with _table("simulation"):
        several = [defect(item) for item in table.defects]
        sizes = config.training.size
        largest = training_cell(host, None, max(sizes) if isinstance(sizes, list) else sizes)
        large = simulation_cell(
            host, several, table.size, table.separation, training=largest if trained else None
        )
        return large, simulation_cell(host, [], table.size, table.separation)
