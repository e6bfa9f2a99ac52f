"""What a benchmark measures: one contender, ours, and others that take turns with it in one process.

A round calls each contender back to back for at least `BURST`, others first, so that a drift of the clock frequency
or a busy neighbour meets all of them; ratios are taken round by round, then the median. Enter at `Race`; the fixture
`race` of the conftest runs one.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np

BURST = 0.02  # s, so that a call of a millisecond is timed with its data in the caches
SECONDS = 3.0  # a race lasts, unless its fewest rounds take longer
FEWEST, MOST = 5, 60  # rounds

SCALE = {"s": 1.0, "ms": 1e3, "us/atom": 1e6, "ns/neighbour": 1e9}  # of seconds a unit of work


class Contender(NamedTuple):
    """A call and the units of work (atoms) that it does."""

    call: Callable[[], Any]
    units: int


class Bar(NamedTuple):
    """A promise: a figure that is at least, or at most, a limit.

    With `peer`: how many times faster than that peer we are (`at_least`), or how many times its cost ours is
    (`at_most`). Without: our own cost.
    """

    sense: str
    limit: float
    peer: str | None = None

    def figure(self, record: "Record") -> float:
        if self.peer is None:
            return record.ours
        ratio = record.ratios[self.peer]
        return ratio if self.sense == "at least" else 1 / ratio

    def met(self, record: "Record") -> bool:
        figure = self.figure(record)
        return figure >= self.limit if self.sense == "at least" else figure <= self.limit


def at_least(limit: float, peer: str) -> Bar:
    return Bar("at least", limit, peer)


def at_most(limit: float, peer: str | None = None) -> Bar:
    return Bar("at most", limit, peer)


@dataclass(frozen=True)
class Record:
    """Medians of one case: cost of ours and of each peer in `unit`, and peer / ours round by round.

    `parts` divide the cost of ours by name.
    """

    group: str
    case: str
    unit: str
    ours: float
    peers: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    bar: Bar | None = None
    rounds: int = 1
    parts: dict[str, float] = field(default_factory=dict)
    about: dict[str, float | str] = field(default_factory=dict)

    def verdict(self) -> str:
        """Return "15.3, at least 15: met", or nothing where nothing is promised."""
        if self.bar is None:
            return ""
        met = "met" if self.bar.met(self) else "MISSED"
        return f"{self.bar.figure(self):.3g}, {self.bar.sense} {self.bar.limit:g}: {met}"

    def asdict(self) -> dict[str, Any]:
        bar = None if self.bar is None else {**self.bar._asdict(), "met": self.bar.met(self)}
        return {**asdict(self), "bar": bar}


class Race:
    """Contenders of one case, timed in turns.

    Parameters
    ----------
    ours : Contender
    peers : mapping of name to Contender
    clock : callable
        Seconds; `time.process_time` counts the work of all threads.
    """

    def __init__(
        self, ours: Contender, peers: Mapping[str, Contender], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.contenders = {"": ours, **peers}
        self.clock = clock
        self.times: dict[str, list[float]] = {name: [] for name in self.contenders}
        self.calls = dict.fromkeys(self.contenders, 1)

    def warm(self, seconds: float, fewest: int) -> int:
        """Call each once, see how many calls make a burst, and return how many rounds fit."""
        a_round = 0.0
        for name in self.contenders:
            self._burst(name)
            once = max(self._burst(name), 1e-9)
            self.calls[name] = max(1, math.ceil(BURST / once))
            a_round += once * self.calls[name]
        return int(min(max(fewest, seconds / a_round), max(MOST, fewest)))

    def run_peers(self) -> None:
        for name in self.contenders:
            if name:
                self._add(name)

    def run_ours(self) -> None:
        self._add("")

    def _add(self, name: str) -> None:
        self.times[name].append(self._burst(name) / (self.calls[name] * self.contenders[name].units))

    def _burst(self, name: str) -> float:
        call, calls = self.contenders[name].call, self.calls[name]
        begun = self.clock()
        for _ in range(calls):
            call()
        return self.clock() - begun

    def record(self, group: str, case: str, unit: str, bar: Bar | None, about: dict[str, Any]) -> Record:
        """Return the medians of the rounds run."""
        times = {name: np.array(found) for name, found in self.times.items()}
        ours = times.pop("")
        return Record(
            group,
            case,
            unit,
            float(np.median(ours)) * SCALE[unit],
            {name: float(np.median(t)) * SCALE[unit] for name, t in times.items()},
            {name: float(np.median(t / ours)) for name, t in times.items()},
            bar,
            len(ours),
            about=about,
        )
