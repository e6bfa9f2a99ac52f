"""The error budget as a figure: one bar an error, in parts. Enter at `budget_figure`."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ase_mlipgen.report.style import CYCLE, GREY, new_figure, styled
from ase_mlipgen.theory.budget import ErrorBudget

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TERMS = ("force fit", "force constants", "cell size", "formation", "geometry squared")
COLOURS = dict(zip(TERMS, CYCLE, strict=False))
SMALL = 0.07
"""Shares of a bar below this are not labelled."""


@styled
def budget_figure(budget: ErrorBudget) -> "Figure":
    """Draw the predicted geometry and energy errors, each split by its terms in proportion to their squares."""
    from matplotlib.patches import Patch

    figure = new_figure(7.0, 2.9)
    axes = figure.subplots(2, 1)
    draw_terms(axes[0], budget.geometry_terms, budget.geometry, budget.geometry_interval, "Å", "geometry")
    draw_terms(axes[1], budget.energy_terms, budget.energy, budget.energy_interval, "eV", "energy")
    present = [n for n in TERMS if n in budget.geometry_terms or n in budget.energy_terms]
    handles = [Patch(color=COLOURS[name], label=name) for name in present]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(present), fontsize=8)
    return figure


def draw_terms(
    axes: "Axes",
    terms: Mapping[str, float],
    total: float,
    interval: tuple[float, float],
    unit: str,
    kind: str,
) -> None:
    """Draw one bar: shares of the squared error, the total and its interval in the title."""
    axes.set_yticks([])
    axes.set(xlim=(0.0, 1.0), ylim=(-0.5, 0.5))
    high = "∞" if math.isinf(interval[1]) else f"{interval[1]:.1e}"
    known = math.isfinite(total)
    value = (
        f"{total:.1e} {unit}, {interval[0]:.1e} to {high} {unit}" if known else "not determined by the data"
    )
    axes.set_title(f"{kind} error: {value}")
    axes.set_xlabel("share of the squared error" if kind == "energy" else "")
    axes.spines["left"].set_visible(False)
    if not known or total == 0.0:
        axes.text(0.5, 0.0, "no share" if known else "unbounded", ha="center", va="center", color=GREY)
        return
    left = 0.0
    for name in TERMS:
        share = (terms.get(name, 0.0) / total) ** 2
        axes.barh(0.0, share, left=left, height=0.8, color=COLOURS[name], edgecolor="white", linewidth=0.8)
        if share > SMALL:
            text = f"{terms[name]:.1e}"
            axes.text(left + 0.5 * share, 0.0, text, ha="center", va="center", fontsize=8, color="white")
        left += share
