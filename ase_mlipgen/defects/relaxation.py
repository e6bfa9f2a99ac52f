"""Relaxation of a cell, watched: tight, quiet, and stopped with a reason where a model runs away.

A surrogate outside its data may have no minimum at all; a relaxation that follows it is stopped by `Guards` and says
why (`Relaxation.failure`), or raises `RelaxationError` where asked to be strict. Planar cells move in their plane.
Any ASE optimiser class does; the default is `TightLBFGS`. An optimiser that gives up (a failed line search) is
followed by ASE's LBFGS, which looks at forces only. Cost: some tens of force calls. With a checkpoint a relaxation
survives the end of its process. Enter at `relax`.
"""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.constraints import FixCartesian
from ase.optimize import LBFGS

from ase_mlipgen.defects.geometry import is_planar
from ase_mlipgen.defects.guards import Guards, Watch, largest_force, potential_energy
from ase_mlipgen.defects.journal import Journal
from ase_mlipgen.defects.meter import Meter
from ase_mlipgen.defects.optimizer import TightLBFGS

logger = logging.getLogger(__name__)

OnStep = Callable[[int, float, float], None]
"""Called after every step with its number, the energy (eV) and the largest force (eV/Å)."""


class RelaxationError(RuntimeError):
    """A relaxation did not reach its tolerance; `relaxation` holds what it came to."""

    def __init__(self, relaxation: "Relaxation") -> None:
        super().__init__(relaxation.failure)
        self.relaxation = relaxation


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
    steps : optimiser steps, those before a resumption included
    fmax : eV/Å, largest force on an atom where it stopped; nan as above
    wall_time : s, as the steps
    failure : why it did not converge, in a sentence; None if it did
    calls : force calls: places at which the model was asked; as the steps
    resumed : step that it was resumed from; None if it began at the start
    forces : (n_atoms, 3) array, eV/Å, where it stopped, constraints left out; None as the energy is nan
    """

    atoms: Atoms
    energy: float
    initial_energy: float
    converged: bool
    steps: int
    fmax: float
    wall_time: float
    failure: str | None
    calls: int = 0
    resumed: int | None = None
    forces: npt.NDArray[np.float64] | None = None


def relax(
    atoms: Atoms,
    calculator: Any,
    optimizer: Callable[..., Any] | None = None,
    fmax: float = 1e-5,
    steps: int = 1000,
    guards: Guards | None = None,
    progress: OnStep | None = None,
    strict: bool = False,
    checkpoint: str | Path | None = None,
    model: str | None = None,
) -> Relaxation:
    """Relax the positions of a copy of the atoms; the cell stays.

    Parameters
    ----------
    atoms : the start; its constraints hold
    calculator : an ASE calculator
    optimizer : an ASE optimiser class; None for `TightLBFGS`
    fmax : eV/Å, tolerance for the largest force on an atom
    steps : most optimiser steps, those before a resumption included
    strict : raise where it does not converge
    checkpoint : a file that is written after the steps (after each of them, if the writing takes less than a tenth of
        the time) and at the end, also at that of an error or Ctrl-C. If there is one, the relaxation continues from it
        without asking the model again about the last place. By `TightLBFGS` it then takes the same steps, bit by
        bit, as if it had not been interrupted, where the model's results depend on positions alone and BLAS has as
        many threads as before; other optimisers
        begin afresh at the last positions. The file is left there: who has kept the result removes it.
    model : identity of the calculator, which a checkpoint must agree with; by default its class and parameters

    Raises
    ------
    RelaxationError
        With `strict`, if it did not converge. Errors of the calculator at the start are passed on as they are.
    CheckpointError
        The checkpoint is damaged, or of other atoms or another model.
    """
    meter = calculator if isinstance(calculator, Meter) else Meter(calculator)
    walker = atoms.copy()
    walker.calc = meter
    journal = Journal(walker, meter, optimizer or TightLBFGS, checkpoint, model)
    if is_planar(atoms):
        walker.constraints = [*walker.constraints, FixCartesian(range(len(atoms)), mask=(False, False, True))]
    journal.begin(potential_energy, largest_force)
    watch = Watch(walker, atoms, guards or Guards(), journal.initial_fmax)
    with journal:
        taken, failure = _run(walker, watch, journal, fmax, steps, progress)
    reached, energy = watch.fmax, watch.energy
    converged = failure is None and reached <= fmax
    if failure is None and not converged:
        failure = (
            f"not converged after {taken} steps: largest force {reached:.2e} eV/Å, tolerance {fmax:.2e} eV/Å"
        )
    forces = meter.get_forces(walker) if watch.finite else None
    walker.calc = None
    walker.set_constraint(atoms.copy().constraints)
    relaxation = Relaxation(
        walker,
        energy,
        journal.initial_energy,
        converged,
        taken,
        reached,
        journal.wall_time,
        failure,
        journal.calls,
        journal.resumed,
        forces,
    )
    if strict and not converged:
        raise RelaxationError(relaxation)
    return relaxation


def _run(
    walker: Atoms, watch: Watch, journal: Journal, fmax: float, steps: int, progress: OnStep | None
) -> tuple[int, str | None]:
    """Run the optimiser and, if it gives up, LBFGS: steps taken, and what failed."""
    failure = watch.verdict()
    taken = journal.resumed or 0
    while failure is None:
        make = LBFGS if journal.gave_up else journal.optimizer
        count, failure, gave_up = _follow(make, walker, watch, journal, fmax, steps - taken, taken, progress)
        taken += count
        if gave_up is None:
            break
        logger.info("%s after %d steps", gave_up, taken)
        if journal.gave_up:
            failure = gave_up
        journal.gave_up = True
    return taken, failure


def _follow(
    make: Callable[..., Any],
    walker: Atoms,
    watch: Watch,
    journal: Journal,
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
            found = make(walker, logfile=None)
            journal.restore(found)
            for _ in found.irun(fmax=fmax, steps=steps):
                count += 1
                failure = watch.verdict()
                if failure is None:
                    journal.note(taken + count, found)
                if progress is not None:
                    progress(taken + count, watch.energy, watch.fmax)
                if failure is not None:
                    return count, failure, None
    except (ArithmeticError, RuntimeError, ValueError, np.linalg.LinAlgError) as error:
        # The calculator may have stopped in the middle of a line search, far from the path.
        walker.positions = watch.accepted
        return max(count, 0), None, f"{getattr(make, '__name__', make)} gave up: {error}"
    return count, None, None
