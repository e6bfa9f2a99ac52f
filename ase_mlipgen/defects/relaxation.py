"""Relaxation of a cell, watched: tight, quiet, and stopped with a reason where a model runs away.

A surrogate outside its data may have no minimum at all; a relaxation that follows it is stopped by `Guards` and says
why (`Relaxation.failure`), or raises `RelaxationError` where asked to be strict. Planar cells move in their plane.
Any ASE optimiser class does; the default is `TightLBFGS`. An optimiser that gives up (a failed line search) is
followed by ASE's LBFGS, which looks at forces only. Cost: some tens of force calls. Enter at `relax`.
"""

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.constraints import FixCartesian
from ase.optimize import LBFGS

from ase_mlipgen.defects.geometry import is_planar, nearest_distances
from ase_mlipgen.defects.optimizer import TightLBFGS
from ase_mlipgen.neighbors import CoincidentAtomsError, pairs

logger = logging.getLogger(__name__)

OnStep = Callable[[int, float, float], None]
"""Called after every step with its number, the energy (eV) and the largest force (eV/Å)."""


class RelaxationError(RuntimeError):
    """A relaxation did not reach its tolerance; `relaxation` holds what it came to."""

    def __init__(self, relaxation: "Relaxation") -> None:
        super().__init__(relaxation.failure)
        self.relaxation = relaxation


@dataclass(frozen=True)
class Guards:
    """Limits beyond which a relaxation has run away.

    Attributes
    ----------
    force : eV/Å, largest force on an atom; a start with more is allowed ten times its own
    distance : smallest distance of two atoms, in units of the start's median nearest-neighbour distance
    displacement : largest displacement of an atom from its start, in the same units
    """

    force: float = 100.0
    distance: float = 0.35
    displacement: float = 2.0


@dataclass(frozen=True)
class Relaxation:
    """What a relaxation came to.

    Attributes
    ----------
    atoms : the cell where it stopped, without calculator; positions are not wrapped, so that the displacements are
        the difference from the start
    energy, initial_energy : eV, where it stopped and at the start (the free energy where the calculator has one: the
        forces are its gradient); nan where atoms moved too far or too close
    converged : whether the largest force is at most the tolerance
    steps : optimiser steps
    fmax : eV/Å, largest force on an atom where it stopped; nan as above
    wall_time : s
    failure : why it did not converge, in a sentence; None if it did
    """

    atoms: Atoms
    energy: float
    initial_energy: float
    converged: bool
    steps: int
    fmax: float
    wall_time: float
    failure: str | None


def relax(
    atoms: Atoms,
    calculator: Any,
    optimizer: Callable[..., Any] | None = None,
    fmax: float = 1e-5,
    steps: int = 1000,
    guards: Guards | None = None,
    progress: OnStep | None = None,
    strict: bool = False,
) -> Relaxation:
    """Relax the positions of a copy of the atoms; the cell stays.

    Parameters
    ----------
    atoms : the start; its constraints hold
    calculator : an ASE calculator
    optimizer : an ASE optimiser class; None for `TightLBFGS`
    fmax : eV/Å, tolerance for the largest force on an atom
    steps : most optimiser steps
    strict : raise where it does not converge

    Raises
    ------
    RelaxationError
        With `strict`, if it did not converge. Errors of the calculator at the start are passed on as they are.
    """
    begun = time.perf_counter()
    walker = atoms.copy()
    if is_planar(atoms):
        walker.constraints = [*walker.constraints, FixCartesian(range(len(atoms)), mask=(False, False, True))]
    walker.calc = calculator
    initial_energy = potential_energy(walker)
    watch = _Watch(walker, guards or Guards())
    taken, failure = _run(walker, watch, optimizer or TightLBFGS, fmax, steps, progress)
    reached, energy = watch.fmax, watch.energy
    converged = failure is None and reached <= fmax
    if failure is None and not converged:
        failure = (
            f"not converged after {taken} steps: largest force {reached:.2e} eV/Å, tolerance {fmax:.2e} eV/Å"
        )
    walker.calc = None
    walker.set_constraint(atoms.copy().constraints)
    relaxation = Relaxation(
        walker, energy, initial_energy, converged, taken, reached, time.perf_counter() - begun, failure
    )
    if strict and not converged:
        raise RelaxationError(relaxation)
    return relaxation


