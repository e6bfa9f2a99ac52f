"""Table 1 of Ortner and Wang: three limits of Theorem 3.1, measured.

The theorem bounds the geometry error by eps_F + L^(-d/2) eps_FC_hom + L^(-3d/2) and the energy error by the square of
that plus L^(-d) + eps_E, in three limits:

1. energies and forces matched: geometry L^(-d/2). Such fits usually have nearly right force constants as well, so two
   kinds are made: from samples of the reference, and from samples of a reference that has springs added, whose
   homogeneous force constants are imposed (7 % off); both have the right energies and forces at the relaxed cell.
2. the homogeneous force constants matched too: geometry L^(-3d/2). That term is what is left where forces are right
   around the relaxed cell, not only at it; so there are fits to samples, and fits that see the Hessian of the relaxed
   cell as well, as heavy rows.
3. L = 12, plain fits over tolerances: geometry as eps_F, energy as eps_E + eps_F^2.

There is one record a fit; `summarise` has slopes in each seed, their means and intervals. What is measured is an error,
the rates are of bounds: errors may fall faster. Enter at `STUDY`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.calculators.linear_ace import LinearACE
from ase_mlipgen.defects import potential_energy, relax
from ase_mlipgen.fit import Constraints, LinearFit, solve
from ase_mlipgen.studies import fits
from ase_mlipgen.studies.cases import CASES, Case
from ase_mlipgen.studies.errors import FMAX, on_samples, on_the_crystal
from ase_mlipgen.studies.fits import Truth, energy_per_atom, errors_of, every_fit, measured, trainer_of
from ase_mlipgen.studies.slopes import Slope, slope_over_seeds
from ase_mlipgen.studies.springs import WithSprings
from ase_mlipgen.studies.study import DEFAULT, PAPER, Context, Study, Table
from ase_mlipgen.theory.pieces import with_calculator
from ase_mlipgen.trainer import DefectTrainer

RIGHT, SPRINGS, HESSIANS = "right", "springs", "hessians"
ENERGIES_FORCES = ("energies", "forces")
ALL = ("energies", "forces", "force_constants")
SAID = {RIGHT: "the reference", SPRINGS: "one with springs", HESSIANS: "the reference, and its Hessian"}
STIFFNESS, LENGTH = 0.3, 2.72711
"""eV/Å^2 and Å, of the springs."""
HESSIAN_WEIGHT = 1000.0
"""Å^4/eV^2, of squared residuals of the relaxed cell's Hessian; forces have one."""
E0 = {"W": -6.33802}
"""eV: one for both references."""
FAR = 8
"""L from which on training cells are far more than twice the cutoff wide."""
LARGE = 12
"""L of the third limit."""
TIGHT = 1e-7
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
SEEDS = (0, 1, 2, 3, 4)
MATCHINGS = (None, ENERGIES_FORCES, ALL)
VACANCY = replace(
    CASES["sheet"], name="vacancy", sizes=(5, 6, 8, 10, LARGE, 16), seeds=SEEDS, matchings=MATCHINGS,
    options={**CASES["sheet"].options, "n_test": 20, "E0": E0},
)  # fmt: skip
STUDIED = {VACANCY.name: VACANCY}


@dataclass(frozen=True)
class Setting(fits.Setting):
    """One fit; `limit` is 1, 2 or 3, `samples` says what is fitted to.

    "right": samples of the reference; "springs": of the one with springs; "hessians": of the reference, and its
    Hessian of the relaxed cell.
    """

    limit: int
    samples: str


@dataclass(frozen=True)
class Record(Setting):
    """One fit on one large cell; nan where the surrogate has no minimum, or a number was not measured.

    Attributes
    ----------
    matched : the conditions that hold exactly
    n_atoms : of the training cell
    n_functions : of the basis
    eps_E, eps_F : eV and eV/Å (dual norm), largest of the test samples; only in the third limit
    force_rmse : eV/Å, of their components, likewise
    eps_FC_hom_percent : error of the homogeneous force constants
    geometry : Å, bond norm
    relaxation, formation, excess : eV, see `errors_of`
    """

    matched: tuple[str, ...]
    n_atoms: int
    n_functions: int
    eps_E: float
    eps_F: float
    force_rmse: float
    eps_FC_hom_percent: float
    geometry: float
    relaxation: float
    formation: float
    excess: float


