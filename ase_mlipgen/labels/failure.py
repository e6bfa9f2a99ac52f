"""Failures: which configuration has no label, why, and where it is kept. Enter at `Failure` and `LabelError`."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

KEPT = ("verdict", "reason", "attempts", "date", "host", "config_type", "defect", "n_atoms")
SHOWN = 50
"""Failures that a message lists; all are in `LabelError.failures` and in the store."""


def now() -> str:
    """Return the time as it is written in records: UTC, so that text sorts as time does."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True)
class Failure:
    """A configuration that the reference gave no label for.

    Attributes
    ----------
    verdict : "raised", "not converged", "not finite", "wrong shape", "hanging" or "died"
    reason : str
    attempts : int
    config_type, defect, n_atoms
        Which kind of configuration it is.
    date, host : str
        When (UTC) and where it failed last.
    number : int or None
        Index of the configuration in the sequence that was given.
    where : str
        File that holds the configuration; empty without a store.
    error : Exception or None
        What was raised, where that is known.
    """

    verdict: str
    reason: str
    attempts: int
    config_type: str
    defect: str
    n_atoms: int
    date: str = field(default_factory=now)
    host: str = field(default_factory=socket.gethostname)
    number: int | None = None
    where: str = ""
    error: Exception | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        what = " ".join(word for word in (self.config_type, self.defect) if word)
        name = "configuration" if self.number is None else f"configuration {self.number}"
        times = f" ({self.attempts} attempts)" if self.attempts > 1 else ""
        kept = f"; kept in {self.where}" if self.where else ""
        return f"{name} ({what}, {self.n_atoms} atoms): {self.verdict}: {self.reason}{times}{kept}"

    def record(self) -> dict[str, Any]:
        """Return what a store keeps."""
        return {name: getattr(self, name) for name in KEPT}

    @classmethod
    def of(cls, record: Mapping[str, Any], where: str) -> "Failure":
        """Return the failure of a record."""
        return cls(**{name: record[name] for name in KEPT}, where=where)


class LabelError(RuntimeError):
    """The reference failed on some configurations; all others are labelled. The first cause is chained.

    Attributes
    ----------
    failures : tuple of Failure
        In the order of the configurations.
    number : int
        Index of the first in the sequence that was given.
    """

    def __init__(self, message: str, number: int, failures: Sequence[Failure] = ()) -> None:
        super().__init__(message, number, tuple(failures))
        self.number, self.failures = number, tuple(failures)

    def __str__(self) -> str:
        return str(self.args[0])

    @classmethod
    def of(cls, failures: Sequence[Failure], n_labels: int) -> "LabelError":
        """Return the error that lists `failures` among `n_labels` configurations."""
        lines = [str(failure) for failure in failures[:SHOWN]]
        if len(failures) > SHOWN:
            lines.append(f"and {len(failures) - SHOWN} more")
        if len(lines) == 1:
            message = f"the reference failed on {lines[0]}"
        else:
            message = "\n  ".join(
                [f"the reference failed on {len(failures)} of {n_labels} configurations:", *lines]
            )
        return cls(message, int(failures[0].number or 0), failures)


class StoreError(OSError):
    """A store cannot be written to; what was written before is kept."""

    def __str__(self) -> str:
        return str(self.args[1])
