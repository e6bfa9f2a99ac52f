"""A relaxation under watch: how far from its data a model is asked, told on the way and at the end.

Enter at `Watching`.
"""

import warnings
from typing import TYPE_CHECKING, Any

import typer

from ase_mlipgen.config import ConfigError

if TYPE_CHECKING:
    from ase import Atoms

    from ase_mlipgen.defects import Meter, Relaxation

EVERY_STEPS = 10
"""Steps between two looks; a relaxation has some tens, and goes far in each."""


class Watching:
    """Looks at the grades of a model that has a posterior; does nothing for others.

    Parameters
    ----------
    atoms : the start
    calculator : the model
    threshold : of the grade; None for the usual one
    """

    def __init__(self, atoms: "Atoms", calculator: Any, threshold: float | None) -> None:
        from ase_mlipgen.extrapolation import THRESHOLD, ExtrapolationWatch

        self.watch: ExtrapolationWatch | None = None
        self._said = False
        if getattr(calculator, "posterior", None) is not None:
            limit = THRESHOLD if threshold is None else threshold
            self.watch = ExtrapolationWatch(atoms.copy(), limit, model=calculator)
        elif threshold is not None:
            raise ConfigError(
                f"--grade {threshold:g}: this model has no posterior, from which grades are computed; leave --grade "
                "out, or take a trained model with its .posterior.npz beside it"
            )

    def follow(self, step: int, meter: "Meter") -> None:
        """Look at the place of a step now and then."""
        if self.watch is None or meter.latest is None:
            return
        if not self.watch.history or step % EVERY_STEPS == 0:
            self._look(step, meter.latest.positions)

    def end(self, found: "Relaxation") -> None:
        """Look at where the relaxation stopped; not where atoms ran away, which it says itself."""
        if self.watch is None or found.forces is None:
            return
        if not self.watch.history or self.watch.history[-1].step != found.steps:
            self._look(found.steps, found.atoms.positions)

    def _look(self, step: int, positions: Any) -> None:
        from ase_mlipgen.extrapolation import ExtrapolationWarning

        assert self.watch is not None
        self.watch.atoms.positions = positions
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExtrapolationWarning)  # said below, also where progress is quiet
            seen = self.watch.look(step)
        if not self._said and self.watch.passes(seen):
            typer.echo(f"warning: {self.watch.explained(seen)}", err=True)
            self._said = True

    def summary(self) -> str:
        """Return a sentence for the end; empty without a posterior."""
        return "" if self.watch is None else str(self.watch)

    def numbers(self) -> dict[str, Any] | None:
        """Return what was seen, for JSON; None without a posterior."""
        if self.watch is None or not self.watch.history:
            return None
        largest, first = self.watch.largest, self.watch.first
        assert largest is not None
        return {
            "threshold": self.watch.threshold,
            "largest": largest.grade,
            "atom": largest.atom,
            "step": largest.step,
            "first_step_above": None if first is None else first.step,
            "at_the_end": self.watch.history[-1].grade,
        }