def settings_of(cases: Mapping[str, Case], protocol: str, degree: int = 12, order: int = 3) -> list[Setting]:
    """Return the settings of a protocol; "paper" has the third limit only. Those of one system of rows are together."""
    make = partial(Setting, order=order, degree=degree, weights="fixed")
    found = []
    for case in cases.values():
        for size in case.sizes:
            for seed in case.seeds:
                one = partial(make, case.name, size, seed)
                if protocol == DEFAULT:
                    found += [one(matching=m, rtol=TIGHT, limit=k, samples=RIGHT)
                              for k, m in ((1, ENERGIES_FORCES), (2, ALL))]  # fmt: skip
                if size == LARGE:
                    found += [one(matching=(), rtol=rtol, limit=3, samples=RIGHT) for rtol in TOLERANCES]
                if protocol == DEFAULT:
                    found.append(one(matching=ENERGIES_FORCES, rtol=TIGHT, limit=1, samples=SPRINGS))
                    found.append(one(matching=ALL, rtol=TIGHT, limit=2, samples=HESSIANS))
    return found


def compute(
    settings: Sequence[Setting], context: Context, cases: Mapping[str, Case]
) -> Iterator[list[Record]]:
    """Make the fits and compare them with the reference on large cells."""
    followed = {name: case.following(context.protocol) for name, case in cases.items()}
    plain = [replace(setting, limit=0, samples="") for setting in settings]
    for setting, (_, trainer, truths) in zip(
        settings, every_fit(followed, plain, context.store, FMAX), strict=True
    ):
        case = followed[setting.case]
        if setting.samples == HESSIANS:
            trainer = with_hessians(setting, case, context)
        made = _with_springs if setting.samples == SPRINGS else _right
        yield [made(setting, case, trainer, truth, context) for truth in truths]


def _right(setting: Setting, case: Case, trainer: DefectTrainer, truth: Truth, context: Context) -> Record:
    fit = trainer.fit()
    if setting.limit == 3:
        own = on_samples(trainer)
    else:
        percent, _ = on_the_crystal(trainer, fits.model_of(trainer))
        own = {"eps_FC_hom_percent": percent}
    found = measured(case, trainer, truth, FMAX, truth.optimizer)
    return _record(setting, trainer, trainer.matched, fit, own, found)


def _with_springs(
    setting: Setting, case: Case, trainer: DefectTrainer, truth: Truth, context: Context
) -> Record:
    """Fit to samples and force constants of the wrong reference, with the right energies and forces imposed."""
    fit = wrong_fit(setting, case, trainer, context)
    model = LinearACE(trainer.basis, fit.coefficients, trainer.one_body())
    percent, _ = on_the_crystal(trainer, model)
    unrelaxed = potential_energy(with_calculator(truth.atoms, model)) - truth.unrelaxed
    relaxed = relax(truth.start, model, truth.optimizer, FMAX)
    found = errors_of(relaxed, truth, unrelaxed, energy_per_atom(case, model) - truth.per_atom)
    return _record(setting, trainer, ENERGIES_FORCES, fit, {"eps_FC_hom_percent": percent}, found)


def wrong_fit(setting: Setting, case: Case, trainer: DefectTrainer, context: Context) -> LinearFit:
    """Solve the wrong reference's rows under the right energies and forces, and the wrong force constants."""
    wrong_case = replace(
        case,
        reference=springs,
        matchings=(("force_constants",),),
        tag=f"springs {STIFFNESS} {LENGTH}",
    )
    wrong = trainer_of(wrong_case, setting, context.store, FMAX)
    right = trainer.conditions_matched()
    imposed = [right["energies"], right["forces"], wrong.conditions_matched()["force_constants"]]
    return solve(wrong.factor(), setting.rtol, "column", Constraints.stack(imposed))


def with_hessians(setting: Setting, case: Case, context: Context) -> DefectTrainer:
    """Return the trainer that sees the Hessians of the relaxed cell and of the crystal as well."""
    weights = {"energy": 100.0, "forces": 1.0, "force_constants": HESSIAN_WEIGHT}
    options = case.options | {"observations": ("energy", "forces", "force_constants"), "weights": weights}
    trainer = trainer_of(replace(case, options=options), setting, context.store, FMAX)
    return trainer.refitted(setting.matching, setting.rtol)


def springs() -> WithSprings:
    """Return the wrong reference."""
    return WithSprings(EAM2D(), STIFFNESS, LENGTH)


def _record(
    setting: Setting,
    trainer: DefectTrainer,
    matched: tuple[str, ...],
    fit: LinearFit,
    own: Mapping[str, float],
    found: Mapping[str, float],
) -> Record:
    names = ("eps_E", "eps_F", "force_rmse", "eps_FC_hom_percent")
    numbers: dict[str, Any] = {name: float(own.get(name, np.nan)) for name in names} | dict(found)
    return Record(
        **vars(setting), matched=matched, n_atoms=len(trainer.cells()[0].unrelaxed), n_functions=fit.n_functions,
        **numbers,
    )  # fmt: skip


