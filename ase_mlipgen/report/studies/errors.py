"""Pictures of studies of errors: a row a sweep and kind of fit, a column an error. Enter at `errors_figure`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlipgen.report.style import CYCLE, GREY, INK, distances, logarithmic, new_figure, styled
from ase_mlipgen.studies.error_tables import (
    ERRORS,
    LEAST_SIZE,
    fit_but_seed,
    grouped,
    median_of,
    panels,
    series,
    slope_of,
)
from ase_mlipgen.studies.errors import SIZE, TOLERANCE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {
    "geometry": "geometry error (Å)",
    "relaxation": "relaxation energy (eV)",
    "formation": "formation energy (eV)",
    "excess": "energy excess (eV)",
}
GUIDES = {"geometry": (1.0,), "relaxation": (1.0, 2.0), "formation": (1.0, 2.0), "excess": (2.0,)}
"""Slopes over force errors that the theory speaks of."""
SIZE_GUIDES = {"geometry": (-0.5, -1.5), "relaxation": (-1.0,), "formation": (-1.0,), "excess": (-1.0, -3.0)}
"""Slopes over sizes by Table 1, in units of the dimension; of the excess, those of the geometry squared."""
LEFT_OUT = 0.02
"""Share of the errors that may lie below the axes."""
LOWEST = 1e-12
"""Of axes: smaller errors are round-off."""


@styled
def errors_figure(records: Sequence[Any], dimension: int = 2) -> "Figure":
    """Draw errors over force errors or sizes: every fit, medians over seeds, slopes measured and of the theory (grey).

    Parameters
    ----------
    records : of a study of errors
    dimension : of the crystal, for the rates of Table 1
    """
    rows = panels(records)
    figure = new_figure(11.0, 0.5 + 2.15 * len(rows))
    every = figure.subplots(len(rows), len(ERRORS), squeeze=False)
    for axes, ((sweep, case, kind), own) in zip(every, rows.items(), strict=True):
        for place, name in zip(axes, ERRORS, strict=True):
            _draw(place, own, name, dimension)
        fits = {"plain": "plain fits", "exact": "matched fits"}.get(kind, kind)
        axes[0].set_title(f"{case}: sweep over {_plural(sweep)}, {fits}", color=INK)
        axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.2)
    _align(every, [sweep == SIZE for sweep, _, _ in rows])
    return figure


def _plural(sweep: str) -> str:
    return {"basis": "bases", TOLERANCE: "tolerances"}.get(sweep, "sizes")


def _draw(axes: "Axes", records: Sequence[Any], name: str, dimension: int) -> None:
    over_sizes = records[0].sweep == SIZE
    logarithmic(axes, "y")
    distances(axes) if over_sizes else logarithmic(axes, "x")
    over = "size" if over_sizes else "force_rmse"
    for k, (value, own) in enumerate(series(records).items()):
        colour = CYCLE[k % len(CYCLE)]
        points = np.array([(getattr(r, over), abs(getattr(r, name))) for r in own])
        points[points[:, 1] < LOWEST, 1] = np.nan
        axes.plot(*points.T, ".", ms=4, color=colour, alpha=0.4, mec="none")
        lines = grouped(own, lambda r: r.n_defects)
        for line in lines.values():
            axes.plot(*_medians(line, over, name), color=colour, lw=1.1)
        label = f"{value} functions" if over_sizes else f"L = {value}"
        axes.plot([], [], ".-", color=colour, label=label)
        if (found := slope_of(own, name, over)) is not None:
            x, side = (0.98, "right") if over_sizes else (0.02, "left")
            axes.text(x, 0.98 - 0.085 * k, str(found), color=colour, fontsize=6.5, va="top", ha=side,
                      transform=axes.transAxes)  # fmt: skip
    _guides(axes, records, name, over, dimension)
    _cut(axes, [abs(getattr(r, name)) for r in records])
    if over_sizes:
        sizes = sorted({r.size for r in records})
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
    axes.set(xlabel="L (r0)" if over_sizes else "force RMSE (eV/Å)", ylabel=LABELS[name])


def _cut(axes: "Axes", values: Sequence[float]) -> None:
    """Leave out what lies far below the others: an error that changes its sign is small by chance."""
    seen = [value for value in values if value > LOWEST]
    if seen:
        axes.set_ylim(bottom=max(axes.get_ylim()[0], 0.3 * float(np.quantile(seen, LEFT_OUT))))


def _medians(records: Sequence[Any], over: str, name: str) -> tuple[list[float], list[float]]:
    """Return medians over seeds of both axes, one point a setting."""
    settings = grouped(records, fit_but_seed).values()
    points = sorted(
        (float(np.median([getattr(r, over) for r in own])), median_of(own, name)) for own in settings
    )
    return [x for x, _ in points], [y if y > LOWEST else np.nan for _, y in points]


def _guides(axes: "Axes", records: Sequence[Any], name: str, over: str, dimension: int) -> None:
    """Draw the theory's slopes through the middle of the points, or above them over sizes."""
    points = np.array([(getattr(r, over), abs(getattr(r, name))) for r in records])
    points = points[np.all(np.isfinite(points) & (points > LOWEST), axis=1)]
    if not len(points):
        return
    ends = np.array([points[:, 0].min(), points[:, 0].max()])
    rates = GUIDES[name]
    middle = np.exp(np.median(np.log(points), axis=0))
    if over == "size":
        ends[0] = max(ends[0], LEAST_SIZE)
        rates = tuple(dimension * rate for rate in SIZE_GUIDES[name])
        middle = np.array([ends[0], 1.5 * points[points[:, 0] >= ends[0], 1].max(initial=LOWEST)])
    limits = axes.get_ylim()
    for rate in rates:
        axes.plot(ends, middle[1] * (ends / middle[0]) ** rate, color=GREY, lw=0.8, zorder=0)
        y = middle[1] * (ends[-1] / middle[0]) ** rate
        axes.annotate(f"{rate:g}", (ends[-1], y), xytext=(2, 0), textcoords="offset points", color=GREY,
                      fontsize=6, va="center", annotation_clip=True)  # fmt: skip
    axes.set_ylim(limits)


def _align(every: Any, over_sizes: Sequence[bool]) -> None:
    """Give all axes of an error, and of a kind of sweep, the same limits, with room for what is written above."""
    for wanted, room in ((False, 0.16), (True, 0.3)):
        rows = [axes for axes, found in zip(every, over_sizes, strict=True) if found == wanted]
        for column in zip(*rows, strict=True):
            left, right = _common([axes.get_xlim() for axes in column])
            bottom, top = _wide(*_common([axes.get_ylim() for axes in column]))
            for axes in column:
                axes.set(xlim=(left, right), ylim=(bottom, top * (top / bottom) ** room))


def _wide(low: float, high: float, ratio: float = 20.0) -> tuple[float, float]:
    """Widen limits to a ratio at least, so that there is a power of ten to be labelled."""
    more = max(1.0, (ratio * low / high) ** 0.5)
    return low / more, high * more


def _common(limits: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in limits), max(high for _, high in limits)
