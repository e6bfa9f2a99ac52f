"""What is made of labels: triangular factors, weights, constraints, coefficients and their uncertainty."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, Literal

from ase import Atoms

from ase_mlipgen.arguments import number, of_kind
from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.calculators.linear_ace import LinearACE
from ase_mlipgen.executors import is_remote, workers_of
from ase_mlipgen.fit import Constraints, LinearFit, RowBlock, TriangularFactor, assemble, solve
from ase_mlipgen.fit.balance import Balance, Trial, balance
from ase_mlipgen.fit.hessians import cell_blocks, crystal_blocks
from ase_mlipgen.fit.one_body import average_E0
from ase_mlipgen.fit.rows import count_rows
from ase_mlipgen.fit.solve import Scaling
from ase_mlipgen.fit.weights import parse, weights_of
from ase_mlipgen.labels import LabelledCell
from ase_mlipgen.posterior import Posterior
from ase_mlipgen.result import TrainingCell
from ase_mlipgen.theory.cell_hessian import in_components
from ase_mlipgen.theory.errors import measure
from ase_mlipgen.theory.force_constants import ForceConstants
from ase_mlipgen.theory.norms import force_metric
from ase_mlipgen.theory.uncertainty import posterior_of
from ase_mlipgen.threads import available_threads, blas_threads
from ase_mlipgen.trainer.stages import Stages

OF_THE_FIT = ("constraints", "assemble", "triangles", "balance", "fit", "posterior")
"""Stages that depend on the basis and on which cells are fitted."""
MUCH = 2e12
"""Operations of a fit that are worth the way to other machines: minutes of one core."""


def check_rtol(rtol: Any) -> None:
    """Refuse a tolerance of the rank that is none."""
    number("rtol", rtol, "a number from 0 to below 1, such as 1e-6", lambda x: 0.0 <= x < 1.0)


def check_E0(E0: Any, basis: ACEBasis) -> None:
    """Refuse energies of elements that are no mapping of the basis' symbols to numbers."""
    if E0 is None:
        return
    of_kind("E0", E0, Mapping, 'a mapping of symbols to eV, such as {"W": -8.9}')
    for symbol, energy in E0.items():
        if symbol not in basis.elements:
            raise ValueError(f"E0 names {symbol!r}, but the basis knows only {', '.join(basis.elements)}")
        number(f"E0 of {symbol}", energy, "a finite energy in eV")


