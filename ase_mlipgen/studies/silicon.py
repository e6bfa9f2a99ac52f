"""Silicon with electrons: errors of fits to tight binding, over their force errors and over the size of the cells.

The reference is NRL tight binding; it relaxes two vacancies in cells of 6^3 and 10^3 unit cells, (3a, 3a, 3a) and
(5a, 5a, 5a) apart, in the blocks of their symmetry group. Fits are to cells of L^3 with one vacancy. Electrons know the
size of their cell: vacancy levels of neighbouring images overlap, and the sampling of the Brillouin zone is coarse in
small cells. So each record also has what the reference itself is off by, were the training cell's displacements and
formation energy taken over to the large cell: what a perfect fit would be left with. Enter at `FIG8` and `FIG9`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from ase import Atoms
from ase.build import bulk

from ase_mlipgen.calculators.nrltb import NRLTB
from ase_mlipgen.defects import Relaxation, Vacancy, potential_energy, relax, simulation_cell
from ase_mlipgen.labels import LabelStore, identity
from ase_mlipgen.result import TrainingCell
from ase_mlipgen.studies import errors
from ase_mlipgen.studies.cases import Case
from ase_mlipgen.studies.errors import BASIS, EXACT, PLAIN, SIZE, TOLERANCE, Setting, Sweep
from ase_mlipgen.studies.fits import Truth, every_fit, measured, model_of, trainer_of
from ase_mlipgen.studies.silicon_tables import fig8_table, fig9_table
from ase_mlipgen.studies.study import DEFAULT, Context
from ase_mlipgen.theory.certify import warm_start
from ase_mlipgen.theory.norms import bonds, strain_norm
from ase_mlipgen.theory.pieces import with_calculator
from ase_mlipgen.trainer import DefectTrainer

FMAX = 1e-5
"""eV/Å: displacements are good to 1e-5 Å, errors are above 1e-2 Å."""
KT = 0.025
"""eV: at 0.1 eV the vacancies' holes evaporate into the valence band of the large cells."""
PRICED, PRICED_ATOMS = 5.0, 3000
"""Å, atoms: the reference is asked for the energy of models' geometries with smaller errors in smaller cells.

A model that goes astray leaves the symmetry behind, without which a call takes minutes.
"""
ENERGIES = ("fixed", ("energies",))
CRYSTAL = bulk("Si", cubic=True, a=5.4264)


