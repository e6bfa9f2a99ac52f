"""Point defects: what they take from a crystal or add to it, wherever they are put.

`Vacancy`, `Interstitial`, `Substitution` are described in the crystal's unit cell; `AtomicDefect` holds what a
ready-made cell has that its host has not (`as_defect` reads it). All of them answer `name`, `check(crystal)`,
`centre(crystal)` and `insert(cell, crystal, translation)`, the last with any cell that is made of the crystal.
Enter at `as_defect`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.data import atomic_numbers
from ase.geometry import get_distances

from ase_mlipgen.defects.geometry import is_planar, minimum_image, nearest_distances

SAME_SITE = 0.05
"""Å: an atom this close to a lattice site stands on it."""


class PointDefect(Protocol):
    """What every point defect answers; positions in Å, in the frame of the crystal's unit cell."""

    @property
    def name(self) -> str:
        """A short name for tables and labels."""

    def check(self, crystal: Atoms) -> None:
        """Raise ValueError where the defect does not fit this crystal."""

    def centre(self, crystal: Atoms) -> npt.NDArray[np.float64]:
        """Give its centre in the unit cell that has translation zero."""

    def insert(self, cell: Atoms, crystal: Atoms, translation: npt.ArrayLike) -> Atoms:
        """Give a copy of `cell`, made of `crystal`, with the defect in the unit cell at that lattice translation."""


@dataclass(frozen=True)
class Vacancy:
    """A missing atom.

    Parameters
    ----------
    index : which atom of the crystal's unit cell is missing
    """

    index: int = 0

    @property
    def name(self) -> str:
        """vacancy, and the index where it is not the first atom's."""
        return "vacancy" if self.index == 0 else f"vacancy-{self.index}"

    def check(self, crystal: Atoms) -> None:
        """Refuse an index outside the unit cell."""
        _check_index(self.index, crystal, "Vacancy")

    def centre(self, crystal: Atoms) -> npt.NDArray[np.float64]:
        """Give the site of the missing atom."""
        return np.array(crystal.positions[self.index])

    def insert(self, cell: Atoms, crystal: Atoms, translation: npt.ArrayLike) -> Atoms:
        """Take the atom out."""
        self.check(crystal)
        defective = cell.copy()
        del defective[site_index(cell, self.centre(crystal) + np.asarray(translation))]
        return defective


@dataclass(frozen=True)
class Substitution:
    """A foreign atom in the place of one of the crystal's.

    Parameters
    ----------
    element : chemical symbol of the foreign atom
    index : which atom of the crystal's unit cell it replaces
    """

    element: str
    index: int = 0

    @property
    def name(self) -> str:
        """substitution-X, and the index where it is not the first atom's."""
        return f"substitution-{self.element}" + (f"-{self.index}" if self.index else "")

    def check(self, crystal: Atoms) -> None:
        """Refuse an index outside the unit cell, an unknown element, and the element that is there already."""
        _check_index(self.index, crystal, "Substitution")
        if _number(self.element) == crystal.numbers[self.index]:
            raise ValueError(
                f"Substitution: atom {self.index} of the crystal is {self.element} already; name another element"
            )

    def centre(self, crystal: Atoms) -> npt.NDArray[np.float64]:
        """Give the site of the foreign atom."""
        return np.array(crystal.positions[self.index])

    def insert(self, cell: Atoms, crystal: Atoms, translation: npt.ArrayLike) -> Atoms:
        """Change the atom's element (and its mass to that element's)."""
        self.check(crystal)
        defective = cell.copy()
        site = site_index(cell, self.centre(crystal) + np.asarray(translation))
        symbols = defective.get_chemical_symbols()
        symbols[site] = self.element
        defective.set_chemical_symbols(symbols)
        return defective


