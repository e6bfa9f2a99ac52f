"""Progress of long work: what runs, how far it is, how long it will take.

A `Progress` is told of stages and counts; on a terminal it draws bars (rich), elsewhere it writes a plain line
every few seconds. Everything goes to standard error, so that standard output stays clean for results.
Entry point: :class:`Progress`; `Progress(quiet=True)` says nothing.
"""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO


class Progress:
    """Reporter of stages.

    Parameters
    ----------
    quiet : bool
        Say nothing.
    stream : text file, optional
        Standard error by default.
    interval : float
        Seconds between plain lines of one stage.

    Examples
    --------
    >>> with Progress(quiet=True) as progress:
    ...     count = progress.counter("labels")
    ...     count(1, 250)
    """

    def __init__(self, quiet: bool = False, stream: TextIO | None = None, interval: float = 5.0) -> None:
        self.quiet = quiet
        self.stream = sys.stderr if stream is None else stream
        self.interval = interval
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        self._began: dict[str, float] = {}
        self._spoke: dict[str, float] = {}

    def __enter__(self) -> "Progress":
        if not self.quiet and self.stream.isatty():
            self._bars = _bars(self.stream)
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def say(self, text: str) -> None:
        """Print a line of its own."""
        if self.quiet:
            return
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=self.stream, flush=True)

    def counter(self, stage: str) -> Callable[[int, int], None]:
        """Return a callback (done, total) for one stage."""
        self._began[stage] = time.monotonic()
        self._spoke[stage] = self._began[stage]
        self._tasks.pop(stage, None)

        def count(done: int, total: int) -> None:
            self._count(stage, done, total)

        return count

    def _count(self, stage: str, done: int, total: int) -> None:
        if self.quiet:
            return
        if self._bars is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(stage, total=total)
            self._bars.update(self._tasks[stage], completed=done, total=total)
            return
        now = time.monotonic()
        elapsed = now - self._began[stage]
        if done >= total and elapsed >= 1.0:
            self.say(f"  {stage}: {done} of {total} done in {duration(elapsed)}")
        elif done < total and now - self._spoke[stage] >= self.interval:
            self._spoke[stage] = now
            left = f", about {duration(elapsed / done * (total - done))} left" if done else ""
            self.say(f"  {stage}: {done} of {total}{left}")


def duration(seconds: float) -> str:
    """Return a time span as people write it: ``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def _bars(stream: TextIO) -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description:>24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=stream),
    )
