"""Stages of a trainer: each computed once, kept and timed. Enter at `Stages`."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ase_mlipgen.progress import Progress


class Stages:
    """What every trainer has: stages that are kept, and how long each took.

    Attributes
    ----------
    progress : Progress
    timings : dict of str to float
        Wall time of each stage without the stages that it calls, s.
    """

    progress: Progress
    timings: dict[str, float]
    _kept: dict[str, Any]

    def _begin(self, progress: Progress | bool) -> None:
        self.progress = progress if isinstance(progress, Progress) else Progress(quiet=not progress)
        self.timings = {}
        self._kept = {}

    def _once(self, stage: str, compute: Callable[[], Any]) -> Any:
        if stage not in self._kept:
            with self._timed(stage):
                self._kept[stage] = compute()
        return self._kept[stage]

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        """Time a stage without the stages that it calls."""
        begun, inner = time.perf_counter(), sum(self.timings.values())
        yield
        elapsed = time.perf_counter() - begun
        self.timings[stage] = elapsed - (sum(self.timings.values()) - inner)
