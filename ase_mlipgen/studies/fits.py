"""The fits of a case and the truth they are held to: trainers, variants on the same rows, errors on large cells.

The reference relaxes each large cell once, every fit relaxes it from the same start, and what differs is its error.
Enter at `every_fit` and `errors_of`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from ase_mlipgen.calculators.linear_ace import LinearACE
from ase_mlipgen.defects import Relaxation, potential_energy, relax
from ase_mlipgen.defects.optimizer import FactoredExp, TightLBFGS
from ase_mlipgen.labels import LabelStore, as_factory
from ase_mlipgen.studies.cases import Case
from ase_mlipgen.theory.certify import warm_start
from ase_mlipgen.theory.matching import checked_conditions
from ase_mlipgen.theory.norms import Bonds, bonds, strain_norm
from ase_mlipgen.theory.pieces import with_calculator
from ase_mlipgen.trainer import DefectTrainer

FMAX = 3e-6
"""eV/Å: errors of the best fits are resolved."""


class KeptExp(FactoredExp):
    """A preconditioner that stays as it was made first."""

    def make_precon(self, atoms: Atoms, reinitialize: bool | None = None) -> None:
        """Make it where it is not yet."""
        if self.P is None:
            super().make_precon(atoms, reinitialize)


@dataclass(frozen=True, eq=False)
class Truth:
    """A large cell relaxed by the reference.

    Attributes
    ----------
    atoms, start : unrelaxed, and where relaxations begin
    links : bonds of `atoms`
    relaxation : the reference's
    unrelaxed, per_atom : eV, the reference's energies of `atoms`, and of an atom of the crystal
    calculator : the reference
    priced : Å, largest geometry error at which the reference is asked for the energy of a model's geometry
    """

    atoms: Atoms
    start: Atoms
    links: Bonds
    relaxation: Relaxation
    unrelaxed: float
    per_atom: float
    calculator: Any
    priced: float = float("inf")

    @cached_property
    def optimizer(self) -> Any:
        """An optimiser for all models that relax this cell: with one preconditioner, made by the reference.

        To make one takes as long as thirty force calls of a model.
        """
        kept = KeptExp(dim=3)
        kept.make_precon(with_calculator(self.start, self.calculator))
        return partial(TightLBFGS, precon=kept)


def trainer_of(case: Case, setting: "Setting", store: str | Path | None, fmax: float = FMAX) -> DefectTrainer:
    """Return the trainer of a setting, with all conditions that fits of the case match."""
    kept = None if store is None else LabelStore(store)
    conditions = {name for matching in case.matchings for name in checked_conditions(matching)}
    if setting.weights == "theory":
        conditions.add("energies")
    options = case.options_of(setting.size) | ({"weights": "theory"} if setting.weights == "theory" else {})
    reference = case.reference_of(setting.size)
    return DefectTrainer(
        case.crystal, list(case.defects), reference, case.basis(setting.order, setting.degree), setting.size,
        seed=setting.seed, matching=sorted(conditions), rtol=setting.rtol, store=kept, tag=case.tag, progress=False,
        fmax=fmax, **options,
    )  # fmt: skip


def truths(case: Case, size: int, store: str | Path | None, fmax: float = FMAX) -> Iterator[Truth]:
    """Relax the large cells of a size of the training cell by the reference.

    Raises
    ------
    RelaxationError
        If one does not reach `fmax`.
    """
    cells = trainer_of(
        case, Setting(case.name, size, case.seeds[0], 2, 4, "fixed", (), 0.0), store, fmax
    ).relax()
    calculator = as_factory(case.reference)()
    per_atom = energy_per_atom(case, calculator)
    for atoms in case.large(size):
        start = warm_start(atoms, cells)
        found = relax(start, calculator, fmax=fmax, strict=True)
        unrelaxed = potential_energy(with_calculator(atoms, calculator))
        yield Truth(atoms, start, bonds(atoms), found, unrelaxed, per_atom, calculator)


def energy_per_atom(case: Case, calculator: Any) -> float:
    """Return the energy of the crystal, eV an atom."""
    return potential_energy(with_calculator(case.crystal.copy(), calculator)) / len(case.crystal)


@dataclass(frozen=True)
class Setting:
    """One fit: `case` is a name, `weights` "fixed" or "theory", `matching` the conditions that are asked for."""

    case: str
    size: int
    seed: int
    order: int
    degree: int
    weights: str
    matching: tuple[str, ...]
    rtol: float


def settings_of(case: Case) -> list[Setting]:
    """Return the settings of a case's fits: everything combined."""
    return [
        Setting(case.name, size, seed, case.order, degree, "fixed", checked_conditions(matching), rtol)
        for size, seed, degree, matching, rtol in product(
            case.sizes, case.seeds, case.degrees, case.matchings, case.rtols
        )
    ]


