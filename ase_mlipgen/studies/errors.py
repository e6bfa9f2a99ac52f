"""Errors of fits over a sweep: of bases, of tolerances, or of sizes of the training cell.

Theorem 3.1 bounds the errors on large cells by those of energies, forces and force constants on the training cell. A
sweep makes fits that differ in one thing, measures both families of errors, and so shows how one follows the other.
There is one record a fit and large cell; `error_tables` has their slopes. Enter at `Sweep` and `study_of`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from ase_mlipgen.calculators.linear_ace import LinearACE
from ase_mlipgen.studies import fits
from ase_mlipgen.studies.cases import Case, Matching
from ase_mlipgen.studies.fits import Truth, every_fit, measured, model_of
from ase_mlipgen.studies.study import DEFAULT, PAPER, Context, Study, Table
from ase_mlipgen.theory.errors import measure
from ase_mlipgen.theory.force_constants import force_constants, force_constants_percent, full_hessian
from ase_mlipgen.theory.matching import checked_conditions
from ase_mlipgen.theory.stability import measure_operators
from ase_mlipgen.trainer import DefectTrainer

FMAX = 3e-7
"""eV/Å: the energy excess of the best fits is resolved."""
BASIS, TOLERANCE, SIZE = "basis", "tolerance", "size"
PLAIN: tuple[str, Matching] = ("fixed", None)
EXACT: tuple[str, Matching] = ("fixed", "exact")
BALANCED: tuple[str, Matching] = ("theory", ("energies",))


@dataclass(frozen=True)
class Setting(fits.Setting):
    """One fit; `sweep` says which sweep it is of, "basis", "tolerance" or "size"."""

    sweep: str


@dataclass(frozen=True)
class Sweep:
    """Fits that differ in one thing, for each combination of the others.

    Attributes
    ----------
    name : "basis", "tolerance" or "size": what differs
    case : name of a case, whose matchings have those of `kinds`
    sizes, seeds : of the training cells and samples
    bases : (order, degree) of each
    rtols : relative tolerances
    kinds : (weights, matching) of each fit to the same samples: `PLAIN`, `EXACT`, `BALANCED`
    protocols : that have this sweep; "paper" has plain fits only, whatever `kinds` are
    """

    name: str
    case: str
    sizes: Sequence[int]
    seeds: Sequence[int]
    bases: Sequence[tuple[int, int]]
    rtols: Sequence[float]
    kinds: Sequence[tuple[str, Matching]] = (PLAIN,)
    protocols: Sequence[str] = (DEFAULT, PAPER)

    def settings(self, protocol: str = DEFAULT) -> list[Setting]:
        """Return the settings of a protocol, those of the same labels and rows together."""
        if protocol not in self.protocols:
            return []
        kinds = self.kinds if protocol == DEFAULT else (PLAIN,)
        return [
            Setting(
                self.case, size, seed, order, degree, weights, checked_conditions(matching), rtol, self.name
            )
            for size, seed, (order, degree), (weights, matching), rtol in product(
                self.sizes, self.seeds, self.bases, kinds, self.rtols
            )
        ]


@dataclass(frozen=True)
class Record(Setting):
    """One fit on one large cell.

    Attributes
    ----------
    matched : the conditions that hold exactly
    n_functions, rank : of the fit
    energy_rmse, force_rmse : eV an atom and eV/Å (components), of the test samples
    eps_E, eps_F : eV and eV/Å (dual norm), largest of the test samples, eqs. (3.3) and (3.4)
    eps_FC_hom : eV/Å^2, of the perfect crystal as an operator, eq. (3.6)
    eps_FC_hom_percent : 100 |H - H~| / |H|, Frobenius norms, of the perfect crystal
    cell, n_defects : which large cell, and how many defects it has
    geometry : Å, bond norm
    relaxation, formation : eV, model minus reference
    excess : eV, the reference's energy of the model's geometry above its minimum
    fit_time : s, of the solution, without the rows

    The last four errors are nan where the model has no minimum.
    """

    matched: tuple[str, ...]
    n_functions: int
    rank: int
    energy_rmse: float
    force_rmse: float
    eps_E: float
    eps_F: float
    eps_FC_hom: float
    eps_FC_hom_percent: float
    cell: int
    n_defects: int
    geometry: float
    relaxation: float
    formation: float
    excess: float
    fit_time: float


def compute(
    settings: Sequence[Setting], context: Context, cases: Mapping[str, Case], fmax: float = FMAX
) -> Iterator[list[Record]]:
    """Make the fits, each once, and measure them on test samples of the training cell and on large cells.

    Parameters
    ----------
    settings : of fits
    context : of the study; its protocol decides how the cases are trained
    cases : by name
    fmax : eV/Å, of all relaxations
    """
    followed = {name: case.following(context.protocol) for name, case in cases.items()}
    once = {_fit_of(setting): setting for setting in reversed(settings)}
    ready = every_fit(followed, [s for s in settings if once[_fit_of(s)] is s], context.store, fmax)
    made: dict[Setting, list[Record]] = {}
    for setting in settings:
        if _fit_of(setting) not in made:
            made[_fit_of(setting)] = _measured(followed, *next(ready), fmax)
        yield [replace(record, sweep=setting.sweep) for record in made[_fit_of(setting)]]


def _fit_of(setting: Setting) -> Setting:
    """Return what tells a fit from others: sweeps may have one in common."""
    return replace(setting, sweep="")


def _measured(
    cases: Mapping[str, Case],
    setting: fits.Setting,
    trainer: DefectTrainer,
    truths: Sequence[Truth],
    fmax: float,
) -> list[Record]:
    begun = time.perf_counter()
    trainer.fit()
    fit_time = time.perf_counter() - begun
    own = on_samples(trainer)
    return [
        Record(
            **vars(setting), matched=trainer.matched, **own, cell=k, n_defects=n_defects(truth),
            **measured(cases[setting.case], trainer, truth, fmax, truth.optimizer), fit_time=fit_time,
        )
        for k, truth in enumerate(truths)
    ]  # fmt: skip


def n_defects(truth: Truth) -> int:
    """Return how many defects a large cell has."""
    return len(truth.atoms.info["defect_names"])


def on_samples(trainer: DefectTrainer) -> dict[str, Any]:
    """Return the errors of a trainer's fit on its test samples and the perfect crystal, by the names of `Record`."""
    fit, model = trainer.fit(), model_of(trainer)
    percent, eps_FC_hom = on_the_crystal(trainer, model)
    found = measure(model, trainer.label()[1], trainer.relax(), fit, percent)
    return {
        "n_functions": fit.n_functions,
        "rank": fit.rank,
        "energy_rmse": found.energy_rmse,
        "force_rmse": found.force_rmse,
        "eps_E": found.eps_E,
        "eps_F": found.eps_F,
        "eps_FC_hom": eps_FC_hom,
        "eps_FC_hom_percent": percent,
    }