def pair(n: int) -> list[Atoms]:
    """Return the cell of n^3 unit cells with two vacancies (n/2, n/2, n/2) a apart."""
    return [simulation_cell(CRYSTAL, [Vacancy()] * 2, n, (n // 2,) * 3)]


GAMMA = partial(NRLTB, "Si", kT=KT)
"""The reference: Gamma alone, in cells of every size."""
SAMPLES = {
    2: {"n_train": 60, "n_test": 15},
    3: {"n_train": 16, "n_test": 4},
    4: {"n_train": 7, "n_test": 2},
    5: {"n_train": 2, "n_test": 1},
}
"""About as many atoms at every size."""


def _with_kpoints(size: int, n: int) -> dict[str, Any]:
    """Return samples and the reference with the k-points that are Gamma of a cell of size times n."""
    return {**SAMPLES[size], "reference": partial(NRLTB, "Si", kT=KT, kpts={"size": (n,) * 3, "gamma": True})}


def _case(name: str, n: int, at_size: Mapping[int, Mapping[str, Any]]) -> Case:
    return Case(
        name, CRYSTAL, [Vacancy()], GAMMA, "Si", 5.0, (), (), (), (), (0, 1, 2), lambda size: pair(n),
        {"n_perfect": 3, "amplitude": 0.05}, at_size=at_size,
    )  # fmt: skip


CASES = {
    case.name: case
    for case in (
        _case("6", 6, SAMPLES),
        _case("10", 10, SAMPLES),
        _case("6 with k-points", 6, {2: _with_kpoints(2, 3), 3: _with_kpoints(3, 2)}),
    )
}
"""By the size of the large cell."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Pair(Truth):
    """A large cell, and what the training cell's own equilibrium is off by there.

    Attributes
    ----------
    start_geometry : Å, bond norm, of the training cell's displacements taken over
    start_formation : eV, of the training cell's formation energy times the number of defects
    """

    start_geometry: float
    start_formation: float


@dataclass(frozen=True)
class Record(errors.Record):
    """One fit on one large cell.

    Attributes
    ----------
    own_geometry : Å, bond norm, error on the training cell itself; nan without a minimum
    start_geometry, start_formation : of the reference itself, see `Pair`
    """

    own_geometry: float
    start_geometry: float
    start_formation: float


def truths(case: Case, size: int, store: str | Path | None, fmax: float = FMAX) -> Iterator[Pair]:
    """Relax the large cells by the reference, from the crystal's sites, once for all sizes of training cells.

    Raises
    ------
    RelaxationError
        If one does not reach `fmax`.
    """
    (cell,) = trainer_of(case, Setting(case.name, size, 0, 2, 4, "fixed", (), 0.0, SIZE), store, fmax).relax()
    own = _formation(cell.relaxed, cell.perfect, case.reference_of(size)())
    calculator = case.reference()
    for atoms in case.large(size):
        start, links = warm_start(atoms, [cell]), bonds(atoms)
        found = _relaxed(atoms, case, calculator, store, fmax)
        perfect = case.crystal.repeat(np.rint(atoms.cell.lengths() / case.crystal.cell.lengths()).astype(int))
        per_atom = potential_energy(with_calculator(perfect, calculator)) / len(perfect)
        n_defects = len(atoms.info["defect_names"])
        yield Pair(
            atoms, start, links, found, found.initial_energy, per_atom, calculator,
            PRICED if len(atoms) <= PRICED_ATOMS else 0.0,
            start_geometry=strain_norm(links, start.positions - found.atoms.positions),
            start_formation=n_defects * own - (found.energy - len(atoms) * per_atom),
        )  # fmt: skip


def _relaxed(atoms: Atoms, case: Case, calculator: Any, store: str | Path | None, fmax: float) -> Relaxation:
    kept = None
    if store is not None:
        kept = LabelStore(store).checkpoint(atoms, identity(case.reference, case.tag), [f"fmax {fmax!r}"])
    return relax(atoms, calculator, fmax=fmax, strict=True, checkpoint=kept)


def _formation(relaxed: Atoms, perfect: Atoms, calculator: Any) -> float:
    """Return the formation energy of the vacancy of a training cell, eV."""
    whole = potential_energy(with_calculator(perfect, calculator))
    return potential_energy(with_calculator(relaxed, calculator)) - len(relaxed) / len(perfect) * whole


def compute(
    settings: Sequence[Setting], context: Context, cases: Mapping[str, Case]
) -> Iterator[list[Record]]:
    """Make the fits and measure them on test samples, on the training cell's equilibrium, and on large cells."""
    followed = {name: case.following(context.protocol) for name, case in cases.items()}
    for setting, trainer, pairs in every_fit(followed, settings, context.store, FMAX, truths):
        begun = time.perf_counter()
        trainer.fit()
        fit_time = time.perf_counter() - begun
        own, geometry = errors.on_samples(trainer), own_geometry(trainer, trainer.relax()[0])
        yield [
            Record(
                **vars(setting), matched=trainer.matched, **own, cell=k, n_defects=errors.n_defects(truth),
                **measured(followed[setting.case], trainer, truth, FMAX), fit_time=fit_time, own_geometry=geometry,
                start_geometry=truth.start_geometry, start_formation=truth.start_formation,
            )
            for k, truth in enumerate(cast(Sequence[Pair], pairs))
        ]  # fmt: skip


def own_geometry(trainer: DefectTrainer, cell: TrainingCell) -> float:
    """Return how far a model's minimum is from the reference's on the training cell itself, Å in the bond norm."""
    found = relax(cell.relaxed, model_of(trainer), fmax=FMAX)
    off = strain_norm(bonds(cell.unrelaxed), found.atoms.positions - cell.relaxed.positions)
    return off if found.converged else float("nan")


SMALL, MIDDLE = (2, 10), (3, 14)
BASES = ((2, 6), (2, 8), SMALL, (2, 14), (3, 10), (3, 12), MIDDLE, (3, 16))
"""16 to 668 functions."""
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-7)
SEEDS = (0, 1, 2)
FIG8_SWEEPS = (
    Sweep(BASIS, "6", (3, 4), SEEDS, BASES, (1e-6,)),
    Sweep(TOLERANCE, "6", (3, 4), SEEDS, (MIDDLE,), TOLERANCES),
    Sweep(BASIS, "10", (4,), SEEDS, ((2, 6), SMALL, (3, 10), MIDDLE, (3, 16)), (1e-6,), protocols=(DEFAULT,)),
)
FIG9_SWEEPS = (
    Sweep(SIZE, "6", (2, 3, 4, 5), SEEDS, (SMALL, MIDDLE), (1e-6,), (PLAIN, ENERGIES, EXACT)),
    Sweep(SIZE, "6 with k-points", (2, 3), SEEDS, (SMALL, MIDDLE), (1e-6,), protocols=(DEFAULT,)),
    Sweep(SIZE, "10", (2, 3, 4, 5), SEEDS, (MIDDLE,), (1e-6,)),
)


study_of = partial(errors.study_of, cases=CASES, record=Record, compute=compute)
"""Function (name, title, sweeps=..., table=..., cost=...) -> Study, of these cases unless others are given."""

FIG8 = study_of(
    "fig8", "silicon, tight binding: errors over the force RMSE", sweeps=FIG8_SWEEPS, table=fig8_table,
    cost="20 minutes",
)  # fmt: skip
FIG9 = study_of(
    "fig9", "silicon, tight binding: errors over the size of the training cell", sweeps=FIG9_SWEEPS,
    table=fig9_table, cost="an hour",
)  # fmt: skip
