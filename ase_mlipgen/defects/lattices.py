"""Host crystals of two dimensions: the triangular lattice, eq. (4.3) of Ortner and Wang.

Three-dimensional hosts are ASE's own (`ase.build.bulk`). `triangular_primitive` recognises the lattice in whatever
cell, rotation or repeat a user has it, because its training and simulation cells have shapes of their own (`cells`).
"""

from itertools import permutations

import numpy as np
import numpy.typing as npt
import spglib
from ase import Atoms
from ase.data import atomic_numbers

from ase_mlipgen.arguments import number, whole
from ase_mlipgen.defects.geometry import is_planar, spacing
from ase_mlipgen.neighbors import pairs

SAME_POSITION = 1e-3
"""Å: tolerance of symmetry."""

DUMMY_HEIGHT = 20.0
"""Å: the third cell vector of a planar crystal, which is not periodic."""


def triangular_lattice(element: str, r0: float, size: tuple[int, int] = (1, 1)) -> Atoms:
    """Build the triangular lattice in rectangular cells of `r0` by sqrt(3) `r0`, two atoms each.

    Parameters
    ----------
    element : chemical symbol
    r0 : nearest-neighbour distance, Å
    size : repeats (nx, ny) of the rectangle

    Returns
    -------
    2 nx ny atoms at z = 0, pbc (1, 1, 0), the third cell vector a dummy of 20 Å.

    Raises
    ------
    ValueError
        `r0` is not a positive length, or a repeat is below one.
    """
    if atomic_numbers.get(element, 0) == 0:
        raise ValueError(f"element = {element!r}: expected a chemical symbol, such as 'W'")
    number("r0", r0, "a nearest-neighbour distance in Å, a positive number", lambda x: x > 0.0)
    nx, ny = (whole("size", n, "two repeats, both at least 1", 1) for n in size)
    height = np.sqrt(3.0) * r0
    rectangle = Atoms(
        [element, element],
        positions=[(0.0, 0.0, 0.0), (0.5 * r0, 0.5 * height, 0.0)],
        cell=(r0, height, DUMMY_HEIGHT),
        pbc=(True, True, False),
    )
    return rectangle.repeat((nx, ny, 1))


def triangular_primitive(crystal: Atoms) -> Atoms | None:
    """Recognise the triangular lattice: its one-atom cell (a1, a2 at 60 degrees), or None for any other crystal.

    Of all point sets of one shortest distance the triangular lattice alone has the area sqrt(3)/2 r0^2 a point, so
    the area decides. a1 is the neighbour vector closest to the x axis; the atom is the crystal's first.
    """
    if not is_planar(crystal) or len(set(crystal.numbers)) != 1:
        return None
    found = pairs(crystal, 1.2 * spacing(crystal))
    if len(found.j_p) == 0:
        return None
    d_pc = found.vectors()
    lengths = np.linalg.norm(d_pc, axis=1)
    r0 = float(lengths.min())
    if abs(spacing(crystal) ** 2 / (np.sqrt(0.75) * r0**2) - 1.0) > 1e-5:
        return None
    first = slice(found.first_i[0], found.first_i[1])
    neighbours = d_pc[first][lengths[first] < 1.01 * r0]
    a1 = neighbours[np.argmax(neighbours[:, 0])]
    sixth_turn = np.array([[0.5, np.sqrt(0.75)], [-np.sqrt(0.75), 0.5]])
    a2 = np.append(a1[:2] @ sixth_turn, 0.0)
    return Atoms(
        numbers=crystal.numbers[:1],
        positions=crystal.positions[:1],
        cell=[a1, a2, crystal.cell.complete()[2]],
        pbc=crystal.pbc,
    )


def conventional_vectors(crystal: Atoms) -> npt.NDArray[np.float64]:
    """Edges of the conventional cell: what "lattice constants" count, whatever cell the crystal is given in.

    Returns
    -------
    (3, 3) array, Å, one vector a row, in the crystal's own orientation and as far as possible along x, y and z; of a
    planar crystal its own cell vectors (a1, a2 of the triangular lattice).

    Raises
    ------
    ValueError
        spglib finds no symmetry.
    """
    if not all(crystal.pbc):
        return np.asarray((triangular_primitive(crystal) or crystal).cell.complete())
    vectors = np.asarray(crystal.cell.array)
    cell = (vectors, crystal.get_scaled_positions(), crystal.numbers)
    dataset = spglib.get_symmetry_dataset(cell, symprec=SAME_POSITION)
    if dataset is None:
        raise ValueError(
            f"spglib finds no symmetry in {crystal.get_chemical_formula()}; two atoms may coincide"
        )
    # The columns of spglib's matrix take the conventional vectors to the given ones.
    found = np.linalg.inv(dataset.transformation_matrix).T @ vectors
    cosines = found / np.linalg.norm(found, axis=1)[:, None]
    order = max(permutations(range(3)), key=lambda p: round(float(np.abs(cosines[list(p)]).trace()), 6))
    found = found[list(order)]
    signs = np.where(np.diag(found) < -1e-9 * np.linalg.norm(found, axis=1), -1.0, 1.0)
    return np.asarray(found * signs[:, None])
