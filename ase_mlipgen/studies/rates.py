"""Rates in the size of the training cell: errors of matched fits on large cells, beside those of Table 1.

Theorem 3.1 bounds the geometry error by eps_F + L^(-d/2) eps_FC_hom + L^(-3d/2) and the energy error by the square of
that plus L^(-d) + eps_E, so with energies and forces matched the geometry error falls as L^(-d/2), with the homogeneous
force constants matched too as L^(-3d/2), and the energy error as L^(-d). `run` gives one record a fit, `summarise`
medians over seeds and the slopes of their logarithms. What is measured is an error, the rates are of bounds: errors may
fall faster. Cost: seconds a fit. Enter at `run`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ase_mlipgen.progress import Progress
from ase_mlipgen.studies.cases import CASES, Case
from ase_mlipgen.studies.fits import every_fit, measured, settings_of, violation
from ase_mlipgen.studies.matching import FMAX, slope

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
class Record:
    """One fit on one large cell, geometry in Å (bond norm), energies in eV; nan where the surrogate has no minimum.

    `matched` names the conditions that hold exactly, `n_atoms` is the size of the training cell.
    """

    size: int
    n_atoms: int
    seed: int
    n_functions: int
    rtol: float
    matched: tuple[str, ...]
    violation: float
    geometry: float
    relaxation: float
    formation: float
    excess: float


def run(
    sizes: Sequence[int] | None = None,
    store: str | Path | None = None,
    progress: Progress | None = None,
    limit: int | None = None,
    case: Case = STUDIED,
) -> list[Record]:
    """Make matched fits on training cells of several sizes and compare them with the reference on large cells.

    Parameters
    ----------
    sizes : of training cells, by default those of `case`
    store : where labels are kept, so that the same study again computes none twice
    limit : fits at most, spread over all; None for all
    """
    case = replace(case, sizes=tuple(sizes or case.sizes))
    count = (progress or Progress(quiet=True)).counter("fits")
    records: list[Record] = []
    for setting, trainer, truths in every_fit(case, settings_of(case, limit), store, count, FMAX):
        broken, n_atoms = violation(trainer), len(trainer.cells()[0].unrelaxed)
        records += [
            Record(
                setting.size, n_atoms, setting.seed, len(trainer.basis), setting.rtol, trainer.matched, broken,
                **measured(case, trainer, truth, FMAX),
            )
            for truth in truths
        ]  # fmt: skip
    return records


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


def table(summary: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of a table of a summary: medians by size, slope, rate of Table 1."""
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
