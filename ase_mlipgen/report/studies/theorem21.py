"""The picture of Theorem 2.1: rests over the cores' distance, decay of a core. Enter at `theorem21_figure`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlipgen.report.style import CYCLE, GREY, INK, distances, logarithmic, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = {"lattice": "s", "grid": "o", "random": "x"}


@styled
def theorem21_figure(records: Sequence[Any]) -> "Figure":
    """Draw ||D rest|| over sqrt(n_D) against L_D, with and without cut-off, and |Du| of single cores."""
    figure = new_figure(11.0, 3.9)
    left, middle, right = figure.subplots(1, 3)
    cases = list(dict.fromkeys(r.case for r in records))
    for k, case in enumerate(cases):
        own = [r for r in records if r.case == case and r.converged]
        colour = CYCLE[k % len(CYCLE)]
        _draw_rest(left, own, "rest", colour, case)
        _draw_rest(middle, [r for r in own if r.arrangement != "lattice"], "whole", colour, None)
        decay = sorted((r.distance, r.norm) for r in own if r.arrangement == "decay")
        if decay:
            right.plot(*np.array(decay).T, ".", ms=4, color=colour)
    _guide(left, [r for r in records if r.case != "tungsten"], "rest", -1.0)
    _guide(left, [r for r in records if r.case == "tungsten"], "rest", -1.5)
    _guide_decay(right, [r for r in records if r.case != "tungsten"], -2.0)
    _guide_decay(right, [r for r in records if r.case == "tungsten"], -3.0)
    for axes in (left, middle, right):
        distances(axes)
        logarithmic(axes, "y")
    left.set(xlabel="least distance L_D (r0; tungsten: a)", ylabel="||D rest|| / sqrt(n_D) (Å)")
    left.set_title("truncated cores; grey: theory", color=INK)
    middle.set(xlabel="least distance L_D (r0; tungsten: a)", ylabel="||D rest|| / sqrt(n_D) (Å)")
    middle.set_title("whole fields superposed", color=INK)
    right.set(xlabel="distance from the core (r0; tungsten: a)", ylabel="rms of |Du(l)| (Å)")
    right.set_title("decay of a core; grey: theory", color=INK)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=len(cases))
    return figure


def _draw_rest(axes: "Axes", records: Sequence[Any], name: str, colour: str, label: str | None) -> None:
    for arrangement, mark in MARKS.items():
        own = [r for r in records if r.arrangement == arrangement]
        if own:
            x = [r.distance for r in own]
            y = [getattr(r, name) / np.sqrt(r.n_defects) for r in own]
            text = f"{label}, {arrangement}" if label else None
            axes.plot(x, y, mark, ms=5, color=colour, mfc="none", mew=0.9, label=text)


def _guide(axes: "Axes", records: Sequence[Any], name: str, rate: float) -> None:
    """Draw a line of the theory's slope above the points."""
    good = [(r.distance, getattr(r, name) / np.sqrt(r.n_defects)) for r in records if r.converged]
    points = np.array([p for p in good if np.isfinite(p[1])])
    if len(points):
        _line(axes, points, rate)


def _guide_decay(axes: "Axes", records: Sequence[Any], rate: float) -> None:
    points = np.array(
        [(r.distance, r.norm) for r in records if r.arrangement == "decay" and r.distance >= 2.0]
    )
    if len(points):
        _line(axes, points, rate)


def _line(axes: "Axes", points: Any, rate: float) -> None:
    x = np.array([points[:, 0].min(), points[:, 0].max()])
    scale = 1.3 * np.max(points[:, 1] * points[:, 0] ** -rate)
    axes.plot(x, scale * x**rate, color=GREY, lw=0.8, zorder=0)
    axes.annotate(f"slope {rate:g}", (x[0], scale * x[0] ** rate), xytext=(2, 3), textcoords="offset points",
                  color=GREY, fontsize=7)  # fmt: skip
