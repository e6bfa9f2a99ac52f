"""Rates in the size of the training cell: errors of matched fits on large cells, beside those of Table 1.

Theorem 3.1 bounds the geometry error by eps_F + L^(-d/2) eps_FC_hom + L^(-3d/2) and the energy error by the square of
that plus L^(-d) + eps_E, so with energies and forces matched the geometry error falls as L^(-d/2), with the homogeneous
force constants matched too as L^(-3d/2), and the energy error as L^(-d). There is one record a fit; `summarise` has
medians over seeds and the slopes of their logarithms. What is measured is an error, the rates are of bounds: errors may
fall faster. Enter at `STUDY`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ase_mlipgen.studies.cases import CASES, Case
from ase_mlipgen.studies.fits import Setting, every_fit, measured, settings_of, violation
from ase_mlipgen.studies.matching import FMAX
from ase_mlipgen.studies.slopes import slope
from ase_mlipgen.studies.study import DEFAULT, Context, Study

ENERGIES_FORCES = ("energies", "forces")
ALL = ("energies", "forces", "force_constants")
STUDIED = replace(
    CASES["sheet"], sizes=tuple(range(5, 13)), degrees=(12, 14, 16), rtols=(1e-7,), seeds=(0, 1, 2),
    matchings=(ENERGIES_FORCES, ALL),
)  # fmt: skip
GEOMETRY_RATE = {ENERGIES_FORCES: 0.5, ALL: 1.5}
"""Of the geometry error by Table 1, in units of the dimension, by what is matched."""
ENERGY_RATE = 1.0
"""Of the energy error, likewise."""


@dataclass(frozen=True)
class Record(Setting):
    """One fit on one large cell, geometry in Å (bond norm), energies in eV; nan where the surrogate has no minimum.

    `matched` names the conditions that hold exactly, `n_atoms` is the size of the training cell.
    """

    matched: tuple[str, ...]
    n_atoms: int
    n_functions: int
    violation: float
    geometry: float
    relaxation: float
    formation: float
    excess: float


def compute(
    settings: Sequence[Setting], context: Context, cases: Mapping[str, Case]
) -> Iterator[list[Record]]:
    """Make matched fits on training cells of several sizes and compare them with the reference on large cells."""
    for setting, trainer, truths in every_fit(cases, settings, context.store, FMAX):
        broken, n_atoms = violation(trainer), len(trainer.cells()[0].unrelaxed)
        yield [
            Record(
                **vars(setting), matched=trainer.matched, n_atoms=n_atoms, n_functions=len(trainer.basis),
                violation=broken, **measured(cases[setting.case], trainer, truth, FMAX),
            )
            for truth in truths
        ]  # fmt: skip


def summarise(records: Sequence[Record], dimension: int = 2) -> list[dict[str, Any]]:
    """Take medians over seeds and fit slopes in the size.

    Returns
    -------
    list of dict
        For each basis, tolerance and set of matched conditions: "sizes"; "geometry", "relaxation", "formation",
        medians of the errors by size; "slopes", the exponents p in error ~ L^p of those; "rates", what Table 1 has
        (None where it has nothing for these conditions); "without_minimum"; "violation", the largest.
    """
    groups: dict[tuple[int, float, tuple[str, ...]], list[Record]] = {}
    for record in records:
        groups.setdefault((record.n_functions, record.rtol, record.matched), []).append(record)
    return [
        {"n_functions": n, "rtol": rtol, "matched": matched, **_summary(found, matched, dimension)}
        for (n, rtol, matched), found in groups.items()
    ]


def _summary(records: Sequence[Record], matched: tuple[str, ...], dimension: int) -> dict[str, Any]:
    good = [r for r in records if np.isfinite(r.geometry)]
    sizes = sorted({r.size for r in good})
    medians: dict[str, Any] = {
        name: [float(np.median([abs(getattr(r, name)) for r in good if r.size == size])) for size in sizes]
        for name in ("geometry", "relaxation", "formation")
    }
    slopes = {name: slope(sizes, values) for name, values in medians.items()}
    geometry = GEOMETRY_RATE.get(matched)
    rates = {
        "geometry": None if geometry is None else -dimension * geometry,
        "relaxation": -dimension * ENERGY_RATE,
        "formation": -dimension * ENERGY_RATE,
    }
    return medians | {
        "sizes": sizes,
        "slopes": slopes,
        "rates": rates,
        "without_minimum": len(records) - len(good),
        "violation": max((r.violation for r in records), default=0.0),
    }


def table(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the table: medians by size, slope, rate of Table 1."""
    summary = summarise(records)
    sizes = sorted({size for s in summary for size in s["sizes"]})
    head = ["matched", "functions", "error", *(f"L = {size}" for size in sizes), "slope", "Table 1"]
    rows = []
    for s in sorted(summary, key=lambda s: (len(s["matched"]), s["n_functions"], -s["rtol"])):
        for name, unit in (("geometry", "Å"), ("relaxation", "eV")):
            known = dict(zip(s["sizes"], s[name], strict=True))
            rows.append(
                [
                    ", ".join(s["matched"]).replace("_", " "), str(s["n_functions"]), f"{name}, {unit}",
                    *(f"{known[size]:.1e}" if size in known else "-" for size in sizes),
                    *("-" if value is None else f"{value:.1f}" for value in (s["slopes"][name], s["rates"][name])),
                ]
            )  # fmt: skip
    return head, rows


def study_of(case: Case) -> Study:
    """Return the study of a case."""
    return Study(
        "table1", "errors of matched fits over the size of the training cell, beside Table 1's rates", Setting, Record,
        lambda protocol: settings_of(case),
        lambda settings, context: compute(settings, context, {case.name: case}), table, (DEFAULT,), 3, "6 minutes",
    )  # fmt: skip


STUDY = study_of(STUDIED)
