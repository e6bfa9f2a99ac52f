"""What a check is: a numbered, named promise, and a function that measures how well a calculator keeps it.

A check gets a `Subject` and notes what it sees in `Findings`; `run` turns these into a row of the report.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ase_mlipgen.testing.report import FAILED, NOT_APPLICABLE, PASSED, Row
from ase_mlipgen.testing.subject import Subject

ENERGY = (1e-9, "eV/atom")
FORCE = (1e-8, "eV/Å")
STRESS = (1e-9, "eV/Å^3")


class NotApplicable(Exception):
    """The promise says nothing of this calculator; the text tells why."""


class Measurement(NamedTuple):
    """A figure that should not exceed its tolerance."""

    what: str
    figure: float
    tolerance: float
    unit: str

    @property
    def ratio(self) -> float:
        """Figure over tolerance; infinite for what is not a number."""
        if not abs(self.figure) < float("inf"):
            return float("inf")
        if self.tolerance == 0:
            return 0.0 if self.figure == 0 else float("inf")
        return abs(self.figure) / self.tolerance


@dataclass
class Findings:
    """Notebook of one check: figures, and violations in words."""

    loosened: float = 1.0
    measurements: list[Measurement] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def measure(self, what: str, figure: float, allowed: tuple[float, str]) -> None:
        """Note a figure beside (tolerance, unit)."""
        self.measurements.append(Measurement(what, float(figure), allowed[0] * self.loosened, allowed[1]))

    def expect(self, kept: bool, problem: str) -> None:
        """Note a violation in words unless something is kept."""
        if not kept:
            self.problems.append(problem)


@dataclass(frozen=True)
class Check:
    """A promise and its test; see `Row` for the words."""

    number: str
    name: str
    topic: str
    promise: str
    remedy: str
    function: Callable[[Subject, Findings], None]


def check(
    number: str, name: str, topic: str, promise: str, remedy: str
) -> Callable[[Callable[[Subject, Findings], None]], Check]:
    """Make a check of the function that follows."""

    def made(function: Callable[[Subject, Findings], None]) -> Check:
        return Check(number, name, topic, promise, remedy, function)

    return made


def run(check: Check, subject: Subject, loosened: float = 1.0) -> Row:
    """Return the row of one check; whatever the calculator raises is a finding."""
    findings, start = Findings(loosened), time.perf_counter()
    try:
        check.function(subject, findings)
        worst, tolerance, unit, verdict, note = _judge(findings)
    except NotApplicable as reason:
        worst, tolerance, unit, verdict, note = None, None, "", NOT_APPLICABLE, str(reason)
    except Exception as error:  # noqa: BLE001, RUF100  whatever it is, the other checks go on
        worst, tolerance, unit, verdict = None, None, "", FAILED
        note = f"raised {type(error).__name__}: {_first_line(error)}"
    seconds = time.perf_counter() - start
    return Row(
        check.number, check.name, check.topic, check.promise, worst, tolerance, unit, verdict,
        re.sub(r" at 0x[0-9a-f]+", "", note), check.remedy,
        seconds,
    )  # fmt: skip


def _judge(findings: Findings) -> tuple[float | None, float | None, str, str, str]:
    problems = findings.problems
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        return float(len(problems)), 0.0, "violations", FAILED, "; ".join(problems[:3]) + more
    if not findings.measurements:
        return 0.0, 0.0, "violations", PASSED, ""
    worst = max(findings.measurements, key=lambda measurement: measurement.ratio)
    verdict = PASSED if worst.ratio <= 1 else FAILED
    return worst.figure, worst.tolerance, worst.unit, verdict, worst.what


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else "(without a text)"
