"""Where several defects stand in a large cell: a grid of lattice translations about the centre, far enough apart.

The grid's spacing starts at the separation asked for and grows by one lattice step until all distances, periodic
images included, are at least that; so the defects stand as close as the separation allows. Or they stand on a line,
one lattice translation apart. Enter at `arrange`, `on_a_line`.
"""

from collections.abc import Sequence
from itertools import product
from math import ceil

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.geometry import get_distances
from ase.geometry.minkowski_reduction import minkowski_reduce

ROUND_OFF = 1e-6
"""Relative: distances that fall short of the separation by less than this are accepted."""


def arrange(
    offsets_dc: npt.NDArray[np.float64],
    lattice: Atoms,
    repeats: tuple[int, int, int],
    separation: float,
    translations: Sequence[Sequence[int]] | None = None,
) -> npt.NDArray[np.int64]:
    """Choose a lattice translation for every defect.

    Parameters
    ----------
    offsets_dc : (n_defects, 3) array, Å, each defect's centre where its translation is zero
    lattice : its cell vectors are the unit of the translations
    repeats : the large cell in those units
    separation : least distance, in lengths of the shortest cell vector
    translations : (n_defects, 2 or 3) integers to check and use instead of the grid

    Returns
    -------
    (n_defects, 3) integer array

    Raises
    ------
    ValueError
        There is no room, or the given translations are too close.
    """
    lengths = lattice.cell.lengths()
    periodic = np.asarray(lattice.pbc, dtype=bool)
    unit = float(lengths[periodic].min())
    if not separation >= 0.0:
        raise ValueError(f"separation = {separation}: expected a distance in unit cells, not below zero")
    if translations is not None:
        return _given(offsets_dc, lattice, repeats, separation * unit, translations)
    reached = 0.0
    for length in [*(separation + np.arange(max(repeats) + 1)), *np.arange(max(repeats) + 1.0)]:
        spacing = np.where(periodic, np.maximum(1, np.ceil(length * unit / lengths - 1e-9)), 0)
        steps = _grid(len(offsets_dc), repeats, spacing.astype(np.int64), periodic)
        if steps is None:
            continue
        closest = closest_approach(offsets_dc + steps @ np.asarray(lattice.cell.complete()), lattice, repeats)
        reached = max(reached, closest)
        if closest >= separation * unit * (1.0 - ROUND_OFF):
            return steps
    raise ValueError(
        f"{len(offsets_dc)} defects do not fit a cell of {repeats} unit cells with separation = {separation}; "
        f"the grid reaches {reached / unit:.2f} unit cells ({reached:.2f} Å), images included: "
        "choose a larger size, or a smaller separation"
    )


def on_a_line(
    n_defects: int, lattice: Atoms, repeats: tuple[int, int, int], step: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Choose a translation for every defect, each one step further than the one before, about the cell's middle.

    Parameters
    ----------
    n_defects : number of defects
    lattice : its cell vectors are the unit of the repeats
    repeats : the large cell in those units
    step : (3,) array, Å, a translation of the crystal

    Returns
    -------
    (n_defects, 3) array, Å

    Raises
    ------
    ValueError
        A defect comes closer to another one, or to an image, than the length of the step.
    """
    periodic = np.asarray(lattice.pbc, dtype=bool)
    vectors = np.asarray(lattice.cell.complete())
    shifts = np.arange(n_defects)[:, None] * step
    length = float(np.linalg.norm(step))
    closest = closest_approach(shifts, lattice, repeats)
    if closest < length * (1.0 - ROUND_OFF):
        raise ValueError(
            f"{n_defects} defects a step of {length:.2f} Å apart do not fit a cell of {repeats} unit cells: two, "
            f"or one and an image, are {closest:.2f} Å apart; choose {_roomy(shifts, lattice, length)}"
        )
    span = np.linalg.solve(vectors.T, shifts[-1])
    first = np.where(periodic, np.floor((np.array(repeats) - span) / 2.0 + 1e-9), 0.0)
    return np.asarray(shifts + first @ vectors)


def _roomy(shifts: npt.NDArray[np.float64], lattice: Atoms, length: float) -> str:
    """Name the smallest size that would do."""
    for size in range(1, 201):
        n = [size if p else 1 for p in lattice.pbc]
        if closest_approach(shifts, lattice, (n[0], n[1], n[2])) >= length * (1.0 - ROUND_OFF):
            return f"a size of at least {size}, or a shorter separation"
    return "a shorter separation"


def closest_approach(
    centres_dc: npt.NDArray[np.float64], lattice: Atoms, repeats: tuple[int, int, int]
) -> float:
    """Smallest distance, Å, between two of the centres or their periodic images in the repeated cell."""
    cell = np.asarray(lattice.cell.complete()) * np.array(repeats)[:, None]
    periodic = np.asarray(lattice.pbc, dtype=bool)
    reduced, _ = minkowski_reduce(cell, periodic)
    closest = float(np.linalg.norm(reduced, axis=1)[periodic].min())
    if len(centres_dc) > 1:
        _, distance_dd = get_distances(centres_dc, cell=cell, pbc=periodic)
        np.fill_diagonal(distance_dd, np.inf)
        closest = min(closest, float(distance_dd.min()))
    return closest


def _grid(
    n_defects: int,
    repeats: tuple[int, int, int],
    spacing: npt.NDArray[np.int64],
    periodic: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int64] | None:
    """Give the first points of a grid about the centre, or None where it is wider than the cell.

    Up to four points are a flat parallelogram; more are a square or, in three dimensions, a cube.
    """
    axes = np.flatnonzero(periodic)
    used = axes[:2] if n_defects <= 4 else axes
    edge = ceil(round(n_defects ** (1.0 / len(used)), 9))
    points = np.zeros((n_defects, 3), dtype=np.int64)
    for row, point in zip(points, product(range(edge), repeat=len(used)), strict=False):
        row[used[::-1]] = point
    steps = points * spacing
    span = steps.max(axis=0)
    if np.any(span >= np.array(repeats)):
        return None
    middle = (np.array(repeats) - span) // 2
    return steps + np.where(periodic, middle, 0)


def _given(
    offsets_dc: npt.NDArray[np.float64],
    lattice: Atoms,
    repeats: tuple[int, int, int],
    distance: float,
    translations: Sequence[Sequence[int]],
) -> npt.NDArray[np.int64]:
    """Check translations that the caller chose."""
    steps = np.zeros((len(offsets_dc), 3), dtype=np.int64)
    if len(translations) != len(offsets_dc):
        raise ValueError(f"{len(translations)} translations for {len(offsets_dc)} defects; give one for each")
    for row, translation in zip(steps, translations, strict=True):
        row[: len(translation)] = translation
    closest = closest_approach(offsets_dc + steps @ np.asarray(lattice.cell.complete()), lattice, repeats)
    if closest < distance * (1.0 - ROUND_OFF):
        raise ValueError(
            f"the translations put two defects (or one and an image) {closest:.2f} Å apart; "
            f"the separation asks for {distance:.2f} Å"
        )
    return steps
