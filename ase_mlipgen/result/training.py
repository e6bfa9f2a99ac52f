"""The result of a training run: model, errors, provenance, and what can be asked of them. Enter at `TrainingResult`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms

from ase_mlipgen.calculators.linear_ace import LinearACE
from ase_mlipgen.defects.geometry import check_atoms
from ase_mlipgen.fit import LinearFit
from ase_mlipgen.labels import LabelledCell
from ase_mlipgen.progress import duration
from ase_mlipgen.result import keeping
from ase_mlipgen.result.cells import Census, TrainingCell
from ase_mlipgen.theory.budget import ErrorBudget, error_budget
from ase_mlipgen.theory.certificate import Certificate
from ase_mlipgen.theory.certify import Labelling, certify, warm_start
from ase_mlipgen.theory.errors import DEFINITIONS, Errors
from ase_mlipgen.theory.force_constants import ForceConstants


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """Model, errors and provenance of a training run.

    Attributes
    ----------
    calculator : LinearACE
    cells : list of TrainingCell
    train, test : list of LabelledCell
    fit : LinearFit
        Rank, tolerance, triangular factor's diagonal.
    errors, train_errors : Errors
        On the test and on the training samples of the defects.
    by_defect : dict of str to Errors
        Test errors of each defect.
    matched : tuple of str
        Matching conditions that the fit satisfies exactly.
    census : Census
    timings : dict of str to float
        Wall time of each stage, s.
    settings : dict
        Every argument of the trainer, JSON-able.
    weights : dict
        Of squared residuals, eq. (4.2), as the fit took them; with weights by the theory also how they were found.
    unstable : str
        Which model is not stable on which training cell, where and what to do; empty if both are.
    hole : str
        Where the energy falls when two atoms are pressed together, below the distances of the data; empty if nowhere.
    constants : ForceConstants or None
        The reference's, of the largest perfect training cell.
    trainer : DefectTrainer or None
        The one that made this result, for `certify` and `refine`; not saved.
    """

    calculator: LinearACE
    cells: list[TrainingCell]
    train: list[LabelledCell]
    test: list[LabelledCell]
    fit: LinearFit
    errors: Errors
    train_errors: Errors
    by_defect: dict[str, Errors]
    matched: tuple[str, ...]
    census: Census
    timings: dict[str, float]
    settings: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, Any] = field(default_factory=dict)
    unstable: str = ""
    constants: ForceConstants | None = None
    hole: str = ""
    trainer: Any = field(default=None, repr=False)

    def __str__(self) -> str:
        fit, errors = self.fit, self.errors
        lines = [
            f"{self.calculator.basis!r}: {fit.n_functions} functions, rank {fit.rank}, {fit.n_rows} rows, "
            f"rtol {fit.rtol:g}",
            f"matched exactly: {', '.join(self.matched).replace('_', ' ') or 'nothing'}"
            + (f" ({fit.constraint_rank} constraints)" if self.matched else ""),
            *([fit.note] if fit.note else []),
            *([self.weights["said"]] if "said" in self.weights else []),
            *([self.unstable] if self.unstable else []),
            *([self.hole] if self.hole else []),
            f"{'':34s}{'test':>14s}{'train':>14s}",
        ]
        for name in DEFINITIONS:
            label, unit, _ = DEFINITIONS[name]
            values = (getattr(errors, name), getattr(self.train_errors, name))
            lines.append(f"{f'{label} ({unit})':34s}" + "".join(_shown(value) for value in values))
        lines.append("wall times: " + ", ".join(f"{k} {duration(v)}" for k, v in self.timings.items()))
        return "\n".join(lines)

    def committee(self, n: int = 10, seed: int = 0) -> list[LinearACE]:
        """Draw n models from the posterior of the fit; see `LinearACE.committee`."""
        return self.calculator.committee(n, seed)

    def certify(
        self, atoms: Atoms, labelling: Labelling | None = None, size: int | None = None, **options: Any
    ) -> Certificate:
        """Predict the model's errors on a large cell, from one or two reference labels a core.

        Parameters
        ----------
        atoms : Atoms
            Unrelaxed, with defects that were trained; of `simulation_cell`, for example.
        labelling : Labelling, optional
            How to ask the reference; by default as the trainer did. A result that was loaded needs it.
        size : int, optional
            Of the cells into which cores are transplanted. By default one more than the largest that was trained: a
            cell that the fit matches exactly cannot show what it misses. Without trainer the trained cells are taken.
        **options
            Of `ase_mlipgen.theory.certify.certify`: fmax, optimizer, mu, progress, start (by default the relaxed
            training cells around every core).

        Raises
        ------
        ValueError
            The result has no trainer and no labelling was given, or no training cell, as a fit of files may have none;
            or the cell does not fit, see there.
        """
        if not self.cells:
            raise ValueError(
                "this result has no training cell to take cores from: it was fitted to files of labels without "
                "relaxed, unrelaxed and perfect cells"
            )
        check_atoms("atoms", atoms, "the large cell, unrelaxed, such as simulation_cell(...)")
        if labelling is None:
            labelling = self._trainer("certify(atoms, Labelling(reference))").labelling()
        if self.trainer is not None:
            options = {"optimizer": self.trainer.optimizer, "fmax": self.trainer.fmax, **options}
        cells, constants = self.cells, self.constants
        options = {"start": warm_start(atoms, cells), **options}
        if size is None and self.trainer is not None:
            size = self.trainer.matched_size + 1
        if size is not None:
            cells, constants = self._trainer("a training run").cells_of_size(size)
        return certify(labelling, self.calculator, cells, atoms, constants=constants, **options)

    def refine(self, certificate: Certificate, **options: Any) -> "TrainingResult":
        """Fit again with the certificate's transplanted cells among the training cells, and matched there.

        Parameters
        ----------
        certificate : Certificate
            Of this result.
        **options
            Of `DefectTrainer.refined`.

        Raises
        ------
        ValueError
            The result has no trainer, or the certificate no labels.
        """
        refined: TrainingResult = (
            self._trainer("DefectTrainer(...).run()").refined(certificate, **options).run()
        )
        return refined

    def _trainer(self, remedy: str) -> Any:
        if self.trainer is None:
            raise ValueError(f"this result was loaded and does not know its trainer: use {remedy}")
        return self.trainer

    def budget(
        self,
        size: int = 60,
        n_defects: int = 2,
        defects: Sequence[Any] | None = None,
        separation: float | None = None,
    ) -> ErrorBudget:
        """Predict the errors on a large cell, term by term, without a label; see `theory.budget.error_budget`.

        Raises
        ------
        ValueError
            The model was trained from files of labels, which have no crystal and no reference's force constants.
        """
        if "crystal" not in self.settings:
            raise ValueError(
                "this model was trained from files of labels; a budget needs the reference's crystal and force "
                "constants: train it with DefectTrainer, or certify it with result.certify(atoms, Labelling(reference))"
            )
        return error_budget(self, size, n_defects, defects, separation)

    def save(self, directory: str | Path) -> Path:
        """Write the result to a directory (made if absent) and return its path."""
        return keeping.save(self, directory)

    @classmethod
    def load(cls, directory: str | Path) -> "TrainingResult":
        """Read a directory written by `save`.

        Raises
        ------
        ResultDirectoryError
            If files are missing, damaged or of another format.
        """
        return keeping.load(cls, directory)


def _shown(value: float | None) -> str:
    return f"{'not measured':>14s}" if value is None or value != value else f"{value:14.3e}"
