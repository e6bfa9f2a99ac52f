"""Pictures of the studies of matching and of rates. Enter at `matching_figure` and `rates_figure`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlipgen.report.style import CYCLE, GREY, INK, distances, logarithmic, new_figure, styled
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


@styled
def rates_figure(records: Sequence[Any], summary: Sequence[dict[str, Any]]) -> "Figure":
    """Draw errors over the size of the training cell: every fit, medians over seeds, and the rates of Table 1."""
    figure = new_figure(8.6, 3.8)
    left, right = figure.subplots(1, 2)
    _draw_rates(left, records, summary, "geometry", "geometry error (Å)")
    _draw_rates(right, records, summary, "relaxation", "relaxation-energy error (eV)")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _draw_rates(
    axes: "Axes", records: Sequence[Any], summary: Sequence[dict[str, Any]], name: str, label: str
) -> None:
    kinds = list(dict.fromkeys(tuple(s["matched"]) for s in summary))
    bases = sorted({(s["n_functions"], -s["rtol"]) for s in summary})
    for s in summary:
        colour = CYCLE[kinds.index(tuple(s["matched"])) % len(CYCLE)]
        dash = (":", "--", "-", "-.")[bases.index((s["n_functions"], -s["rtol"])) % 4]
        own = [
            r
            for r in records
            if (r.matched, r.rtol, r.n_functions) == (s["matched"], s["rtol"], s["n_functions"])
        ]
        axes.plot(
            [r.size for r in own], [abs(getattr(r, name)) for r in own], ".", ms=3, color=colour, alpha=0.5
        )
        text = f"{_said(s['matched'])}; {s['n_functions']} functions, rtol {s['rtol']:.0e}"
        axes.plot(s["sizes"], s[name], dash, color=colour, label=text if name == "geometry" else None)
    distances(axes)
    logarithmic(axes, "y")
    sizes = np.array(sorted({r.size for r in records}), dtype=float)
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.minorticks_off()
    for rate in sorted({s["rates"][name] for s in summary if s["rates"][name] is not None}):
        top = max(s[name][0] for s in summary if s["rates"][name] == rate)
        line = 2.0 * top * (sizes / sizes[0]) ** rate
        axes.plot(sizes, line, color=GREY, lw=0.8, zorder=0)
        axes.annotate(
            f"L^({rate:g})", (sizes[-1], line[-1]), xytext=(2, 0), textcoords="offset points", color=GREY,
            fontsize=7, va="center", annotation_clip=False,
        )  # fmt: skip
    axes.set(xlabel="size of the training cell L (r0)", ylabel=label)
    axes.set_title("medians over seeds; grey: Table 1", color=INK)


def _said(matched: Sequence[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in matched) + " matched" if matched else "plain"
