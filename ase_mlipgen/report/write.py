"""Write a run's report into a directory: metrics.json, figures as PNG, report.html, citations.

Enter at `write_report`.
"""

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_mlipgen.defects import is_planar
from ase_mlipgen.report import figures
from ase_mlipgen.report.budget import budget_figure
from ase_mlipgen.report.citations import Citation, bibtex
from ase_mlipgen.report.data import Judged, Predictions, judge, predict
from ase_mlipgen.report.html import render
from ase_mlipgen.report.metrics import metrics, write_metrics
from ase_mlipgen.result import TrainingResult
from ase_mlipgen.studies.provenance import versions
from ase_mlipgen.theory.budget import ErrorBudget
from ase_mlipgen.theory.comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_report(
    directory: str | Path,
    result: TrainingResult,
    comparison: Comparison | None = None,
    *,
    title: str = "Training report",
    citations: Sequence[Citation] = (),
    configuration: str = "",
    extra: Mapping[str, Any] | None = None,
    budget: ErrorBudget | None = None,
) -> Path:
    """Write everything and return the path of report.html.

    Parameters
    ----------
    directory : made if absent
    result, comparison : what is reported
    title : of the page
    citations : written as citations.bib as well
    configuration : text to show under "Settings"
    extra : more entries for metrics.json
    budget : predicted errors, shown with their advice
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    numbers = metrics(result, comparison, budget)
    write_metrics(folder / "metrics.json", {**numbers, **(extra or {})})
    pictures = []
    pages = [*all_figures(result, comparison), *([] if budget is None else [_budgeted(budget)])]
    for name, caption, figure in pages:
        png = as_png(figure)
        (folder / f"{name}.png").write_bytes(png)
        pictures.append((name, caption, png))
    if citations:
        (folder / "citations.bib").write_text(bibtex(citations), encoding="utf-8")
    page = folder / "report.html"
    page.write_text(
        render(title, numbers, pictures, citations, configuration, _made(result)), encoding="utf-8"
    )
    return page


def _made(result: TrainingResult) -> str:
    seed = result.settings.get("seed")
    with_what = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"Made with {with_what}" + ("." if seed is None else f"; seed {seed}.")


def _budgeted(budget: ErrorBudget) -> tuple[str, str, "Figure"]:
    caption = (
        f"Predicted errors on a cell of size {budget.size} with {budget.n_defects} defects, by their sources"
    )
    return "budget", caption, budget_figure(budget)


def all_figures(result: TrainingResult, comparison: Comparison | None) -> Iterator[tuple[str, str, "Figure"]]:
    """Give every figure that the result has data for, as name, caption, figure."""
    predictions = predict(result.calculator, result.test, result.cells)
    dimension = 2 if result.cells and is_planar(result.cells[0].perfect) else 3
    shown = comparison if comparison is not None and comparison.failure is None else None
    if predictions and result.cells:
        picture = figures.summary_figure(result.cells[0], predictions, shown, dimension)
        yield (
            "summary",
            "The training cell, the forces of the test set" + (", the large cell" if shown else ""),
            picture,
        )
    if result.cells:
        yield "cells", "Sites (rings), relaxed atoms (discs) and displacements (arrows) of the training cells", (
            figures.cells_figure(result.cells)
        )  # fmt: skip
    if predictions:
        yield (
            "parity",
            "Model against reference on the test set, and the errors",
            figures.parity_figure(predictions),
        )
        yield from _by_distance(predictions)
    if shown is not None:
        caption = f"Decay of the relaxation and of its error; the theory's slope is -{dimension}"
        yield "decay", caption, figures.decay_figure(shown, dimension)
    yield "energies", "Energy errors of whole cells", figures.energies_figure(_energies(result, shown))
    model = result.calculator
    judged = _judged(result, shown)
    if judged:
        caption = "Predicted standard deviations of forces against true errors"
        yield "calibration", caption, figures.calibration_figure(judged)
    sizes = figures.coefficients_figure(model.coefficients, model.basis.function_orders)
    yield "coefficients", "Coefficients by correlation order", sizes


def _judged(result: TrainingResult, comparison: Comparison | None) -> dict[str, Judged]:
    """Compare predicted and true force errors: on test cells, and on the large cell where the reference is at rest.

    There the model's forces are its errors, up to the tolerance of the relaxation.
    """
    model = result.calculator
    tests = [(cell.atoms, cell.forces) for cell in result.test if cell.config_type == "defect"]
    found = {"test set": judge(model, tests)}
    if comparison is not None:
        rest = comparison.reference
        at_rest = [(rest.atoms, np.zeros((len(rest.atoms), 3)))]
        found["large cell, reference at rest"] = judge(model, at_rest, rest.fmax)
    return {name: judged for name, judged in found.items() if judged is not None}


def _by_distance(predictions: Sequence[Predictions]) -> Iterator[tuple[str, str, "Figure"]]:
    if any((p.distance == p.distance).any() for p in predictions):
        yield (
            "distance",
            "Force error against the distance from the core",
            figures.distance_figure(predictions),
        )


def _energies(result: TrainingResult, comparison: Comparison | None) -> dict[str, float]:
    entries = {"test set, largest": result.errors.eps_E, "test set, RMSE": result.errors.eps_E_rmse}
    if comparison is not None:
        entries["large cell, relaxation"] = comparison.relaxation_energy_error
        if comparison.formation_energy_error is not None:
            entries["large cell, formation"] = comparison.formation_energy_error
        entries["large cell, excess"] = comparison.energy_excess
    return entries


def as_png(figure: "Figure") -> bytes:
    """Return a figure as PNG, 200 dots an inch."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    stream = BytesIO()
    FigureCanvasAgg(figure).print_figure(stream, format="png", dpi=200, bbox_inches="tight", pad_inches=0.08)
    return stream.getvalue()
