"""The picture of Table 1: errors over the size of the training cell, and over eps_F. Enter at `table1_figure`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlipgen.report.style import CYCLE, GREY, INK, distances, logarithmic, new_figure, styled
from ase_mlipgen.studies.table1 import HESSIANS, RIGHT, SPRINGS, groups_of, rates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WITH = {RIGHT: "", SPRINGS: ", force constants 7 % off", HESSIANS: ", Hessian fitted"}


@styled
def table1_figure(records: Sequence[Any]) -> "Figure":
    """Draw every fit of the three limits, medians over seeds, and Table 1's rates."""
    sized = {key: own for key, own in groups_of(records).items() if key[1] < 3}
    swept = [r for r in records if r.limit == 3]
    n = 2 * bool(sized) + bool(swept)
    figure = new_figure(3.9 * n, 4.3 if sized else 3.4)
    panels = list(np.atleast_1d(figure.subplots(1, n)))
    if sized:
        for k in (0, 1):
            _draw_sizes(panels[k], sized, k)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    if swept:
        _draw_sweep(panels[-1], swept)
    return figure


def _draw_sizes(axes: "Axes", groups: dict[tuple[str, int, str], list[Any]], k: int) -> None:
    """Draw the k-th rate of limits 1 and 2 over L, and through the last median the line of Table 1."""
    alone = len({case for case, _, _ in groups}) == 1
    for number, ((case, limit, samples), own) in enumerate(groups.items()):
        rate, colour = rates(limit)[k], CYCLE[number % len(CYCLE)]
        good = [r for r in own if np.isfinite(r.geometry)]
        axes.plot([r.size for r in good], [rate.y(r) for r in good], ".", ms=3, color=colour, alpha=0.5)
        sizes = np.array(sorted({r.size for r in good}), dtype=float)
        medians = [float(np.median([rate.y(r) for r in good if r.size == size])) for size in sizes]
        what = f"limit {limit}{WITH[samples]}"
        label = f"{what if alone else f'{case}: {what}'}; theory L^({rate.theory:g})"
        axes.plot(sizes, medians, "-", color=colour, label=label)
        if medians:
            axes.plot(sizes, medians[-1] * (sizes / sizes[-1]) ** rate.theory, ":", color=colour, lw=0.9)
    distances(axes)
    logarithmic(axes, "y")
    every = sorted({r.size for own in groups.values() for r in own})
    axes.set_xticks(every, [f"{size:g}" for size in every])
    axes.minorticks_off()
    label = ("geometry error (Å)", "relaxation-energy error (eV)")[k]
    axes.set(xlabel="size of the training cell L (r0)", ylabel=label)
    axes.set_title(f"medians; dotted: Table 1{'' if k == 0 else ', L^(-2)'}", color=INK)


def _draw_sweep(axes: "Axes", records: Sequence[Any]) -> None:
    """Draw geometry error and energy excess over eps_F, with slopes one and two."""
    good = [r for r in records if np.isfinite(r.geometry)]
    for k, (name, label, rate) in enumerate(
        (("geometry", "geometry error (Å)", 1.0), ("excess", "energy excess (eV)", 2.0))
    ):
        points = np.array([(r.eps_F, abs(getattr(r, name))) for r in good]).reshape(-1, 2)
        axes.plot(*points.T, "os"[k], ms=4, color=CYCLE[k], mfc="none", mew=0.8, label=label)
        if len(points):
            x = np.array([points[:, 0].min(), points[:, 0].max()])
            scale = np.exp(np.median(np.log(points[:, 1]) - rate * np.log(points[:, 0])))
            axes.plot(x, scale * x**rate, color=GREY, lw=0.8, zorder=0)
    logarithmic(axes, "xy")
    axes.set(xlabel="largest eps_F of test samples, dual norm (eV/Å)", ylabel="error on the large cell")
    axes.set_title("limit 3, L = 12; grey: slopes 1 and 2", color=INK)
    axes.legend(loc="upper left")
