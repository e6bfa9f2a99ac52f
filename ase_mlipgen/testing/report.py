"""What a calculator was found to keep: one row a promise, a table, and the error that lists what is broken."""

import math
from dataclasses import asdict, dataclass
from typing import Any

PASSED, FAILED, NOT_APPLICABLE = "passed", "failed", "not applicable"


class ContractError(AssertionError):
    """A calculator breaks promises; ``.report`` has all of them, the message those that failed."""

    def __init__(self, report: "Report") -> None:
        super().__init__(explain(report))
        self.report = report


@dataclass(frozen=True)
class Row:
    """One promise and how well it was kept.

    Parameters
    ----------
    number, name, topic : str
        Such as "P1", "permutation", "physics"; each of them selects or skips the check.
    promise : str
    worst : float or None
        The figure that comes nearest to, or furthest beyond, its tolerance; None where nothing was measured.
    tolerance : float or None
    unit : str
        Of both; "violations" for promises that are kept or not.
    verdict : {"passed", "failed", "not applicable"}
    note : str
        What the worst figure belongs to, what went wrong, or why the promise does not apply.
    remedy : str
        What to do if it failed.
    seconds : float
    """

    number: str
    name: str
    topic: str
    promise: str
    worst: float | None
    tolerance: float | None
    unit: str
    verdict: str
    note: str
    remedy: str
    seconds: float


@dataclass(frozen=True)
class Report:
    """All promises that were asked for; ``print(report)`` shows a table.

    Parameters
    ----------
    calculator : str
    atoms : str
        Formula, and the directions that are periodic.
    rows : tuple of Row
    seed : int
    """

    calculator: str
    atoms: str
    rows: tuple[Row, ...]
    seed: int

    @property
    def failed(self) -> tuple[Row, ...]:
        """Rows of promises that are broken."""
        return tuple(row for row in self.rows if row.verdict == FAILED)

    @property
    def passed(self) -> bool:
        """Whether no promise is broken."""
        return not self.failed

    def __getitem__(self, name: str) -> Row:
        """Return the row of a check by its name or number."""
        for row in self.rows:
            if name in (row.name, row.number):
                return row
        raise KeyError(f"no check {name!r} in this report; it has {', '.join(row.name for row in self.rows)}")

    def todict(self) -> dict[str, Any]:
        """Return everything as numbers, strings, lists and dictionaries that JSON can hold."""
        rows = [{key: _plain(value) for key, value in asdict(row).items()} for row in self.rows]
        return {
            "calculator": self.calculator, "atoms": self.atoms, "seed": self.seed, "passed": self.passed, "rows": rows,
        }  # fmt: skip

    def __str__(self) -> str:
        head = ("", "promise", "worst", "tolerance", "unit", "verdict", "")
        lines = [
            (
                row.number,
                row.name,
                _number(row.worst),
                _number(row.tolerance),
                row.unit,
                row.verdict,
                row.note,
            )
            for row in self.rows
        ]
        widths = [max(len(line[k]) for line in (head, *lines)) for k in range(len(head) - 1)]
        table = [
            "  ".join(text.ljust(width) for text, width in zip(line, [*widths, 0], strict=True)).rstrip()
            for line in (head, *lines)
        ]
        n_failed, n_silent = len(self.failed), sum(row.verdict == NOT_APPLICABLE for row in self.rows)
        n_passed = len(self.rows) - n_failed - n_silent
        last = f"{n_passed} passed, {n_failed} failed, {n_silent} not applicable"
        return "\n".join([f"{self.calculator}, {self.atoms}, seed {self.seed}", *table, last])


def explain(report: Report) -> str:
    """Return the broken promises with figures, tolerances and remedies."""
    lines = [
        f"{report.calculator} breaks {len(report.failed)} of {len(report.rows)} promises for {report.atoms}:"
    ]
    for row in report.failed:
        figure = (
            ""
            if row.worst is None
            else f" {_number(row.worst)} {row.unit}, allowed {_number(row.tolerance)}."
        )
        lines += [
            f"  {row.number} {row.name}: {row.promise}.{figure}",
            f"     {row.note}",
            f"     Remedy: {row.remedy}",
        ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def _plain(value: Any) -> Any:
    """Return a figure that strict JSON knows: infinity and NaN become text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
