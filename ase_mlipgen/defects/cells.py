"""Training cells with one defect, simulation cells with several: Sec. 2 of Ortner and Wang.

In three dimensions a cell of size L is L x L x L of the crystal's unit cells, as the user gave them. On the triangular
lattice sizes count r0: a training cell is the rectangle of (L - 1) r0 by ceil((L - 1)/sqrt 3) sqrt(3) r0 (11, 23, 29,
47, 69 atoms with a vacancy, L = 4..8, as in Table 2); a simulation cell is the rhombus of N a1 by N a2, whose images
are N r0 away in six directions. `info["defect_names"]`, `info["defect_centres"]` (Å) say where the cores are.
Enter at `training_cell`, `simulation_cell`.
"""

import warnings
from collections.abc import Iterable, Sequence
from math import ceil, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.arguments import number, whole
from ase_mlipgen.defects.arrangement import arrange, closest_approach, on_a_line
from ase_mlipgen.defects.geometry import check_atoms, minimum_image
from ase_mlipgen.defects.lattices import conventional_vectors, triangular_primitive
from ase_mlipgen.defects.point_defects import SAME_SITE, PointDefect
from ase_mlipgen.defects.readymade import as_defect

Size = int | Sequence[int]
HOST = 'the unit cell of the host, such as ase.build.bulk("Cu") or triangular_lattice("W", 2.727)'
SIZE = "a whole number of unit cells, such as 4, or one a direction"


class OverlapWarning(UserWarning):
    """Cores stand closer than a training cell's own images: outside the theory."""


def training_cell(crystal: Atoms, defect: PointDefect | Atoms | None, size: Size) -> Atoms:
    """Build a periodic cell with one defect at its centre; with `defect` None the perfect one of the same shape.

    Parameters
    ----------
    crystal : the host's unit cell, periodic in three directions or (planar) in x and y
    defect : a point defect of the crystal, or a ready-made cell, from which the defect is read
    size : unit cells along each direction (r0 on the triangular lattice), or the repeats one by one: of the crystal's
        cell, on the triangular lattice of the rectangle r0 by sqrt(3) r0

    Returns
    -------
    Unrelaxed atoms in the cell, without calculator; additional atoms come last.

    Raises
    ------
    ValueError
        The size is not positive, or the defect does not fit the crystal.
    """
    check_atoms("crystal", crystal, HOST)
    primitive = triangular_primitive(crystal)
    host = crystal.repeat(_repeats(crystal, size)) if primitive is None else _rectangle(primitive, size)
    host.calc = None
    if defect is None:
        return _described(host, [], np.empty((0, 3)))
    point_defect = as_defect(defect, crystal)
    cell = point_defect.insert(host, crystal, np.zeros(3))
    if len(cell) == 0:
        raise ValueError(
            f"size = {size}: nothing is left of the cell with a {point_defect.name}; choose a larger size"
        )
    middle = np.where(host.pbc, 0.5, 0.0)
    centre = point_defect.centre(crystal)
    shift = np.where(host.pbc, middle - host.cell.scaled_positions(centre), 0.0) @ host.cell.complete()
    cell.positions += shift
    return _described(cell, [point_defect.name], (centre + shift)[None, :])


def simulation_cell(
    crystal: Atoms,
    defects: PointDefect | Atoms | Sequence[PointDefect | Atoms],
    size: Size,
    separation: float | Sequence[float],
    translations: Sequence[Sequence[int]] | None = None,
    training: Atoms | None = None,
) -> Atoms:
    """Build a large periodic cell with several defects, arranged about its centre.

    Two defects stand on a line, three in a triangle, four in a rhombus (square), more on a grid, as close as
    `separation` allows. No defects give the perfect cell, whose sites are those of the defective one.

    Parameters
    ----------
    crystal : the host's unit cell
    defects : one or several; ready-made cells are read as in `training_cell`
    size : unit cells along each direction, or the repeats one by one; on the triangular lattice repeats of a1 and a2
    separation : least distance of two defects, their periodic images included, in unit cells (the shortest vector of
        the crystal's cell; r0 on the triangular lattice). Or three numbers: the translation from each defect to the
        next, along the edges of the conventional cell, in lattice constants (on the triangular lattice two, along
        a1 and a2)
    translations : where to put the defects instead: lattice translations, whole numbers of the repeated vectors
    training : a training cell; warns (`OverlapWarning`) where cores stand closer than its own images

    Raises
    ------
    ValueError
        The defects do not fit: the message has the largest separation, or the smallest size, that is possible. Or a
        vector is no translation of the crystal.
    """
    check_atoms("crystal", crystal, HOST)
    lattice = triangular_primitive(crystal) or crystal
    host = lattice.repeat(_repeats(lattice, size))
    host.calc = None
    one = isinstance(defects, Atoms) or not isinstance(defects, Iterable)
    several = [defects] if one else list(defects)  # type: ignore[arg-type]
    point_defects = [as_defect(defect, crystal) for defect in several]
    if not point_defects:
        return _described(host, [], np.empty((0, 3)))
    offsets = np.array([defect.centre(crystal) for defect in point_defects])
    if isinstance(separation, int | float | np.number):
        number(
            "separation", separation, "a distance in unit cells, not below zero, such as 4", lambda x: x >= 0
        )
        steps = arrange(offsets, lattice, _repeats(lattice, size), float(separation), translations)
        shifts = steps @ np.asarray(lattice.cell.complete())
    elif translations is not None:
        raise ValueError(f"separation = {list(separation)} says where defects are; leave out translations")
    else:
        step = _translation(crystal, separation)
        shifts = on_a_line(len(offsets), lattice, _repeats(lattice, size), step)
    cell = host
    for defect, shift in zip(point_defects, shifts, strict=True):
        cell = defect.insert(cell, crystal, shift)
    if training is not None:
        _warn_of_overlap(closest_approach(offsets + shifts, lattice, _repeats(lattice, size)), training)
    return _described(cell, [defect.name for defect in point_defects], offsets + shifts)


