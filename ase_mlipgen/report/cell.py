"""The training cell before and after relaxation, as seen along z. Enter at `draw_cell`."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.defects import is_planar, minimum_image, nearest_distances, spacing
from ase_mlipgen.report.style import GREY, INK, MODEL, PALE, REFERENCE
from ase_mlipgen.result import TrainingCell

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ARROW = 0.8
"""Length of the longest arrow, at most, in nearest-neighbour distances."""

ROUND = (1, 2, 3, 4, 5, 6, 8)


class Slab(NamedTuple):
    """What of a training cell is seen along z.

    Attributes
    ----------
    before_ic, move_ic : (n, 2) arrays, Å, unrelaxed positions about the core and displacements
    foreign_i : (n,) bool array, atoms of another element than most
    cores_dc : (n_cores, 2) array, Å
    thickness : Å, of the slab that is shown; None if that is all
    scale : int, the arrows' magnification
    radius : Å, of the discs
    """

    before_ic: npt.NDArray[np.float64]
    move_ic: npt.NDArray[np.float64]
    foreign_i: npt.NDArray[np.bool_]
    cores_dc: npt.NDArray[np.float64]
    thickness: float | None
    scale: float
    radius: float


def slab(cell: TrainingCell) -> Slab:
    """Choose the atoms to show: all of a planar cell, those near the core's height of a three-dimensional one."""
    start = cell.unrelaxed
    cores = np.asarray(start.info.get("defect_centres", []), dtype=float).reshape(-1, 3)
    origin = cores[0] if len(cores) else start.positions.mean(axis=0)
    relative = minimum_image(start.positions - origin, start)
    move = minimum_image(cell.relaxed.positions - start.positions, start)
    neighbour = float(np.median(nearest_distances(start)))
    thickness = None if is_planar(start) else 1.3 * spacing(start)
    shown = np.ones(len(start), dtype=bool) if thickness is None else np.abs(relative[:, 2]) < 0.5 * thickness
    numbers = start.numbers[shown]
    common = np.bincount(cell.perfect.numbers).argmax()
    largest = float(np.linalg.norm(move[shown][:, :2], axis=1).max(initial=0.0))
    return Slab(
        relative[shown][:, :2], move[shown][:, :2], numbers != common,
        minimum_image(cores - origin, start)[:, :2], thickness,
        magnification(ARROW * neighbour, largest), 0.28 * neighbour,
    )  # fmt: skip


def magnification(longest: float, largest: float) -> float:
    """Return the largest of 1, 2, 3, 4, 5, 6, 8, 10, 20 ... that keeps `largest` within `longest`; at least 1."""
    if largest <= 0 or longest <= largest:
        return 1.0
    ratio = longest / largest
    power = 10.0 ** np.floor(np.log10(ratio))
    return float(max(step * power for step in ROUND if step * power <= ratio * (1 + 1e-9)))


def draw_cell(axes: "Axes", cell: TrainingCell, title: str | None = None) -> Slab:
    """Draw sites as rings, relaxed atoms as discs, displacements as arrows; return what was drawn."""
    from matplotlib.collections import EllipseCollection

    view = slab(cell)
    after = view.before_ic + view.move_ic
    size = np.full(len(after), 2 * view.radius)
    colours = np.where(view.foreign_i, MODEL, PALE)
    flat: Any = {"units": "xy", "transOffset": axes.transData, "angles": np.zeros_like(size)}
    discs = EllipseCollection(size, size, offsets=after, facecolors=colours, edgecolors="none", **flat)
    sites = view.before_ic
    rings = EllipseCollection(
        size, size, offsets=sites, facecolors="none", edgecolors=GREY, linewidths=0.6, **flat
    )
    axes.add_collection(discs)
    axes.add_collection(rings)
    axes.quiver(
        *view.before_ic.T, *(view.scale * view.move_ic.T), angles="xy", scale_units="xy", scale=1, color=REFERENCE,
        width=0.007, headwidth=3.2, headlength=3.6, headaxislength=3.2, minlength=0.6, minshaft=1.5, zorder=3,
    )  # fmt: skip
    axes.plot(*view.cores_dc.T, "+", color=INK, markersize=7, markeredgewidth=1.3, zorder=4)
    low, high = view.before_ic.min(axis=0) - 2.2 * view.radius, view.before_ic.max(axis=0) + 2.2 * view.radius
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", xlabel="x (Å)", ylabel="y (Å)")
    note = f"displacements × {view.scale:g}"
    if view.thickness is not None:
        note += f", slab of {view.thickness:.1f} Å"
    axes.set_title(f"{title or cell.name}\n{note}")
    return view
