"""Structure -> group of operations: enter at `find_operations`.

The way: atoms that could be equivalent get one label (element, distances to neighbours); every rotation that
the lattice allows (or, along open directions, that pairs of atoms suggest) is tried with the shifts that take an atom
of the rarest label onto its peers; what takes all atoms onto atoms is an operation. Cost: one search for
the nearest atom, n_atoms log(n_atoms), for each operation.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ase_mlipgen.symmetry import group
from ase_mlipgen.symmetry.lattice import Floats, Frame, Ints, frame, hermite
from ase_mlipgen.symmetry.matching import FAILURES, Matcher
from ase_mlipgen.symmetry.rotations import candidate_rotations
from ase_mlipgen.symmetry.translations import Reduction, reduce_by_translations, translation_lattice

__all__ = ["Operations", "Reduction", "find_operations", "reduce_by_translations"]

# Groups of up to this many times the largest order are looked at for a subgroup.
LARGER = 4


@dataclass(frozen=True, eq=False)
class Operations:
    """A group of operations of a structure, the identity first; they act on atoms modulo lattice vectors.

    Operation g takes the point x to ``rotations_gcc[g] @ x + shifts_gc[g]`` and atom i to the place of
    atom ``permutations_gi[g, i]``.

    Parameters
    ----------
    rotations_gcc : (n_g, 3, 3) array
        Orthogonal, Cartesian.
    shifts_gc : (n_g, 3) array
        Å.
    permutations_gi : (n_g, n_atoms) int64 array
    """

    rotations_gcc: Floats
    shifts_gc: Floats
    permutations_gi: Ints

    @property
    def order(self) -> int:
        """Return the number of operations."""
        return len(self.rotations_gcc)

    @cached_property
    def product_gh(self) -> Ints:
        """Return the index of "first h, then g", (n_g, n_g)."""
        return group.product_table(self.rotations_gcc, self.permutations_gi)

    @cached_property
    def inverse_g(self) -> Ints:
        """Return the index of the inverse of each operation, (n_g,)."""
        return np.argmin(self.product_gh, axis=1)

    def fitted(self, positions: Floats, cell: Floats, pbc: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Return the shifts that suit a structure best, and how far each image is from its atom then.

        Returns
        -------
        shifts_gc : (n_g, 3) array
            Å.
        off_gic : (n_g, n_atoms, 3) array
            Å, from the image of atom i to atom ``permutations_gi[g, i]``.
        """
        positions = np.asarray(positions, float)
        box = frame(positions, np.asarray(cell, float), np.asarray(pbc, bool))
        fits = [
            _fit(positions, box, R, image)
            for R, image in zip(self.rotations_gcc, self.permutations_gi, strict=True)
        ]
        return np.array([shift for shift, _ in fits]), np.array([off for _, off in fits])

    def deviation(self, positions: Floats, cell: Floats, pbc: npt.NDArray[np.bool_]) -> float:
        """Return how far a structure is from having these symmetries, Å; drift as a whole does not count.

        The largest distance between the image of an atom, or of a periodic vector of the cell, and the atom or
        lattice vector it should fall on.
        """
        positions = np.asarray(positions, float)
        box = frame(positions, np.asarray(cell, float), np.asarray(pbc, bool))
        worst = 0.0
        for R, image in zip(self.rotations_gcc, self.permutations_gi, strict=True):
            off = _fit(positions, box, R, image)[1]
            astray = box.wrapped(box.periodic @ R.T)
            worst = max(worst, float(np.linalg.norm(np.concatenate([off, astray]), axis=1).max()))
        return worst

    def subgroup(self, chosen_g: npt.ArrayLike) -> "Operations":
        """Return some of the operations as a group.

        Parameters
        ----------
        chosen_g : sequence of int
            Operations, or (n_g,) array of bool; the identity is put first.

        Raises
        ------
        ValueError
            They form no group.
        """
        chosen = np.asarray(chosen_g)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else np.unique(chosen.astype(np.int64))
        if 0 not in chosen or not np.isin(self.product_gh[np.ix_(chosen, chosen)], chosen).all():
            raise ValueError(
                f"operations {chosen.tolist()} are no group: expected the identity, 0, and every product of two of them"
            )
        return Operations(self.rotations_gcc[chosen], self.shifts_gc[chosen], self.permutations_gi[chosen])