@dataclass(frozen=True)
class Rate:
    """What one row of the table is of: error `y` over `x`, in a limit, and the exponent that Table 1 has.

    `x` and `y` are functions of a record.
    """

    limit: int
    name: str
    over: str
    x: Callable[[Any], float]
    y: Callable[[Any], float]
    theory: float


def rates(limit: int, dimension: int = 2) -> list[Rate]:
    """Return the rates of Table 1 in a limit."""

    def error(name: str) -> Callable[[Any], float]:
        return lambda r: abs(float(getattr(r, name)))

    if limit < 3:
        power = -dimension / 2 if limit == 1 else -1.5 * dimension
        return [
            Rate(limit, "geometry, Å", "L", lambda r: r.size, error("geometry"), power),
            Rate(limit, "relaxation, eV", "L", lambda r: r.size, error("relaxation"), -float(dimension)),
        ]
    return [
        Rate(3, "geometry, Å", "eps_F", error("eps_F"), error("geometry"), 1.0),
        Rate(
            3, "relaxation, eV", "eps_E + eps_F^2", lambda r: r.eps_E + r.eps_F**2, error("relaxation"), 1.0
        ),
        Rate(3, "excess, eV", "eps_F", error("eps_F"), error("excess"), 2.0),
    ]


def groups_of(records: Sequence[Record]) -> dict[tuple[str, int, str], list[Record]]:
    """Return the records of each case, limit and kind of samples."""
    groups: dict[tuple[str, int, str], list[Record]] = {}
    for r in sorted(records, key=lambda r: (r.case, r.limit, r.samples)):
        groups.setdefault((r.case, r.limit, r.samples), []).append(r)
    return groups


def summarise(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Fit the slopes.

    Returns
    -------
    list of dict
        For each case, limit, kind of samples and rate: "rate"; "values", medians over seeds by size or (third limit)
        by tolerance; "slope" over seeds, and that "far", from L = 8 on, `Slope` or None; "percent", the median error
        of the homogeneous force constants by size; "lost", fits without a minimum.
    """
    found = []
    for (case, limit, samples), own in groups_of(records).items():
        good = [r for r in own if np.isfinite(r.geometry)]
        key = "rtol" if limit == 3 else "size"
        for rate in rates(limit):
            far = [r for r in good if r.size >= FAR] if limit < 3 else []
            found.append({
                "case": case, "limit": limit, "samples": samples, "rate": rate,
                "slope": slope_of(good, rate), "far": slope_of(far, rate), "values": _medians(good, key, rate.y),
                "percent": _medians(good, key, lambda r: r.eps_FC_hom_percent),
                "lost": len(own) - len(good),
            })  # fmt: skip
    return found


def slope_of(records: Sequence[Record], rate: Rate) -> Slope | None:
    """Return the exponent of a rate over seeds, or None where there is too little."""
    return slope_over_seeds(
        [rate.x(r) for r in records], [rate.y(r) for r in records], [r.seed for r in records]
    )


def _medians(records: Sequence[Record], key: str, y: Callable[[Record], float]) -> dict[float, float]:
    values = sorted({getattr(r, key) for r in records})
    return {v: float(np.median([y(r) for r in records if getattr(r, key) == v])) for v in values}


def table(records: Sequence[Record]) -> Table:
    """Return head and rows: the limit, errors at both ends of the sweep, slope and Table 1's rate."""
    head = [
        "defect", "limit", "matched", "fitted to samples of", "error", "over", "least L (loosest fit)",
        "largest L (tightest fit)", "force constants off, %", "slope", "from L = 8 on", "Table 1",
    ]  # fmt: skip
    matched = {1: "energies, forces", 2: "energies, forces, force constants", 3: "-"}
    rows = []
    for s in summarise(records):
        values, percent = list(s["values"].values()), list(s["percent"].values())
        if s["limit"] == 3:
            values, percent = values[::-1], percent[::-1]
        ends = [f"{x:.1e}" for x in (values[0], values[-1])] if values else ["-", "-"]
        off = f"{percent[0]:.1g} to {percent[-1]:.1g}" if percent else "-"
        samples = SAID[s["samples"]]
        rows.append([
            s["case"], str(s["limit"]), matched[s["limit"]], samples, s["rate"].name, s["rate"].over, *ends, off,
            *("-" if s[name] is None else str(s[name]) for name in ("slope", "far")), f"{s['rate'].theory:g}",
        ])  # fmt: skip
    return head, rows


def study_of(cases: Mapping[str, Case]) -> Study:
    """Return the study of some cases, by name."""
    return Study(
        "table1", "three limits of Theorem 3.1 beside Table 1's rates", Setting, Record,
        lambda protocol: settings_of(cases, protocol),
        lambda settings, context: compute(settings, context, cases), table, (DEFAULT, PAPER), 6, "20 minutes",
    )  # fmt: skip


STUDY = study_of(STUDIED)
