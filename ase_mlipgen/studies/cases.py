"""Crystals, defects, references and large cells of the studies of certificates. Enter at `CASES`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk

from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.defects import Interstitial, Vacancy, simulation_cell, triangular_lattice
from ase_mlipgen.studies.study import PAPER

Matching = str | tuple[str, ...] | None
"""Of `DefectTrainer`, hashable."""
PAPER_OPTIONS = {"amplitude": 0.01, "n_perfect": 0, "scaling": None}
"""Displacements up to 0.01 Å, no cell without a defect, columns as they are."""


@dataclass(frozen=True)
class Case:
    """One crystal with its defects, and the fits to be certified.

    Attributes
    ----------
    name : str
    crystal : unit cell of the host
    defects : to be trained
    reference : factory
    element, cutoff : of the basis
    sizes, degrees, rtols, matchings, seeds : of the fits, all combined
    large : function (size of the training cell) -> large cells
    options : of `DefectTrainer`
    tag : identity of the reference for the store, where it needs one
    order : of the basis
    at_size : by size of the training cell, options that hold there only; "reference" may be among them
    """

    name: str
    crystal: Atoms
    defects: Sequence[Any]
    reference: Callable[[], Any]
    element: str
    cutoff: float
    sizes: Sequence[int]
    degrees: Sequence[int]
    rtols: Sequence[float]
    matchings: Sequence[Matching]
    seeds: Sequence[int]
    large: Callable[[int], list[Atoms]]
    options: dict[str, Any]
    tag: str | None = None
    order: int = 3
    at_size: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    def reference_of(self, size: int) -> Callable[[], Any]:
        """Return the reference of training cells of a size: of electrons it may have k-points of its own."""
        return self.at_size.get(size, {}).get("reference", self.reference)

    def options_of(self, size: int) -> dict[str, Any]:
        """Return the options of `DefectTrainer` for training cells of a size."""
        return self.options | {k: v for k, v in self.at_size.get(size, {}).items() if k != "reference"}

    def basis(self, order: int, degree: int) -> ACEBasis:
        """Return the basis of an order and a degree."""
        return ACEBasis([self.element], order=order, degree=degree, cutoff=self.cutoff)

    def following(self, protocol: str) -> "Case":
        """Return the case as a protocol has it: "paper" is plain fits by Sec. 4 of Ortner & Wang, to the letter."""
        if protocol != PAPER:
            return self
        return replace(self, options={**self.options, **PAPER_OPTIONS}, matchings=(None,))


SHEET = triangular_lattice("W", 2.72711)
HOLLOW = Interstitial((0.5, 1.0 / 6.0))


def _pair(crystal: Atoms, defects: Sequence[Any], size: int, separation: int) -> list[Atoms]:
    return [simulation_cell(crystal, list(defects), size, separation)]


def _scattered(size: int, counts: Sequence[int] = (3, 4, 5, 6)) -> list[Atoms]:
    """Vacancies at random places of the sheet of 60 r0, at least `size` apart."""
    rng = np.random.default_rng(size)
    found = []
    for count in counts:
        while True:
            places = rng.integers(0, 60, (count, 2))
            try:
                found.append(simulation_cell(SHEET, [Vacancy()] * count, 60, size, places.tolist()))
            except ValueError:
                continue
            break
    return found


def kumagai() -> Any:
    """Silicon of Kumagai et al."""
    from matscipy.calculators.manybody import Manybody
    from matscipy.calculators.manybody.explicit_forms import Kumagai
    from matscipy.calculators.manybody.explicit_forms.kumagai import Kumagai_Comp_Mat_Sci_39_Si

    return Manybody(**Kumagai(Kumagai_Comp_Mat_Sci_39_Si))


def emt() -> Any:
    """Copper of the effective medium theory."""
    from ase.calculators.emt import EMT

    return EMT()


VACANCIES_2D = {"n_train": 200, "n_test": 2, "n_perfect": 20, "amplitude": 0.05}
FEW = {"n_train": 40, "n_test": 2, "n_perfect": 6, "amplitude": 0.05}

CASES = {
    case.name: case
    for case in (
        Case(
            "sheet", SHEET, [Vacancy()], EAM2D, "W", 6.0, (5, 6, 7, 8), (8, 10, 12, 14), (1e-4, 1e-7),
            (None, "exact"), (0, 1, 2), lambda L: _pair(SHEET, [Vacancy()] * 2, 60, L), VACANCIES_2D,
        ),
        Case(
            "mixed", SHEET, [Vacancy(), HOLLOW], EAM2D, "W", 6.0, (6, 7, 8), (12, 14), (1e-4, 1e-6),
            (None, "exact"), (0,), lambda L: _pair(SHEET, [Vacancy(), HOLLOW], 60, L),
            {**VACANCIES_2D, "n_train": 100, "weights": {"energy": 100.0, "forces": 10.0}},
        ),
        Case(
            "scattered", SHEET, [Vacancy()], EAM2D, "W", 6.0, (6, 7, 8), (10, 14), (1e-6,), (None, "exact"), (0,),
            _scattered, VACANCIES_2D,
        ),
        Case(
            "copper", bulk("Cu", cubic=True, a=3.58982559), [Vacancy()], emt, "Cu", 5.0, (3, 4), (8, 10, 12), (1e-6,),
            (None, "exact"), (0,), lambda L: _pair(bulk("Cu", cubic=True, a=3.58982559), [Vacancy()] * 2, 8, L), FEW,
            "ase EMT",
        ),
        Case(
            "silicon", bulk("Si", cubic=True, a=5.4289), [Vacancy()], kumagai, "Si", 4.0, (2, 3), (8, 10, 12), (1e-6,),
            (None, "exact"), (0,), lambda L: _pair(bulk("Si", cubic=True, a=5.4289), [Vacancy()] * 2, 6, L), FEW,
            "Kumagai",
        ),
        Case(
            "tungsten", bulk("W", cubic=True, a=3.1648), [Vacancy()], EAM2D, "W", 6.0, (4,), (8, 10, 12), (1e-4, 1e-6),
            (None, "exact"), (0,), lambda L: _pair(bulk("W", cubic=True, a=3.1648), [Vacancy()] * 2, 8, L), FEW,
        ),
    )
}  # fmt: skip
