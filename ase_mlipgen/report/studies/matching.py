"""The picture of the study of exact matching. Enter at `matching_figure`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlipgen.report.style import CYCLE, GREY, INK, logarithmic, new_figure, styled
from ase_mlipgen.studies.matching import RESOLVED, pairs_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = "os^v"


@styled
def matching_figure(records: Sequence[Any]) -> "Figure":
    """Draw matched over plain errors of each pair of fits, and the energy excess over the geometry error."""
    figure = new_figure(10.2, 3.6)
    left, middle, right = figure.subplots(1, 3)
    _draw_pairs(left, records, "geometry", "geometry error (Å)", 5.0)
    _draw_pairs(middle, records, "formation", "formation-energy error (eV)", 10.0)
    _draw_excess(right, records)
    figure.legend(*left.get_legend_handles_labels(), loc="outside right center", handlelength=1.0)
    return figure


def _groups(records: Sequence[Any]) -> list[tuple[str, int]]:
    return list(dict.fromkeys((r.case, r.size) for r in records))


def _marks(records: Sequence[Any], case: str) -> str:
    return MARKS[list(dict.fromkeys(r.case for r in records)).index(case) % len(MARKS)]


def _draw_pairs(axes: "Axes", records: Sequence[Any], name: str, label: str, bar: float) -> None:
    pairs = [p for p in pairs_of(records) if np.isfinite(p[0].geometry) and np.isfinite(p[1].geometry)]
    for k, (case, size) in enumerate(_groups(records)):
        points = [
            (abs(getattr(plain, name)), abs(getattr(matched, name)))
            for plain, matched in pairs
            if (plain.case, plain.size) == (case, size)
        ]
        x, y = np.array(points).reshape(-1, 2).T
        axes.plot(
            x,
            y,
            _marks(records, case),
            ms=4,
            color=CYCLE[k % len(CYCLE)],
            mec="none",
            label=f"{case}, L = {size}",
        )
    logarithmic(axes, "xy")
    limits = np.array(axes.get_xlim())
    for factor, style in ((1.0, "-"), (bar, ":")):
        axes.plot(limits, limits / factor, style, color=GREY, lw=0.8, zorder=0)
    axes.set(xlim=limits, xlabel=f"plain fit: {label}", ylabel=f"matched fit: {label}")
    axes.set_title(f"solid: equal, dotted: {bar:g} times lower", color=INK)


def _draw_excess(axes: "Axes", records: Sequence[Any]) -> None:
    good = [r for r in records if np.isfinite(r.geometry) and r.excess > RESOLVED]
    for k, (case, size) in enumerate(_groups(records)):
        own = [r for r in good if (r.case, r.size) == (case, size)]
        for filled in (False, True):
            x, y = (
                np.array([(r.geometry, r.excess) for r in own if bool(r.matched) == filled]).reshape(-1, 2).T
            )
            colour = CYCLE[k % len(CYCLE)]
            face = colour if filled else "none"
            axes.plot(x, y, _marks(records, case), ms=4, color=colour, mfc=face, mew=0.8)
    logarithmic(axes, "xy")
    if good:
        ends = np.array([min(r.geometry for r in good), max(r.geometry for r in good)])
        scale = np.median([r.excess / r.geometry**2 for r in good])
        axes.plot(ends, scale * ends**2, color=GREY, lw=0.8, zorder=0)
        axes.annotate("slope 2", (ends[0], scale * ends[0] ** 2), xytext=(12, -2), textcoords="offset points",
                      color=GREY, fontsize=7)  # fmt: skip
    axes.set(xlabel="geometry error (Å)", ylabel="energy excess of the geometry (eV)")
    axes.set_title("open: plain, filled: matched", color=INK)
