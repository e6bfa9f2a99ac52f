"""The figures of a report, one function each; every one returns a matplotlib Figure of its own.

`draw_*` put one panel on given axes and are shared with the summary picture.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ase_mlipgen.report.cell import draw_cell
from ase_mlipgen.report.data import Judged, Predictions, binned
from ase_mlipgen.report.numbers import readable
from ase_mlipgen.report.style import (
    CYCLE,
    DIFFERENCE,
    GREY,
    INK,
    MODEL,
    REFERENCE,
    distances,
    logarithmic,
    new_figure,
    styled,
)
from ase_mlipgen.result import TrainingCell
from ase_mlipgen.theory.comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]


@styled
def cells_figure(cells: Sequence[TrainingCell]) -> "Figure":
    """Training cells before and after relaxation; at most three side by side."""
    shown = list(cells)[:3]
    figure = new_figure(4.2 * len(shown), 4.4)
    for axes, cell in zip(np.atleast_1d(figure.subplots(1, len(shown))), shown, strict=True):
        draw_cell(axes, cell)
    return figure


@styled
def parity_figure(predictions: Sequence[Predictions]) -> "Figure":
    """Energies and forces of the test set: model against reference, and the errors below."""
    figure = new_figure(7.6, 5.2)
    axes = figure.subplots(2, 2, height_ratios=[2.2, 1.0], sharex="col")
    draw_energy_parity(axes[0, 0], axes[1, 0], predictions)
    draw_force_parity(axes[0, 1], axes[1, 1], predictions)
    if len(predictions) > 1:
        axes[0, 0].legend(loc="upper left", markerscale=1.6)
    return figure


def draw_energy_parity(axes: "Axes", below: "Axes", predictions: Sequence[Predictions]) -> None:
    """Energies per atom relative to the lowest of each defect, meV/atom."""
    for colour, found in zip(CYCLE, predictions, strict=False):
        lowest = found.energy_reference.min()
        x, y = 1e3 * (found.energy_reference - lowest), 1e3 * (found.energy_model - lowest)
        axes.plot(x, y, "o", ms=3.2, color=colour, mec="white", mew=0.3, label=found.defect)
        below.plot(x, y - x, "o", ms=2.6, color=colour, mec="none", alpha=0.8)
    errors = np.concatenate([p.energy_model - p.energy_reference for p in predictions])
    axes.set_title(f"energy, RMSE {readable(_rms(errors), 'eV/atom')}")
    axes.set_ylabel("model (meV/atom)")
    _finish_parity(axes, below, "reference, above the lowest (meV/atom)", "error (meV/atom)")


def draw_force_parity(axes: "Axes", below: "Axes | None", predictions: Sequence[Predictions]) -> None:
    """Force components, eV/Å."""
    squares = []
    for colour, found in zip(CYCLE, predictions, strict=False):
        x, y = found.components
        squares.append((found.forces_model - found.forces_reference).ravel())
        axes.plot(x, y, ".", ms=2.4, color=colour, mec="none", alpha=0.5, label=found.defect, rasterized=True)
        if below is not None:
            below.plot(x, y - x, ".", ms=1.8, color=colour, mec="none", alpha=0.4, rasterized=True)
    axes.set_title(f"forces, RMSE {readable(_rms(np.concatenate(squares)), 'eV/Å')}")
    axes.set_ylabel("model (eV/Å)")
    _finish_parity(axes, below, "reference (eV/Å)", "error (eV/Å)")


def _finish_parity(axes: "Axes", below: "Axes | None", label: str, error: str) -> None:
    limits = axes.get_xlim()
    axes.plot(limits, limits, "-", color=GREY, lw=0.8, zorder=0)
    axes.set(xlim=limits, ylim=limits)
    if below is None:
        axes.set_xlabel(label)
        return
    below.axhline(0.0, color=GREY, lw=0.8, zorder=0)
    below.set(xlabel=label, ylabel=error)


@styled
def distance_figure(predictions: Sequence[Predictions]) -> "Figure":
    """Force errors of the test set against the distance from the core."""
    figure = new_figure(5.2, 3.4)
    axes = figure.subplots()
    for colour, found in zip(CYCLE, predictions, strict=False):
        x, y = found.distance, found.force_errors
        axes.plot(x, y, ".", ms=2.2, color=colour, mec="none", alpha=0.25, rasterized=True)
        centre, mean = binned(x, y, 10)
        axes.plot(centre, mean, "o-", ms=4, color=colour, label=f"{found.defect}, root mean square")
    logarithmic(axes, "y")
    axes.set(xlabel="distance of the site from the core (Å)", ylabel="force error of an atom (eV/Å)")
    axes.set_title("force error by distance from the core, test set")
    axes.legend(loc="best")
    return figure


@styled
def decay_figure(comparison: Comparison, dimension: int) -> "Figure":
    """|Du| of both relaxations of the large cell, and of their difference, against distance."""
    figure = new_figure(5.2, 3.8)
    draw_decay(figure.subplots(), comparison, dimension)
    return figure


def draw_decay(axes: "Axes", comparison: Comparison, dimension: int) -> None:
    """Draw the decay, with the theory's slope -d as a guide."""
    r = comparison.core_distance_i
    curves = (
        ("reference", comparison.strain_reference_i, REFERENCE, "-", 2.6),
        ("model", comparison.strain_surrogate_i, MODEL, "--", 1.4),
        ("difference", comparison.strain_difference_i, DIFFERENCE, "-", 1.4),
    )
    distances(axes)
    logarithmic(axes, "y")
    axes.set(xlabel="distance from the nearest core (Å)", ylabel="|Du| of a site (Å)")
    axes.set_title(f"large cell, ‖D(u − ũ)‖ = {readable(comparison.geometry_error, 'Å')}")
    if r is None:
        axes.text(
            0.5, 0.5, "the cell does not say where its cores are", transform=axes.transAxes, ha="center"
        )
        return
    for name, strain, colour, line, width in curves:
        seen = (r > 0) & (strain > 0)
        axes.plot(r[seen], strain[seen], ".", ms=1.6, color=colour, mec="none", alpha=0.18, rasterized=True)
        axes.plot(*binned(r, strain, 18, logarithmic=True), line, color=colour, lw=width, label=name)
    _guide(axes, r, comparison.strain_reference_i, dimension)
    axes.legend(loc="lower left")