def _fit(positions: Floats, box: Frame, rotation: Floats, image_i: Ints) -> tuple[Floats, Floats]:
    """Return the shift by which the images of atoms are nearest to where they belong, and what remains."""
    off = positions[image_i] - positions @ rotation.T
    shift = off[0]
    off = box.wrapped(off - shift)
    mean = off.mean(axis=0)
    return shift + mean, off - mean


def find_operations(
    positions: Floats,
    cell: Floats,
    pbc: npt.NDArray[np.bool_],
    numbers: Ints,
    symprec: float = 1e-8,
    max_order: int = 192,
) -> Operations:
    """Return the symmetry group of a structure, of order 1 if it has none.

    A group of more than `max_order` operations is replaced by a subgroup: the largest that keeps one atom in place,
    or, where there are no pure translations and it is larger, one built from some of the elements. Atoms on one
    line or single atoms, whose group is infinite, get a finite subgroup with a fourfold axis.

    Parameters
    ----------
    positions : (n_atoms, 3) array
        Å.
    cell : (3, 3) array
        Å, vectors in rows; those along open directions do not matter.
    pbc : (3,) array of bool
    numbers : (n_atoms,) array
        Atomic numbers.
    symprec : float
        Å, largest distance between an atom's image and the atom it falls on.
    max_order : int

    Raises
    ------
    ValueError
        No atoms; positions or cell not finite; dependent cell vectors; symprec or max_order not positive.
    """
    positions, cell, numbers = np.asarray(positions, float), np.asarray(cell, float), np.asarray(numbers)
    _check(positions, symprec, max_order)
    box = frame(positions, cell, np.asarray(pbc, bool))
    matcher = Matcher(positions, box, numbers, symprec)
    primitive, _ = translation_lattice(matcher)
    found = one_shift_each(matcher, primitive, candidate_rotations(matcher, LARGER * max_order))
    translations = _translations(box, primitive)
    if len(translations) * len(found) <= max_order:
        found = _with_translations(matcher, found, translations)
    elif len(translations) > 1:
        found = _keeping_an_atom(matcher, found, primitive)
    return _group(matcher, found, max_order)


_Found = list[tuple[Floats, Floats, Ints]]


def _check(positions: Floats, symprec: float, max_order: int) -> None:
    if len(positions) == 0:
        raise ValueError("the structure is empty: expected at least one atom")
    if not np.isfinite(positions).all():
        bad = int(np.flatnonzero(~np.isfinite(positions).all(axis=1))[0])
        raise ValueError(
            f"position of atom {bad} is {positions[bad].tolist()}: expected finite numbers, in Å"
        )
    if not (np.isfinite(symprec) and symprec > 0):
        raise ValueError(f"symprec = {symprec!r}: expected a positive, finite distance in Å, such as 1e-8")
    if max_order < 1:
        raise ValueError(f"max_order = {max_order!r}: expected 1 or more")


def _identity(matcher: Matcher) -> tuple[Floats, Floats, Ints]:
    return np.eye(3), np.zeros(3), np.arange(len(matcher.y_ic))


