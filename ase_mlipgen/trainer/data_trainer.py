"""A trainer on labels that are there already: no reference is asked. Enter at `DataTrainer`."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from ase import Atoms

from ase_mlipgen.arguments import of_kind
from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.calculators.linear_ace import LinearACE
from ase_mlipgen.data import DataSet
from ase_mlipgen.data.dataset import core_of, crystal_of
from ase_mlipgen.defects import cell_width, minimum_image
from ase_mlipgen.fit import Constraints, LinearFit, count_rows, memory
from ase_mlipgen.fit.one_body import average_E0
from ase_mlipgen.fit.rows import kinds_of
from ase_mlipgen.fit.solve import Scaling
from ase_mlipgen.fit.weights import check_heavy, parse, weights_of
from ase_mlipgen.labels import LabelledCell
from ase_mlipgen.progress import Progress
from ase_mlipgen.result import Census, TrainingCell, TrainingResult
from ase_mlipgen.theory.errors import Errors, measure
from ase_mlipgen.theory.matching import checked_conditions, matching_constraints
from ase_mlipgen.threads import available_threads
from ase_mlipgen.trainer.fitting import Fitting, check_E0, check_rtol
from ase_mlipgen.trainer.training_set import PAPER_WEIGHTS

PLAIN = (
    "no frame is called a relaxed defect cell beside a perfect crystal that fills its cell, so that nothing is matched "
    "exactly: this is a plain fit"
)


SAMPLE = 1.0
"""Å: atoms of a sample are at most that far from the sites of its training cell."""


class DataTrainer(Fitting):
    """Train a linear ACE potential on labels that are there already.

    Parameters
    ----------
    data : DataSet
        From `read_data`.
    basis : ACEBasis
    weights : mapping, optional
        Of squared residuals, eq. (4.2): ``{"energy": 100, "forces": 1}`` by default, or one such mapping a group of
        frames, with "default" for the others.
    matching : "exact", None, or some of ("energies", "forces")
        Conditions that the fit satisfies exactly, where the data have the cells for them: energies of relaxed defect
        cells, of the same before relaxation and of the perfect crystal; forces of the relaxed cells. "exact" is both.
        Force constants are not among data, so that these are not matched.
    observations : sequence of "energy", "forces", "stress"
    executor : concurrent.futures.Executor, optional
        Folds the rows of the fit; by default threads of this process do. The result does not depend on it.
    rtol, scaling, E0, progress, uncertainty
        As in `DefectTrainer`; E0 is by default that of the isolated atoms among the data, for other elements the
        least-squares energy per atom.

    Raises
    ------
    ValueError
        For arguments out of range, a basis that lacks an element, cells without a stress where that is observed.

    Notes
    -----
    `run` is the whole job, `label` (training and test cells), `factor`, `fit` and `posterior` are its stages. The
    result has no reference: `certify` needs a `Labelling`, budgets and refinements need a `DefectTrainer`.
    """

    def __init__(
        self,
        data: DataSet,
        basis: ACEBasis,
        *,
        weights: Mapping[str, Any] | None = None,
        matching: str | Sequence[str] | None = "exact",
        observations: Sequence[str] = ("energy", "forces"),
        rtol: float = 1e-6,
        scaling: Scaling = "column",
        E0: Mapping[str, float] | None = None,
        progress: Progress | bool = True,
        uncertainty: bool = True,
        executor: Executor | None = None,
    ) -> None:
        of_kind("data", data, DataSet, 'what read_data gives, such as read_data("labels.extxyz")')
        of_kind(
            "basis", basis, ACEBasis, 'an ACEBasis, such as ACEBasis(["W"], order=3, degree=12, cutoff=6.0)'
        )
        self._begin(progress)
        self.data, self.basis, self.uncertainty = data, basis, uncertainty
        self.weights = dict(PAPER_WEIGHTS if weights is None else weights)
        self.observations, self.rtol, self.scaling, self.E0 = tuple(observations), rtol, scaling, E0
        self.executor, self.fit_executor = executor, executor is not None
        self.force_norm = "l2"
        self.transplants, self.latest = [], []
        self.matched, self.constraints = (), None
        wanted = [name for name in checked_conditions(matching) if name != "force_constants"]
        self.conditions = tuple(wanted) if self._equilibria() else ()
        self.is_plain = bool(wanted) and not self.conditions
        self._check()

    def _check(self) -> None:
        kinds_of(self.observations)
        check_rtol(self.rtol)
        check_E0(self.E0, self.basis)
        if self.scaling not in ("column", None):
            raise ValueError(f'scaling = {self.scaling!r}: expected "column" or None')
        if not self.data.train:
            raise ValueError("the data have no training cell")
        check_heavy(self.weights, self.observations)
        known = parse(self.weights)
        for name in self.groups():
            weights_of(known, name)
        for cell in (*self.data.train, *self.data.test):
            self.basis.element_indices(cell.atoms)
        if "stress" in self.observations:
            lacking = [k for k, cell in enumerate(self.data.train) if cell.stress is None]
            if lacking:
                raise ValueError(
                    f"{len(lacking)} of {len(self.data.train)} training cells have no stress, the first is number "
                    f"{lacking[0]}; leave stress out of the observations, or these cells out of the files"
                )

    def groups(self) -> list[str]:
        """Return the names of the groups, empty for the perfect crystal."""
        return list(dict.fromkeys(cell.defect for cell in (*self.data.train, *self.data.test)))

    def label(self) -> tuple[list[LabelledCell], list[LabelledCell]]:
        """Return the training and the test cells."""
        return self.data.train, self.data.test

    def _equilibria(self) -> list[tuple[LabelledCell, LabelledCell, Any]]:
        """Return relaxed cells with their perfect crystal, and that crystal in the relaxed cell."""
        found = [(cell, crystal_of(cell, self.data.perfect)) for cell in self.data.relaxed]
        return [(cell, *pair) for cell, pair in found if pair is not None]

    def relax(self) -> list[TrainingCell]:
        """Return the training cells of which the data have all states: unrelaxed, relaxed, and the perfect crystal."""
        return self._once("relax", self._training_cells)

    def cells(self) -> list[TrainingCell]:
        """Return the training cells, as `relax` does."""
        return self.relax()

    def _training_cells(self) -> list[TrainingCell]:
        found = []
        for relaxed, _, perfect in self._equilibria():
            before = self._before(relaxed)
            if before is not None:
                name = f"{relaxed.defect}, {len(relaxed.atoms)} atoms"
                size = round(cell_width(perfect))
                states = _with_core(before.atoms, perfect), relaxed.atoms, perfect
                found.append(TrainingCell(name, relaxed.defect, size, *states, 0, 0.0))
        return found

    def _before(self, relaxed: LabelledCell) -> LabelledCell | None:
        """Return the unrelaxed cell of a relaxed one: the same atoms in the same cell."""
        for cell in self.data.unrelaxed:
            same = np.array_equal(cell.atoms.numbers, relaxed.atoms.numbers)
            if same and np.allclose(cell.atoms.cell.array, relaxed.atoms.cell.array):
                return cell
        return None

    def _matching(self) -> dict[str, Constraints]:
        equilibria = [relaxed for relaxed, _, _ in self._equilibria()]
        others = [cell for relaxed in equilibria if (cell := self._before(relaxed)) is not None]
        others += list({id(crystal): crystal for _, crystal, _ in self._equilibria()}.values())
        return matching_constraints(self.basis, self.one_body(), self.conditions, equilibria, others, [])

    def one_body(self) -> dict[str, float]:
        """Return E0 of every element, eV: as given, of the isolated atoms, else the least-squares energy per atom."""
        if self.E0 is not None:
            return {symbol: float(self.E0.get(symbol, 0.0)) for symbol in self.basis.elements}
        return average_E0(self.data.train, self.basis.elements, self.data.E0)

    def census(self) -> Census:
        """Return what the fit has to do, and what is doubtful."""
        kinds = self._labelled_kinds()
        rows = [count_rows(len(cell.atoms), kinds) for cell in self.data.train]
        sizes = [len(cell.atoms) for cell in (*self.data.train, *self.data.test)]
        return Census(
            n_cells=len(self.relax()),
            n_labels=len(sizes),
            n_atoms=max(sizes),
            n_rows=sum(rows),
            n_functions=len(self.basis),
            memory=memory(len(self.basis), sum(rows), max(rows), available_threads()),
            warnings=self._doubts(),
        )

    def _doubts(self) -> tuple[str, ...]:
        plain = [PLAIN] if self.is_plain else []
        return (*plain, *self.data.notes)

    def run(self) -> TrainingResult:
        """Fit, measure, and return the result."""
        with self.progress:
            census = self.census()
            self.progress.say(str(census))
            with self._timed("fit in all"):
                fit = self.fit()
            calculator = self.model()
            with self._timed("measure"):
                test, train, by_group = self._measure(calculator, fit)
            self.progress.say(f"  rank {fit.rank} of {fit.n_functions} functions, {fit.n_rows} rows")
        self.timings.pop("fit in all")
        return TrainingResult(
            calculator=calculator,
            cells=self.relax(),
            train=self.data.train,
            test=self.data.test,
            fit=fit,
            errors=test,
            train_errors=train,
            by_defect=by_group,
            matched=self.matched,
            census=census,
            timings=dict(self.timings),
            settings=self.settings(),
            weights=dict(self.weights),
        )

    def _measure(self, calculator: LinearACE, fit: LinearFit) -> tuple[Errors, Errors, dict[str, Errors]]:
        around = self._around()

        def errors(cells: Sequence[LabelledCell]) -> Errors:
            return measure(calculator, cells, around, fit, float("nan"))

        by_group = {
            name or "perfect": errors([cell for cell in self.data.test if cell.defect == name])
            for name in dict.fromkeys(cell.defect for cell in self.data.test)
        }
        return errors(self.data.test), errors(self.data.train), by_group

    def _around(self) -> list[TrainingCell]:
        """Return training cells under the names of the groups that are samples around them: there eps_F is defined."""
        found = []
        for cell in self.relax():
            for name in self.groups():
                several = [c.atoms for c in (*self.data.train, *self.data.test) if c.defect == name]
                several = [atoms for atoms in several if len(atoms) == len(cell.unrelaxed)]
                if several and all(_is_around(atoms, cell) for atoms in several):
                    found.append(replace(cell, defect=name))
        return found

    def settings(self) -> dict[str, Any]:
        """Return every argument in a form that JSON can hold."""
        names = ("observations", "rtol", "scaling", "weights", "E0")
        return {
            "data": list(self.data.files),
            "keys": asdict(self.data.keys),
            "groups": [name or "perfect" for name in self.groups()],
            "basis": self.basis.todict(),
            "matching": list(self.conditions),
            "isolated atoms": dict(self.data.E0),
            **{name: getattr(self, name) for name in names},
        }


def _with_core(unrelaxed: Atoms, perfect: Atoms) -> Atoms:
    """Return a copy that says where its defect is, if that can be told."""
    atoms = unrelaxed.copy()
    if (core := core_of(atoms, perfect)) is not None:
        atoms.info["defect_centres"] = [core.tolist()]
    return atoms


def _is_around(atoms: Atoms, cell: TrainingCell) -> bool:
    """Whether a frame has the atoms of a training cell, in the same cell and near the same sites."""
    sites = cell.unrelaxed
    same = np.array_equal(atoms.numbers, sites.numbers) and np.allclose(atoms.cell.array, sites.cell.array)
    return same and float(np.abs(minimum_image(atoms.positions - sites.positions, sites)).max()) < SAMPLE