def _guide(axes: "Axes", r: Floats, strain: Floats, dimension: int) -> None:
    """Draw r^-d above the reference's curve, over its middle decade."""
    centre, mean = binned(r, strain, 18, logarithmic=True)
    if len(centre) < 3:
        return
    x = np.geomspace(centre[0] * 1.3, np.sqrt(centre[0] * centre[-1]) * 1.5, 20)
    y = 2.5 * np.interp(x[0], centre, mean) * (x / x[0]) ** -dimension
    axes.plot(x, y, ":", color=INK, lw=1.1)
    axes.annotate(
        f"$r^{{-{dimension}}}$", (x[10], y[10]), xytext=(5, 3), textcoords="offset points", color=INK
    )


@styled
def energies_figure(entries: Mapping[str, float]) -> "Figure":
    """Energy errors of cells, eV, as bars on one logarithmic scale; `entries` maps labels to values."""
    shown = {name: abs(value) for name, value in entries.items() if value and np.isfinite(value)}
    figure = new_figure(6.4, 0.7 + 0.42 * max(len(shown), 1))
    axes = figure.subplots()
    if not shown:
        axes.set_axis_off()
        axes.text(0.0, 0.5, "no energy errors to show")
        return figure
    values = np.array(list(shown.values()))
    low = 10.0 ** np.floor(np.log10(values.min()) - 0.5)
    bars = axes.barh(list(shown), values - low, left=low, height=0.62, color=REFERENCE)
    axes.bar_label(bars, [readable(value, "eV") for value in values], padding=4, fontsize=8)
    logarithmic(axes, "x")
    axes.set(xlim=(low, values.max() * 20), xlabel="energy error of a cell (eV)")
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    return figure


