"""Records of a study as CSV: one row a record, above them what they were made of and with.

Floats are written so that reading gives the same bits. Files are replaced whole, so that one is always complete. Enter
at `Results`, `read`, `write` and, for a rerun against a file that is kept, `difference`.
"""

import csv
import datetime
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from ase_mlipgen.durable import replacing
from ase_mlipgen.files import DamagedError, read_text
from ase_mlipgen.studies.provenance import processor, versions

TIMES = "_time"
"""Ending of the fields that no rerun reproduces."""
ROUND_OFF = 1e-10
"""eV: differences of total energies of some thousand atoms are round-off below this."""
ENERGIES = ("relaxation", "formation", "excess", "eps_E")
"""Endings of the fields that are such differences."""
VIOLATION = "violation"
"""Field that is nothing but round-off where conditions hold."""


NOT_FINITE = ("nan", "inf", "-inf")
"""As `write` spells what a study could not measure; a number that is too large is none of them."""


@dataclass(frozen=True)
class Results:
    """Records of a study with their provenance.

    Attributes
    ----------
    study, protocol : str
    records : dataclasses of one type, in the order of the study
    versions : of Python and the packages that decide on numbers
    machine : its processor
    date : of the last record
    wall_time : s, of all records
    """

    study: str
    protocol: str
    records: tuple[Any, ...] = ()
    versions: str = ""
    machine: str = ""
    date: str = ""
    wall_time: float = 0.0

    def extended(self, records: Sequence[Any], wall_time: float) -> "Results":
        """Return these results and new records, made here and now in `wall_time` seconds."""
        return replace(
            self,
            records=(*self.records, *records),
            versions=", ".join(f"{name} {version}" for name, version in versions().items()),
            machine=processor(),
            date=datetime.date.today().isoformat(),
            wall_time=self.wall_time + wall_time,
        )

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the records, sorted."""
        return tuple(sorted({record.seed for record in self.records if hasattr(record, "seed")}))

    @property
    def provenance(self) -> str:
        """One sentence: how many records, their seeds, time, machine and versions."""
        seeds = f", seeds {', '.join(map(str, self.seeds))}" if self.seeds else ""
        made = f"{self.wall_time:.0f} s on {self.date}: {self.machine}; {self.versions}"
        return f"{len(self.records)} rows{seeds}, {made}."


def write(path: str | Path, results: Results) -> None:
    """Write results as CSV, whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"# {line}\n" for line in _head(results))
        if results.records:
            names = [field.name for field in fields(results.records[0])]
            table = csv.writer(file, lineterminator="\n")
            table.writerow(names)
            table.writerows([text_of(getattr(record, name)) for name in names] for record in results.records)


def _head(results: Results) -> Iterator[str]:
    for name in ("study", "protocol", "versions", "machine", "date"):
        yield f"{name}: {getattr(results, name)}"
    yield f"seeds: {' '.join(map(str, results.seeds))}"
    yield f"wall_time: {results.wall_time:.1f}"


def read(path: str | Path, record: type) -> Results:
    """Read results that `write` wrote.

    Parameters
    ----------
    record : dataclass of a row; its annotations say how to read columns

    Raises
    ------
    ValueError
        The file has other columns, or a cell that cannot be read; names file and line.
    """
    try:
        text = read_text(path, old=True)
    except DamagedError as error:
        raise ValueError(f"{path}: {error}; move it away, and the study makes its rows again") from None
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[-1]:
        raise ValueError(
            f"{path}, line {len(lines)}: it ends within a line; remove that line, which is made again"
        )
    lines.pop()
    start = next((k for k, line in enumerate(lines) if not line.startswith("#")), len(lines))
    head = dict(line[2:].split(": ", 1) for line in lines[:start] if line.startswith("# ") and ": " in line)
    records = tuple(_records(path, lines[start:], start + 2, record))
    return Results(
        head.get("study", ""), head.get("protocol", ""), records, head.get("versions", ""), head.get("machine", ""),
        head.get("date", ""), _wall_time(path, head.get("wall_time", "0.0")),
    )  # fmt: skip