def one_shift_each(matcher: Matcher, primitive: Floats, rotations: Floats) -> _Found:
    """Return one operation for each rotation that occurs in any."""
    first = matcher.rarest()
    targets = matcher.y_ic[matcher.peers(first)]
    scaled = targets @ np.linalg.inv(primitive)
    # Targets that a translation connects lead to the same cosets; rounding may keep some of them needlessly.
    _, distinct = np.unique(np.round((scaled - np.floor(scaled)) % 1.0, 4), axis=0, return_index=True)
    targets = targets[np.sort(distinct)]
    axes = matcher.frame.open_axes
    # The identity is not searched for, so that atoms in one place leave the trivial group.
    found: _Found = [_identity(matcher)]
    for rotation in rotations[1:]:
        shifts = targets - matcher.y_ic[first] @ rotation.T
        along = shifts @ axes.T
        shifts = shifts[(abs(along) <= 10 * matcher.symprec).all(axis=1)] if len(axes) else shifts
        for shift in matcher.plausible(rotation, shifts)[:FAILURES]:
            image = matcher.permutation(rotation, shift)
            if image is not None:
                found.append(image)
                break
    return found


def _translations(box: Frame, primitive: Floats) -> Floats:
    """Return the translations of a lattice, modulo those of the frame, (n, 3), Å; zero first."""
    matrix = np.round(box.cell @ np.linalg.inv(primitive)).astype(int)
    steps = np.array(hermite([[int(c) for c in row] for row in matrix])).diagonal()
    integers = np.stack(np.meshgrid(*(np.arange(n) for n in steps), indexing="ij"), axis=-1).reshape(-1, 3)
    return integers @ primitive


def _with_translations(matcher: Matcher, found: _Found, translations: Floats) -> _Found:
    """Return every operation followed by every translation."""
    pure = [_identity(matcher), *(matcher.permutation(np.eye(3), shift) for shift in translations[1:])]
    return [
        (rotation, shift + after[1], after[2][image])
        for rotation, shift, image in found
        for after in pure
        if after
    ]


def _keeping_an_atom(matcher: Matcher, found: _Found, primitive: Floats) -> _Found:
    """Return the operations that keep one atom in place, the first of those that most of them can keep."""
    permutations_gi = np.array([image for _, _, image in found])
    scaled = matcher.frame.wrapped(matcher.y_ic[permutations_gi] - matcher.y_ic) @ np.linalg.inv(primitive)
    slack = 4 * matcher.symprec * np.linalg.norm(np.linalg.inv(primitive), axis=0) + 1e-9
    kept_gi = np.all(abs(scaled - np.round(scaled)) <= slack, axis=2)
    site = int(np.argmax(kept_gi.sum(axis=0)))
    y_c = matcher.y_ic[site]
    kept = [R for (R, _, _), keeps in zip(found, kept_gi[:, site], strict=True) if keeps]
    images = [_identity(matcher), *(matcher.permutation(R, y_c - R @ y_c) for R in kept[1:])]
    return [image for image in images if image is not None]


def _group(matcher: Matcher, found: _Found, max_order: int) -> Operations:
    rotations, shifts, permutations = (np.array(part) for part in zip(*found, strict=True))
    kept = group.closed(rotations, permutations)
    table = group.product_table(rotations[kept], permutations[kept])
    if len(kept) > max_order:
        smaller = _smaller(table, permutations[kept], max_order)
        kept = kept[smaller]
        table = group.product_table(rotations[kept], permutations[kept])
    rotations, permutations = group.polished(rotations[kept], table), permutations[kept]
    origin = matcher.frame.origin
    shifts = shifts[kept] + origin - rotations @ origin
    return Operations(rotations, np.where(abs(shifts) < 1e-14, 0.0, shifts), permutations)


def _smaller(table: Ints, permutations_gi: Ints, max_order: int) -> Ints:
    """Return the larger of two subgroups: one that keeps an atom in place, one built from some elements."""
    keeps_gi = permutations_gi == np.arange(permutations_gi.shape[1])
    order_i = keeps_gi.sum(axis=0)
    order_i[order_i > max_order] = 0
    some = group.subgroup_within(table, max_order)
    best = int(np.argmax(order_i))
    return np.flatnonzero(keeps_gi[:, best]) if order_i[best] >= len(some) else some
