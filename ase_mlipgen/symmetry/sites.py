"""Symmetry as seen from an atom: which operations keep it in place, and which take it to its equals.

Serves perfect supercells of any size, whose group has an operation for each rotation and each translation: operations
are kept one a rotation, and translations are looked up as they are needed. Enter at `find_site_symmetry`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ase_mlipgen.symmetry.lattice import Floats, Ints, frame
from ase_mlipgen.symmetry.matching import Matcher
from ase_mlipgen.symmetry.operations import LARGER, one_shift_each
from ase_mlipgen.symmetry.rotations import candidate_rotations
from ase_mlipgen.symmetry.translations import connected, translation_lattice

Keeps = Callable[[Floats], npt.NDArray[np.bool_]]
"""Tells which of rotations (n, 3, 3) may be used, (n,)."""

MOST_ROTATIONS = 192
# An operation followed by a translation is off by as much as both.
COMPOSED = 4.0


@dataclass(eq=False)
class SiteSymmetry:
    """Operations of a structure, one for each rotation and modulo pure translations, and its equivalent atoms.

    Attributes
    ----------
    rotations_gcc : (n_g, 3, 3) array
        Cartesian, the identity first.
    permutations_gi : (n_g, n_atoms) int64 array
        Where operation g takes atom i.
    translate_i : (n_atoms,) int64 array
        The first of the atoms that translations take to atom i.
    representative_i : (n_atoms,) int64 array
        The first of the atoms that are equivalent to atom i.
    """

    rotations_gcc: Floats
    permutations_gi: Ints
    translate_i: Ints
    _matcher: Matcher | None = None
    representative_i: Ints = field(init=False)
    _kept: dict[tuple[int, int], Ints | None] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        found = np.full(len(self.translate_i), -1)
        for atom in range(len(found)):
            if found[atom] < 0:
                reached = self.translate_i[self.permutations_gi[:, atom]]
                found[(found < 0) & np.isin(self.translate_i, reached)] = atom
        self.representative_i = found

    @classmethod
    def none(cls, n_atoms: int) -> "SiteSymmetry":
        """Return what a structure without symmetry has."""
        atoms = np.arange(n_atoms)
        return cls(np.eye(3)[None], atoms[None], atoms)

    def stabiliser(self, atom: int) -> tuple[Floats, Ints]:
        """Return the rotations and permutations of the operations that keep an atom in place, identity first."""
        found = [
            (self.rotations_gcc[g], image)
            for g in self._leading(atom, atom)
            if (image := self._image(g, atom, atom)) is not None
        ]
        rotations, permutations = zip(*found, strict=True)
        return np.array(rotations), np.array(permutations)

    def carrier(self, start: int, target: int) -> tuple[Floats, Ints]:
        """Return rotation and permutation of an operation that takes one atom to another.

        Raises
        ------
        ValueError
            None does; or noise in the positions is about as large as symprec.
        """
        for g in self._leading(start, target):
            image = self._image(g, start, target)
            if image is not None:
                return self.rotations_gcc[g], image
        raise ValueError(
            f"no operation takes atom {start} to atom {target}: they are not equivalent, or the positions are off "
            f"by about symprec; take a smaller or larger one"
        )

    def _leading(self, start: int, target: int) -> Ints:
        """Return the operations that take an atom to a translate of another."""
        return np.flatnonzero(self.translate_i[self.permutations_gi[:, start]] == self.translate_i[target])

    def _image(self, g: int, start: int, target: int) -> Ints | None:
        """Return the permutation of operation g followed by the translation that takes `start` to `target`."""
        image = self.permutations_gi[g]
        between = (int(image[start]), target)
        if between[0] == target or self._matcher is None:
            return image
        if between not in self._kept:
            shift = self._matcher.y_ic[target] - self._matcher.y_ic[between[0]]
            found = self._matcher.permutation(np.eye(3), shift)
            self._kept[between] = None if found is None else found[2]
        moved = self._kept[between]
        return None if moved is None else moved[image]


def find_site_symmetry(
    positions: Floats,
    cell: Floats,
    pbc: npt.NDArray[np.bool_],
    labels_i: Ints,
    symprec: float = 1e-6,
    keeps: Keeps | None = None,
) -> SiteSymmetry:
    """Return the operations of a structure with respect to its atoms.

    Parameters
    ----------
    positions : (n_atoms, 3) array
        Å.
    cell : (3, 3) array
        Å, vectors in rows.
    pbc : (3,) array of bool
    labels_i : (n_atoms,) int array
        Atomic numbers, or other labels that tell atoms apart.
    symprec : float
        Å, largest distance between an atom's image and the atom it falls on.
    keeps : callable, optional
        (n, 3, 3) rotations -> (n,) bool: which to use; they must form a group with the identity.
    """
    positions, cell = np.asarray(positions, float), np.asarray(cell, float)
    box = frame(positions, cell, np.asarray(pbc, bool))
    matcher = Matcher(positions, box, np.asarray(labels_i), symprec)
    primitive, translations = translation_lattice(matcher)
    found = one_shift_each(matcher, primitive, candidate_rotations(matcher, LARGER * MOST_ROTATIONS))
    rotations, permutations = np.array([R for R, _, _ in found]), np.array([image for _, _, image in found])
    if keeps is not None:
        kept = np.asarray(keeps(rotations), bool)
        kept[0] = True
        rotations, permutations = rotations[kept], permutations[kept]
    members, member_of = connected(translations, len(positions))
    loose = None
    if len(members) < len(positions):
        loose = Matcher(positions, box, np.asarray(labels_i), COMPOSED * symprec)
    return SiteSymmetry(rotations, permutations, members[member_of], loose)
