"""Certificates against the truth: predicted and true errors of many fits on large cells.

Every fit is relaxed on the large cell once; its certificate is made on cells of the size that was trained and on the
next larger one; the truth is the reference's own relaxation of the large cell, made once a cell. Nothing is fitted to
the truth. There is one record a fit, large cell and size of certificate; `summarise` has the factors, rank correlations
and failures. Enter at `STUDY`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from ase_mlipgen.defects import Relaxation, potential_energy, relax
from ase_mlipgen.studies.cases import CASES, Case
from ase_mlipgen.studies.fits import (
    FMAX,
    Setting,
    Truth,
    energy_per_atom,
    errors_of,
    every_fit,
    model_of,
    settings_of,
)
from ase_mlipgen.studies.study import DEFAULT, Context, Study
from ase_mlipgen.theory.certificate import Certificate
from ase_mlipgen.theory.certify import certify
from ase_mlipgen.theory.norms import strain_norm
from ase_mlipgen.theory.pieces import with_calculator
from ase_mlipgen.trainer import DefectTrainer

ERRORS = ("geometry", "relaxation", "formation")


@dataclass(frozen=True)
class Record(Setting):
    """One certificate and the truth; geometry in Å, energies in eV, surrogate minus reference.

    `corrected` is the error of the corrected geometry; `size` that of the training cell, `own` whether the certificate
    was made on it (else on the next larger); `n_cores` in the large cell `cell`.
    """

    matched: tuple[str, ...]
    cell: int
    n_cores: int
    own: bool
    verdict: str
    predicted_geometry: float
    true_geometry: float
    predicted_relaxation: float
    true_relaxation: float
    predicted_formation: float
    true_formation: float
    corrected: float
    certificate_time: float


def compute(
    settings: Sequence[Setting], context: Context, cases: Mapping[str, Case]
) -> Iterator[list[Record]]:
    """Make the fits, certify them and compare."""
    for setting, trainer, known in every_fit(cases, settings, context.store):
        yield list(_certified(cases[setting.case], trainer, known, setting))


def _certified(
    case: Case, trainer: DefectTrainer, known: Sequence[Truth], setting: Setting
) -> Iterator[Record]:
    model = model_of(trainer)
    per_atom = energy_per_atom(case, model)
    for k, truth in enumerate(known):
        found = relax(truth.start, model, fmax=FMAX)
        unrelaxed = potential_energy(with_calculator(truth.atoms, model)) - truth.unrelaxed
        for size, own in ((setting.size, True), (setting.size + 1, False)):
            cells, constants = trainer.cells_of_size(size)
            made = certify(trainer.labelling(), model, cells, truth.atoms, constants=constants, relaxed=found)
            yield Record(
                **vars(setting), matched=trainer.matched, cell=k, n_cores=len(truth.atoms.info["defect_names"]),
                own=own, verdict=made.verdict, **_numbers(made, found, truth, unrelaxed, per_atom - truth.per_atom),
            )  # fmt: skip


def _numbers(
    made: Certificate, found: Relaxation, truth: Truth, unrelaxed: float, per_atom: float
) -> dict[str, Any]:
    """Compare; `unrelaxed` and `per_atom` are energies of the model less those of the reference, eV."""
    true = errors_of(found, truth, unrelaxed, per_atom)
    off = made.corrected.positions - truth.relaxation.atoms.positions
    return {
        "predicted_geometry": made.geometry_error,
        "true_geometry": true["geometry"],
        "predicted_relaxation": made.relaxation_energy_error,
        "true_relaxation": true["relaxation"],
        "predicted_formation": made.formation_energy_error,
        "true_formation": true["formation"],
        "corrected": strain_norm(truth.links, off) if made.has_numbers else float("nan"),
        "certificate_time": sum(made.wall_times.values()),
    }


def summarise(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Say how good the certificates are, by case, size, and whether made on the trained cells or larger ones.

    Returns
    -------
    list of dict
        For each group and for every case in all (size None): number of fits and of those without a minimum, and, for
        each error, rank correlation, shares within factors of 2 and 3, the factor of 90 %, the median of what is left
        when the prediction is subtracted, and how often the sign is right (energies).
    """
    groups: dict[tuple[str, bool, int | None], list[Record]] = {}
    for record in records:
        for size in (record.size, None):
            groups.setdefault((record.case, record.own, size), []).append(record)
    return [
        {"case": case, "own": own, "size": size, **_summary(found)}
        for (case, own, size), found in groups.items()
    ]


def _summary(records: Sequence[Record]) -> dict[str, Any]:
    good = [record for record in records if record.verdict in ("ok", "overlapping")]
    summary: dict[str, Any] = {"n": len(records), "without_minimum": len(records) - len(good)}
    for name in ERRORS:
        predicted = np.array([getattr(r, f"predicted_{name}") for r in good])
        true = np.array([getattr(r, f"true_{name}") for r in good])
        factor = np.exp(np.abs(np.log(np.abs(predicted / true))))
        left = {"geometry": np.array([r.corrected for r in good]) / true}.get(
            name, np.abs((true - predicted) / true)
        )
        summary[name] = {
            "rank_correlation": _rank(np.abs(predicted), np.abs(true)),
            "within_2": float(np.mean(factor <= 2.0)),
            "within_3": float(np.mean(factor <= 3.0)),
            "factor_90": float(np.quantile(factor, 0.9)),
            "median_left": float(np.median(left)),
            "sign_right": float(np.mean(np.sign(predicted) == np.sign(true))),
        }
    return summary


def _rank(one: Any, other: Any) -> float | None:
    return float(spearmanr(one, other).statistic) if len(one) > 2 else None


def failures(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the records whose geometry is off by more than 2, an energy by more than 3, or that have no minimum."""
    found = []
    for record in records:
        limits = {"geometry": 2.0, "relaxation": 3.0, "formation": 3.0}
        ratios = {n: getattr(record, f"predicted_{n}") / getattr(record, f"true_{n}") for n in ERRORS}
        off = [n for n in ERRORS if not 1.0 / limits[n] <= abs(ratios[n]) <= limits[n]]
        if off or record.verdict in ("diverged", "unstable"):
            found.append({**asdict(record), "off": off})
    return found


def table(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the table: how near predictions are, by case, cells and size."""
    head = ["case", "cells", "L", "error", "fits", "rank", "within 2", "within 3", "factor of 90 %", "left"]
    rows = [
        [
            s["case"], "trained" if s["own"] else "larger", str(s["size"] or "all"), name, str(s["n"]),
            "-" if s[name]["rank_correlation"] is None else f"{s[name]['rank_correlation']:.3f}",
            f"{s[name]['within_2']:.0%}", f"{s[name]['within_3']:.0%}",
            f"{s[name]['factor_90']:.2f}", f"{s[name]['median_left']:.2f}",
        ]
        for s in sorted(summarise(records), key=lambda s: (s["case"], s["own"], s["size"] is None, s["size"] or 0))
        for name in ERRORS
    ]  # fmt: skip
    return head, rows


def study_of(cases: Mapping[str, Case]) -> Study:
    """Return the study of some cases, by name."""
    return Study(
        "certificate", "certificates against the reference's own relaxation of large cells", Setting, Record,
        lambda protocol: [setting for case in cases.values() for setting in settings_of(case)],
        lambda settings, context: compute(settings, context, cases), table, (DEFAULT,), 4, "an hour",
    )  # fmt: skip


STUDY = study_of(CASES)
