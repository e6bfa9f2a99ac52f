"""What the reference is asked: cells, their relaxation, samples, labels, force constants; each once, and kept."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms

from ase_mlipgen.arguments import number, of_kind, whole
from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.census import take_census
from ase_mlipgen.defects import (
    PointDefect,
    as_defect,
    displaced,
    training_cell,
    training_samples,
    unique_names,
)
from ase_mlipgen.defects.cells import HOST
from ase_mlipgen.defects.geometry import check_atoms
from ase_mlipgen.defects.sampling import Distribution
from ase_mlipgen.executors import named
from ase_mlipgen.fit import Constraints
from ase_mlipgen.fit.rows import kinds_of
from ase_mlipgen.fit.solve import Scaling
from ase_mlipgen.fit.weights import Weights, check_heavy
from ase_mlipgen.labels import Folders, LabelledCell, LabelStore, as_factory, check_limits
from ase_mlipgen.progress import Progress
from ase_mlipgen.result import Census, TrainingCell
from ase_mlipgen.theory.force_constants import ForceConstants, force_constants
from ase_mlipgen.theory.matching import checked_conditions
from ase_mlipgen.trainer.asking import Asking
from ase_mlipgen.trainer.fitting import check_E0, check_rtol
from ase_mlipgen.trainer.records import Records

PAPER_WEIGHTS = {"energy": 100.0, "forces": 1.0}


class TrainingSet(Asking):
    """Arguments of a trainer, and the stages up to labels; see `DefectTrainer`."""

    def __init__(
        self,
        crystal: Atoms,
        defects: PointDefect | Atoms | Sequence[PointDefect | Atoms],
        reference: Any,
        basis: ACEBasis,
        size: int | Sequence[int] = 8,
        n_train: int = 200,
        n_test: int = 50,
        *,
        amplitude: float = 0.05,
        n_perfect: int = 20,
        weights: Mapping[str, Any] | Literal["theory"] | None = None,
        matching: str | Sequence[str] | None = "exact",
        observations: Sequence[str] = ("energy", "forces"),
        rtol: float = 1e-6,
        scaling: Scaling = "column",
        optimizer: Callable[..., Any] | None = None,
        fmax: float = 1e-5,
        executor: Executor | str | None = None,
        store: str | Path | LabelStore | None = None,
        seed: int = 0,
        distribution: Distribution = "uniform",
        E0: Mapping[str, float] | None = None,
        tag: str | None = None,
        progress: Progress | bool = True,
        force_constants: bool | None = None,
        on_unstable: Literal["raise", "warn"] = "raise",
        force_norm: Literal["l2", "dual"] = "l2",
        uncertainty: bool = True,
        folders: Folders | None = None,
        expensive: bool | None = None,
        time_limit: float | None = None,
        retries: int = 0,
        fit_executor: bool | None = None,
    ) -> None:
        check_atoms("crystal", crystal, HOST)
        of_kind(
            "basis", basis, ACEBasis, 'an ACEBasis, such as ACEBasis(["W"], order=3, degree=12, cutoff=6.0)'
        )
        self.crystal, self.reference, self.basis = crystal, reference, basis
        several = defects if isinstance(defects, list | tuple) else [defects]
        self.defects = [as_defect(defect, crystal) for defect in several]
        self.sizes = _sizes(size)
        self.n_train, self.n_test, self.n_perfect = n_train, n_test, n_perfect
        self.amplitude, self.distribution, self.seed = amplitude, distribution, seed
        self.weights = PAPER_WEIGHTS if weights is None else weights
        if isinstance(self.weights, Mapping | Weights):
            self.weights = dict(asdict(self.weights) if isinstance(self.weights, Weights) else self.weights)
        self.conditions = checked_conditions(matching)
        if not isinstance(observations, Iterable):
            raise TypeError(f'observations = {observations!r}: expected names, such as ("energy", "forces")')
        self.observations = (observations,) if isinstance(observations, str) else tuple(observations)
        self.rtol, self.E0, self.tag = rtol, E0, tag
        self.scaling: Scaling = scaling
        self.optimizer, self.fmax, self.fit_executor = optimizer, fmax, fit_executor
        self.executor = named(executor) if isinstance(executor, str) else executor
        self._opened_here = isinstance(executor, str)
        self.differences, self.on_unstable = force_constants, on_unstable
        self.force_norm, self.uncertainty = force_norm, uncertainty
        self.time_limit, self.retries = time_limit, retries
        self.store = LabelStore(store) if isinstance(store, str | Path) else store
        self.folders, self.expensive = folders, expensive
        self._begin(progress)
        self.matched: tuple[str, ...] = ()
        self.constraints: Constraints | None = None
        self.records: Records | None = None
        self.partial = False
        self.transplants: list[LabelledCell] = []
        self.latest: list[LabelledCell] = []
        self.matched_size = max(self.sizes)
        self._check()

    def _check(self) -> None:
        if not self.defects:
            raise ValueError("defects is empty; give at least one, such as Vacancy()")
        whole("n_train", self.n_train, "at least one training sample a defect", 1)
        for name in ("n_test", "n_perfect"):
            whole(name, getattr(self, name), "a whole number of cells, not below zero")
        whole("seed", self.seed, "a whole number, not below zero, such as 0")
        number("fmax", self.fmax, "a positive force in eV/Å, such as 1e-5", lambda x: x > 0)
        check_rtol(self.rtol)
        number(
            "amplitude", self.amplitude, "a length in Å, 0.03 to 0.1 for most crystals", lambda x: x >= 0.0
        )
        check_E0(self.E0, self.basis)
        self._check_helpers()
        if self.scaling not in ("column", None):
            raise ValueError(f'scaling = {self.scaling!r}: expected "column" or None')
        displaced(self.crystal, self.amplitude, np.random.default_rng(0), self.distribution)
        kinds_of(self._labelled_kinds())
        self._check_weights()
        if self.on_unstable not in ("raise", "warn"):
            raise ValueError(f'on_unstable = {self.on_unstable!r}: expected "raise" or "warn"')
        if self.fit_executor and self.executor is None:
            raise ValueError(
                'fit_executor = True without an executor: give one, such as executor="processes"'
            )
        check_limits(self.time_limit, self.retries)
        as_factory(self.reference, self.executor, self.time_limit is not None)
        for cell in self.cells():
            self.basis.element_indices(cell.unrelaxed)
            self.basis.element_indices(cell.perfect)

    def _check_helpers(self) -> None:
        """Refuse optimisers, executors and stores that are none."""
        if self.optimizer is not None and not callable(self.optimizer):
            raise TypeError(f"optimizer = {self.optimizer!r}: expected an ASE optimiser class, such as LBFGS")
        if self.executor is not None and not hasattr(self.executor, "submit"):
            raise TypeError(
                f'executor = {self.executor!r}: expected a concurrent.futures.Executor, or a name such as "processes"'
            )
        if self.store is not None:
            of_kind("store", self.store, LabelStore, "a directory, or a LabelStore")

    def _check_weights(self) -> None:
        if self.force_norm not in ("l2", "dual"):
            raise ValueError(f'force_norm = {self.force_norm!r}: expected "l2" or "dual"')
        if not isinstance(self.weights, str):
            check_heavy(self.weights, self.observations)
        elif self.weights != "theory":
            raise ValueError(f'weights = {self.weights!r}: expected "theory", or numbers by kind')
        elif "energies" not in self.conditions or not {"energy", "forces"} <= set(self.observations):
            raise ValueError(
                'weights="theory" balances energies that are matched exactly against forces: give matching="exact" '
                'or ("energies",), and observe "energy" and "forces"'
            )

    def cells(self) -> list[TrainingCell]:
        """Return the unrelaxed training cells, one a defect and size."""
        return self._once("cells", lambda: [cell for size in self.sizes for cell in self._unrelaxed(size)])

    def _unrelaxed(self, size: int) -> list[TrainingCell]:
        perfect = training_cell(self.crystal, None, size)
        found = []
        for name, defect in zip(unique_names(self.defects), self.defects, strict=True):
            start = training_cell(self.crystal, defect, size)
            found.append(TrainingCell(f"{name}, L = {size}", name, size, start, start, perfect, 0, 0.0))
        return found

    def cells_of_size(self, size: int) -> tuple[list[TrainingCell], ForceConstants]:
        """Return the unrelaxed cells of any size and the reference's force constants there, for certificates."""

        def compute() -> tuple[list[TrainingCell], ForceConstants]:
            cells = self._unrelaxed(size)
            return cells, force_constants(cells[0].perfect, self.calculator())

        return self._once(f"cells of size {size}", compute)

    def census(self) -> Census:
        """Return what the run will compute; nothing expensive is done."""
        found = self._planned()
        if absent := self.n_absent():
            text = f"{absent} of {sum(map(len, self.sample()))} samples have no label and are left out"
            found = replace(found, warnings=(*found.warnings, text))
        return found

    def _planned(self) -> Census:
        return take_census(
            self.cells(),
            self.basis,
            self.n_train,
            self.n_test,
            self.n_perfect,
            self._labelled_kinds(),
            bool(self.conditions),
        )

    def sample(self) -> tuple[list[Atoms], list[Atoms]]:
        """Return the training and the test samples around the relaxed cells.

        `info["config_type"]` is "defect" or "perfect", `info["defect"]` the defect's name.
        """

        def draw() -> tuple[list[Atoms], list[Atoms]]:
            train: list[Atoms] = []
            test: list[Atoms] = []
            seeds = np.random.SeedSequence(self.seed).spawn(len(self.relax()))
            for k, (cell, seed) in enumerate(zip(self.relax(), seeds, strict=True)):
                first = k % len(self.defects) == 0
                found = training_samples(
                    cell.relaxed, np.random.default_rng(seed), self.n_train, self.n_test, self.amplitude,
                    self.distribution, cell.perfect if first else None, self.n_perfect, cell.defect,
                )  # fmt: skip
                train += found.train
                test += found.test
            return train, test

        return self._once("sample", draw)


def _sizes(size: Any) -> list[int]:
    several = list(size) if isinstance(size, Sequence | np.ndarray) and not isinstance(size, str) else [size]
    if not several:
        raise ValueError("size is empty: expected a whole number of unit cells, such as 8, or several")
    return [whole("size", n, "a whole number of unit cells, such as 8, or several", 1) for n in several]
