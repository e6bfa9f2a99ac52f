"""Table 2: errors and times of fits to training cells of five sizes, in nine bases, at several tolerances.

The paper lists 25 fits of one vacancy, with L = 4..8, numbers of functions #B and of observations #O, and which basis
goes with which size is not known to us: here all nine bases that have one of its #B are fitted at all five sizes. Its
errors are root mean squares over test samples; the norms of Theorem 3.1 are recorded beside them. There is one record a
fit. Enter at `STUDY`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ase_mlipgen.studies.cases import CASES, Case
from ase_mlipgen.studies.fits import Setting, model_of, trainer_of, violation
from ase_mlipgen.studies.planar import planar_count
from ase_mlipgen.studies.study import Context, Study, Table
from ase_mlipgen.theory.cell_hessian import hessian_of
from ase_mlipgen.theory.errors import Errors, measure
from ase_mlipgen.theory.force_constants import force_constants, force_constants_percent, full_hessian
from ase_mlipgen.theory.matching import checked_conditions
from ase_mlipgen.theory.stability import measure_operators, summarise
from ase_mlipgen.threads import available_threads
from ase_mlipgen.trainer import DefectTrainer

BASES = ((2, 10), (3, 10), (3, 12), (3, 14), (3, 16), (3, 18), (4, 16), (3, 20), (4, 18))
"""Orders and degrees, by number of functions: 51, 110, 211, 383, 668, 1119, 1445, 1809, 2849."""
SIZES = (4, 5, 6, 7, 8)
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
STUDIED = replace(
    CASES["sheet"], sizes=SIZES, rtols=TOLERANCES, seeds=(0,), options={**CASES["sheet"].options, "n_test": 50}
)  # fmt: skip
WARMING = {"n_train": 2, "n_test": 0}


@dataclass(frozen=True)
class Record(Setting):
    """One fit and its errors on test samples.

    Attributes
    ----------
    matched : conditions that hold exactly
    n_atoms : of the training cell with a vacancy
    n_functions : the paper's #B
    n_observations : energies and force components of the cells with a vacancy, the paper's #O
    n_rows : of all cells, those without a defect too
    rank : directions that the data determine at `rtol`, beyond those of the constraints
    constraint_rank : directions that the matched conditions determine
    violation : largest relative violation of a condition
    energy, force : eV an atom and eV/Å, root mean squares over cells, and over cells, atoms and three components
    force_constants : per cent, 100 |H - H~| / |H| of the perfect crystal in Frobenius norms, the paper's eps_FC_hom
    eps_E, eps_F : eV and eV/Å, largest error of a cell in total energy (3.3) and of forces in the dual norm (3.4)
    eps_FC, eps_FC_hom : eV/Å^2, operator norms (3.5) and (3.6)
    stability : eV/Å^2, the model's smallest eigenvalue on the training cell and the crystal
    threads_at_time : that the times were taken on
    assembly_time, solution_time : s, from labels to the triangle of their rows, and from there to coefficients; rows of
        matched conditions, some tenths of a second, aside
    processor_time : s, of both on all processors: on a machine that others use too, less than what passes
    """

    matched: tuple[str, ...]
    n_atoms: int
    n_functions: int
    n_observations: int
    n_rows: int
    rank: int
    constraint_rank: int
    violation: float
    energy: float
    force: float
    force_constants: float
    eps_E: float
    eps_F: float
    eps_FC: float
    eps_FC_hom: float
    stability: float
    threads_at_time: int
    assembly_time: float
    solution_time: float
    processor_time: float

    @property
    def fit_time(self) -> float:
        """Seconds from labels to coefficients."""
        return self.assembly_time + self.solution_time


def settings_of(case: Case, bases: Sequence[tuple[int, int]]) -> list[Setting]:
    """Return the settings of a case in some bases, given by order and degree."""
    return [
        Setting(case.name, size, seed, order, degree, "fixed", checked_conditions(matching), rtol)
        for size in case.sizes
        for seed in case.seeds
        for order, degree in bases
        for matching in case.matchings
        for rtol in case.rtols
    ]


def compute(settings: Sequence[Setting], context: Context, case: Case) -> Iterator[list[Record]]:
    """Fit to the same labels in one basis after the other, and to the same rows at one tolerance after the other."""
    labelled: dict[tuple[int, int], DefectTrainer] = {}
    assembled: dict[tuple[int, ...], tuple[DefectTrainer, _Clock]] = {}
    warm: set[tuple[int, ...]] = set()
    for setting in settings:
        cells = setting.size, setting.seed
        basis = setting.order, setting.degree
        if cells not in labelled:
            labelled = {cells: _labelled(case, setting, context)}
        if basis not in warm:
            _warm_up(case, setting)
            warm.add(basis)
        if (*cells, *basis) not in assembled:
            trainer = labelled[cells].with_basis(case.basis(*basis))
            assembled = {(*cells, *basis): (trainer, _clocked(trainer.factor))}
        yield [_record(*assembled[*cells, *basis], setting)]


class _Clock(NamedTuple):
    """Seconds that passed, and those of this process on all processors."""

    passed: float
    worked: float


def _clocked(work: Callable[[], Any]) -> _Clock:
    begun = _Clock(time.perf_counter(), time.process_time())
    work()
    return _Clock(time.perf_counter() - begun.passed, time.process_time() - begun.worked)


def _labelled(case: Case, setting: Setting, context: Context) -> DefectTrainer:
    """Return a trainer that has asked the reference for everything."""
    trainer = trainer_of(case, setting, context.store)
    trainer.label(), trainer.force_constants(), trainer.defect_hessians()
    return trainer


def _warm_up(case: Case, setting: Setting) -> None:
    """Fit to two cells, so that nothing is compiled or loaded while a clock runs."""
    few = replace(case, options={**case.options, **WARMING})
    trainer_of(few, setting, None).refitted(setting.matching, setting.rtol).fit()


def _record(assembled: DefectTrainer, assembly: _Clock, setting: Setting) -> Record:
    trainer = assembled.refitted(setting.matching, setting.rtol)
    solution = _clocked(trainer.fit)
    fit, errors = trainer.fit(), errors_on_tests(trainer)
    defective = [cell for cell in trainer.label()[0] if cell.config_type == "defect"]
    return Record(
        **vars(setting), matched=trainer.matched, n_atoms=len(trainer.cells()[0].unrelaxed),
        n_functions=fit.n_functions, n_observations=sum(1 + cell.forces.size for cell in defective),
        n_rows=fit.n_rows, rank=fit.rank, constraint_rank=fit.constraint_rank, violation=violation(trainer),
        energy=errors.energy_rmse, force=errors.force_rmse, force_constants=errors.force_constants_percent,
        eps_E=errors.eps_E, eps_F=errors.eps_F, eps_FC=_known(errors.eps_FC), eps_FC_hom=_known(errors.eps_FC_hom),
        stability=_known(errors.stability), threads_at_time=available_threads(),
        assembly_time=round(assembly.passed, 4), solution_time=round(solution.passed, 4),
        processor_time=round(assembly.worked + solution.worked, 4),
    )  # fmt: skip


def _known(value: float | None) -> float:
    return float("nan") if value is None else value


def errors_on_tests(trainer: DefectTrainer) -> Errors:
    """Return the errors of a trainer's fit on its test samples, and of its Hessians, in all norms."""
    model, cells = model_of(trainer), trainer.relax()
    host, (theirs,) = cells[0].perfect, trainer.force_constants()
    ours = force_constants(host, model)
    operators = [
        measure_operators("crystal", "", host, full_hessian(theirs, host), full_hessian(ours, host)),
        *(
            measure_operators(
                cell.name, cell.defect, cell.unrelaxed, hessian, hessian_of(cell.relaxed, model)
            )
            for cell, hessian in zip(cells, trainer.defect_hessians(), strict=True)
        ),
    ]
    percent = force_constants_percent(theirs, ours)
    return measure(model, trainer.label()[1], cells, trainer.fit(), percent, summarise(operators))


