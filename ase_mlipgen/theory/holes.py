"""Holes of a fitted model at distances that no data reach: where atoms fall onto one another. Enter at `find_hole`.

Between the inner cutoff r_in, where the expansion ends and the repulsive core is alone, and the closest distance of the
data, a fit is free to be anything. An atom of the perfect crystal is pressed onto its nearest neighbour of each kind;
where the energy, once it rises, falls on the way there is a hole, behind a barrier that collisions may overcome.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.data import chemical_symbols

from ase_mlipgen.defects import potential_energy

N_STEPS = 120
CLOSEST = 0.05
"""Of the bond: where the pressing ends."""
SHALLOW = 1e-3
"""eV: falls below this are no hole."""


@dataclass(frozen=True)
class Hole:
    """The deepest fall of the energy on the way of an atom onto its neighbour.

    Attributes
    ----------
    pair : str
        Such as "Cu-Cu".
    depth : float
        eV, how far the energy falls.
    barrier : float
        eV, how far it rises before, from the perfect crystal.
    top, bottom : float
        Å, distances of the barrier and of the hole's lowest point.
    """

    pair: str
    depth: float
    barrier: float
    top: float
    bottom: float

    def __str__(self) -> str:
        return (
            f"hole: pressed onto its neighbour, an atom ({self.pair}) climbs {self.barrier:.3g} eV to {self.top:.2f} Å "
            f"and falls {self.depth:.3g} eV to {self.bottom:.2f} Å, where the fit saw no data"
        )


def find_hole(calculator: Any, perfect: Atoms) -> Hole | None:
    """Return the deepest hole of a model, None without any.

    Parameters
    ----------
    calculator : ASE calculator
    perfect : a cell of the perfect crystal, large enough for the model
    """
    holes = [hole for pair in _pairs(perfect) if (hole := _along(calculator, perfect, *pair)) is not None]
    return max(holes, key=lambda hole: hole.depth, default=None)


def _pairs(perfect: Atoms) -> Iterator[tuple[int, int]]:
    """Yield the closest two atoms of every two kinds."""
    kinds = np.unique(perfect.numbers)
    first = [int(np.flatnonzero(perfect.numbers == z)[0]) for z in kinds]
    for a, i in enumerate(first):
        distances = perfect.get_distances(i, range(len(perfect)), mic=True)
        for z in kinds[a:]:
            others = np.flatnonzero((perfect.numbers == z) & (distances > 0.0))
            if len(others):
                yield i, int(others[np.argmin(distances[others])])


def _along(calculator: Any, perfect: Atoms, i: int, j: int) -> Hole | None:
    walker = perfect.copy()
    walker.calc = calculator
    start, way = perfect.positions[i], perfect.get_distance(i, j, mic=True, vector=True)
    bond = float(np.linalg.norm(way))
    distances = bond * np.geomspace(1.0, CLOSEST, N_STEPS)
    energies = np.empty(N_STEPS)
    for k, r in enumerate(distances):
        walker.positions[i] = start + way * (1.0 - r / bond)
        energies[k] = potential_energy(walker)
    return _deepest(
        f"{chemical_symbols[perfect.numbers[i]]}-{chemical_symbols[perfect.numbers[j]]}", distances, energies
    )


def _deepest(pair: str, distances: npt.NDArray[np.float64], energies: npt.NDArray[np.float64]) -> Hole | None:
    rises = np.flatnonzero(np.diff(energies) > 0.0)
    first = int(rises[0]) if len(rises) else 0  # atoms that still attract one another are in no hole
    falls = np.maximum.accumulate(energies[first:]) - energies[first:]
    bottom = first + int(np.argmax(falls))
    if not falls.max() > SHALLOW:
        return None
    top = first + int(np.argmax(energies[first : bottom + 1]))
    barrier = float(energies[top] - energies[0])
    return Hole(pair, float(falls.max()), barrier, float(distances[top]), float(distances[bottom]))
