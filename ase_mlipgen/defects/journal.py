"""What a relaxation keeps of its way, and when that goes to disk.

A snapshot after every step costs nothing: it refers to arrays that nobody changes. It is written at once unless the
writing takes more than `SHARE` of the time (large cells with a fast model), and in any case where the relaxation ends.
Enter at `Journal.begin`, `Journal.note`.
"""

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from ase import Atoms

from ase_mlipgen.defects.checkpoint import Checkpoint, Origin, load, model_name, save
from ase_mlipgen.defects.meter import Meter, Place
from ase_mlipgen.defects.optimizer import TightLBFGS

SHARE = 0.1
"""Largest share of the time that goes into writing."""


class Journal:
    """Counts of one relaxation, and its checkpoint if there is one.

    Parameters
    ----------
    walker : at the start, with the constraints of the caller
    meter : its calculator
    optimizer : class of the optimiser
    path : of the checkpoint; None for none
    model : identity of the calculator; None for its class and parameters

    Raises
    ------
    CheckpointError
        As `checkpoint.load`.
    FileNotFoundError
        No folder for the checkpoint.

    Attributes
    ----------
    resumed : step of the checkpoint that was found; None without one
    gave_up : whether the optimiser gave up, so that the one that follows is at work
    initial_energy, initial_fmax : eV and eV/Å, at the start
    """

    def __init__(
        self,
        walker: Atoms,
        meter: Meter,
        optimizer: Callable[..., Any],
        path: str | Path | None,
        model: str | None,
    ) -> None:
        self._begun = time.perf_counter()
        self._calls_before = meter.calls
        self.walker, self.meter, self.optimizer = walker, meter, optimizer
        self.path = None if path is None else Path(path)
        self.gave_up = False
        self.resumed: int | None = None
        self.initial_energy = self.initial_fmax = float("nan")
        self._found: Checkpoint | None = None
        self._pending: Checkpoint | None = None
        self._wrote = float("-inf")
        self._cost = 0.0
        if self.path is not None:
            if not self.path.parent.is_dir():
                raise FileNotFoundError(
                    f"there is no folder {self.path.parent} for the checkpoint; make it first"
                )
            self._origin = Origin.of(walker, model_name(meter.calculator) if model is None else model)
            self._found = load(self.path, self._origin)

    @property
    def name(self) -> str:
        """Name of the optimiser's class."""
        return str(getattr(self.optimizer, "__qualname__", self.optimizer))

    @property
    def calls(self) -> int:
        """Force calls so far, those before a resumption included."""
        return self.meter.calls - self._calls_before + (0 if self._found is None else self._found.calls)

    @property
    def wall_time(self) -> float:
        """Seconds so far, those before a resumption included."""
        return time.perf_counter() - self._begun + (0.0 if self._found is None else self._found.wall_time)

    def begin(self, energy: Callable[[Atoms], float], fmax: Callable[[Atoms], float]) -> None:
        """Put the walker where the checkpoint is; ask the model at the start where there is none."""
        found = self._found
        if found is None:
            self.initial_energy, self.initial_fmax = energy(self.walker), fmax(self.walker)
            return
        self.walker.positions[:] = found.positions
        self.meter.remember(Place(found.positions, self.walker.cell.array.copy(), found.energy, found.forces))
        self.initial_energy, self.initial_fmax = found.initial_energy, found.initial_fmax
        self.resumed = found.step
        self.gave_up = found.gave_up and found.optimizer == self.name

    def restore(self, optimizer: Any) -> None:
        """Give an optimiser the memory that the checkpoint has of one of its class."""
        found = self._found
        fits = found is not None and found.optimizer == self.name and found.gave_up == self.gave_up
        if found is not None and fits and isinstance(optimizer, TightLBFGS):
            optimizer.restore(found.history)

    def note(self, step: int, optimizer: Any) -> None:
        """Keep where the walker is after a step; write it if it is time to."""
        place = self.meter.place(self.walker)
        # A resumed relaxation knows this place only, so this one must not know more, lest it count fewer calls.
        self.meter.remember(place)
        if self.path is None or step == self.resumed or place.energy is None or place.forces is None:
            return
        self._pending = Checkpoint(
            positions=place.positions,
            energy=place.energy,
            forces=place.forces,
            initial_energy=self.initial_energy,
            initial_fmax=self.initial_fmax,
            step=step,
            calls=self.calls,
            wall_time=self.wall_time,
            optimizer=self.name,
            gave_up=self.gave_up,
            history=optimizer.state() if isinstance(optimizer, TightLBFGS) else {},
        )
        if time.perf_counter() - self._wrote >= self._cost * (1.0 / SHARE - 1.0):
            self._write()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write()

    def _write(self) -> None:
        if self.path is None or self._pending is None:
            return
        begun = time.perf_counter()
        save(self.path, self._pending, self._origin)
        self._pending = None
        self._wrote = time.perf_counter()
        self._cost = self._wrote - begun