@styled
def coefficients_figure(coefficients: Floats, orders: npt.NDArray[np.int64]) -> "Figure":
    """Magnitudes of the coefficients by correlation order, each sorted, largest first."""
    figure = new_figure(5.2, 3.2)
    axes = figure.subplots()
    for colour, order in zip(CYCLE, np.unique(orders), strict=False):
        sizes = np.sort(np.abs(coefficients[orders == order]))[::-1]
        sizes = sizes[sizes > 0]
        rank = np.arange(1, len(sizes) + 1)
        axes.plot(
            rank,
            sizes,
            "o-",
            ms=2.4,
            lw=0.9,
            color=colour,
            label=f"order {order}, {(orders == order).sum()} functions",
        )
    logarithmic(axes, "xy")
    axes.set(xlabel="rank among the functions of its order", ylabel="|coefficient| (eV)")
    axes.set_title("size of the coefficients by correlation order")
    axes.legend(loc="best")
    return figure


@styled
def calibration_figure(judged: Mapping[str, Judged]) -> "Figure":
    """Force errors against predicted standard deviations, and against grades, by name of the set of atoms."""
    figure = new_figure(8.2, 3.6)
    left, right = figure.subplots(1, 2)
    for colour, (name, found) in zip(CYCLE, judged.items(), strict=False):
        seen = (found.predicted > 0) & (found.actual > 0)
        x, y, grade = found.predicted[seen], found.actual[seen], found.grade[seen]
        for axes, along in ((left, x), (right, grade)):
            axes.plot(along, y, ".", ms=2.0, color=colour, mec="none", alpha=0.25, rasterized=True)
        label = f"{name}: {found.coverage:.0%} below twice"
        left.plot(*binned(x, y, 10, logarithmic=True), "o-", ms=4, color=colour, label=label)
        right.plot(*binned(grade, y, 10), "o-", ms=4, color=colour, label=name)
        if found.floor:
            left.axhline(found.floor, color=colour, lw=0.8, ls=":", zorder=0)
    limits = left.get_xlim()
    left.plot(limits, limits, "-", color=GREY, lw=0.8, zorder=0)
    logarithmic(left, "xy")
    logarithmic(right, "y")
    left.set(xlabel="predicted standard deviation (eV/Å)", ylabel="force error of an atom (eV/Å)")
    right.set(xlabel="extrapolation grade of the atom", ylabel="force error of an atom (eV/Å)")
    right.axvline(1.0, color=GREY, lw=0.8, zorder=0)
    left.set_title("true against predicted errors")
    right.set_title("beyond 1: outside the training sites")
    left.legend(loc="best")
    return figure


@styled
def summary_figure(
    cell: TrainingCell, predictions: Sequence[Predictions], comparison: Comparison | None, dimension: int
) -> "Figure":
    """One picture of a run: the training cell, the forces of the test set, the decay in the large cell."""
    n_panels = 2 if comparison is None else 3
    figure = new_figure(3.5 * n_panels, 3.6)
    axes = figure.subplots(1, n_panels)
    draw_cell(axes[0], cell, f"training cell: {cell.defect}, {len(cell.unrelaxed)} atoms")
    draw_force_parity(axes[1], None, predictions)
    axes[1].set_title("test set\n" + axes[1].get_title(loc="left"))
    axes[1].set_box_aspect(1)
    _inset_errors(axes[1], predictions)
    if comparison is not None:
        draw_decay(axes[2], comparison, dimension)
        axes[2].set_title(
            f"large cell: {len(comparison.reference.atoms)} atoms\n"
            + axes[2].get_title(loc="left").split(", ", 1)[1]
        )
        axes[2].set_box_aspect(1)
    return figure


def _inset_errors(axes: "Axes", predictions: Sequence[Predictions]) -> None:
    """Put a histogram of the errors of force components into the free corner of a parity plot."""
    errors = np.concatenate([model - reference for reference, model in (p.components for p in predictions)])
    exponent = np.floor(np.log10(np.abs(errors).max(initial=1e-300)))
    inset = axes.inset_axes((0.60, 0.10, 0.37, 0.26))
    inset.hist(errors / 10.0**exponent, bins=41, color=CYCLE[0], histtype="stepfilled")
    inset.set_title(f"error ($10^{{{exponent:.0f}}}$ eV/Å)", fontsize=7, loc="center", pad=2)
    inset.set_yticks([])
    inset.tick_params(labelsize=7, pad=1.5, length=2)
    inset.spines["left"].set_visible(False)


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))
