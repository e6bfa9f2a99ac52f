"""Certificates against the truth: predicted and true errors of many fits on large cells.

Every fit is relaxed on the large cell once; its certificate is made on cells of the size that was trained and on the
next larger one; the truth is the reference's own relaxation of the large cell, made once a cell. Nothing is fitted to
the truth. `run` gives one record a fit, large cell and size of certificate; `summarise` the factors, rank correlations
and failures. Cost: some seconds a fit. Enter at `run`.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from scipy.stats import spearmanr

from ase_mlipgen.calculators.linear_ace import LinearACE
from ase_mlipgen.defects import Relaxation, potential_energy, relax
from ase_mlipgen.labels import LabelStore, as_factory
from ase_mlipgen.progress import Progress
from ase_mlipgen.studies.cases import CASES, Case
from ase_mlipgen.theory.certificate import Certificate
from ase_mlipgen.theory.certify import certify, warm_start
from ase_mlipgen.theory.norms import Bonds, bonds, strain_norm
from ase_mlipgen.theory.pieces import with_calculator
from ase_mlipgen.trainer import DefectTrainer

ERRORS = ("geometry", "relaxation", "formation")
FMAX = 3e-6
"""eV/Å: errors of the best fits are resolved."""


@dataclass(frozen=True)
class Record:
    """One certificate and the truth; geometry in Å, energies in eV, surrogate minus reference.

    `corrected` is the error of the corrected geometry; `size` that of the training cell, `own` whether the certificate
    was made on it (else on the next larger); `n_cores` in the large cell `cell`.
    """

    case: str
    size: int
    degree: int
    rtol: float
    matched: bool
    seed: int
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
    wall_time: float


@dataclass(frozen=True, eq=False)
class _Truth:
    """A large cell relaxed by the reference."""

    atoms: Atoms
    start: Atoms
    links: Bonds
    relaxation: Relaxation
    unrelaxed: float
    per_atom: float


def run(
    names: Sequence[str] = ("sheet",),
    store: str | Path | None = None,
    progress: Progress | None = None,
    limit: int | None = None,
) -> list[Record]:
    """Make the fits of some cases, certify them and compare.

    Parameters
    ----------
    names : of `CASES`
    store : where labels are kept, so that fits share them
    limit : fits of each case at most, spread over all; None for all
    """
    records: list[Record] = []
    for name in names:
        if name not in CASES:
            raise ValueError(f"unknown case {name!r}; expected some of {', '.join(CASES)}")
        records += _case(CASES[name], store, progress or Progress(quiet=True), limit)
    return records


def _case(case: Case, store: str | Path | None, progress: Progress, limit: int | None) -> list[Record]:
    settings = [
        (size, seed, degree, matching, rtol)
        for size in case.sizes
        for seed in case.seeds
        for degree in case.degrees
        for matching in case.matchings
        for rtol in case.rtols
    ]
    if limit is not None and limit < len(settings):
        settings = [settings[k] for k in np.linspace(0, len(settings) - 1, limit).astype(int)]
    count, truths, kept = progress.counter(f"fits of {case.name}"), {}, {}
    records: list[Record] = []
    for done, (size, seed, degree, matching, rtol) in enumerate(settings):
        if size not in truths:
            truths[size] = list(_truths(case, size, store))
        if (size, seed, degree) not in kept:
            kept = {(size, seed, degree): _trainer(case, size, seed, degree, store)}
        trainer = _variant(kept[size, seed, degree], matching, rtol)
        label = {"degree": degree, "rtol": rtol, "seed": seed, "size": size}
        records += _certified(case, trainer, truths[size], label)
        count(done + 1, len(settings))
    return records


def _trainer(case: Case, size: int, seed: int, degree: int, store: str | Path | None) -> DefectTrainer:
    kept = None if store is None else LabelStore(store)
    return DefectTrainer(
        case.crystal, list(case.defects), case.reference, case.basis(degree), size, seed=seed, matching="exact",
        store=kept, tag=case.tag, progress=False, fmax=FMAX, **case.options,
    )  # fmt: skip


def _variant(trainer: DefectTrainer, matching: str | None, rtol: float) -> DefectTrainer:
    """Another fit to the same rows."""
    trainer.factor(), trainer.force_constants()
    variant = copy.copy(trainer)
    variant.rtol = rtol
    variant.conditions = trainer.conditions if matching else ()
    variant._kept = {name: value for name, value in trainer._kept.items() if name != "fit"}
    return variant


def _truths(case: Case, size: int, store: str | Path | None) -> Iterator[_Truth]:
    cells = _trainer(case, size, case.seeds[0], case.degrees[0], store).relax()
    calculator = as_factory(case.reference)()
    host = case.crystal.copy()
    host.calc = calculator
    per_atom = potential_energy(host) / len(host)
    for atoms in case.large(size):
        start = warm_start(atoms, cells)
        found = relax(start, calculator, fmax=FMAX, strict=True)
        unrelaxed = potential_energy(with_calculator(atoms, calculator))
        yield _Truth(atoms, start, bonds(atoms), found, unrelaxed, per_atom)


def _certified(
    case: Case, trainer: DefectTrainer, truths: Sequence[_Truth], label: dict[str, Any]
) -> Iterator[Record]:
    fit = trainer.fit()
    model = LinearACE(trainer.basis, fit.coefficients, trainer.one_body())
    host = case.crystal.copy()
    host.calc = model
    per_atom = potential_energy(host) / len(host)
    for k, truth in enumerate(truths):
        found = relax(truth.start, model, fmax=FMAX)
        unrelaxed = potential_energy(with_calculator(truth.atoms, model)) - truth.unrelaxed
        for size, own in ((label["size"], True), (label["size"] + 1, False)):
            cells, constants = trainer.cells_of_size(size)
            made = certify(trainer.labelling(), model, cells, truth.atoms, constants=constants, relaxed=found)
            yield Record(
                case=case.name, cell=k, n_cores=len(truth.atoms.info["defect_names"]), own=own, verdict=made.verdict,
                matched=bool(trainer.conditions), **label,
                **_numbers(made, found, truth, unrelaxed, per_atom - truth.per_atom),
            )  # fmt: skip


def _numbers(
    made: Certificate, found: Relaxation, truth: _Truth, unrelaxed: float, per_atom: float
) -> dict[str, Any]:
    """Compare; `unrelaxed` and `per_atom` are energies of the model less those of the reference, eV."""
    true = truth.relaxation.atoms.positions
    relaxed = found.energy - truth.relaxation.energy
    nan = float("nan")
    return {
        "predicted_geometry": made.geometry_error,
        "true_geometry": strain_norm(truth.links, found.atoms.positions - true) if found.converged else nan,
        "predicted_relaxation": made.relaxation_energy_error,
        "true_relaxation": relaxed - unrelaxed if found.converged else nan,
        "predicted_formation": made.formation_energy_error,
        "true_formation": relaxed - len(truth.atoms) * per_atom if found.converged else nan,
        "corrected": strain_norm(truth.links, made.corrected.positions - true) if made.has_numbers else nan,
        "wall_time": sum(made.wall_times.values()),
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