def _wall_time(path: str | Path, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < math.inf:
        raise ValueError(f"{path}: wall_time: {text[:40]!r}; expected a time in s")
    return found


def _records(path: str | Path, lines: Sequence[str], first: int, record: type) -> Iterator[Any]:
    kinds = get_type_hints(record)
    names = [field.name for field in fields(record)]
    rows = csv.reader(lines, strict=True)
    try:
        head = next(rows, None)
    except csv.Error as error:
        raise ValueError(f"{path}, line {first - 1}: {error}; expected the names of columns") from None
    if head is not None and head != names:
        raise ValueError(
            f"{path}, line {first - 1}: columns {', '.join(head)[:500]}; expected {', '.join(names)}. The file is of "
            "another version of the study: move it away, or give another --output"
        )
    seen: set[tuple[str, ...]] = set()
    while True:
        number = first - 1 + rows.line_num
        try:
            if (row := next(rows, None)) is None:
                return
            if len(row) != len(names) or not all(map(str.isprintable, row)):
                raise ValueError(
                    f"{len(row)} cells {str(row)[:80]}; expected {len(names)} of text that can be printed"
                )
            if tuple(row) in seen:
                raise ValueError("this row comes twice; expected every row once. Remove one of both")
            seen.add(tuple(row))
            cells = zip(names, row, strict=True)
            found = record(**{name: value_of(text, kinds[name], name) for name, text in cells})
        except (ValueError, csv.Error) as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
        yield found


def text_of(value: Any) -> str:
    """Return a value as a cell holds it."""
    if isinstance(value, tuple):
        return "+".join(value)
    return repr(float(value)) if isinstance(value, float) else str(value)


def value_of(text: str, kind: Any, name: str = "a cell") -> Any:
    """Return what the cell `name` holds, of one of the types str, int, float, bool and tuple of str.

    Raises
    ------
    ValueError
        Another kind of value, or a number that is too large for a float.
    """
    try:
        return _value_of(text, kind)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _value_of(text: str, kind: Any) -> Any:
    if kind is bool:
        if text not in ("True", "False"):
            raise ValueError(f"{text!r}: expected True or False")
        return text == "True"
    if kind in (int, float):
        found = kind(text)
        if kind is float and not math.isfinite(found) and text not in NOT_FINITE:
            raise ValueError(f"{text[:40]!r}: expected a finite number")
        return found
    if kind is str:
        return text
    return tuple(text.split("+")) if text else ()


@dataclass(frozen=True)
class Difference:
    """Where a rerun is farthest from what is kept: `relative` (round-off taken out), the field, and both values."""

    relative: float = 0.0
    name: str = ""
    here: Any = None
    there: Any = None
    record: Any = None
    n_compared: int = 0

    def __str__(self) -> str:
        worst = f"{self.name} {self.here} here, {self.there} there, in {self.record}" if self.name else "none"
        return f"{self.n_compared} rows compared; largest relative difference {self.relative:.1e}: {worst}"


def difference(here: Sequence[Any], there: Sequence[Any], key: Any) -> Difference:
    """Compare records that both have, by field, times aside.

    Parameters
    ----------
    here, there : records; those of one key are compared in their order
    key : function (record) -> what tells it from others

    Returns
    -------
    Difference
        The largest: of floats relative to the value (of energies where they differ by more than `ROUND_OFF`); infinite
        for anything else that is not equal.
    """
    known, own = _grouped(there, key), _grouped(here, key)
    pairs = [pair for place in own if place in known for pair in zip(own[place], known[place], strict=False)]
    worst = Difference(n_compared=len(pairs))
    for one, other in pairs:
        for field in fields(one):
            x, y = getattr(one, field.name), getattr(other, field.name)
            off = 0.0 if field.name.endswith(TIMES) else _off(x, y, _round_off(field.name))
            if off > worst.relative:
                worst = replace(worst, relative=off, name=field.name, here=x, there=y, record=key(one))
    return worst


def _grouped(records: Sequence[Any], key: Any) -> dict[Any, list[Any]]:
    """Return the records of each key, in order: a setting may have several."""
    groups: dict[Any, list[Any]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def _round_off(name: str) -> float:
    return ROUND_OFF if name.endswith(ENERGIES) or name == VIOLATION else 0.0


def _off(x: Any, y: Any, round_off: float) -> float:
    if not (isinstance(x, float) and isinstance(y, float)):
        return 0.0 if x == y else math.inf
    if x == y or (math.isnan(x) and math.isnan(y)) or abs(x - y) <= round_off:
        return 0.0
    return abs(x - y) / max(abs(x), abs(y)) if math.isfinite(x) and math.isfinite(y) else math.inf