@dataclass(frozen=True)
class Interstitial:
    """An additional atom.

    Parameters
    ----------
    scaled_position : fractional coordinates in the crystal's unit cell; two are enough for a planar crystal
    element : chemical symbol; by default that of the crystal's first atom
    closest : the smallest distance to an atom of the crystal that is accepted, in nearest-neighbour distances. The
        default lets pass all usual sites, down to the middle of a bond (0.5).
    """

    scaled_position: Sequence[float]
    element: str | None = None
    closest: float = 0.45

    def __post_init__(self) -> None:
        given: Any = self.scaled_position
        if isinstance(given, str) or not np.iterable(given):
            raise TypeError(
                f"Interstitial: scaled_position = {given!r}; expected fractional coordinates, such as "
                "(0.5, 0.5, 0.5)"
            )
        position = tuple(float(x) for x in self.scaled_position)
        if len(position) not in (2, 3) or not np.all(np.isfinite(position)):
            raise ValueError(
                f"Interstitial: scaled_position = {tuple(self.scaled_position)}; expected three fractional "
                "coordinates of the crystal's unit cell (or two in a planar crystal)"
            )
        object.__setattr__(self, "scaled_position", position)

    @property
    def name(self) -> str:
        """interstitial, and the element where one is given."""
        return "interstitial" if self.element is None else f"interstitial-{self.element}"

    def check(self, crystal: Atoms) -> None:
        """Refuse an unknown element, a place out of a planar crystal's plane, and one on top of an atom."""
        if self.element is not None:
            _number(self.element)
        position = self.centre(crystal)
        if is_planar(crystal) and abs(position[2] - crystal.positions[0, 2]) > 1e-6:
            raise ValueError(
                f"Interstitial: z = {position[2]:.3f} Å leaves the plane of a planar crystal, "
                f"z = {crystal.positions[0, 2]:.3f} Å; give two fractional coordinates"
            )
        limit = self.closest * float(nearest_distances(crystal).min())
        _, distances = get_distances([position], crystal.positions, cell=crystal.cell, pbc=crystal.pbc)
        distance = float(distances.min())
        if distance < limit:
            raise ValueError(
                f"Interstitial: {self.scaled_position} is {distance:.3f} Å from an atom of the crystal, closer than "
                f"the limit of {limit:.3f} Å ({self.closest} nearest-neighbour distances); choose a place between "
                "the atoms, or lower `closest`"
            )

    def centre(self, crystal: Atoms) -> npt.NDArray[np.float64]:
        """Give the place of the additional atom."""
        vectors = crystal.cell.complete()
        if len(self.scaled_position) == 3:
            return np.asarray(np.asarray(self.scaled_position) @ vectors)
        if not is_planar(crystal):
            raise ValueError(
                f"Interstitial: scaled_position = {self.scaled_position} has two coordinates, "
                "but the crystal is not planar; give three"
            )
        in_plane = np.asarray(self.scaled_position) @ vectors[:2]
        return np.array([in_plane[0], in_plane[1], crystal.positions[0, 2]])

    def insert(self, cell: Atoms, crystal: Atoms, translation: npt.ArrayLike) -> Atoms:
        """Append the atom."""
        self.check(crystal)
        element = self.element or crystal.get_chemical_symbols()[0]
        additional = Atoms([element], positions=[self.centre(crystal) + np.asarray(translation)])
        return _extended(cell, additional)


@dataclass(frozen=True, eq=False)
class AtomicDefect:
    """What a ready-made cell has that its host has not: sites left empty, atoms that stand on no site.

    Parameters
    ----------
    name : for tables and labels
    vacant_xc : (n_vacant, 3) array, Å, sites of the host without their atom, in the frame of the crystal
    added : atoms off the sites, or of another element, where they stand; in the frame of the crystal
    """

    name: str
    vacant_xc: npt.NDArray[np.float64]
    added: Atoms

    def check(self, crystal: Atoms) -> None:
        """Accept: it was read against this crystal."""

    def centre(self, crystal: Atoms) -> npt.NDArray[np.float64]:
        """Give the mean of its sites and atoms."""
        return np.concatenate([self.vacant_xc, self.added.positions]).mean(axis=0)

    def insert(self, cell: Atoms, crystal: Atoms, translation: npt.ArrayLike) -> Atoms:
        """Take out the atoms of the vacant sites, append the added ones."""
        shift = np.asarray(translation)
        defective = cell.copy()
        del defective[[site_index(cell, position) for position in self.vacant_xc + shift]]
        added = self.added.copy()
        added.positions += shift
        return _extended(defective, added)


def site_index(cell: Atoms, position: npt.ArrayLike) -> int:
    """Find the atom on a lattice site.

    Raises
    ------
    ValueError
        No atom stands within 0.05 Å of `position` (Å).
    """
    distances = np.linalg.norm(minimum_image(cell.positions - np.asarray(position), cell), axis=1)
    index = int(np.argmin(distances))
    if distances[index] > SAME_SITE:
        place = np.asarray(position, dtype=float).round(3).tolist()
        raise ValueError(
            f"no atom at the site {place} Å: the nearest is {distances[index]:.3f} Å away; "
            "the cell is not made of this crystal, or another defect took the atom"
        )
    return index


def unique_names(defects: Sequence[PointDefect]) -> list[str]:
    """Name the defects so that no two names are alike: a number follows a repeated one (`interstitial-2`)."""
    names: list[str] = []
    for defect in defects:
        name, count = defect.name, 2
        while name in names:
            name, count = f"{defect.name}-{count}", count + 1
        names.append(name)
    return names


def _extended(cell: Atoms, additional: Atoms) -> Atoms:
    defective = cell.copy()
    defective.extend(additional)
    return defective


def _number(element: str) -> int:
    if element not in atomic_numbers or atomic_numbers[element] == 0:
        raise ValueError(f"element = {element!r} is not a chemical symbol (expected one like 'W' or 'Si')")
    return int(atomic_numbers[element])


def _check_index(index: int, crystal: Atoms, what: str) -> None:
    if not isinstance(index, int | np.integer) or not 0 <= index < len(crystal):
        raise ValueError(
            f"{what}: index = {index}, but the crystal's unit cell has {len(crystal)} atoms, numbered from 0"
        )
