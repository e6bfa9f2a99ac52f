"""Plain against exactly matched fits: errors on large cells, pair by pair on the same rows at the same tolerance.

The theory asks for eps_E = eps_F = eps_FC_hom = 0 at the training cell's equilibrium; a linear model can have that as
equality constraints. There is one record a fit; `summarise` has the factors by which matching lowers the errors, the
largest violation, and the slope of the reference's energy excess E(u_sur) - E(u_ref) over the geometry error, which is
two where the surrogate's geometry is near a minimum. Enter at `STUDY`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ase_mlipgen.studies.cases import CASES, Case
from ase_mlipgen.studies.fits import Setting, every_fit, measured, settings_of, violation
from ase_mlipgen.studies.slopes import slope
from ase_mlipgen.studies.study import DEFAULT, Context, Study

FMAX = 3e-7
"""eV/Å: the energy excess of the best fits is resolved."""
RESOLVED = 1e-10
"""eV: smallest energy excess that enters slopes; the last place of the energy of 3600 atoms of tungsten is 4e-12 eV."""
DECADE = float(np.log(10.0))
"""Span of logarithms of errors from which on a slope means something."""

ERRORS = ("geometry", "relaxation", "formation")
TOLERANCES = (1e-4, 1e-5, 1e-6)
STUDIED = {
    "sheet": replace(CASES["sheet"], sizes=(6, 7, 8), degrees=(14,), rtols=TOLERANCES, seeds=(0, 1, 2)),
    "copper": replace(CASES["copper"], sizes=(3,), degrees=(12,), rtols=TOLERANCES, seeds=(0, 1, 2)),
    "silicon": replace(CASES["silicon"], sizes=(2, 3), degrees=(12,), rtols=TOLERANCES, seeds=(0, 1, 2)),
}


@dataclass(frozen=True)
class Record(Setting):
    """One fit on one large cell; geometry in Å (bond norm), energies in eV, surrogate minus reference.

    `matched` names the conditions that hold exactly, `violation` is their largest relative violation, `rank` and
    `n_functions` those of the fit, `cell` counts large cells. Errors are nan where the surrogate has no minimum.
    """

    matched: tuple[str, ...]
    n_functions: int
    rank: int
    violation: float
    cell: int
    geometry: float
    relaxation: float
    formation: float
    excess: float


def compute(
    settings: Sequence[Setting], context: Context, cases: Mapping[str, Case]
) -> Iterator[list[Record]]:
    """Make plain and matched fits and compare them with the reference on large cells."""
    for setting, trainer, truths in every_fit(cases, settings, context.store, FMAX):
        fit, broken = trainer.fit(), violation(trainer)
        yield [
            Record(
                **vars(setting), matched=trainer.matched, n_functions=fit.n_functions, rank=fit.rank,
                violation=broken, cell=k, **measured(cases[setting.case], trainer, truth, FMAX),
            )
            for k, truth in enumerate(truths)
        ]  # fmt: skip


def pairs_of(records: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Return plain and matched fits to the same rows at the same tolerance, on the same large cell."""

    def key(r: Record) -> tuple[Any, ...]:
        return r.case, r.size, r.degree, r.rtol, r.seed, r.cell

    plain = {key(r): r for r in records if not r.matched}
    return [(plain[key(r)], r) for r in records if r.matched and key(r) in plain]


def summarise(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Say what matching does, by case, and by size and tolerance within it.

    Returns
    -------
    list of dict
        For each case, for each of its sizes (`rtol` None), tolerances (`size` None), and in all (both None): number of
        pairs; median of plain over matched error ("geometry", "relaxation", "formation"); largest relative
        "violation"; "slope" of log excess over log geometry error of all fits with an excess above `RESOLVED`, where
        errors span a decade, and how many those are ("resolved"); fits "without_minimum"; lowest excess.
    """
    groups: dict[tuple[str, int | None, float | None], list[Record]] = {}
    for record in records:
        for key in ((record.size, None), (None, record.rtol), (None, None)):
            groups.setdefault((record.case, *key), []).append(record)
    return [
        {"case": case, "size": size, "rtol": rtol, **_summary(found)}
        for (case, size, rtol), found in groups.items()
    ]


def _summary(records: Sequence[Record]) -> dict[str, Any]:
    good = [r for r in records if np.isfinite(r.geometry)]
    pairs = pairs_of(good)
    summary: dict[str, Any] = {"pairs": len(pairs), "without_minimum": len(records) - len(good)}
    for name in ("geometry", "relaxation", "formation"):
        ratios = [abs(getattr(plain, name) / getattr(matched, name)) for plain, matched in pairs]
        summary[name] = float(np.median(ratios)) if ratios else None
    resolved = [(r.geometry, r.excess) for r in good if r.excess > RESOLVED]
    return summary | {
        "violation": max((r.violation for r in records), default=0.0),
        "slope": slope([x for x, _ in resolved], [y for _, y in resolved], DECADE),
        "resolved": len(resolved),
        "lowest_excess": min((r.excess for r in good), default=None),
    }


def table(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the table of a summary."""
    head = ["case", "L", "rtol", "pairs", *ERRORS, "violation", "slope of excess"]
    order = sorted(
        summarise(records),
        key=lambda s: (s["case"], s["size"] is None, s["rtol"] is None, s["size"] or 0, -(s["rtol"] or 0)),
    )
    rows = [
        [
            s["case"], str(s["size"] or "all"), "all" if s["rtol"] is None else f"{s['rtol']:.0e}", str(s["pairs"]),
            *("-" if s[n] is None else f"{s[n]:.1f}" for n in ERRORS),
            f"{s['violation']:.0e}", "-" if s["slope"] is None else f"{s['slope']:.2f}",
        ]
        for s in order
    ]  # fmt: skip
    return head, rows


def study_of(cases: Mapping[str, Case]) -> Study:
    """Return the study of some cases, by name."""
    return Study(
        "matching", "plain against exactly matched fits", Setting, Record,
        lambda protocol: [setting for case in cases.values() for setting in settings_of(case)],
        lambda settings, context: compute(settings, context, cases), table, (DEFAULT,), cost="3 minutes",
    )  # fmt: skip


STUDY = study_of(STUDIED)
