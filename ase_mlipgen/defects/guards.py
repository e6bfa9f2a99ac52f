"""What stops a relaxation whose model runs away: limits on forces, distances and displacements.

Enter at `Watch.verdict`.
"""

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from ase_mlipgen.defects.geometry import nearest_distances
from ase_mlipgen.neighbors import CoincidentAtomsError, pairs


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


class Watch:
    """Looks at the atoms after every step; remembers the last energy, largest force and accepted positions.

    Parameters
    ----------
    walker : the atoms on their way
    start : the atoms where they began
    initial_fmax : eV/Å, largest force there
    """

    def __init__(self, walker: Atoms, start: Atoms, guards: Guards, initial_fmax: float) -> None:
        self.walker = walker
        self.start = start.get_positions()
        self.accepted = walker.get_positions()
        self.unit = float(np.median(nearest_distances(start)))
        self.guards = guards
        self.force_limit = max(guards.force, 10.0 * initial_fmax)
        self.energy = self.fmax = float("nan")

    @property
    def finite(self) -> bool:
        """Whether the model gave numbers at the last look."""
        return bool(np.isfinite(self.energy) and np.isfinite(self.fmax))

    def verdict(self) -> str | None:
        """Give the reason to stop, if there is one."""
        positions = self.walker.positions
        self.energy = self.fmax = float("nan")
        if not np.all(np.isfinite(positions)):
            return "ran away: positions are not finite"
        moved = float(np.linalg.norm(positions - self.start, axis=1).max(initial=0.0))
        if moved > self.guards.displacement * self.unit:
            return _ran_away("an atom moved by", moved, "Å", self.guards.displacement * self.unit)
        limit = self.guards.distance * self.unit
        nearest = _closer_than(self.walker, limit)
        if nearest is not None:
            return _ran_away("two atoms came as close as", nearest, "Å", limit)
        self.energy, self.fmax = potential_energy(self.walker), largest_force(self.walker)
        if not self.finite:
            return f"ran away: energy {self.energy} eV, largest force {self.fmax} eV/Å"
        if self.fmax > self.force_limit:
            return _ran_away("the largest force is", self.fmax, "eV/Å", self.force_limit)
        self.accepted = positions.copy()
        return None


def _ran_away(what: str, value: float, unit: str, limit: float) -> str:
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


def largest_force(atoms: Atoms) -> float:
    """Largest force on an atom, eV/Å, constraints taken into account."""
    return float(np.linalg.norm(atoms.get_forces(), axis=1).max(initial=0.0))


def potential_energy(atoms: Atoms) -> float:
    """Energy, eV, whose gradient the forces are: the calculator's free energy where it has one."""
    try:
        return float(atoms.get_potential_energy(force_consistent=True))
    except (PropertyNotImplementedError, KeyError):
        return float(atoms.get_potential_energy())
