"""An interstitial and vacancies in the sheet of tungsten, trained together: figures 6 and 7.

Both defects are in one fit: samples around a cell with a vacancy and around one with an interstitial atom. Large cells
are sheets of 60 r0 with an interstitial and one vacancy (figure 6), or three (figure 7). The interstitial starts in the
middle of a triangle, pushes its neighbours by 0.85 Å and is a stable minimum from L = 5 on; in cells of 4 r0, where its
images are close, it is a saddle point. Enter at `FIG6` and `FIG7`.
"""

from dataclasses import replace
from typing import Any

from ase_mlipgen.defects import Vacancy, simulation_cell
from ase_mlipgen.studies.cases import CASES, HOLLOW, SHEET, Case
from ase_mlipgen.studies.error_tables import slopes_table
from ase_mlipgen.studies.errors import BASIS, EXACT, PLAIN, SIZE, TOLERANCE, Sweep, study_of
from ase_mlipgen.studies.study import DEFAULT, PAPER, Study
from ase_mlipgen.studies.vacancies import BASES, CLEAN, DECADES, LENGTHS, PAPER_TIGHT, SEEDS, SIZES, TIGHT

SAMPLES = {"n_train": 100, "n_test": 25, "n_perfect": 20, "amplitude": 0.05}
"""Of each of the two defects."""
ALIKE = {"energy": 100.0, "forces": 10.0}
APART = {
    "vacancy": {"energy": 100.0, "forces": 1.0},
    "interstitial": {"energy": 100.0, "forces": 10.0},
    "perfect": {"energy": 100.0, "forces": 1.0},
}
LARGER = ((3, 12), (3, 16))
"""Bases of the sweeps over sizes."""
LARGEST = (3, 18)
"""The basis of the sweeps over tolerances: smaller ones are at their limit at 1e-4 already."""


def _case(name: str, n_vacancies: int, weights: dict[str, Any]) -> Case:
    defects = [HOLLOW, *[Vacancy()] * n_vacancies]
    return replace(
        CASES["sheet"], name=name, defects=[Vacancy(), HOLLOW], options={**SAMPLES, "weights": weights},
        large=lambda size: [simulation_cell(SHEET, defects, 60, size)],
    )  # fmt: skip


def _study(name: str, title: str, case: Case) -> Study:
    sweeps = (
        Sweep(TOLERANCE, case.name, LENGTHS, SEEDS, (LARGEST,), DECADES, (PLAIN,), (DEFAULT,)),
        Sweep(TOLERANCE, case.name, LENGTHS, SEEDS, (LARGEST,), DECADES[::2], (EXACT,), (DEFAULT,)),
        Sweep(TOLERANCE, case.name, LENGTHS, SEEDS, (CLEAN,), DECADES, (PLAIN,), (PAPER,)),
        Sweep(BASIS, case.name, LENGTHS, SEEDS, BASES[1:5], (TIGHT,), (PLAIN, EXACT), (DEFAULT,)),
        Sweep(BASIS, case.name, LENGTHS, SEEDS, BASES[1:5], (PAPER_TIGHT,), (PLAIN,), (PAPER,)),
        Sweep(SIZE, case.name, (*SIZES[1:], 10), SEEDS, LARGER, (TIGHT,), (PLAIN, EXACT), (DEFAULT,)),
        Sweep(SIZE, case.name, SIZES[1:], SEEDS, LARGER, (PAPER_TIGHT,), (PLAIN,), (PAPER,)),
    )
    return study_of(name, title, {case.name: case}, sweeps, slopes_table, 4, "20 minutes")


FIG6 = _study(
    "fig6", "an interstitial and a vacancy: errors over force errors and sizes",
    _case("interstitial + vacancy", 1, ALIKE),
)  # fmt: skip
"""One interstitial and one vacancy."""

FIG7 = _study(
    "fig7", "an interstitial and three vacancies: errors over force errors and sizes",
    _case("interstitial + 3 vacancies", 3, APART),
)  # fmt: skip
"""One interstitial and three vacancies."""
