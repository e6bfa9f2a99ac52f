"""Molecular dynamics and optimisers of ASE under watch: where they leave the data that a model was fitted to.

`ExtrapolationWatch` is an observer in ASE's sense. It looks at the largest extrapolation grade of all atoms
(`LinearACE.get_grades`), keeps it, and warns when it first passes the threshold, or stops the run there.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms

from ase_mlipgen.posterior import PosteriorError

THRESHOLD = 1.0
"""Grade of the farthest atom of the training samples."""
INTERVAL = 100
"""Steps between two looks: one costs as much as 16 to 24 force calls (383 functions, silicon, one thread), which adds a
fifth to the time of a run."""
ROUND_OFF = 1e-6
"""Of a grade: the training samples themselves do not pass a threshold of 1."""


class ExtrapolationWarning(UserWarning):
    """A structure has an atom that is farther from the data than any atom of the training samples."""


class ExtrapolationError(ArithmeticError):
    """A run was to be stopped where its model extrapolates; `look` says where that was."""

    def __init__(self, message: str, look: "Look") -> None:
        super().__init__(message)
        self.look = look

    def __reduce__(self) -> Any:
        return type(self), (str(self), self.look)


class Look(NamedTuple):
    """What was seen once.

    Attributes
    ----------
    step : int
        Of the dynamics or optimiser; which look it is, from 0, where the watch does not know it.
    grade : float
        The largest of all atoms.
    atom : int
        Which atom has it.
    """

    step: int
    grade: float
    atom: int


class ExtrapolationWatch:
    """Observer of a run that tells when its model extrapolates.

    Parameters
    ----------
    atoms : Atoms
        What moves.
    threshold : float
        Of the grade: 1 is the farthest atom of the training samples.
    stop : bool
        Whether to end the run by an `ExtrapolationError`, rather than to warn.
    model : LinearACE, optional
        By default the calculator of the atoms.

    Attributes
    ----------
    history : list of Look

    Raises
    ------
    TypeError
        The model has no grades.
    PosteriorError
        The model has no posterior.
    ValueError
        No atoms, or a threshold that is not positive.

    Warns
    -----
    ExtrapolationWarning
        Once, at the first look above the threshold.

    Examples
    --------
    ``watch = ExtrapolationWatch(atoms).attach(dynamics)`` looks every `INTERVAL` steps; ``dynamics.attach(watch,
    interval=10)`` does as well, but then the watch counts its looks and not the steps. ``watch()`` looks at once.
    """

    def __init__(
        self, atoms: Atoms, threshold: float = THRESHOLD, *, stop: bool = False, model: Any = None
    ) -> None:
        self.atoms, self.stop, self.model = atoms, stop, atoms.calc if model is None else model
        if not hasattr(self.model, "get_grades"):
            raise TypeError(
                f"{type(self.model).__name__} has no extrapolation grades; give atoms whose calculator is a LinearACE, "
                "or model=..."
            )
        if self.model.posterior is None:
            raise PosteriorError(
                "this model has no posterior, from which grades are computed: take the calculator of a TrainingResult, "
                "or load a model file that has its .posterior.npz beside it"
            )
        if len(atoms) == 0:
            raise ValueError("there are no atoms to watch: give a structure of at least one")
        if not (np.isfinite(threshold) and threshold > 0):
            raise ValueError(f"threshold = {threshold!r}: expected a positive grade, such as 1.0")
        self.threshold = float(threshold)
        self.history: list[Look] = []
        self._unit = "step"

    def attach(self, dynamics: Any, interval: int = INTERVAL) -> "ExtrapolationWatch":
        """Look every `interval` steps of an ASE dynamics or optimiser, its start included; return this watch."""
        dynamics.attach(self, interval, dynamics)
        return self

    def __call__(self, dynamics: Any = None) -> Look:
        """Look; the step is that of the dynamics, where given."""
        if dynamics is not None:
            return self.look(int(dynamics.nsteps))
        self._unit = "look"
        return self._looked(len(self.history))

    def look(self, step: int) -> Look:
        """Take the largest grade of the atoms now, keep it, and tell if it is the first above the threshold.

        Raises
        ------
        ExtrapolationError
            Above the threshold, where the run is to be stopped.
        """
        self._unit = "step"
        return self._looked(step)

    def _looked(self, step: int) -> Look:
        grades_i = self.model.get_grades(self.atoms)
        atom = int(np.argmax(grades_i))
        seen, before = Look(step, float(grades_i[atom]), atom), self.first
        self.history.append(seen)
        if self.passes(seen):
            if self.stop:
                raise ExtrapolationError(self.explained(seen), seen)
            if before is None:
                warnings.warn(self.explained(seen), ExtrapolationWarning, stacklevel=4)
        return seen

    def passes(self, seen: Look) -> bool:
        """Whether a look is above the threshold, by more than round-off."""
        return not seen.grade <= self.threshold * (1.0 + ROUND_OFF)

    @property
    def first(self) -> Look | None:
        """The first look above the threshold; None if there is none."""
        return next((seen for seen in self.history if self.passes(seen)), None)

    @property
    def largest(self) -> Look | None:
        """The look with the largest grade; None before the first."""
        return max(self.history, key=lambda seen: seen.grade, default=None)

    def explained(self, seen: Look) -> str:
        """Say what a look above the threshold means, and what to do."""
        return (
            f"the model extrapolates: at {self._unit} {seen.step} atom {seen.atom} has the grade {seen.grade:.3g}, "
            f"above {self.threshold:g} (1 is the farthest atom of the training samples). Do not trust what follows; "
            "label such structures and train with them"
        )

    def __str__(self) -> str:
        largest, first = self.largest, self.first
        if largest is None:
            return "extrapolation grade: not looked at"
        text = f"largest extrapolation grade {largest.grade:.3g}, of atom {largest.atom} at {self._unit} {largest.step}"
        if first is None:
            return f"{text}: not above {self.threshold:g}, within the data"
        return (
            f"{text}; above {self.threshold:g} at {self._unit} {first.step} already: the model extrapolates"
        )
