"""Structures that the tests of this room share."""

import numpy as np
from ase import Atoms
from ase.build import bulk

A = 5.43


def silicon(n, *vacancies):
    """Return n x n x n conventional cells of diamond without the atoms at some places (units of a)."""
    atoms = bulk("Si", "diamond", a=A, cubic=True).repeat(n)
    gone = []
    for place in vacancies:
        off = (atoms.positions - np.array(place) * A) @ np.linalg.inv(atoms.cell.array)
        gone.append(int(np.argmin(np.linalg.norm(off - np.round(off), axis=1))))
    del atoms[gone]
    return atoms


def parts(atoms):
    return atoms.positions, atoms.cell.array, atoms.pbc, atoms.numbers


def tetrahedron():
    return Atoms("CH4", np.array([(0, 0, 0), (1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)]) * 0.63)