def by_fit(records: Sequence[Record], matched: bool) -> dict[tuple[int, int], dict[float, Record]]:
    """Return plain or matched fits by tolerance, the loosest first, for each L and #B."""
    found: dict[tuple[int, int], dict[float, Record]] = {}
    for r in sorted(records, key=lambda r: (r.size, r.n_functions, -r.rtol)):
        if bool(r.matching) == matched:
            found.setdefault((r.size, r.n_functions), {})[r.rtol] = r
    return found


COLUMNS: dict[str, Callable[[Record], str]] = {
    "eps_E (meV/atom)": lambda r: f"{1e3 * r.energy:.1e}",
    "eps_F (eV/Å)": lambda r: f"{r.force:.1e}",
    "eps_FC_hom (%)": lambda r: f"{r.force_constants:.1e}",
    "rank": lambda r: str(r.rank),
    "in a plane": lambda r: str(planar_count(r.order, r.degree)),
    "fit (s)": lambda r: f"{r.fit_time:.2f}",
    "CPU (s)": lambda r: f"{r.processor_time:.2f}",
}
"""Of the table, at the tightest tolerance."""
ENERGY, FORCE = list(COLUMNS)[:2]


def table(records: Sequence[Record]) -> Table:
    """Return head and rows of the paper's table, at the tightest tolerance; then force errors at the others.

    Beside the rank is how many functions are independent in a plane, which it cannot exceed.
    """
    plain, matched = by_fit(records, False), by_fit(records, True)
    *looser, tightest = sorted({r.rtol for r in records}, reverse=True)
    more = any(r.n_rows != r.n_observations for r in records)
    head = [
        "L",
        "#B",
        "#O",
        *(["rows"] if more else []),
        *COLUMNS,
        *(f"eps_F at {rtol:.0e}" for rtol in looser),
    ]
    head += ["matched: eps_E", "eps_F"] if matched else []
    rows = []
    for key in sorted({*plain, *matched}):
        own, exact = plain.get(key, {}), matched.get(key, {})
        some = next(iter((own or exact).values()))
        row = [*map(str, key), str(some.n_observations), *([str(some.n_rows)] if more else [])]
        row += [_cell(own, tightest, name) for name in COLUMNS]
        row += [_cell(own, rtol, FORCE) for rtol in looser]
        row += [_cell(exact, tightest, name) for name in (ENERGY, FORCE)] if matched else []
        rows.append(row)
    return head, rows


def _cell(fits: Mapping[float, Record], rtol: float, name: str) -> str:
    return COLUMNS[name](fits[rtol]) if rtol in fits else "-"


def study_of(case: Case, bases: Sequence[tuple[int, int]] = BASES) -> Study:
    """Return the study of a case in some bases."""

    def made(settings: Sequence[Any], context: Context) -> Iterator[list[Record]]:
        return compute(settings, context, case.following(context.protocol))

    return Study(
        "table2", "Table 2: errors and times of fits, nine bases at five sizes, several tolerances", Setting, Record,
        lambda protocol: settings_of(case.following(protocol), bases), made, table, words=0, cost="10 minutes",
    )  # fmt: skip


STUDY = study_of(STUDIED)
