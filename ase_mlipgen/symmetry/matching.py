"""Atoms onto atoms: which may be equivalent, and where a rotation and a shift take each."""

import itertools

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from ase_mlipgen.symmetry.lattice import EMPTY, Floats, Frame, Ints

# Neighbours of each element whose distances tell atoms apart.
NEIGHBOURS = 16
# How far those are looked for, in units of the cube root of the volume an atom has.
REACH = 2.0
# Atoms that a candidate must take onto atoms before all are tried.
ANCHORS = 12
# Candidates in a row that may pass the anchors and fail on some other atom before the search ends. More do only where
# noise is about as large as symprec, and no choice of operations is a group's.
FAILURES = 8
# A shift is set up from one atom, itself off by up to symprec from the mean, as is its image.
SLACK = 3.0
# Along open directions the rotation, too, is set up from atoms.
OPEN_SLACK = 10.0


class Matcher:
    """Finds the permutation of the atoms that a rotation and a shift make.

    Parameters
    ----------
    positions : (n_atoms, 3) array
        Å.
    frame : Frame
    numbers : (n_atoms,) array
        Atomic numbers.
    symprec : float
        Å, largest distance between an atom's image and the atom it falls on.

    Attributes
    ----------
    y_ic : (n_atoms, 3) array
        Å, positions less the origin of the frame: rotations keep the origin along open directions.
    label_i : (n_atoms,) array
        Equivalent atoms have equal labels (not the other way round).
    """

    def __init__(self, positions: Floats, frame: Frame, numbers: Ints, symprec: float) -> None:
        self.frame, self.symprec = frame, symprec
        self.y_ic = positions - frame.origin
        self._inverse = np.linalg.inv(frame.cell)
        self._tree = cKDTree(self._scaled(self.y_ic), boxsize=np.ones(3))
        slack = SLACK if frame.n_periodic > 1 else OPEN_SLACK
        self._radius = slack * symprec * float(np.linalg.norm(self._inverse, 2)) + 1e-13
        self.label_i = labels(self.y_ic, frame, numbers, 4 * symprec + 1e-11)
        self.n_i = np.bincount(self.label_i)[self.label_i]
        self._anchors = self._choose_anchors()

    def _scaled(self, points: Floats) -> Floats:
        scaled = points @ self._inverse
        scaled -= np.floor(scaled)
        scaled[scaled >= 1.0] = 0.0
        return scaled

    def _choose_anchors(self) -> Ints:
        """Return atoms of the rarest classes, and some from everywhere."""
        rare = np.argsort(self.n_i, kind="stable")[: ANCHORS // 2]
        some = np.random.default_rng(0).integers(len(self.y_ic), size=ANCHORS // 2)
        return np.concatenate([rare, some])

    def rarest(self, among: npt.NDArray[np.bool_] | None = None) -> int:
        """Return the first atom of the smallest class, among some."""
        n_i = self.n_i if among is None else np.where(among, self.n_i, len(self.n_i) + 1)
        return int(np.argmin(n_i))

    def peers(self, atom: int) -> Ints:
        """Return the atoms with the label of an atom."""
        return np.flatnonzero(self.label_i == self.label_i[atom])

    def _hits(self, points: Floats) -> tuple[npt.NDArray[np.bool_], Ints]:
        distances, atoms = self._tree.query(self._scaled(points), distance_upper_bound=self._radius)
        found = np.isfinite(distances)
        return found, np.where(found, atoms, 0)

    def plausible(self, rotation: Floats, shifts: Floats) -> Floats:
        """Return those of the shifts (n, 3) that take the anchors onto atoms like them."""
        for anchor in self._anchors:
            if len(shifts) == 0:
                break
            found, atoms = self._hits(self.y_ic[anchor] @ rotation.T + shifts)
            shifts = shifts[found & (self.label_i[atoms] == self.label_i[anchor])]
        return shifts

    def permutation(self, rotation: Floats, shift: Floats) -> tuple[Floats, Floats, Ints] | None:
        """Return the best rotation and shift near these, and where they take each atom.

        None if some atom finds no place, or two find the same.
        """
        images = self.y_ic @ rotation.T + shift
        found, atoms = self._hits(images)
        if not (found.all() and np.array_equal(self.label_i[atoms], self.label_i)):
            return None
        if np.bincount(atoms, minlength=len(atoms)).max() > 1:
            return None
        if self.frame.n_periodic < 2:
            rotation = self._fitted(rotation, atoms)
            images = self.y_ic @ rotation.T + shift
        off = self.frame.wrapped(self.y_ic[atoms] - images)
        mean = off.mean(axis=0)
        if np.linalg.norm(off - mean, axis=1).max() > self.symprec:
            return None
        return rotation, shift + mean, atoms.astype(np.int64)

    def _fitted(self, rotation: Floats, atoms: Ints) -> Floats:
        """Return the rotation, of the same handedness, that suits all atoms best along open directions (Kabsch)."""
        open_ic = self.y_ic @ self.frame.open_axes.T @ self.frame.open_axes
        along = self.frame.periodic / max(float(np.linalg.norm(self.frame.periodic)), 1.0)
        spread = open_ic[atoms].T @ open_ic + len(atoms) * rotation @ along.T @ along
        left, strength, right = np.linalg.svd(spread)
        if strength[1] <= len(atoms) * (OPEN_SLACK * self.symprec) ** 2:
            return rotation  # one line: the atoms do not say how they turn about it
        hand = np.sign(np.linalg.det(left) * np.linalg.det(right) * np.linalg.det(rotation))
        fitted: Floats = left @ np.diag([1.0, 1.0, hand]) @ right
        return np.where(abs(fitted - rotation) < 1e-13, rotation, fitted)


def labels(points: Floats, frame: Frame, numbers: Ints, tolerance: float) -> Ints:
    """Tell atoms apart by element, distances to neighbours and place along open directions.

    Sorted distances change by no more than the atoms move, ties or not, and values that follow one another
    more closely than the tolerance share a label: equivalent atoms are never told apart.

    Returns
    -------
    (n_atoms,) int64 array
        From zero.
    """
    columns = [np.linalg.norm(points @ frame.open_axes.T, axis=1)]
    spans = np.linalg.norm(frame.cell, axis=1)
    spans[frame.n_periodic :] = np.maximum((spans[frame.n_periodic :] - EMPTY) / 2, 2.0)
    unit = frame.cell / np.linalg.norm(frame.cell, axis=1)[:, None]
    reach = REACH * (np.prod(spans) * abs(np.linalg.det(unit)) / len(points)) ** (1 / 3)
    points, ghosts, owner = _images(points, frame, reach)
    for number in np.unique(numbers):
        tree = cKDTree(ghosts[numbers[owner] == number])
        near = tree.query(points, k=NEIGHBOURS + 1, distance_upper_bound=reach)[0]
        columns.extend(np.minimum(near, reach).T)
    label = np.unique(numbers, return_inverse=True)[1].ravel()
    for column in columns:
        order = np.lexsort((column, label))
        split = (np.diff(column[order]) > tolerance) | (np.diff(label[order]) != 0)
        label[order] = np.concatenate([[0], np.cumsum(split)])
    return label.astype(np.int64)


def _images(points: Floats, frame: Frame, reach: float) -> tuple[Floats, Floats, Ints]:
    """Return the atoms wrapped into the cell, these and their images within reach of it, and whose those are."""
    inverse, n = np.linalg.inv(frame.cell), frame.n_periodic
    scaled = points @ inverse
    scaled[:, :n] -= np.floor(scaled[:, :n])
    margin = reach * np.linalg.norm(inverse, axis=0)[:n] + 1e-9
    found, owners = [], []
    for shift in itertools.product(*(range(-int(np.ceil(m)), int(np.ceil(m)) + 1) for m in margin)):
        moved = scaled + np.array([*shift, *(0,) * (3 - n)])
        inside = np.flatnonzero(((moved[:, :n] >= -margin) & (moved[:, :n] <= 1 + margin)).all(axis=1))
        found.append(moved[inside] @ frame.cell)
        owners.append(inside)
    return scaled @ frame.cell, np.concatenate(found), np.concatenate(owners)
