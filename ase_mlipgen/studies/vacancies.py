"""Vacancies in the sheet of tungsten: errors over force errors (figure 3) and over training cells (figure 4).

One vacancy is trained; large cells are sheets of 60 r0 with two, three and four of them, as far apart as the training
cell is wide. Enter at `FIG3` and `FIG4`.
"""

from collections.abc import Sequence
from dataclasses import replace

from ase import Atoms

from ase_mlipgen.defects import Vacancy, simulation_cell
from ase_mlipgen.studies.cases import CASES, SHEET
from ase_mlipgen.studies.error_tables import sizes_table, slopes_table
from ase_mlipgen.studies.errors import BALANCED, BASIS, EXACT, PLAIN, SIZE, TOLERANCE, Sweep, study_of
from ase_mlipgen.studies.study import DEFAULT, PAPER

SAMPLES = {"n_train": 200, "n_test": 50, "n_perfect": 20, "amplitude": 0.05}
SEEDS = range(5)
BASES = ((2, 10), (3, 10), (3, 12), (3, 14), (3, 16), (3, 18))
"""51, 110, 211, 383, 668 and 1119 functions."""
CLEAN = (3, 14)
"""The basis of the sweeps over tolerances."""
DECADES = tuple(float(f"1e-{k}") for k in range(2, 9))
HALF_DECADES = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 3e-7, 1e-7, 3e-8, 1e-8)
TIGHT, PAPER_TIGHT = 1e-8, 1e-6
"""Tolerances of the sweeps over bases and sizes: small enough that the basis limits, and the paper's."""
SIZES = (4, 5, 6, 7, 8)
"""The paper's training cells."""


def with_vacancies(size: int, counts: Sequence[int]) -> list[Atoms]:
    """Return sheets of 60 r0 with these numbers of vacancies, `size` r0 apart."""
    return [simulation_cell(SHEET, [Vacancy()] * count, 60, size) for count in counts]


TWO = replace(
    CASES["sheet"], name="2 vacancies", options=SAMPLES, large=lambda size: with_vacancies(size, (2,))
)
MORE = replace(TWO, name="3 and 4 vacancies", large=lambda size: with_vacancies(size, (3, 4)))
LENGTHS = (6, 7, 8)

FIG3 = study_of(
    "fig3", "vacancies: errors over force errors, by basis and by tolerance",
    {case.name: case for case in (TWO, MORE)},
    (
        Sweep(BASIS, TWO.name, LENGTHS, SEEDS, BASES, (TIGHT,), (PLAIN, EXACT), (DEFAULT,)),
        Sweep(BASIS, TWO.name, LENGTHS, SEEDS, BASES, (PAPER_TIGHT,), (PLAIN,), (PAPER,)),
        Sweep(TOLERANCE, TWO.name, LENGTHS, SEEDS, (CLEAN,), HALF_DECADES, (PLAIN,), (DEFAULT,)),
        Sweep(TOLERANCE, TWO.name, LENGTHS, SEEDS, (CLEAN,), DECADES, (EXACT, BALANCED), (DEFAULT,)),
        Sweep(TOLERANCE, TWO.name, LENGTHS, SEEDS, (CLEAN,), DECADES, (PLAIN,), (PAPER,)),
        Sweep(TOLERANCE, MORE.name, LENGTHS, SEEDS, (CLEAN,), DECADES[::2], (PLAIN,), (DEFAULT,)),
    ),
    slopes_table, 4, "half an hour",
)  # fmt: skip
"""Errors over force errors."""

FIG4 = study_of(
    "fig4", "vacancies: errors over the size of the training cell",
    {TWO.name: TWO},
    (
        Sweep(SIZE, TWO.name, (*SIZES, 10, 12), SEEDS, BASES[1:4], (TIGHT,), (PLAIN, EXACT), (DEFAULT,)),
        Sweep(SIZE, TWO.name, SIZES, SEEDS, BASES[5:], (TIGHT,), (PLAIN, EXACT), (DEFAULT,)),
        Sweep(SIZE, TWO.name, SIZES, SEEDS, (*BASES[1:4], BASES[5]), (PAPER_TIGHT,), (PLAIN,), (PAPER,)),
    ),
    sizes_table, 2, "10 minutes",
)  # fmt: skip
"""Errors over the size of the training cell."""
