"""The cells of figures 1, 2, 5, 10 and 11 of Ortner and Wang: what is trained on, and what is simulated.

Figure 1: a large cell with several defects, decomposed into cores. 2: training cells with a vacancy, and the sheets of
60 r0 with 2, 3 and 4 vacancies. 5: sheets with interstitials and vacancies, 1 + 1 and 1 + 3. 10: training cells of
silicon, L = 2, 3, 4. 11: silicon of 6^3 and 10^3 cells with two vacancies. There is one record a cell. Defects of
large cells are as close as the training cells are wide, as in the paper. Enter at `STUDY` and `cell_of`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ase import Atoms

from ase_mlipgen.defects import Vacancy, simulation_cell, training_cell
from ase_mlipgen.studies.cases import CASES, HOLLOW, SHEET
from ase_mlipgen.studies.study import DEFAULT, Context, Study, Table
from ase_mlipgen.theory.superposition import closest_cores

SILICON = CASES["silicon"].crystal
DEFECTS = {"vacancy": Vacancy(), "interstitial": HOLLOW}
PLURALS = {"vacancy": "vacancies", "interstitial": "interstitials"}
APART = ((12, 14), (40, 11), (17, 40), (43, 42))
"""Lattice translations of the cores of figure 1."""


@dataclass(frozen=True)
class Setting:
    """One cell: of which figure, of which crystal, what defects it has, how large it is."""

    figure: int
    crystal: str
    defects: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Record(Setting):
    """One cell.

    `n_samples` are those of training in the paper (0 for cells that are simulated), `observations` their energies and
    force components, `separation` is L_D, in r0 or lattice constants (0 for training cells, whose images are `size`
    apart), `closest` the smallest distance of two cores or of one and an image, Å.
    """

    n_atoms: int
    n_defects: int
    n_samples: int
    observations: int
    separation: int
    closest: float


def settings_of() -> list[Setting]:
    """Return all cells."""
    vacancy, both = ("vacancy",), ("vacancy", "interstitial")
    return [
        Setting(1, "sheet", (*both, *both), 60),
        *(Setting(2, "sheet", vacancy, L) for L in (4, 5, 6, 7, 8)),
        *(Setting(2, "sheet", vacancy * n, 60) for n in (2, 3, 4)),
        *(Setting(5, "sheet", ("interstitial",), L) for L in (6, 7, 8)),
        Setting(5, "sheet", ("interstitial", "vacancy"), 60),
        Setting(5, "sheet", ("interstitial", *vacancy * 3), 60),
        *(Setting(10, "silicon", vacancy, L) for L in (2, 3, 4)),
        *(Setting(11, "silicon", vacancy * 2, N) for N in (6, 10)),
    ]


def cell_of(setting: Any) -> Atoms:
    """Build the cell of a setting or record."""
    crystal = {"sheet": SHEET, "silicon": SILICON}[setting.crystal]
    defects = [DEFECTS[name] for name in setting.defects]
    if len(defects) == 1:
        return training_cell(crystal, defects[0], setting.size)
    places = APART if setting.figure == 1 else None
    return simulation_cell(crystal, defects, setting.size, separation_of(setting), places)


def separation_of(setting: Any) -> int:
    """Return L_D of a large cell: 24 r0 in figure 1, 8 r0 in other sheets; in silicon 3 of 6 and 4 of 10 cells."""
    if len(setting.defects) == 1:
        return 0
    if setting.figure == 1:
        return 24
    return 8 if setting.crystal == "sheet" else {6: 3, 10: 4}[setting.size]


def compute(settings: Sequence[Setting], context: Context) -> Iterator[list[Record]]:
    """Build the cells."""
    for setting in settings:
        atoms = cell_of(setting)
        trained = len(setting.defects) == 1
        n_samples = (100 if setting.figure == 5 else 200) if trained else 0
        yield [
            Record(
                **vars(setting), n_atoms=len(atoms), n_defects=len(setting.defects), n_samples=n_samples,
                observations=n_samples * (1 + 3 * len(atoms)), separation=separation_of(setting),
                closest=closest_cores(atoms),
            )
        ]  # fmt: skip


def table(records: Sequence[Record]) -> Table:
    """Return head and rows."""
    head = ["figure", "crystal", "defects", "size", "atoms", "L_D", "closest cores, Å", "samples", "#O"]
    return head, [
        [
            str(r.figure), r.crystal, said(r.defects), str(r.size), str(r.n_atoms), str(r.separation or "-"),
            f"{r.closest:.2f}", str(r.n_samples or "-"), str(r.observations or "-"),
        ]
        for r in records
    ]  # fmt: skip


def said(defects: Sequence[str]) -> str:
    """Say how many of what."""
    counts = {kind: defects.count(kind) for kind in defects}
    return " + ".join(f"{n} {PLURALS[kind] if n > 1 else kind}" for kind, n in counts.items())


STUDY = Study(
    "cells", "cells of figures 1, 2, 5, 10 and 11", Setting, Record, lambda protocol: settings_of(), compute, table,
    (DEFAULT,), 3, "seconds",
)  # fmt: skip
