"""The picture of the study of certificates: how predictions met the truth. Enter at `certificates_figure`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ase_mlipgen.report.style import CYCLE, GREY, INK, logarithmic, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = "os^vDP"


@styled
def certificates_figure(records: Sequence[Any]) -> "Figure":
    """Predicted against true errors of all certificates, own cells and larger ones, by size, or by case if several."""
    figure = new_figure(9.6, 6.2)
    axes = figure.subplots(2, 3)
    labels = {
        "geometry": "geometry error (Å)",
        "relaxation": "relaxation-energy error (eV)",
        "formation": "formation-energy error (eV)",
    }
    for row, own in zip(axes, (True, False), strict=True):
        for place, (name, label) in zip(row, labels.items(), strict=True):
            _draw_study(place, [r for r in records if r.own == own], name, label)
            where = "cells of the trained size" if own else "cells one size larger"
            place.set_title(where, color=INK)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center", markerscale=1.5)
    return figure


def _groups(records: Sequence[Any]) -> dict[str, list[Any]]:
    """Return records by what tells them apart in a picture; the largest group first, so that it hides no other."""
    several = len({r.case for r in records}) > 1
    groups: dict[str, list[Any]] = {}
    for record in sorted(records, key=lambda r: (r.case, r.size)):
        groups.setdefault(record.case if several else f"L = {record.size}", []).append(record)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1]) if several else 0))


def _draw_study(axes: "Axes", records: Sequence[Any], name: str, label: str) -> None:
    every: list[npt.NDArray[np.float64]] = []
    for k, (text, own) in enumerate(_groups(records).items()):
        pairs = np.array([[getattr(r, f"true_{name}"), getattr(r, f"predicted_{name}")] for r in own])
        pairs = np.abs(pairs[np.all(np.isfinite(pairs), axis=1)])
        pairs = pairs[np.all(pairs > 0.0, axis=1)]
        every.append(pairs)
        axes.plot(
            *pairs.T, MARKS[k % len(MARKS)], ms=3.5, color=CYCLE[k % len(CYCLE)], mec="none", label=text
        )
    values = np.concatenate(every) if every else np.ones((1, 2))
    limits = np.array([values.min() / 2.0, values.max() * 2.0]) if len(values) else np.array([0.1, 10.0])
    for factor, style in ((1.0, "-"), (2.0, ":"), (0.5, ":")):
        axes.plot(limits, factor * limits, style, color=GREY, lw=0.8, zorder=0)
    logarithmic(axes, "xy")
    axes.set(xlim=limits, ylim=limits, xlabel=f"true {label}", ylabel=f"predicted {label}")