def every_fit(
    cases: Mapping[str, Case],
    settings: Sequence[Setting],
    store: str | Path | None,
    fmax: float = FMAX,
    truths: Callable[..., Iterable[Truth]] = truths,
) -> Iterator[tuple[Setting, DefectTrainer, Sequence[Truth]]]:
    """Yield each setting with its trainer, which is ready to fit, and the large cells relaxed by the reference.

    Settings of the same labels or rows are to stand together: what was made for the last one is kept, no more.

    Parameters
    ----------
    cases : by name
    settings : of fits
    store : directory of labels, or None
    fmax : eV/Å, of all relaxations
    truths : function (case, size, store, fmax) -> the large cells
    """
    known: dict[tuple[str, int], list[Truth]] = {}
    base: dict[Setting, DefectTrainer] = {}
    labelled: dict[Setting, DefectTrainer] = {}
    for setting in settings:
        case, large = cases[setting.case], (setting.case, setting.size)
        if large not in known:
            known = {large: list(truths(case, setting.size, store, fmax))}
        rows = replace(setting, matching=(), rtol=0.0)
        labels = replace(rows, order=0, degree=0)
        if labels not in labelled:
            labelled = {labels: trainer_of(case, setting, store, fmax)}
            labelled[labels].label(), labelled[labels].force_constants()
        if rows not in base:
            base = {rows: labelled[labels].with_basis(case.basis(setting.order, setting.degree))}
        yield setting, base[rows].refitted(setting.matching, setting.rtol), known[large]


def model_of(trainer: DefectTrainer) -> LinearACE:
    """Return the calculator of a trainer's fit."""
    return LinearACE(trainer.basis, trainer.fit().coefficients, trainer.one_body())


def errors_of(found: Relaxation, truth: Truth, unrelaxed: float, per_atom: float) -> dict[str, float]:
    """Compare a model's relaxation with the reference's.

    Parameters
    ----------
    found : the model's, from `truth.start`
    unrelaxed, per_atom : eV, the model's less the reference's energies of the unrelaxed cell, and of an atom of the
        crystal

    Returns
    -------
    dict
        "geometry" (Å, bond norm), "relaxation" and "formation" (eV, model minus reference), "excess" (eV, the
        reference's energy of the model's geometry above its minimum; see `Truth.priced`); nan without a minimum.
    """
    if not found.converged:
        return dict.fromkeys(("geometry", "relaxation", "formation", "excess"), float("nan"))
    difference = found.energy - truth.relaxation.energy
    geometry = strain_norm(truth.links, found.atoms.positions - truth.relaxation.atoms.positions)
    cost = float("nan")
    if geometry <= truth.priced:
        cost = potential_energy(with_calculator(found.atoms, truth.calculator)) - truth.relaxation.energy
    return {
        "geometry": geometry,
        "relaxation": difference - unrelaxed,
        "formation": difference - len(truth.atoms) * per_atom,
        "excess": cost,
    }


def measured(
    case: Case, trainer: DefectTrainer, truth: Truth, fmax: float = FMAX, optimizer: Any = None
) -> dict[str, Any]:
    """Relax a large cell by a trainer's fit and compare; see `errors_of`. `Truth.optimizer` is the fast one."""
    model = model_of(trainer)
    unrelaxed = potential_energy(with_calculator(truth.atoms, model)) - truth.unrelaxed
    found = relax(truth.start, model, optimizer, fmax)
    return errors_of(found, truth, unrelaxed, energy_per_atom(case, model) - truth.per_atom)


def violation(trainer: DefectTrainer) -> float:
    """Return the largest relative violation of the conditions a fit matches.

    Of energies and force constants relative to the largest target of the kind; of forces, whose targets are zero,
    relative to the root mean square of the training samples' forces.
    """
    x = trainer.fit().coefficients
    forces = np.concatenate([cell.forces.ravel() for cell in trainer.label()[0]])
    typical = float(np.sqrt(np.mean(forces**2)))
    worst = 0.0
    for name, rows in trainer.conditions_matched().items():
        if name in trainer.matched:
            scale = typical if name == "forces" else float(np.max(np.abs(rows.d)))
            worst = max(worst, rows.violation(x) / scale)
    return worst
