"""Pictures of silicon by tight binding. Enter at `fig8_figure` and `fig9_figure`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlipgen.report.style import CYCLE, GREY, INK, distances, new_figure, styled
from ase_mlipgen.studies.error_tables import grouped, kind_of, median_of, panels
from ase_mlipgen.studies.silicon_tables import FLOORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {
    "own_geometry": "geometry error, own cell (Å)",
    "geometry": "geometry error, large cell (Å)",
    "formation": "formation-energy error (eV)",
}


@styled
def fig8_figure(records: Sequence[Any]) -> "Figure":
    """Draw errors over the force RMSE, on the training cell itself and on large cells; a row a large cell and kind.

    Dotted: what the reference itself is off by, from the training cell to the large one.
    """
    rows = grouped(records, lambda r: (r.case, kind_of(r)))
    figure = new_figure(9.6, 0.6 + 2.5 * len(rows))
    every = figure.subplots(len(rows), len(LABELS), squeeze=False)
    sizes = sorted({r.size for r in records})
    for axes, ((case, kind), own) in zip(every, rows.items(), strict=True):
        for place, name in zip(axes, LABELS, strict=True):
            _draw_sweeps(place, own, name, sizes)
        axes[0].set_title(f"{kind} fits, large cell {_said(case)}", color=INK)
    _legend(every[0, -1], sizes)
    return figure


def _draw_sweeps(axes: "Axes", records: Sequence[Any], name: str, sizes: Sequence[int]) -> None:
    distances(axes, "xy")
    for size, own in grouped(records, lambda r: r.size).items():
        colour = CYCLE[sizes.index(size) % len(CYCLE)]
        for sweep, found in grouped(own, lambda r: r.sweep).items():
            points = np.array([(r.force_rmse, abs(getattr(r, name))) for r in found])
            axes.plot(*points.T, "o" if sweep == "basis" else "^", ms=3, color=colour, alpha=0.7, mec="none")
        if name in FLOORS:
            axes.axhline(abs(getattr(own[0], FLOORS[name])), color=colour, ls=":", lw=0.9)
    if name != "formation":
        _line(axes, records, name)
    axes.set(xlabel="force RMSE (eV/Å)", ylabel=LABELS[name])


def _line(axes: "Axes", records: Sequence[Any], name: str) -> None:
    """Draw a line of slope one through the middle of the points."""
    points = np.array([(r.force_rmse, getattr(r, name)) for r in records])
    points = points[np.all(np.isfinite(points) & (points > 0.0), axis=1)]
    if len(points):
        middle, ends = (
            np.exp(np.median(np.log(points), axis=0)),
            np.array([points[:, 0].min(), points[:, 0].max()]),
        )
        limits = axes.get_ylim()
        axes.plot(ends, middle[1] * ends / middle[0], color=GREY, lw=0.8, zorder=0)
        axes.set_ylim(limits)


def _legend(axes: "Axes", sizes: Sequence[int]) -> None:
    for k, size in enumerate(sizes):
        axes.plot([], [], "o", ms=4, color=CYCLE[k % len(CYCLE)], label=f"L = {size}")
    for mark, text in (("o", "bases"), ("^", "tolerances")):
        axes.plot([], [], mark, ms=4, color=INK, mfc="none", label=text)
    axes.plot([], [], ":", color=INK, label="the reference itself")
    axes.plot([], [], "-", color=GREY, label="slope 1")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.2)


@styled
def fig9_figure(records: Sequence[Any]) -> "Figure":
    """Draw errors over the size of the training cell: every fit, medians over seeds; dotted, the reference itself."""
    cases = grouped(records, lambda r: r.case)
    names = ("geometry", "formation", "force_rmse")
    figure = new_figure(9.6, 0.6 + 2.6 * len(cases))
    every = figure.subplots(len(cases), len(names), squeeze=False)
    kinds = list(dict.fromkeys((kind_of(r), r.n_functions) for own in panels(records).values() for r in own))
    sizes = sorted({r.size for r in records})
    for axes, (case, own) in zip(every, cases.items(), strict=True):
        for place, name in zip(axes, names, strict=True):
            _draw_sizes(place, own, name, kinds)
            place.set_xticks(sizes, [str(size) for size in sizes])
        axes[0].set_title(f"large cell {_said(case)}", color=INK)
    for k, (kind, n_functions) in enumerate(kinds):
        every[0, -1].plot([], [], ".-", color=CYCLE[k % len(CYCLE)], label=f"{kind}, {n_functions} functions")
    every[0, -1].plot([], [], ":", color=INK, label="the reference itself")
    every[0, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.2)
    return figure


def _draw_sizes(axes: "Axes", records: Sequence[Any], name: str, kinds: Sequence[tuple[str, int]]) -> None:
    distances(axes, "xy")
    for own in panels(records).values():
        for n_functions, found in grouped(own, lambda r: r.n_functions).items():
            colour = CYCLE[kinds.index((kind_of(found[0]), n_functions)) % len(CYCLE)]
            axes.plot([r.size for r in found], [abs(getattr(r, name)) for r in found], ".", ms=3, color=colour,
                      alpha=0.5)  # fmt: skip
            by_size = sorted(grouped(found, lambda r: r.size).items())
            axes.plot([size for size, _ in by_size], [median_of(f, name) for _, f in by_size], color=colour)
    if name in FLOORS:
        by_size = sorted(grouped(records, lambda r: r.size).items())
        floors = [abs(getattr(f[0], FLOORS[name])) for _, f in by_size]
        axes.plot([size for size, _ in by_size], floors, ":", color=INK, lw=0.9)
    axes.minorticks_off()
    label = LABELS.get(name, "force RMSE (eV/Å)")
    axes.set(xlabel="size of the training cell L", ylabel=label)


def _said(case: str) -> str:
    size, _, rest = case.partition(" ")
    return f"{size}³ {rest}".strip()
