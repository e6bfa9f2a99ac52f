"""The picture of the cells of figures 1, 2, 5, 10 and 11. Enter at `cells_figure`."""

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.geometry import get_distances

from ase_mlipgen.report.style import BLUE, GREEN, GREY, INK, ORANGE, PALE, PURPLE, new_figure, styled
from ase_mlipgen.studies.cells import cell_of, said

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = {"vacancy": ("o", ORANGE, "none"), "interstitial": ("D", BLUE, BLUE)}
SHEAR = np.array([[1.0, 0.0], [0.0, 1.0], [0.42, 0.28]])
"""Projection of three dimensions: the third one obliquely to the right and upwards."""
COLUMNS = 6
HOODS = (ORANGE, BLUE, GREEN, PURPLE)


@styled
def cells_figure(records: Sequence[Any]) -> "Figure":
    """Draw all cells: large ones in a panel each, training cells of a crystal side by side."""
    figure = new_figure(12.5, 7.2)
    rows = [row for row in _rows(records) if row]
    grid = figure.add_gridspec(len(rows), COLUMNS, height_ratios=[1.0, 1.4, 1.6][: len(rows)])
    for k, row in enumerate(rows):
        place = 0
        for own, width in row:
            axes = figure.add_subplot(grid[k, place : place + width])
            _draw_row(axes, own) if width > 1 else _draw_large(axes, own[0])
            axes.set_aspect("equal")
            axes.axis("off")
            place += width
    for name, (mark, edge, face) in MARKS.items():
        axes.plot([], [], mark, color=edge, mfc=face, label=name)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _rows(records: Sequence[Any]) -> list[list[tuple[list[Any], int]]]:
    """Return the cells of each panel and its width in columns: large sheets, training sheets, silicon."""
    trained: dict[int, list[Any]] = {}
    for record in records:
        if record.n_defects == 1:
            trained.setdefault(record.figure, []).append(record)
    large = [r for r in records if r.n_defects > 1]
    sheets = [n for n, own in trained.items() if own[0].crystal == "sheet"]
    return [
        [([r], 1) for r in large if r.crystal == "sheet"],
        [(trained[n], 3) for n in sheets],
        [(own, 4) for n, own in trained.items() if n not in sheets]
        + [([r], 1) for r in large if r.crystal == "silicon"],
    ]


def _draw_large(axes: "Axes", record: Any) -> None:
    atoms = cell_of(record)
    solid = record.crystal == "silicon"
    _draw_atoms(axes, atoms, record, np.zeros(2), 0.3 if solid else 0.35, 4.5)
    if record.figure == 1:
        _draw_cores(axes, atoms, record)
    unit = f"{record.size}³ cells" if solid else f"{record.size} r0"
    text = f"Fig. {record.figure}: {unit}, {record.n_atoms} atoms\n{said(record.defects)}"
    axes.set_title(text, color=INK, fontsize=8)


def _draw_row(axes: "Axes", records: Sequence[Any]) -> None:
    """Draw training cells side by side, to one scale."""
    solid, x = records[0].crystal == "silicon", 0.0
    for record in records:
        atoms = cell_of(record)
        right = _draw_atoms(axes, atoms, record, np.array([x, 0.0]), 3.0 if solid else 9.0, 6.0)
        text = f"L = {record.size}\n{record.n_atoms} atoms"
        axes.annotate(
            text, (0.5 * (x + right), 0.0), xytext=(0, -5), color=INK, fontsize=7, textcoords="offset points",
            ha="center", va="top",
        )  # fmt: skip
        x = right + (4.0 if solid else 3.5)
    what = "silicon" if solid else "the sheet"
    axes.set_title(
        f"Fig. {records[0].figure}: training cells of {what}, one {records[0].defects[0]}", color=INK
    )


def _draw_atoms(axes: "Axes", atoms: Any, record: Any, origin: Any, dot: float, mark: float) -> float:
    """Draw a cell, its edges and its defects; return its right end."""
    solid = record.crystal == "silicon"
    vectors = np.asarray(atoms.cell.complete())
    project = SHEAR if solid else np.eye(3)[:, :2]
    order = np.argsort(-atoms.positions[:, 2])
    points = atoms.positions[order] @ project + origin
    axes.scatter(points[:, 0], points[:, 1], s=dot, color=GREY, linewidths=0)
    corners = [np.array(c) for c in product((0, 1), repeat=3 if solid else 2)]
    ends = np.array([c @ vectors[: len(c)] @ project for c in corners]) + origin
    for one, other in product(range(len(corners)), repeat=2):
        if one < other and np.abs(corners[one] - corners[other]).sum() == 1:
            axes.plot(*ends[[one, other]].T, color=INK, lw=0.5)
    for name, centre in zip(record.defects, atoms.info["defect_centres"], strict=True):
        style, edge, face = MARKS[name]
        axes.plot(*(np.array(centre) @ project + origin), style, color=edge, mfc=face, ms=mark, mew=1.3)
    return float(ends[:, 0].max())


def _draw_cores(axes: "Axes", atoms: Any, record: Any) -> None:
    """Colour the atoms that are nearest to each core, and frame a neighbourhood as wide as a training cell."""
    centres = np.array(atoms.info["defect_centres"])
    _, distance = get_distances(atoms.positions, centres, cell=atoms.cell, pbc=atoms.pbc)
    width = 0.5 * 2.72711 * record.separation
    for k, centre in enumerate(centres):
        own = distance[:, k] < width
        axes.scatter(
            atoms.positions[own, 0], atoms.positions[own, 1], s=0.9, color=HOODS[k % len(HOODS)], linewidths=0
        )
        t = np.linspace(0.0, 2.0 * np.pi, 60)
        axes.plot(centre[0] + width * np.cos(t), centre[1] + width * np.sin(t), color=PALE, lw=0.8, zorder=0)
