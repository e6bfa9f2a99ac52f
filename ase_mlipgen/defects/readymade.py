"""Ready-made cells as defects: read what differs from the host crystal, so that it can be put anywhere.

The cell's vectors must be whole multiples of the crystal's. Its origin is found: the shift that puts most atoms on
sites. Sites with no atom within `SAME_SITE` are vacant; atoms on no site, or of another element, are added where they
stand, so that a split interstitial or a core that was relaxed keeps its form. Enter at `as_defect`.
"""

import numpy as np
import numpy.typing as npt
from ase import Atom, Atoms

from ase_mlipgen.defects.geometry import minimum_image
from ase_mlipgen.defects.point_defects import SAME_SITE, AtomicDefect, PointDefect

MAX_ORIGINS = 200
"""Atoms of a ready-made cell that are tried as the crystal's first: most of them stand on sites."""


def as_defect(defect: PointDefect | Atoms, crystal: Atoms) -> PointDefect:
    """Give a point defect as it is, a ready-made cell as an `AtomicDefect`; checked against the crystal.

    Raises
    ------
    ValueError
        The defect does not fit the crystal, or the cell is not made of it.
    TypeError
        `defect` is neither.
    """
    if isinstance(defect, Atoms):
        return _read(defect, crystal)
    if not hasattr(defect, "centre"):
        raise TypeError(
            f"{defect!r} is no defect: expected Vacancy, Interstitial, Substitution or a ready-made ase.Atoms"
        )
    defect.check(crystal)
    return defect


def _read(cell: Atoms, crystal: Atoms) -> AtomicDefect:
    repeats = _repeats(cell, crystal)
    origin = _origin(cell, crystal)
    sites = _sites(crystal, repeats, cell)
    positions = cell.positions - origin
    same_si = np.array([_stands_on(site, positions, cell) for site in sites])
    vacant, extra = ~same_si.any(axis=1), ~same_si.any(axis=0)
    if not vacant.any() and not extra.any():
        raise ValueError("the ready-made cell has no defect: every atom stands on a site of the crystal")
    if 2 * vacant.sum() > len(sites):
        raise ValueError(
            f"the ready-made cell leaves {vacant.sum()} of {len(sites)} sites of the crystal without an atom within "
            f"{SAME_SITE} Å; give it unrelaxed, or give a crystal of the same lattice constant"
        )
    added = Atoms(numbers=cell.numbers[extra], positions=positions[extra])
    vacant_xc = sites.positions[vacant]
    _gather(vacant_xc, added.positions, cell, crystal)
    name = str(cell.info.get("name", cell.get_chemical_formula()))
    return AtomicDefect(name=name, vacant_xc=vacant_xc, added=added)


def _stands_on(site: Atom, positions: npt.NDArray[np.float64], cell: Atoms) -> npt.NDArray[np.bool_]:
    """Which atoms of the cell are the site's: at its place, of its element."""
    distances = np.linalg.norm(minimum_image(positions - site.position, cell), axis=1)
    return np.asarray((distances < SAME_SITE) & (cell.numbers == site.number))


def _repeats(cell: Atoms, crystal: Atoms) -> npt.NDArray[np.int64]:
    """Give the integer matrix P with cell = P crystal over the periodic directions."""
    if tuple(cell.pbc) != tuple(crystal.pbc):
        raise ValueError(
            f"the ready-made cell has pbc {cell.pbc}, the crystal {crystal.pbc}; they must be the same"
        )
    ratio = np.asarray(cell.cell.complete()) @ np.linalg.inv(crystal.cell.complete())
    whole = np.round(ratio)
    periodic = np.asarray(crystal.pbc, dtype=bool)
    if np.abs(ratio - whole)[periodic].max(initial=0.0) > 1e-3:
        raise ValueError(
            "the ready-made cell's vectors are not whole multiples of the crystal's (the largest deviation is "
            f"{np.abs(ratio - whole)[periodic].max():.3f}); build it from the same unit cell"
        )
    whole[~periodic] = np.eye(3)[~periodic]
    return whole.astype(np.int64)


def _sites(crystal: Atoms, repeats: npt.NDArray[np.int64], cell: Atoms) -> Atoms:
    """Build the perfect crystal in the ready-made cell."""
    inverse = np.linalg.inv(repeats)
    corners = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T @ repeats
    spans = [
        np.arange(low, high + 1) for low, high in zip(corners.min(axis=0), corners.max(axis=0), strict=True)
    ]
    steps = np.array(np.meshgrid(*spans, indexing="ij")).reshape(3, -1).T
    inside = steps @ inverse
    steps = steps[np.all((inside > -1e-9) & (inside < 1.0 - 1e-9), axis=1)]
    shifts = steps @ np.asarray(crystal.cell.complete())
    return Atoms(
        numbers=np.tile(crystal.numbers, len(steps)),
        positions=(shifts[:, None, :] + crystal.positions[None, :, :]).reshape(-1, 3),
        cell=cell.cell,
        pbc=cell.pbc,
    )


def _origin(cell: Atoms, crystal: Atoms) -> npt.NDArray[np.float64]:
    """Find the shift, Å, that takes the crystal's sites onto most of the cell's atoms; no shift if that is as good."""
    candidates = [np.zeros(3)]
    candidates += [position - crystal.positions[0] for position in cell.positions[:MAX_ORIGINS]]
    best, most = candidates[0], -1
    for shift in candidates:
        offsets = cell.positions[:, None, :] - shift - crystal.positions[None, :, :]
        on_site = np.linalg.norm(minimum_image(offsets, crystal), axis=2) < SAME_SITE
        count = int(np.any(on_site & (cell.numbers[:, None] == crystal.numbers[None, :]), axis=1).sum())
        if count > most:
            best, most = shift, count
    return best


def _gather(
    vacant_xc: npt.NDArray[np.float64], added_xc: npt.NDArray[np.float64], cell: Atoms, crystal: Atoms
) -> None:
    """Move all parts, in place, to the images closest to the first one, and the whole close to the crystal's origin.

    A core must not be cut in two by the cell's faces; translation zero is the unit cell at the origin.
    """
    anchor = np.concatenate([vacant_xc, added_xc])[0].copy()
    vacant_xc[:] = anchor + minimum_image(vacant_xc - anchor, cell)
    added_xc[:] = anchor + minimum_image(added_xc - anchor, cell)
    centre = np.concatenate([vacant_xc, added_xc]).mean(axis=0)
    unit_cells = np.floor(crystal.cell.scaled_positions(centre) + 1e-6) * np.asarray(crystal.pbc)
    vacant_xc -= unit_cells @ crystal.cell.complete()
    added_xc -= unit_cells @ crystal.cell.complete()
