"""From a crystal and its defects to a potential with known errors: the stages, wired.

cells -> relaxed by the reference -> samples -> labels -> triangular factor -> coefficients -> errors. Every stage is a
function of its own room and useful alone; the trainer passes things on and keeps what it made.
Protocol: Ortner & Wang, *A framework for a generalisation analysis of machine-learned interatomic potentials*, Sec. 4.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms

from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.calculators.linear_ace import LinearACE
from ase_mlipgen.census import doubts, take_census
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
from ase_mlipgen.fit import Constraints, LinearFit, RowBlock, TriangularFactor, assemble, solve
from ase_mlipgen.fit.balance import Balance, Trial, balance
from ase_mlipgen.fit.hessians import cell_blocks, crystal_blocks
from ase_mlipgen.fit.one_body import average_E0
from ase_mlipgen.fit.rows import kinds_of
from ase_mlipgen.fit.weights import parse, weights_of
from ase_mlipgen.labels import LabelledCell, LabelStore, as_factory, label
from ase_mlipgen.posterior import Posterior
from ase_mlipgen.progress import Progress, duration
from ase_mlipgen.result import Census, TrainingCell, TrainingResult
from ase_mlipgen.theory.cell_hessian import (
    analytic_hessian,
    difference_cells,
    has_hessian,
    hessian_of,
    hessian_of_forces,
    in_components,
)
from ase_mlipgen.theory.errors import Errors, measure
from ase_mlipgen.theory.force_constants import (
    ForceConstants,
    force_constants,
    force_constants_percent,
    full_hessian,
)
from ase_mlipgen.theory.matching import checked_conditions, matching_constraints
from ase_mlipgen.theory.norms import force_metric
from ase_mlipgen.theory.stability import (
    CellOperators,
    InstabilityWarning,
    StabilityError,
    measure_operators,
    require_stable,
    summarise,
)
from ase_mlipgen.theory.uncertainty import posterior_of
from ase_mlipgen.threads import available_threads, blas_threads

PAPER_WEIGHTS = {"energy": 100.0, "forces": 1.0}


class DefectTrainer:
    """Train a linear ACE potential on small cells with one defect.

    Parameters
    ----------
    crystal : Atoms
        Unit cell of the host: any ASE crystal, or `triangular_lattice`.
    defects : defect or sequence of defects
        `Vacancy`, `Interstitial`, `Substitution`, or Atoms with a defect in a supercell of the host.
    reference : Calculator or callable () -> Calculator
        Labels the cells. A factory (class, function, `functools.partial`) is needed for process executors.
    basis : ACEBasis
    size : int or sequence of int
        Size of the training cells in unit cells of the crystal (r0 in 2D); several make nested cells.
    n_train, n_test : int
        Samples of each defect and size.
    amplitude : float
        Largest displacement of each coordinate of a sample (standard deviation if `distribution` is "normal"), Å.
    n_perfect : int
        Perfect-crystal cells of each size, the first one unperturbed. They fix the energy per bulk atom; without
        them formation energies are wrong although test errors look good.
    weights : mapping or "theory"
        Of squared residuals of total energies, force components and virials, eq. (4.2): the paper's
        ``{"energy": 100, "forces": 1}`` by default; or one such mapping a defect name. "theory" looks for the weight
        at which eps_E <= eps_F^2 on the training samples, without spoiling forces: see `fit.balance`.
    matching : "exact", None, or some of ("energies", "forces", "force_constants")
        Conditions of Theorem 3.1 that the fit satisfies exactly, as equality constraints.
    observations : sequence of str
        "energy", "forces" and, if asked for, "stress" and "force_constants": the Hessians of the relaxed training
        cells and of the perfect crystal, analytic or from labels (see `force_constants`), weighted by
        ``weights["force_constants"]``.
    rtol : float
        Relative tolerance of the rank-revealing factorisation.
    optimizer : ASE optimiser class, optional
    fmax : float
        Tolerance of relaxations, eV/Å.
    executor : concurrent.futures.Executor, optional
        Where labels are computed; results do not depend on it.
    store : path or LabelStore, optional
        Directory that keeps labels, so that the same run again computes none twice.
    seed : int
    distribution : {"uniform", "normal"}
    E0 : mapping of symbol to float, optional
        Energy of each element taken out before the fit, eV; by default the least-squares energy per atom.
    tag : str, optional
        Identity of a reference that cannot state its own, for the store.
    progress : Progress or bool
        True shows progress on standard error.
    force_constants : bool, optional
        Whether to measure eps_FC and the reference's stability where its Hessian has to come from differences of
        forces, 6 n_atoms labels a training cell (4 in a plane). By default only if the reference has its own Hessian.
    on_unstable : {"raise", "warn"}
        What to do where reference or surrogate are not stable: see `StabilityError`, which carries the result.
    force_norm : {"l2", "dual"}
        In which squared force residuals of a cell are measured: by components, or in the dual of the strain norm, in
        which the theory measures eps_F. The latter is taken times the mean diagonal of the bond Laplacian, twice the
        coordination, so that weights mean about the same in both.
    uncertainty : bool
        Whether the model gets a posterior: see `LinearACE.get_uncertainty`.

    Raises
    ------
    ValueError
        For arguments out of range or a basis that lacks an element of the cells.

    Notes
    -----
    `run` is the whole job; `cells`, `relax`, `sample`, `label` and `fit` are its stages, each computed once and kept.
    """

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
        self.optimizer, self.fmax, self.executor = optimizer, fmax, executor
        self.differences, self.on_unstable = force_constants, on_unstable
        self.force_norm, self.uncertainty = force_norm, uncertainty
        self.store = LabelStore(store) if isinstance(store, str | Path) else store
        self.progress = progress if isinstance(progress, Progress) else Progress(quiet=not progress)
        self.matched: tuple[str, ...] = ()
        self.constraints: Constraints | None = None
        self.timings: dict[str, float] = {}
        self._kept: dict[str, Any] = {}
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

        def build() -> list[TrainingCell]:
            names = unique_names(self.defects)
            found = []
            for size in self.sizes:
                perfect = training_cell(self.crystal, None, size)
                for name, defect in zip(names, self.defects, strict=True):
                    start = training_cell(self.crystal, defect, size)
                    found.append(
                        TrainingCell(f"{name}, L = {size}", name, size, start, start, perfect, 0, 0.0)
                    )
            return found

        return self._once("cells", build)

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
        found = relax(cell.unrelaxed, self._calculator(), self.optimizer, self.fmax, strict=True)
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

    def factor(self) -> TriangularFactor:
        """Return the compressed least-squares system of the training cells."""

        def compute() -> TriangularFactor:
            if isinstance(self.weights, str):
                return self._weighed(self.balance().chosen.W_E)
            return self._assembled(self._labelled_kinds(), self.weights)

        return self._once("assemble", compute)

    def _assembled(self, kinds: list[str], weights: Mapping[str, Any]) -> TriangularFactor:
        """Fold the rows of the samples into a triangle, and those of Hessians to those of forces."""
        count, cells = self.progress.counter("rows"), self.label()[0]
        with ThreadPoolExecutor(available_threads()) as pool:
            found = assemble(
                self.basis, cells, weights, self.one_body(), kinds, pool, count, self._metrics(cells)
            )
        if "forces" in kinds and "force_constants" in self.observations:
            with blas_threads(1):
                for block in self._hessian_blocks(weights):
                    found.add(block.A, block.b)
        return found

    def _metrics(self, cells: Sequence[LabelledCell]) -> list[Any] | None:
        """Return the root of the dual norm of every cell; None where components count."""
        if self.force_norm == "l2":
            return None
        known = {(c.defect, len(c.unrelaxed)): force_metric(c.unrelaxed) for c in self.cells()}
        known |= {("", len(host)): force_metric(host) for host in self._hosts()}
        return [known[cell.defect, len(cell.atoms)] for cell in cells]

    def _hessian_blocks(self, weights: Mapping[str, Any]) -> Iterator[RowBlock]:
        by_defect = parse(weights)
        for cell, hessian in zip(self.relax(), self.defect_hessians(), strict=True):
            weight = weights_of(by_defect, cell.defect).force_constants
            yield from cell_blocks(self.basis, cell.relaxed, in_components(hessian, cell.unrelaxed), weight)
        for host, constants in zip(self._hosts(), self.force_constants(), strict=True):
            yield from crystal_blocks(
                self.basis,
                host,
                constants.sites_s,
                constants.multiplicity_s,
                constants.columns_sanb,
                weights_of(by_defect, "").force_constants,
            )

    def _weighed(self, W_E: float) -> TriangularFactor:
        """Return the system with one weight of energies, from the triangles of energies and of the rest."""

        def compute() -> tuple[TriangularFactor, TriangularFactor]:
            rest = [kind for kind in self._labelled_kinds() if kind != "energy"]
            energies = self._assembled(["energy"], {"energy": 1.0})
            return energies, self._assembled(rest, {"forces": 1.0})

        energies, rest = self._once("triangles", compute)
        with blas_threads(1):
            return rest.scaled(1.0).merge(energies.scaled(W_E))

    def balance(self) -> Balance:
        """Return the weights by the theory, and how they were found; see `fit.balance`.

        Raises
        ------
        ValueError
            The weights are numbers.
        """
        if not isinstance(self.weights, str):
            raise ValueError('weights are given as numbers; there is a balance for weights="theory" only')
        samples = [cell for cell in self.label()[0] if cell.config_type == "defect"]

        def trial(W_E: float) -> Trial:
            fit = self._solved(self._weighed(W_E))
            model = LinearACE(self.basis, fit.coefficients, self.one_body())
            found = measure(model, samples, self.relax(), fit, float("nan"))
            return Trial(W_E, found.eps_E, found.eps_F, found.eps_F_rmse)

        def compute() -> Balance:
            found = balance(trial)
            self.progress.say(f"  {found}")
            return found

        return self._once("balance", compute)

    def one_body(self) -> dict[str, float]:
        """Return E0 of every element, eV: the given ones, or the least-squares energies per atom."""
        if self.E0 is not None:
            return {symbol: float(self.E0.get(symbol, 0.0)) for symbol in self.basis.elements}
        return average_E0(self.label()[0], self.basis.elements)

    def fit(self) -> LinearFit:
        """Solve for the coefficients, with the matching conditions as constraints.

        A basis that is too small for all conditions carries those that it can, energies first, then forces,
        then force constants; `matched` says which.
        """

        def compute() -> LinearFit:
            fit = self._solved(self.factor())
            if fit.note:
                self.progress.say(f"  note: {fit.note}")
            return fit

        return self._once("fit", compute)

    def _solved(self, factor: TriangularFactor) -> LinearFit:
        found = self._constraints()
        for n in range(len(found), -1, -1):
            self.matched = tuple(found)[:n]
            self.constraints = Constraints.stack([found[name] for name in self.matched]) if n else None
            fit = solve(factor, self.rtol, constraints=self.constraints)
            if n == 0 or fit.constraint_rank > 0:
                break
        left_out = [name.replace("_", " ") for name in found if name not in self.matched]
        if left_out:
            fit = replace(fit, note=f"not matched exactly: {', '.join(left_out)}; the basis is too small")
        return fit

    def _constraints(self) -> dict[str, Constraints]:
        return self._once("constraints", self._matching) if self.conditions else {}

    def _matching(self) -> dict[str, Constraints]:
        cells, perfect = self.relax(), self._hosts()
        equilibria = self._label([_tagged(c.relaxed, "defect", c.defect) for c in cells], "equilibria")
        others = [_tagged(c.unrelaxed, "defect", c.defect) for c in cells]
        others += [_tagged(atoms, "perfect", "") for atoms in perfect]
        wanted = "force_constants" in self.conditions
        constants = list(zip(perfect, self.force_constants(), strict=True)) if wanted else []
        return matching_constraints(
            self.basis,
            self.one_body(),
            self.conditions,
            equilibria,
            self._label(others, "references"),
            constants,
        )

    def force_constants(self) -> list[ForceConstants]:
        """Return the reference's force constants of each size's perfect cell, from its Hessian or its forces."""
        return self._once(
            "force constants", lambda: [force_constants(atoms, self._calculator()) for atoms in self._hosts()]
        )

    def _hosts(self) -> list[Atoms]:
        """Return the perfect cell of each size."""
        return [cell.perfect for cell in self.cells()[:: len(self.defects)]]

    def run(self) -> TrainingResult:
        """Run every stage and return the result."""
        with self.progress:
            census = self.census()
            self.progress.say(str(census))
            for category, text in doubts(self.cells(), self.basis.cutoff, self.n_perfect):
                warnings.warn(text, category, stacklevel=2)
            with self._timed("fit in all"):
                self._gate_reference()
                fit = self.fit()
            calculator = LinearACE(
                self.basis, fit.coefficients, self.one_body(), metadata={"settings": self.settings()}
            )
            if self.uncertainty:
                calculator.posterior = self.posterior()
            with self._timed("measure"):
                operators = self._operators(calculator)
                test_errors, train_errors, by_defect = self._measure(calculator, fit, operators)
            self.progress.say(f"  rank {fit.rank} of {fit.n_functions} functions, {fit.n_rows} rows")
        self.timings.pop("fit in all")
        result = TrainingResult(
            calculator=calculator,
            cells=self.relax(),
            train=self.label()[0],
            test=self.label()[1],
            fit=fit,
            errors=test_errors,
            train_errors=train_errors,
            by_defect=by_defect,
            matched=self.matched,
            census=census,
            timings=dict(self.timings),
            settings=self.settings(),
            weights=self._weights_used(),
            constants=self._largest_constants(),
        )
        return self._gated(operators, result)

    def _largest_constants(self) -> ForceConstants:
        hosts = self._hosts()
        return self.force_constants()[max(range(len(hosts)), key=lambda k: len(hosts[k]))]

    def posterior(self) -> Posterior:
        """Return what the fit leaves uncertain, scaled to the force errors of the test samples."""

        def compute() -> Posterior:
            fit, (train, test) = self.fit(), self.label()
            model = LinearACE(self.basis, fit.coefficients, self.one_body())
            return posterior_of(model, fit, self.factor(), self.constraints, train, test)

        return self._once("posterior", compute)

    def _weights_used(self) -> dict[str, Any]:
        """Return the weights of the fit in the convention of eq. (4.2), and how they were found."""
        if not isinstance(self.weights, str):
            return dict(self.weights)
        found = self.balance()
        return {
            "energy": found.chosen.W_E,
            "forces": 1.0,
            "balance": "reached" if found.reached else "not reachable",
            "said": str(found),
            "trials": [asdict(trial) for trial in found.trials],
        }

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
        moved = [_tagged(atoms, "defect", cell.defect) for atoms in difference_cells(cell.relaxed)]
        return hessian_of_forces(
            cell.relaxed, [found.forces for found in self._label(moved, "force constants")]
        )

    def _analytic(self) -> bool:
        return self.differences is not False and has_hessian(self._calculator())

    def _operators(self, calculator: LinearACE) -> list[CellOperators]:
        """Compare the Hessians of the perfect cells and of the relaxed training cells.

        The model's come from differences where the reference's do: most of the differences' error cancels.
        """
        found = []
        for atoms, constants in zip(self._hosts(), self.force_constants(), strict=True):
            theirs, ours = (full_hessian(c, atoms) for c in (constants, force_constants(atoms, calculator)))
            found.append(
                measure_operators(f"the perfect crystal, {len(atoms)} atoms", "", atoms, theirs, ours)
            )
        for cell, theirs in zip(self.relax(), self.defect_hessians(), strict=True):
            ours = hessian_of(cell.relaxed, calculator, theirs is None or self._analytic())
            found.append(measure_operators(cell.name, cell.defect, cell.unrelaxed, theirs, ours))
        return found

    def _gate_reference(self) -> None:
        """Refuse an equilibrium that is none before labels are spent on it, where the Hessian costs nothing."""
        if self.on_unstable == "raise" and self._analytic():
            for cell, hessian in zip(self.relax(), self.defect_hessians(), strict=True):
                require_stable([measure_operators(cell.name, cell.defect, cell.unrelaxed, hessian, None)])

    def _gated(self, operators: list[CellOperators], result: TrainingResult) -> TrainingResult:
        """Let a result pass if both models are stable."""
        try:
            require_stable(operators)
        except StabilityError as error:
            result = replace(result, unstable=str(error))
            if self.on_unstable == "raise":
                error.result = result
                raise
            warnings.warn(str(error), InstabilityWarning, stacklevel=3)
        return result

    def _measure(
        self, calculator: LinearACE, fit: LinearFit, operators: list[CellOperators]
    ) -> tuple[Errors, Errors, dict[str, Errors]]:
        cells, (train, test) = self.relax(), self.label()
        hosts, reference = self._hosts(), self.force_constants()
        largest = max(range(len(hosts)), key=lambda k: len(hosts[k]))
        own = force_constants(hosts[largest], calculator)
        percent = force_constants_percent(reference[largest], own)
        train = [cell for cell in train if cell.config_type == "defect"]
        names = unique_names(self.defects)

        def errors(labelled: list[LabelledCell], of: list[str] = names) -> Errors:
            return measure(calculator, labelled, cells, fit, percent, summarise(operators, of))

        by_defect = {name: errors([cell for cell in test if cell.defect == name], [name]) for name in names}
        return errors(test), errors(train), by_defect

    def settings(self) -> dict[str, Any]:
        """Return every argument in a form that JSON can hold."""
        names = (
            "n_train",
            "n_test",
            "n_perfect",
            "amplitude",
            "distribution",
            "seed",
            "weights",
            "force_norm",
            "rtol",
            "fmax",
            "E0",
        )
        return {
            "crystal": {"formula": str(self.crystal.symbols), "cell": self.crystal.cell.array.tolist()},
            "defects": [repr(defect) for defect in self.defects],
            "reference": _name_of(self.reference),
            "basis": self.basis.todict(),
            "size": self.sizes,
            "matching": list(self.conditions),
            "observations": list(self.observations),
            **{name: getattr(self, name) for name in names},
        }

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


def _tagged(atoms: Atoms, config_type: str, defect: str) -> Atoms:
    copy = atoms.copy()
    copy.info.update(config_type=config_type, defect=defect)
    return copy


def _name_of(reference: Any) -> str:
    """Return the dotted name of a calculator's class or of a factory, with the arguments of a partial."""
    if isinstance(reference, partial):
        arguments = [repr(a) for a in reference.args] + [f"{k}={v!r}" for k, v in reference.keywords.items()]
        return f"{_name_of(reference.func)}({', '.join(arguments)})"
    named = reference if hasattr(reference, "__name__") else type(reference)
    return f"{named.__module__}.{getattr(named, '__qualname__', named.__name__)}"
