"""What every study is: settings that are computed one after the other, their records, a table. Enter at `run`.

The records are kept as CSV after every setting, so that a study that was stopped goes on where it was.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from ase_mlipgen.labels.claims import Claim, state_of, take
from ase_mlipgen.progress import Progress
from ase_mlipgen.studies.results import Results, read, text_of, value_of, write

DEFAULT, PAPER = "default", "paper"
Table = tuple[list[str], list[list[str]]]


@dataclass(frozen=True)
class Context:
    """What a study computes with.

    Attributes
    ----------
    protocol : str
    store : directory of labels, or None
    progress : Progress
    """

    protocol: str = DEFAULT
    store: Path | None = None
    progress: Progress = field(default_factory=lambda: Progress(quiet=True))


@dataclass(frozen=True)
class Study:
    """A study.

    Attributes
    ----------
    name : of the command and the files
    title : what it is of, one line
    setting, record : dataclasses; all fields of a setting are among those of its records
    settings : function (protocol) -> settings, in the order of the rows
    compute : function (settings, Context) -> iterator over the records of each
    table : function (records) -> head and rows of its table
    protocols : that it has
    words : columns of the table, from the left, that are no numbers
    cost : how long it takes, in words
    """

    name: str
    title: str
    setting: type
    record: type
    settings: Callable[[str], Sequence[Any]]
    compute: Callable[[Sequence[Any], Context], Iterator[Sequence[Any]]]
    table: Callable[[Sequence[Any]], Table]
    protocols: tuple[str, ...] = (DEFAULT, PAPER)
    words: int = 1
    cost: str = "minutes"

    def key(self, record: Any) -> tuple[Any, ...]:
        """Return the setting of a record, or of a setting itself, as a tuple."""
        return tuple(getattr(record, part.name) for part in fields(self.setting))

    def file_name(self, protocol: str) -> str:
        """Return the name of the CSV file of a protocol."""
        return f"{self.name}.csv" if self.protocols == (DEFAULT,) else f"{self.name}-{protocol}.csv"

    def select(
        self, protocol: str, only: Mapping[str, Sequence[str]] | None = None, limit: int | None = None
    ) -> list[Any]:
        """Return the settings whose fields have the values that `only` names; `limit` of them, spread over all.

        Raises
        ------
        ValueError
            An unknown protocol or field, a value that no setting has.
        """
        if protocol not in self.protocols:
            raise ValueError(
                f"study {self.name} has no protocol {protocol!r}; expected {', '.join(self.protocols)}"
            )
        found = list(self.settings(protocol))
        for name, values in (only or {}).items():
            found = self._having(found, name, values)
        if limit is not None and limit < len(found):
            found = [found[k] for k in np.linspace(0, len(found) - 1, limit).astype(int)]
        return found

    def _having(self, settings: Sequence[Any], name: str, values: Sequence[str]) -> list[Any]:
        hints = get_type_hints(self.setting)
        kinds = {part.name: hints[part.name] for part in fields(self.setting)}
        if name not in kinds:
            raise ValueError(f"study {self.name} has no {name!r}; expected one of {', '.join(kinds)}")
        known = {getattr(setting, name) for setting in settings}
        wanted = {value_of(value, kinds[name]) for value in values}
        if missing := wanted - known:
            there = ", ".join(sorted(map(text_of, known)))
            raise ValueError(f"{name} = {', '.join(map(text_of, missing))}: expected some of {there}")
        return [setting for setting in settings if getattr(setting, name) in wanted]


def run(
    study: Study,
    output: str | Path,
    protocol: str = DEFAULT,
    store: str | Path | None = None,
    progress: Progress | None = None,
    only: Mapping[str, Sequence[str]] | None = None,
    limit: int | None = None,
) -> Results:
    """Compute the records of a study that its CSV file does not have yet.

    Parameters
    ----------
    study : Study
    output : directory of its CSV file
    protocol : "default", or "paper": the paper's own, to the letter
    store : directory of labels; ``output/labels`` by default
    progress : Progress, optional
    only : mapping of a setting's field to values, as text: the settings to be computed
    limit : settings at most, spread over all

    Returns
    -------
    Results
        Of the settings that were asked for and all others that the file has, in the order of the study.

    Raises
    ------
    ValueError
        See `Study.select` and `results.read`; or another process computes rows of the same file.
    """
    wanted = study.select(protocol, only, limit)
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    path = output / study.file_name(protocol)
    context = Context(
        protocol, Path(store) if store is not None else output / "labels", progress or Progress(quiet=True)
    )
    with _alone(path):
        return _completed(study, wanted, path, context)


def _completed(study: Study, wanted: Sequence[Any], path: Path, context: Context) -> Results:
    """Compute and keep the wanted settings that a file does not have."""
    protocol, progress = context.protocol, context.progress
    kept = read(path, study.record) if path.exists() else Results(study.name, protocol)
    known = {study.key(record) for record in kept.records}
    todo = [setting for setting in wanted if study.key(setting) not in known]
    if len(todo) < len(wanted):
        progress.say(f"{path}: {len(wanted) - len(todo)} of {len(wanted)} rows are there already")
    order = {study.key(setting): k for k, setting in enumerate(study.settings(protocol))}
    count, begun = progress.counter(f"study {study.name}"), time.perf_counter()
    count(0, len(todo))
    for done, (setting, found) in enumerate(zip(todo, study.compute(todo, context), strict=True)):
        _check(study, setting, found)
        kept = kept.extended(found, time.perf_counter() - begun)
        begun = time.perf_counter()
        write(path, sorted_by(kept, lambda record: order.get(study.key(record), len(order))))
        count(done + 1, len(todo))
    return read(path, study.record) if path.exists() else kept


def _alone(path: Path) -> Claim:
    """Claim a file, so that two runs do not write over one another's rows."""
    beside = path.with_name(f"{path.name}.claim")
    if (claim := take(beside)) is None:
        state = state_of(beside)
        who = "another process" if state is None else f"process {state.owner.pid} on {state.owner.host}"
        raise ValueError(f"{who} adds rows to {path}; wait for it, or choose another output directory")
    return claim


def sorted_by(results: Results, place: Callable[[Any], int]) -> Results:
    """Return results with their records in order; those of one place stay as they are."""
    return Results(**{**vars(results), "records": tuple(sorted(results.records, key=place))})


def _check(study: Study, setting: Any, found: Sequence[Any]) -> None:
    """Raise if records are not those of a setting: a row would be lost, or computed again each time."""
    if not found or any(study.key(record) != study.key(setting) for record in found):
        raise RuntimeError(f"study {study.name}: the records of {setting} are of {[*map(study.key, found)]}")
