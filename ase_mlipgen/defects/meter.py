"""A calculator in front of another: counts what is asked of it, and remembers the last answers.

Optimisers ask for the energy of a place in a line search and for its forces later, and come back to the start of a
search: `Meter` keeps two places, so that no place is computed twice. They see one energy only, the one whose gradient
the forces are: with smeared occupations a line search that judged by another could not come to an end.
Enter at `Meter`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

REMEMBERED = 2


@dataclass
class Place:
    """Atoms where a model was asked, and what it said.

    Attributes
    ----------
    positions, cell : (n_atoms, 3) and (3, 3) arrays, Å
    energy : eV, or None where it was not asked for
    forces : (n_atoms, 3) array, eV/Å, constraints left out, or None
    """

    positions: npt.NDArray[np.float64]
    cell: npt.NDArray[np.float64]
    energy: float | None = None
    forces: npt.NDArray[np.float64] | None = None

    def is_at(self, atoms: Atoms) -> bool:
        """Tell whether the atoms stand here, bit by bit."""
        return np.array_equal(self.positions, atoms.positions) and np.array_equal(self.cell, atoms.cell.array)


class Meter:
    """Calculator that asks another one, once for each place.

    Parameters
    ----------
    calculator : an ASE calculator; other properties than energy and forces are its own

    Attributes
    ----------
    calls : places at which it was asked
    seconds : s, that it took
    latest : the place that was asked for last, known or new; None before the first
    """

    def __init__(self, calculator: Any) -> None:
        self.calculator = calculator
        self.calls = 0
        self.seconds = 0.0
        self.latest: Place | None = None
        self._places: list[Place] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "calculator":
            raise AttributeError(name)
        return getattr(self.calculator, name)

    def get_potential_energy(self, atoms: Atoms, force_consistent: bool = True) -> float:
        """Return the energy, eV, whose gradient the forces are, whatever `force_consistent` says."""
        place = self.place(atoms)
        if place.energy is None:
            place.energy = self._asked(lambda: self._energy(atoms))
        return place.energy

    def get_forces(self, atoms: Atoms) -> npt.NDArray[np.float64]:
        """Return the forces, (n_atoms, 3), eV/Å."""
        place = self.place(atoms)
        if place.forces is None:
            place.forces = self._asked(lambda: np.array(self.calculator.get_forces(atoms), dtype=float))
        return place.forces.copy()

    def place(self, atoms: Atoms) -> Place:
        """Return what is known of the place where the atoms are; a new place counts as a call."""
        found = next((place for place in self._places if place.is_at(atoms)), None)
        if found is None:
            self.calls += 1
            found = Place(atoms.get_positions(), atoms.cell.array.copy())
            self._places = [*self._places, found][-REMEMBERED:]
        self.latest = found
        return found

    def remember(self, *places: Place) -> None:
        """Know these places, and no others."""
        self._places = list(places)

    def _energy(self, atoms: Atoms) -> float:
        try:
            return float(self.calculator.get_potential_energy(atoms, force_consistent=True))
        except (PropertyNotImplementedError, KeyError):
            return float(self.calculator.get_potential_energy(atoms))

    def _asked(self, question: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        try:
            return question()
        finally:
            self.seconds += time.perf_counter() - begun
