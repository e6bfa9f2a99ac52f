"""The trainer: runs the stages, measures the model, and trains again on what a certificate found."""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.calculators.linear_ace import LinearACE
from ase_mlipgen.census import doubts
from ase_mlipgen.defects import displaced, unique_names
from ase_mlipgen.fit import LinearFit
from ase_mlipgen.labels import LabelledCell
from ase_mlipgen.result import TrainingResult
from ase_mlipgen.theory.cell_hessian import hessian_of
from ase_mlipgen.theory.certificate import Certificate
from ase_mlipgen.theory.errors import Errors, measure
from ase_mlipgen.theory.force_constants import (
    force_constants,
    force_constants_percent,
    full_hessian,
)
from ase_mlipgen.theory.holes import find_hole
from ase_mlipgen.theory.matching import CONDITIONS, checked_conditions
from ase_mlipgen.theory.stability import (
    CellOperators,
    InstabilityWarning,
    StabilityError,
    measure_operators,
    require_stable,
    summarise,
)
from ase_mlipgen.trainer.asking import tagged
from ase_mlipgen.trainer.fitting import OF_THE_FIT
from ase_mlipgen.trainer.records import Recorded
from ase_mlipgen.trainer.training_set import TrainingSet


class DefectTrainer(TrainingSet):
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
    scaling : "column" or None
        Columns of the system are scaled to unit norm before the tolerance is applied, or taken as they are: then
        it keeps a small part of the basis.
    optimizer : ASE optimiser class, optional
    fmax : float
        Tolerance of relaxations, eV/Å.
    executor : concurrent.futures.Executor or str, optional
        Where labels are computed; results do not depend on it. Or a name, such as "processes" or
        "dask:tcp://host:8786", see `ase_mlipgen.executors.named`: workers are started when they are needed, and closed
        when `run` ends.
    store : path or LabelStore, optional
        Directory that keeps labels and relaxations of training cells, so that the same run again computes none twice.
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
    folders : Folders, optional
        Where a file-based reference works: see `ase_mlipgen.labels.label`.
    expensive : bool, optional
        Whether every answer of the reference, those in relaxations included, is a label: by a new calculator, on the
        executor, kept in the store. By default of file-based codes.
    time_limit : float, optional
        s that one label may take; the reference then runs in a process of its own, which is ended at the limit.
    retries : int
        Further attempts at a label that failed. A label that fails for good does not stop the others; `LabelError`
        lists all that did.
    fit_executor : bool, optional
        Whether the executor folds the rows of the fit as well, rather than threads of this process. By default if it
        was named, has workers on other machines, at least twice as many as there are threads here, and much to do.

    Raises
    ------
    ValueError
        For arguments out of range or a basis that lacks an element of the cells.

    Notes
    -----
    `run` is the whole job; `cells`, `relax`, `sample`, `label` and `fit` are its stages, each computed once and kept.
    """

    def run(self) -> TrainingResult:
        """Run every stage and return the result."""
        with self._workers(), self.progress:
            census = self.census()
            self.progress.say(str(census))
            if not self.latest:  # what is refined has been warned of
                for category, text in doubts(self.cells(), self.basis.cutoff, self.n_perfect):
                    warnings.warn(text, category, stacklevel=2)
            with self._timed("fit in all"):
                self._gate_reference()
                fit = self.fit()
            calculator = self.model()
            with self._timed("measure"):
                operators = self._operators(calculator)
                test_errors, train_errors, by_defect = self._measure(calculator, fit, operators)
                hole = find_hole(calculator, self.hosts()[0])
            self.progress.say(f"  rank {fit.rank} of {fit.n_functions} functions, {fit.n_rows} rows")
        self.timings.pop("fit in all")
        result = TrainingResult(
            calculator=calculator,
            cells=self.relax(),
            train=[*self.label()[0], *self.transplants],
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
            hole="" if hole is None else str(hole),
            trainer=self,
        )
        return self._gated(operators, result)

    def _operators(self, calculator: LinearACE) -> list[CellOperators]:
        """Compare the Hessians of the perfect cells and of the relaxed training cells.

        The model's come from differences where the reference's do: most of the differences' error cancels.
        """
        found = []
        for atoms, constants in zip(self.hosts(), self.force_constants(), strict=True):
            theirs, ours = (full_hessian(c, atoms) for c in (constants, force_constants(atoms, calculator)))
            found.append(
                measure_operators(f"the perfect crystal, {len(atoms)} atoms", "", atoms, theirs, ours)
            )
        for cell, theirs in zip(self.relax(), self.defect_hessians(), strict=True):
            ours = hessian_of(cell.relaxed, calculator, theirs is None or self.is_analytic())
            found.append(measure_operators(cell.name, cell.defect, cell.unrelaxed, theirs, ours))
        return found

    def _gate_reference(self) -> None:
        """Refuse an equilibrium that is none before labels are spent on it, where the Hessian costs nothing."""
        if self.on_unstable == "raise" and self.is_analytic():
            for cell, hessian in zip(self.relax(), self.defect_hessians(), strict=True):
                require_stable([measure_operators(cell.name, cell.defect, cell.unrelaxed, hessian, None)])

    def _gated(self, operators: list[CellOperators], result: TrainingResult) -> TrainingResult:
        """Let a result pass if both models are stable."""
        try:
            require_stable(operators)
        except StabilityError as error:
            result = replace(result, unstable=str(error))
            result.calculator.metadata["unstable"] = str(error)  # goes where the model goes
            if self.on_unstable == "raise":
                error.result = result
                raise
            warnings.warn(str(error), InstabilityWarning, stacklevel=3)
        return result

    def _measure(
        self, calculator: LinearACE, fit: LinearFit, operators: list[CellOperators]
    ) -> tuple[Errors, Errors, dict[str, Errors]]:
        cells, (train, test) = self.relax(), self.label()
        hosts, reference = self.hosts(), self.force_constants()
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
            "scaling",
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
            "n_transplants": len(self.transplants),
            "matched_size": self.matched_size,
            **{name: getattr(self, name) for name in names},
        }

    def adopt(self, result: TrainingResult) -> TrainingResult:
        """Give a result that was loaded this trainer, so that it can certify and refine without training again.

        Parameters
        ----------
        result : TrainingResult
            Of a trainer with the same arguments.
        """
        n_added = int(result.settings.get("n_transplants", 0))
        n_drawn = len(result.train) - n_added
        self.transplants = list(result.train[n_drawn:])
        self.matched_size = int(result.settings.get("matched_size", max(self.sizes)))
        self._kept |= {"relax": result.cells, "label": (list(result.train[:n_drawn]), list(result.test))}
        if result.constants is not None and len(self.sizes) == 1:
            self._kept["force constants"] = [result.constants]
        return replace(result, trainer=self)

    def with_basis(self, basis: ACEBasis) -> "DefectTrainer":
        """Return a trainer on the same labels with another basis."""
        trainer = copy.copy(self)
        trainer.basis, trainer.timings = basis, {}
        trainer._kept = {name: value for name, value in self._kept.items() if name not in OF_THE_FIT}
        return trainer

    def refitted(self, matching: str | Sequence[str] | None, rtol: float) -> "DefectTrainer":
        """Return a trainer that makes another fit to the same rows; it looks for weights "theory" anew.

        Parameters
        ----------
        matching : "exact", None, or a sequence of conditions
            Some of those of this trainer.
        rtol : float
            Relative tolerance of the rank.

        Raises
        ------
        ValueError
            A condition that this trainer does not have.
        """
        wanted = checked_conditions(matching)
        if missing := [name for name in wanted if name not in self.conditions]:
            raise ValueError(f"matching = {matching!r}: this trainer has no {', '.join(missing)} to match")
        balanced = isinstance(self.weights, str)
        self._weighed(1.0) if balanced else self.factor()
        self.force_constants()
        constraints = self.conditions_matched()
        trainer = copy.copy(self)
        trainer.rtol, trainer.conditions, trainer.timings = rtol, wanted, {}
        stale = ("fit", "posterior", *(("assemble", "balance") if balanced else ()))
        trainer._kept = {name: x for name, x in self._kept.items() if name not in stale}
        trainer._kept["constraints"] = {name: constraints[name] for name in wanted}
        return trainer

    def refined(self, certificate: Certificate, n_samples: int = 0) -> "DefectTrainer":
        """Return a trainer whose training set has the certificate's transplanted cells as well.

        Energies and forces are matched there, and at the training cells, as far as the basis can; everything that was
        computed is kept.

        Parameters
        ----------
        certificate : Certificate
        n_samples : int
            Displaced copies of each transplanted defect cell that are labelled and fitted as well.

        Raises
        ------
        ValueError
            The certificate holds no labels: the model had no minimum there.
        """
        if not certificate.transplants:
            raise ValueError(
                f"the certificate holds no labelled cells (verdict: {certificate.verdict}); train with more samples, "
                "larger cells or a tighter rtol first"
            )
        fresh = list(certificate.transplants)
        fresh_and_samples = [*fresh, *self._around(fresh, n_samples)]
        trainer = copy.copy(self)
        trainer.timings = {}
        trainer.transplants = [*self.transplants, *fresh_and_samples]
        trainer.latest = fresh
        trainer.conditions = CONDITIONS
        trainer.matched_size = max(self.matched_size, certificate.size)
        trainer._kept = {name: value for name, value in self._kept.items() if name not in OF_THE_FIT}
        if not isinstance(self.weights, str):
            more = self._folded(fresh_and_samples, self._labelled_kinds(), self.weights)
            trainer._kept["assemble"] = self.factor().merge(more)
        return trainer

    def _around(self, cells: Sequence[LabelledCell], n_samples: int) -> list[LabelledCell]:
        rng = np.random.default_rng([self.seed, len(self.transplants)])
        drawn = [
            tagged(displaced(cell.atoms, self.amplitude, rng, self.distribution), "defect", cell.defect)
            for cell in cells
            if cell.config_type == "defect"
            for _ in range(n_samples)
        ]
        return self._label(drawn, "labels around the transplanted cells") if drawn else []


def _name_of(reference: Any) -> str:
    """Return the dotted name of a calculator's class or of a factory, with the arguments of a partial."""
    if isinstance(reference, Recorded):
        return reference.name
    if isinstance(reference, partial):
        arguments = [repr(a) for a in reference.args] + [f"{k}={v!r}" for k, v in reference.keywords.items()]
        return f"{_name_of(reference.func)}({', '.join(arguments)})"
    named = reference if hasattr(reference, "__name__") else type(reference)
    return f"{named.__module__}.{getattr(named, '__qualname__', named.__name__)}"
