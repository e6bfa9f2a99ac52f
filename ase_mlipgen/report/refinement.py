"""Pictures of a model on its way to a target, and of what predicts a large cell's error.

Enter at `refinement_figure` for the rounds of one refinement, `predictor_figure` for many models.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ase_mlipgen.report.style import BLUE, CYCLE, GREEN, GREY, ORANGE, logarithmic, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ase_mlipgen.refinement import Round
    from ase_mlipgen.theory.comparison import Comparison

Floats = npt.NDArray[np.float64]
ENERGIES = ("relaxation", "formation")
COLOURS = {"geometry": BLUE, "relaxation": GREEN, "formation": ORANGE}


@styled
def refinement_figure(
    rounds: "Sequence[Round]", target: float, truths: "Sequence[Comparison] | None" = None
) -> "Figure":
    """Show the certified errors round by round, with the true ones as rings where they are known.

    Parameters
    ----------
    rounds : of `ase_mlipgen.refinement.refinement`
    target : Å, of the geometry error
    truths : of `ase_mlipgen.theory.compare`, one a round
    """
    figure = new_figure(8.4, 3.4)
    left, right = figure.subplots(1, 2)
    _draw_rounds(left, rounds, truths, ["geometry"])
    left.axhline(target, color=GREY, lw=0.8, ls="--")
    left.annotate(
        "target", (1.0, target), xycoords=("axes fraction", "data"), ha="right", va="bottom", color=GREY
    )
    left.set(ylabel="geometry error (Å)")
    _draw_rounds(right, rounds, truths, ENERGIES)
    right.set(ylabel="energy error, magnitude (eV)")
    return figure


def _draw_rounds(
    axes: "Axes", rounds: "Sequence[Round]", truths: "Sequence[Comparison] | None", names: Sequence[str]
) -> None:
    shown = [round for round in rounds if round.certificate.has_numbers]
    numbers = [round.number for round in shown]
    for name in names:
        field = f"{name}_error" if name == "geometry" else f"{name}_energy_error"
        certified = [abs(getattr(round.certificate, field)) for round in shown]
        text = "" if name == "geometry" else f"{name} energy, "
        axes.plot(numbers, certified, "-o", color=COLOURS[name], ms=4, label=f"{text}certified")
        if truths is not None:
            true = [abs(getattr(truths[number], field)) for number in numbers]
            axes.plot(numbers, true, "o", color=COLOURS[name], mfc="none", ms=9, label=f"{text}true")
    logarithmic(axes, "y")
    sizes = [f"{r.number}\n{len(r.result.calculator.basis)}" for r in shown]
    axes.set_xticks(numbers, sizes)
    axes.margins(x=0.15, y=0.12)
    axes.set(xlabel="round, functions of the basis")
    axes.legend(loc="best")


@styled
def predictor_figure(
    predictions: Mapping[str, npt.ArrayLike], true: npt.ArrayLike, groups: Sequence[Any], label: str
) -> "Figure":
    """Plot predictors of an error against the error itself, with the factor within which each has 90 % of it.

    Parameters
    ----------
    predictions : axis label -> (n,) array; where the label's unit is not that of `label`, or a constant is wanted,
        the grey line is the median ratio instead of equality
    true : (n,) array, of the error
    groups : n things to colour by
    label : axis label of the error, ending in its unit
    """
    figure = new_figure(4.2 * len(predictions), 3.6)
    places = np.atleast_1d(figure.subplots(1, len(predictions), sharey=True))
    errors = np.asarray(true, dtype=float)
    for axes, (name, values) in zip(places, predictions.items(), strict=True):
        exact = name.split("(")[-1] == label.split("(")[-1]
        _draw_predictor(axes, np.asarray(values, dtype=float), errors, groups, exact)
        axes.set(xlabel=name)
    places[0].set(ylabel=label)
    places[0].legend(loc="best", markerscale=1.5)
    return figure


def _draw_predictor(axes: "Axes", values: Floats, true: Floats, groups: Sequence[Any], exact: bool) -> None:
    for k, group in enumerate(dict.fromkeys(groups)):
        own = np.array([g == group for g in groups])
        axes.plot(
            values[own], true[own], "o", ms=4, color=CYCLE[k % len(CYCLE)], mec="none", label=str(group)
        )
    constant = 1.0 if exact else float(np.exp(np.median(np.log(true / values))))
    ends = np.array([values.min() / 1.5, values.max() * 1.5])
    axes.plot(ends, constant * ends, "-", color=GREY, lw=0.8, zorder=0)
    logarithmic(axes, "xy")
    how = "without a constant" if exact else "times the best constant"
    axes.set_title(f"{how}: 90 % within a factor {factor_of_90(constant * values, true):.2g}")


def factor_of_90(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Return the factor within which 90 % of the predictions are of the truth."""
    ratios = np.abs(np.log(np.asarray(predicted, dtype=float) / np.asarray(true, dtype=float)))
    return float(np.exp(np.quantile(ratios, 0.9)))
