"""Pictures of studies, one file each. Enter at `figure_of`."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ase_mlipgen.report.studies.cells import cells_figure
from ase_mlipgen.report.studies.certificate import certificates_figure
from ase_mlipgen.report.studies.errors import errors_figure
from ase_mlipgen.report.studies.matching import matching_figure
from ase_mlipgen.report.studies.silicon import fig8_figure, fig9_figure
from ase_mlipgen.report.studies.table1 import table1_figure
from ase_mlipgen.report.studies.table2 import table2_figure
from ase_mlipgen.report.studies.theorem21 import theorem21_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES: dict[str, Callable[[Sequence[Any]], "Figure"]] = {
    "cells": cells_figure,
    "theorem21": theorem21_figure,
    "fig3": errors_figure,
    "fig4": errors_figure,
    "fig6": errors_figure,
    "fig7": errors_figure,
    "fig8": fig8_figure,
    "fig9": fig9_figure,
    "table1": table1_figure,
    "table2": table2_figure,
    "matching": matching_figure,
    "certificate": certificates_figure,
}


def figure_of(name: str, records: Sequence[Any]) -> "Figure":
    """Draw the records of the study of that name."""
    return FIGURES[name](records)
