"""What the reference is asked: cells, their relaxation, samples, labels, force constants; each once, and kept."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms

from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.census import take_census
from ase_mlipgen.defects import (
    PointDefect,
    as_defect,
    displaced,
    relax,
    training_cell,
    training_samples,
    unique_names,
)
from ase_mlipgen.defects.sampling import Distribution
from ase_mlipgen.fit import Constraints
from ase_mlipgen.fit.rows import kinds_of
from ase_mlipgen.fit.solve import Scaling
from ase_mlipgen.fit.weights import parse
from ase_mlipgen.labels import LabelledCell, LabelStore, as_factory, identity, label
from ase_mlipgen.progress import Progress, duration
from ase_mlipgen.result import Census, TrainingCell
from ase_mlipgen.theory.cell_hessian import (
    analytic_hessian,
    difference_cells,
    has_hessian,
    hessian_of_forces,
)
from ase_mlipgen.theory.certify import Labelling
from ase_mlipgen.theory.force_constants import ForceConstants, force_constants
from ase_mlipgen.theory.matching import checked_conditions

PAPER_WEIGHTS = {"energy": 100.0, "forces": 1.0}


class TrainingSet:
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
        executor: Executor | None = None,
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
    ) -> None:
        self.crystal, self.reference, self.basis = crystal, reference, basis
        several = defects if isinstance(defects, list | tuple) else [defects]
        self.defects = [as_defect(defect, crystal) for defect in several]
        self.sizes = [int(n) for n in np.atleast_1d(np.asarray(size))]
        self.n_train, self.n_test, self.n_perfect = n_train, n_test, n_perfect
        self.amplitude, self.distribution, self.seed = amplitude, distribution, seed
        self.weights = (
            weights if isinstance(weights, str) else dict(PAPER_WEIGHTS if weights is None else weights)
        )
        self.conditions = checked_conditions(matching)
        self.observations, self.rtol, self.E0, self.tag = tuple(observations), rtol, E0, tag
        self.scaling: Scaling = scaling
        self.optimizer, self.fmax, self.executor = optimizer, fmax, executor
        self.differences, self.on_unstable = force_constants, on_unstable
        self.force_norm, self.uncertainty = force_norm, uncertainty
        self.store = LabelStore(store) if isinstance(store, str | Path) else store
        self.progress = progress if isinstance(progress, Progress) else Progress(quiet=not progress)
        self.matched: tuple[str, ...] = ()
        self.constraints: Constraints | None = None
        self.timings: dict[str, float] = {}
        self._kept: dict[str, Any] = {}
        self.transplants: list[LabelledCell] = []
        self.latest: list[LabelledCell] = []
        self.matched_size = max(self.sizes)
        self._check()

    def _check(self) -> None:
        if not self.defects:
            raise ValueError("defects is empty; give at least one, such as Vacancy()")
        if self.n_train < 1:
            raise ValueError(f"n_train = {self.n_train}: at least one training sample a defect is needed")
        for name in ("n_test", "n_perfect"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"{name} = {getattr(self, name)}: expected a number of cells, not below zero"
                )
        if not self.fmax > 0:
            raise ValueError(f"fmax = {self.fmax}: expected a positive force in eV/Å, such as 1e-5")
        if not 0.0 <= self.rtol < 1.0:
            raise ValueError(f"rtol = {self.rtol}: expected a number from 0 to below 1, such as 1e-6")
        if self.scaling not in ("column", None):
            raise ValueError(f'scaling = {self.scaling!r}: expected "column" or None')
        displaced(self.crystal, self.amplitude, np.random.default_rng(0), self.distribution)
        kinds_of(self._labelled_kinds())
        self._check_weights()
        if self.on_unstable not in ("raise", "warn"):
            raise ValueError(f'on_unstable = {self.on_unstable!r}: expected "raise" or "warn"')
        as_factory(self.reference, self.executor)
        for cell in self.cells():
            self.basis.element_indices(cell.unrelaxed)
            self.basis.element_indices(cell.perfect)

    def _check_weights(self) -> None:
        if self.force_norm not in ("l2", "dual"):
            raise ValueError(f'force_norm = {self.force_norm!r}: expected "l2" or "dual"')
        if not isinstance(self.weights, str):
            parse(self.weights)
        elif self.weights != "theory":
            raise ValueError(f'weights = {self.weights!r}: expected "theory", or numbers by kind')
        elif "energies" not in self.conditions or not {"energy", "forces"} <= set(self.observations):
            raise ValueError(
                'weights="theory" balances energies that are matched exactly against forces: give matching="exact" '
                'or ("energies",), and observe "energy" and "forces"'
            )

    def _labelled_kinds(self) -> list[str]:
        """Return the observations that are rows of every sample: all but force constants."""
        return [kind for kind in self.observations if kind != "force_constants"]

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
            return cells, force_constants(cells[0].perfect, self._calculator())

        return self._once(f"cells of size {size}", compute)

    def census(self) -> Census:
        """Return what the run will compute; nothing expensive is done."""
        return take_census(
            self.cells(),
            self.basis,
            self.n_train,
            self.n_test,
            self.n_perfect,
            self._labelled_kinds(),
            bool(self.conditions),
        )

    def relax(self) -> list[TrainingCell]:
        """Relax the training cells by the reference and return them.

        Raises
        ------
        RelaxationError
            If a cell does not reach `fmax`.
        """
        return self._once("relax", lambda: [self._relaxed(cell) for cell in self.cells()])

    def _relaxed(self, cell: TrainingCell) -> TrainingCell:
        kept = self._checkpoint(cell.unrelaxed)
        found = relax(
            cell.unrelaxed, self._calculator(), self.optimizer, self.fmax, strict=True, checkpoint=kept
        )
        self.progress.say(f"  {cell.name}: relaxed in {found.steps} steps, {duration(found.wall_time)}")
        return TrainingCell(
            cell.name,
            cell.defect,
            cell.size,
            cell.unrelaxed,
            found.atoms,
            cell.perfect,
            found.steps,
            found.wall_time,
        )

    def _checkpoint(self, atoms: Atoms) -> Path | None:
        """Return where the store keeps a relaxation, None without a store."""
        if self.store is None:
            return None
        how = getattr(self.optimizer, "__qualname__", str(self.optimizer))
        return self.store.checkpoint(atoms, identity(self.reference, self.tag), [how, f"fmax {self.fmax!r}"])

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

    def label(self) -> tuple[list[LabelledCell], list[LabelledCell]]:
        """Label the samples by the reference; return training and test cells.

        Raises
        ------
        LabelError
            If the reference fails on a sample; with a store, finished labels are kept.
        """

        def compute() -> tuple[list[LabelledCell], list[LabelledCell]]:
            train, test = self.sample()
            found = self._label([*train, *test], "labels")
            return found[: len(train)], found[len(train) :]

        return self._once("label", compute)

    def _label(self, cells: Sequence[Atoms], stage: str) -> list[LabelledCell]:
        jobs = [(a, a.info.get("config_type", "defect"), a.info.get("defect", "")) for a in cells]
        kinds = [
            kind
            for kind in ("energy", "forces", "stress")
            if kind in {"energy", "forces", *self.observations}
        ]
        return label(
            jobs, self.reference, self.executor, kinds, self.progress.counter(stage), self.store, self.tag
        )

    def labelling(self) -> Labelling:
        """Return how this trainer asks its reference."""
        return Labelling(self.reference, self.executor, self.store, self.tag, self.progress.counter("labels"))

    def force_constants(self) -> list[ForceConstants]:
        """Return the reference's force constants of each size's perfect cell, from its Hessian or its forces."""
        return self._once(
            "force constants", lambda: [force_constants(atoms, self._calculator()) for atoms in self._hosts()]
        )

    def _hosts(self) -> list[Atoms]:
        """Return the perfect cell of each size."""
        return [cell.perfect for cell in self.cells()[:: len(self.defects)]]

    def _largest_constants(self) -> ForceConstants:
        hosts = self._hosts()
        return self.force_constants()[max(range(len(hosts)), key=lambda k: len(hosts[k]))]

    def defect_hessians(self) -> list[Any]:
        """Return the reference's Hessian of each relaxed training cell, eV/Å^2; None where it was not asked for.

        Analytic if the reference can, else from differences of forces, which are labels like others.
        """
        return self._once("defect hessians", lambda: [self._hessian(cell) for cell in self.relax()])

    def _hessian(self, cell: TrainingCell) -> Any:
        if self._analytic():
            return analytic_hessian(cell.relaxed, self._calculator())
        if not self.differences and "force_constants" not in self.observations:
            return None
        moved = [tagged(atoms, "defect", cell.defect) for atoms in difference_cells(cell.relaxed)]
        return hessian_of_forces(
            cell.relaxed, [found.forces for found in self._label(moved, "force constants")]
        )

    def _analytic(self) -> bool:
        return self.differences is not False and has_hessian(self._calculator())

    def _calculator(self) -> Any:
        return as_factory(self.reference)()

    def _once(self, stage: str, compute: Callable[[], Any]) -> Any:
        if stage not in self._kept:
            with self._timed(stage):
                self._kept[stage] = compute()
        return self._kept[stage]

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        """Time a stage without the stages that it calls."""
        begun, inner = time.perf_counter(), sum(self.timings.values())
        yield
        elapsed = time.perf_counter() - begun
        self.timings[stage] = elapsed - (sum(self.timings.values()) - inner)


def tagged(atoms: Atoms, config_type: str, defect: str) -> Atoms:
    """Return a copy that says which configuration of which defect it is."""
    tagged = atoms.copy()
    tagged.info.update(config_type=config_type, defect=defect)
    return tagged