def _run(
    walker: Atoms,
    watch: "_Watch",
    optimizer: Callable[..., Any],
    fmax: float,
    steps: int,
    progress: OnStep | None,
) -> tuple[int, str | None]:
    """Run the optimiser and, if it gives up, LBFGS: steps taken, and what failed."""
    failure = watch.verdict()
    taken = 0
    for make in (optimizer, LBFGS):
        if failure is not None:
            break
        count, failure, gave_up = _follow(make, walker, watch, fmax, steps - taken, taken, progress)
        taken += count
        if gave_up is None:
            break
        logger.info("%s after %d steps", gave_up, taken)
        if make is LBFGS:
            failure = gave_up
    return taken, failure


def _follow(
    make: Callable[..., Any],
    walker: Atoms,
    watch: "_Watch",
    fmax: float,
    steps: int,
    taken: int,
    progress: OnStep | None,
) -> tuple[int, str | None, str | None]:
    """Run one optimiser: steps taken, a guard's failure, and the reason if the optimiser itself gave up."""
    count = -1
    try:
        # Non-finite numbers are looked for and reported by the guards; what optimisers warn of ends in `failure`.
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module=r"ase\.optimize")
            for _ in _steps(make, walker, fmax, steps):
                count += 1
                failure = watch.verdict()
                if progress is not None:
                    progress(taken + count, watch.energy, watch.fmax)
                if failure is not None:
                    return count, failure, None
    except (ArithmeticError, RuntimeError, ValueError, np.linalg.LinAlgError) as error:
        # The calculator may have stopped in the middle of a line search, far from the path.
        walker.positions = watch.accepted
        return max(count, 0), None, f"{getattr(make, '__name__', make)} gave up: {error}"
    return count, None, None


def _steps(make: Callable[..., Any], walker: Atoms, fmax: float, steps: int) -> Iterator[bool]:
    yield from make(walker, logfile=None).irun(fmax=fmax, steps=steps)


class _Watch:
    """Looks at the atoms after every step; remembers the last energy, largest force and accepted positions."""

    def __init__(self, walker: Atoms, guards: Guards) -> None:
        self.walker = walker
        self.start = self.accepted = walker.get_positions()
        self.unit = float(np.median(nearest_distances(walker)))
        self.guards = guards
        self.force_limit = max(guards.force, 10.0 * self._largest_force())
        self.energy = self.fmax = float("nan")

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.energy) and np.isfinite(self.fmax))

    def _largest_force(self) -> float:
        return float(np.linalg.norm(self.walker.get_forces(), axis=1).max(initial=0.0))

    def verdict(self) -> str | None:
        """Give the reason to stop, if there is one."""
        positions = self.walker.positions
        self.energy = self.fmax = float("nan")
        if not np.all(np.isfinite(positions)):
            return "ran away: positions are not finite"
        moved = float(np.linalg.norm(positions - self.start, axis=1).max(initial=0.0))
        if moved > self.guards.displacement * self.unit:
            return self._ran_away("an atom moved by", moved, "Å", self.guards.displacement * self.unit)
        limit = self.guards.distance * self.unit
        nearest = _closer_than(self.walker, limit)
        if nearest is not None:
            return self._ran_away("two atoms came as close as", nearest, "Å", limit)
        self.energy, self.fmax = potential_energy(self.walker), self._largest_force()
        if not self.finite:
            return f"ran away: energy {self.energy} eV, largest force {self.fmax} eV/Å"
        if self.fmax > self.force_limit:
            return self._ran_away("the largest force is", self.fmax, "eV/Å", self.force_limit)
        self.accepted = positions.copy()
        return None

    def _ran_away(self, what: str, value: float, unit: str, limit: float) -> str:
        return f"ran away: {what} {value:.3g} {unit} (limit {limit:.3g} {unit})"


def _closer_than(atoms: Atoms, limit: float) -> float | None:
    """Smallest distance of two atoms, Å, if it is below the limit."""
    if not np.isfinite(limit):
        return None
    try:
        close = pairs(atoms, limit).vectors()
    except CoincidentAtomsError:
        return 0.0
    return float(np.linalg.norm(close, axis=1).min()) if len(close) else None


def potential_energy(atoms: Atoms) -> float:
    """Energy, eV, whose gradient the forces are: the calculator's free energy where it has one."""
    try:
        return float(atoms.get_potential_energy(force_consistent=True))
    except (PropertyNotImplementedError, KeyError):
        return float(atoms.get_potential_energy())