def _translation(crystal: Atoms, separation: Any) -> npt.NDArray[np.float64]:
    """Turn lattice constants along the conventional edges into Å; refuse what does not map the crystal to itself."""
    if isinstance(separation, str) or not np.iterable(separation):
        raise TypeError(
            f"separation = {separation!r}: expected a distance in unit cells, or a vector of them"
        )
    given = np.array(
        [number("separation", x, "a distance, or numbers of lattice constants") for x in separation]
    )
    n_periodic = int(np.sum(crystal.pbc))
    if len(given) not in (3, n_periodic) or not np.all(np.isfinite(given)) or not np.any(given[:n_periodic]):
        raise ValueError(
            f"separation = {list(separation)}: expected a distance, or {n_periodic} numbers that are not all zero"
        )
    if np.any(given[n_periodic:]):
        raise ValueError(
            f"separation = {list(separation)}: a planar crystal has no third direction; make it 0"
        )
    edges = conventional_vectors(crystal)
    step = given @ edges[: len(given)]
    for position, species in zip(crystal.positions, crystal.numbers, strict=True):
        there = crystal.positions[crystal.numbers == species]
        away = np.linalg.norm(minimum_image(there - position - step, crystal), axis=1).min()
        if away > SAME_SITE:
            raise ValueError(
                f"separation = {list(separation)}: a step of {np.round(step, 4).tolist()} Å is no translation of the "
                f"crystal, it leads {away:.2f} Å past a site; whole numbers of lattice constants always are"
            )
    return np.asarray(step)


def _warn_of_overlap(closest: float, training: Atoms) -> None:
    reach = closest_approach(np.zeros((1, 3)), training, (1, 1, 1))
    if closest < reach * (1.0 - 1e-4):
        warnings.warn(
            f"two cores stand {closest:.1f} Å apart, closer than the images of the training cell ({reach:.1f} Å): "
            "outside the theory; keep them further apart, or train the cluster as a defect of its own",
            OverlapWarning,
            stacklevel=3,
        )


def _rectangle(primitive: Atoms, size: Size) -> Atoms:
    """Repeat the rectangle of two atoms, one edge along a1."""
    a1, a2, dummy = np.asarray(primitive.cell.complete())
    rectangle = Atoms(
        numbers=np.repeat(primitive.numbers, 2),
        positions=primitive.positions[0] + np.array([np.zeros(3), a2]),
        cell=[a1, 2.0 * a2 - a1, dummy],
        pbc=primitive.pbc,
    )
    if isinstance(size, int | np.integer):
        if size < 2:
            raise ValueError(
                f"size = {size}: a training cell on the triangular lattice is at least 2 r0 wide"
            )
        size = (int(size) - 1, ceil((size - 1) / sqrt(3.0)))
    return rectangle.repeat(_repeats(rectangle, size))


def _repeats(crystal: Atoms, size: Size) -> tuple[int, int, int]:
    """Expand a size to three repeats, one along every direction that is not periodic."""
    periodic = [bool(p) for p in crystal.pbc]
    if not any(periodic):
        raise ValueError(
            f"the crystal has pbc {periodic}: a host is periodic in three directions, or in x and y"
        )
    if isinstance(size, int | np.integer):
        repeats = [int(size) if p else 1 for p in periodic]
    else:
        given = _each(size)
        if len(given) not in (3, sum(periodic)):
            raise ValueError(
                f"size = {tuple(size)}: expected one number, or one for each of {sum(periodic)} directions"
            )
        along = iter(given)
        repeats = given if len(given) == 3 else [next(along) if p else 1 for p in periodic]
    if min(repeats) < 1 or any(n != 1 for n, p in zip(repeats, periodic, strict=True) if not p):
        raise ValueError(f"size = {size}: repeats are at least 1, and 1 along directions without periodicity")
    return repeats[0], repeats[1], repeats[2]


def _each(size: Any) -> list[int]:
    """Return repeats that are given one by one."""
    if isinstance(size, str) or not np.iterable(size):
        raise (ValueError if isinstance(size, float) else TypeError)(f"size = {size!r}: expected {SIZE}")
    return [whole("size", n, SIZE, 1) for n in size]


def _described(cell: Atoms, names: list[str], centres_dc: npt.NDArray[np.float64]) -> Atoms:
    """Wrap everything into the cell; note the defects and their centres in `info`."""
    cell.wrap()
    if len(centres_dc):
        cores = Atoms(numbers=[0] * len(centres_dc), positions=centres_dc, cell=cell.cell, pbc=cell.pbc)
        cores.wrap()
        centres_dc = cores.positions
    cell.info = {"defect_names": names, "defect_centres": centres_dc.tolist()}
    return cell
