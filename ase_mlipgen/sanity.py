"""What can be said against a structure before its neighbours are searched, in words that name the atom or the cell.

Everything here costs one pass over the atoms and allocates no more than they do, so that senseless input is refused at
once, not after it has filled the memory. Enter at `check_structure`, `check_bins` and
`check_count`.
"""

import os

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.geometry import minkowski_reduce

Floats = npt.NDArray[np.float64]

# Unit vectors whose smallest singular value is below this count as dependent.
DEGENERATE = 1e-8
# Å: beyond, double precision resolves less than 1e-8 Å.
FARTHEST = 1e8
# Å: nothing is closer to its own periodic image.
SHORTEST = 0.1
# Neighbours of an atom, on average where they are densest: ten times those of a crystal within 20 Å.
MOST_NEIGHBORS = 50_000
BYTES_PER_PAIR = 48
# Cubes of the range in a periodic cell, besides ten for each atom: their list has to fit into the memory.
MOST_BINS = 10_000_000


def check_structure(atoms: Atoms, positions: Floats) -> None:
    """Refuse what no potential can make sense of.

    Raises
    ------
    ValueError
        No atoms; positions or cell not finite or too far out; zero, dependent or too short periodic vectors.
    """
    if len(positions) == 0:
        raise ValueError("the Atoms object is empty: expected at least one atom")
    bad = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if len(bad):
        raise ValueError(
            f"position of atom {bad[0]} is {positions[bad[0]].tolist()} ({len(bad)} atoms in all): "
            f"expected finite numbers; look at the step that moved the atoms"
        )
    far = np.flatnonzero((np.abs(positions) > FARTHEST).any(axis=1))
    if len(far):
        raise ValueError(
            f"position of atom {far[0]} is {positions[far[0]].tolist()} Å ({len(far)} atoms in all): "
            f"expected coordinates within {FARTHEST:g} Å, beyond which bonds are not resolved; move the atoms back"
        )
    _check_cell(atoms.cell.array, atoms.pbc)


def volume_of(cell: Floats) -> float:
    """Return the volume of a cell, Å^3; zero if it has none, also where its numbers are too small to be divided by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.nan_to_num(abs(np.linalg.det(cell))))


def check_bins(atoms: Atoms, reach: float) -> None:
    """Refuse periodic cells so empty that the list of their cubes of width `reach` (Å) would fill the memory.

    Raises
    ------
    ValueError
    """
    periodic = atoms.cell.array[atoms.pbc]
    if not len(periodic):
        return
    heights = 1.0 / np.linalg.norm(np.linalg.pinv(periodic), axis=0)
    if np.prod(np.maximum(heights / reach, 1.0)) > MOST_BINS + 10 * len(atoms):
        raise ValueError(
            f"cell {atoms.cell.array.tolist()}, periodic along {atoms.pbc.tolist()}, has planes "
            f"{', '.join(f'{h:.3g}' for h in heights)} Å apart: expected no more than {MOST_BINS:.0e} cubes of the "
            f"range, {reach:.3g} Å; set pbc to False along a vacuum"
        )


def check_count(positions: Floats, cell: Floats, pbc: npt.NDArray[np.bool_], reach: float) -> None:
    """Refuse atoms so dense that their pairs within reach (Å) would fill the memory.

    The pairs are estimated from the atoms in bins that are at least as wide as the reach, or the cell.

    Parameters
    ----------
    positions : (n_atoms, 3) array
        Å.
    cell : (3, 3) array
        Å; holds the atoms along directions that are not periodic.
    pbc : (3,) array
    reach : float

    Raises
    ------
    ValueError
        More neighbours of an atom than any material has, or more pairs than the machine's memory holds.
    """
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    n_bins = np.clip(heights / reach, 1, 2_000).astype(np.int64)
    scaled = np.linalg.solve(cell.T, positions.T).T
    bins_ic = np.where(pbc, (scaled % 1.0) * n_bins, np.clip(scaled * n_bins, 0, n_bins - 1)).astype(np.int64)
    flat = (bins_ic[:, 0] * n_bins[1] + bins_ic[:, 1]) * n_bins[2] + bins_ic[:, 2]
    count_b = np.unique(flat, return_counts=True)[1].astype(float)
    sphere, bin_volume = 4 / 3 * np.pi * reach**3, abs(np.linalg.det(cell)) / n_bins.prod(dtype=float)
    images = np.prod(np.where(pbc, 2 * np.ceil(reach / heights) + 1, 1))
    neighbors_b = np.minimum(count_b * sphere / bin_volume, len(positions) * images)
    n_pairs = float(np.sum(count_b * neighbors_b))
    if neighbors_b.max() > MOST_NEIGHBORS:
        raise ValueError(
            f"an atom would have about {neighbors_b.max():.2g} neighbours within {reach:.3g} Å: expected at most "
            f"{MOST_NEIGHBORS}; look at the units of positions and cell (its periodic vectors are "
            f"{cell[pbc].tolist()} Å, atoms {len(positions)})"
        )
    if n_pairs * BYTES_PER_PAIR > _memory():
        raise ValueError(
            f"the {len(positions)} atoms have about {n_pairs:.2g} pairs within {reach:.3g} Å, which take "
            f"{n_pairs * BYTES_PER_PAIR / 2**30:.3g} GiB, and this machine has {_memory() / 2**30:.3g} GiB: "
            f"use fewer atoms, a potential of shorter range, or another machine"
        )


def _check_cell(cell: Floats, pbc: npt.NDArray[np.bool_]) -> None:
    if not np.isfinite(cell).all():
        raise ValueError(f"cell {cell.tolist()} is not finite: expected three vectors in Å")
    periodic = cell[pbc]
    lengths = np.linalg.norm(periodic, axis=1)
    if (lengths == 0).any():
        raise ValueError(
            f"cell {cell.tolist()} has a zero vector along a periodic direction "
            f"(pbc {pbc.tolist()}): set the vector, or pbc to False there"
        )
    if len(periodic) == 0:
        return
    unit = periodic / lengths[:, None]
    smallest = np.linalg.svd(unit, compute_uv=False).min()
    if smallest < DEGENERATE:
        raise ValueError(
            f"cell vectors {periodic.tolist()} along the periodic directions are linearly dependent: "
            f"expected vectors that span {len(periodic)} dimensions"
        )
    # No lattice vector is shorter than the shortest edge times the smallest singular value.
    if lengths.min() * smallest < SHORTEST:
        _check_images(cell, pbc)


def _check_images(cell: Floats, pbc: npt.NDArray[np.bool_]) -> None:
    """Refuse cells whose shortest lattice vector is no distance between atoms; skewed ones may have thin cells."""
    full = np.where(pbc[:, None], cell, 0.0)
    shortest = np.linalg.norm(minkowski_reduce(full, pbc=pbc)[0][pbc], axis=1).min()
    if shortest < SHORTEST:
        raise ValueError(
            f"cell {cell.tolist()} brings each atom within {shortest:.3g} Å of its own periodic image: "
            f"expected at least {SHORTEST} Å; look at the units, or at vectors that are almost the same"
        )


def _memory() -> float:
    """Return the bytes of memory that the machine has; infinite where it does not tell."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return np.inf