class Fitting(Stages):
    """The stages from labels to coefficients; see `DefectTrainer`.

    Where the labels come from, `label`, `cells`, `relax`, is said by the class that this one is joined with.
    """

    basis: ACEBasis
    weights: Any
    conditions: tuple[str, ...]
    observations: tuple[str, ...]
    rtol: float
    scaling: Scaling
    E0: Mapping[str, float] | None
    force_norm: Literal["l2", "dual"]
    uncertainty: bool
    transplants: list[LabelledCell]
    latest: list[LabelledCell]
    executor: Executor | None
    fit_executor: bool | None
    matched: tuple[str, ...]
    constraints: Constraints | None

    def label(self) -> tuple[list[LabelledCell], list[LabelledCell]]:
        """Return labelled training and test cells."""
        raise NotImplementedError

    def cells(self) -> list[TrainingCell]:
        """Return the training cells before relaxation."""
        raise NotImplementedError

    def relax(self) -> list[TrainingCell]:
        """Return the training cells."""
        raise NotImplementedError

    def force_constants(self) -> list[ForceConstants]:
        """Return the reference's force constants of the perfect cells."""
        raise NotImplementedError

    def defect_hessians(self) -> list[Any]:
        """Return the reference's Hessian of each relaxed training cell."""
        raise NotImplementedError

    def hosts(self) -> list[Atoms]:
        """Return the perfect cell of each size."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """Return every argument in a form that JSON can hold."""
        raise NotImplementedError

    def _labelled_kinds(self) -> list[str]:
        """Return the observations that are rows of every sample: all but force constants."""
        return [kind for kind in self.observations if kind != "force_constants"]

    def factor(self) -> TriangularFactor:
        """Return the compressed least-squares system of the training cells."""

        def compute() -> TriangularFactor:
            if isinstance(self.weights, str):
                return self._weighed(self.balance().chosen.W_E)
            return self._assembled(self._labelled_kinds(), self.weights)

        return self._once("assemble", compute)

    def _assembled(self, kinds: list[str], weights: Mapping[str, Any]) -> TriangularFactor:
        """Fold the rows of the samples into a triangle, and those of Hessians to those of forces."""
        found = self._folded(self._fitted(), kinds, weights)
        if "forces" in kinds and "force_constants" in self.observations:
            with blas_threads(1):
                for block in self._hessian_blocks(weights):
                    found.add(block.A, block.b)
        return found

    def _folded(
        self, cells: Sequence[LabelledCell], kinds: list[str], weights: Mapping[str, Any]
    ) -> TriangularFactor:
        count = self.progress.counter("rows")
        metrics = self._metrics(cells)
        with self._folding(cells, kinds) as executor:
            return assemble(self.basis, cells, weights, self.one_body(), kinds, executor, count, metrics)

    @contextmanager
    def _folding(self, cells: Sequence[LabelledCell], kinds: list[str]) -> Iterator[Executor]:
        """Give what folds rows: threads of this process, or the executor (see `fit_executor`)."""
        if self.executor is not None and self._rows_travel(cells, kinds):
            yield self.executor
            return
        with ThreadPoolExecutor(available_threads()) as pool:
            yield pool

    def _rows_travel(self, cells: Sequence[LabelledCell], kinds: list[str]) -> bool:
        if self.fit_executor is not None:
            return self.fit_executor
        n_rows = sum(count_rows(len(cell.atoms), kinds) for cell in cells)
        if not is_remote(self.executor) or 2.0 * n_rows * len(self.basis) ** 2 < MUCH:
            return False
        return (workers_of(self.executor) or 0) >= 2 * available_threads()

    def _fitted(self) -> list[LabelledCell]:
        """Return all cells whose observations are rows of the fit."""
        return [*self.label()[0], *self.transplants]

    def _metrics(self, cells: Sequence[LabelledCell]) -> list[Any] | None:
        """Return the root of the dual norm of every cell; None where components count."""
        if self.force_norm == "l2":
            return None
        known = {(c.defect, len(c.unrelaxed)): force_metric(c.unrelaxed) for c in self.cells()}
        known |= {("", len(host)): force_metric(host) for host in self.hosts()}
        for cell in cells:  # transplanted ones are of other sizes
            if (cell.defect, len(cell.atoms)) not in known:
                known[cell.defect, len(cell.atoms)] = force_metric(cell.atoms)
        return [known[cell.defect, len(cell.atoms)] for cell in cells]

    def _hessian_blocks(self, weights: Mapping[str, Any]) -> Iterator[RowBlock]:
        by_defect = parse(weights)
        for cell, hessian in zip(self.relax(), self.defect_hessians(), strict=True):
            weight = weights_of(by_defect, cell.defect).force_constants
            yield from cell_blocks(self.basis, cell.relaxed, in_components(hessian, cell.unrelaxed), weight)
        for host, constants in zip(self.hosts(), self.force_constants(), strict=True):
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
        found = self.conditions_matched()
        for n in range(len(found), -1, -1):
            self.matched = tuple(found)[:n]
            self.constraints = Constraints.stack([found[name] for name in self.matched]) if n else None
            fit = solve(factor, self.rtol, self.scaling, self.constraints)
            if n == 0 or fit.constraint_rank > 0:
                break
        left_out = [name.replace("_", " ") for name in found if name not in self.matched]
        if left_out:
            fit = replace(fit, note=f"not matched exactly: {', '.join(left_out)}; the basis is too small")
        return fit

    def conditions_matched(self) -> dict[str, Constraints]:
        """Return the equality constraints of each matching condition that is asked for, in units of eV and Å."""
        return self._once("constraints", self._matching) if self.conditions else {}

    def _matching(self) -> dict[str, Constraints]:
        raise NotImplementedError

    def posterior(self) -> Posterior:
        """Return what the fit leaves uncertain, scaled to the force errors of the test samples."""

        def compute() -> Posterior:
            fit, test = self.fit(), self.label()[1]
            model = LinearACE(self.basis, fit.coefficients, self.one_body())
            return posterior_of(model, fit, self.factor(), self.constraints, self._fitted(), test)

        return self._once("posterior", compute)

    def model(self) -> LinearACE:
        """Return the fitted potential, with its posterior where that is asked for."""
        model = LinearACE(
            self.basis, self.fit().coefficients, self.one_body(), metadata={"settings": self.settings()}
        )
        if self.uncertainty:
            model.posterior = self.posterior()
        return model

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
