"""The picture of Table 1: errors over the size of the training cell. Enter at `table1_figure`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlipgen.report.style import CYCLE, GREY, INK, distances, logarithmic, new_figure, styled
from ase_mlipgen.studies.table1 import summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def table1_figure(records: Sequence[Any]) -> "Figure":
    """Draw errors over the size of the training cell: every fit, medians over seeds, and the rates of Table 1."""
    figure, summary = new_figure(8.6, 3.8), summarise(records)
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