def on_the_crystal(trainer: DefectTrainer, model: LinearACE) -> tuple[float, float]:
    """Return the error of the homogeneous force constants in per cent and as an operator (eV/Å^2)."""
    perfect, theirs = trainer.cells()[0].perfect, trainer.force_constants()[0]
    ours = force_constants(perfect, model)
    hessians = full_hessian(theirs, perfect), full_hessian(ours, perfect)
    error = measure_operators("the perfect crystal", "", perfect, *hessians).error
    return force_constants_percent(theirs, ours), float("nan") if error is None else error


def study_of(
    name: str,
    title: str,
    cases: Mapping[str, Case],
    sweeps: Sequence[Sweep],
    table: Callable[[Sequence[Record]], Table],
    words: int = 3,
    cost: str = "half an hour",
    record: type = Record,
    compute: Callable[..., Iterator[Sequence[Any]]] = compute,
) -> Study:
    """Return the study of some sweeps, with both protocols.

    Parameters
    ----------
    name, title, table, words, cost, record : of `Study`
    cases : by the names that the sweeps give
    sweeps : in the order of the rows
    compute : function (settings, context, cases) -> iterator over the records of each
    """
    kinds = [matching for sweep in sweeps for _, matching in sweep.kinds]
    ready = {key: replace(case, matchings=tuple(dict.fromkeys(kinds))) for key, case in cases.items()}
    return Study(
        name, title, Setting, record,
        lambda protocol: [setting for sweep in sweeps for setting in sweep.settings(protocol)],
        lambda settings, context: compute(settings, context, ready), table, words=words, cost=cost,
    )  # fmt: skip
