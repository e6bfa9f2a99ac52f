"""What a training run leaves: the model, its errors, and everything they came from.

`TrainingResult.save` writes a directory of open formats: model.json, result.json, the labelled cells and the
training cells as extended XYZ, the compressed least-squares system as npz. `TrainingResult.load` reads it back.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from ase_mlipgen.calculators.linear_ace import LinearACE, ModelFileError
from ase_mlipgen.defects.geometry import check_atoms
from ase_mlipgen.durable import replacing
from ase_mlipgen.files import DamagedError, arrays_of, json_of, read_text
from ase_mlipgen.fit import LinearFit
from ase_mlipgen.labels import LabelledCell, read_cells, write_cells
from ase_mlipgen.labels.record import atoms_of
from ase_mlipgen.posterior import PosteriorError
from ase_mlipgen.progress import duration
from ase_mlipgen.theory.budget import ErrorBudget, error_budget
from ase_mlipgen.theory.certificate import Certificate
from ase_mlipgen.theory.certify import Labelling, certify, warm_start
from ase_mlipgen.theory.errors import DEFINITIONS, Errors
from ase_mlipgen.theory.force_constants import ForceConstants

FORMAT = "ase_mlipgen.TrainingResult"
VERSION = 1


class ResultDirectoryError(ValueError):
    """A directory that does not hold a complete training result."""


@dataclass(frozen=True, eq=False)
class TrainingCell:
    """One training cell: before and after relaxation, and its perfect host.

    Attributes
    ----------
    name : str
        Such as ``vacancy, L = 8``.
    defect : str
    size : int
    unrelaxed, relaxed, perfect : Atoms
    steps : int
        Steps of the relaxation.
    wall_time : float
        Of the relaxation, s.
    """

    name: str
    defect: str
    size: int
    unrelaxed: Atoms
    relaxed: Atoms
    perfect: Atoms
    steps: int
    wall_time: float


@dataclass(frozen=True)
class Census:
    """What a run will compute, known before it starts.

    Attributes
    ----------
    n_cells : int
        Training cells (defects times sizes).
    n_labels : int
        Calls of the reference for labels; relaxations, the force constants of the perfect cells and, where they are
        asked for and not analytic, those of the training cells (6 an atom, 4 in a plane) come on top.
    n_atoms : int
        Atoms of the largest cell.
    n_rows, n_functions : int
        Shape of the least-squares system.
    memory : int
        Bytes that the fit holds at most, about.
    warnings : tuple of str
        Why the result may be poor, in sentences.
    """

    n_cells: int
    n_labels: int
    n_atoms: int
    n_rows: int
    n_functions: int
    memory: int
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"{self.n_cells} training cell{'s' * (self.n_cells != 1)} of up to {self.n_atoms} atoms, "
            f"{self.n_labels} labels",
            f"{self.n_rows} rows, {self.n_functions} functions, about {self.memory / 1e6:.0f} MB for the fit",
        ]
        return "\n".join(lines + [f"warning: {text}" for text in self.warnings])


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
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        self.calculator.save(folder / "model.json")
        write_cells(folder / "labels_train.extxyz", self.train)
        write_cells(folder / "labels_test.extxyz", self.test)
        arrays, numbers = _split(self.fit)
        arrays |= _cell_arrays(self.cells)
        if self.constants is not None:
            arrays |= {f"constants_{name}": getattr(self.constants, name) for name in CONSTANTS}
        with open(folder / "result.npz", "wb") as file:
            np.savez_compressed(file, **arrays)
        content = {
            "format": FORMAT,
            "version": VERSION,
            "errors": asdict(self.errors),
            "train_errors": asdict(self.train_errors),
            "by_defect": {name: asdict(errors) for name, errors in self.by_defect.items()},
            "matched": list(self.matched),
            "census": asdict(self.census),
            "timings": self.timings,
            "settings": self.settings,
            "weights": self.weights,
            "unstable": self.unstable,
            "hole": self.hole,
            "labels": {"train": len(self.train), "test": len(self.test)},
            "fit": numbers,
            "cells": [_described(cell) for cell in self.cells],
        }
        with replacing(folder / "result.json") as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
        return folder

    @classmethod
    def load(cls, directory: str | Path) -> "TrainingResult":
        """Read a directory written by `save`.

        Raises
        ------
        ResultDirectoryError
            If files are missing, damaged or of another format.
        """
        folder = Path(directory)
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise ResultDirectoryError(
                f"{folder} is not a complete training result: it lacks {', '.join(missing)}"
            )
        try:
            content = json_of(read_text(folder / "result.json"), nan=True)
        except DamagedError as error:
            raise ResultDirectoryError(
                f"{folder / 'result.json'} is truncated or damaged: {error}"
            ) from error
        if not isinstance(content, dict):
            raise ResultDirectoryError(
                f"{folder / 'result.json'} holds {type(content).__name__}; expected a mapping"
            )
        if content.get("format") != FORMAT or content.get("version") != VERSION:
            raise ResultDirectoryError(
                f"{folder / 'result.json'} is {content.get('format')!r} version {content.get('version')!r}; "
                f"expected {FORMAT} version {VERSION}"
            )
        try:
            arrays = arrays_of(folder / "result.npz")
        except (OSError, DamagedError) as error:
            raise ResultDirectoryError(
                f"{folder / 'result.npz'} is truncated or damaged ({error}); the same run again writes it anew"
            ) from error
        try:
            found = _assembled(cls, folder, content, arrays)
            _check(found, content.get("labels"))
            return found
        except (ModelFileError, PosteriorError):
            raise
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ResultDirectoryError(
                f"{folder}: result.json and result.npz do not fit this version or one another ({error}); run again"
            ) from error


def _assembled(
    cls: type[TrainingResult], folder: Path, content: Mapping[str, Any], arrays: Mapping[str, Any]
) -> TrainingResult:
    census = {**content["census"], "warnings": tuple(content["census"]["warnings"])}
    calculator = LinearACE.load(folder / "model.json")
    if content["unstable"]:
        calculator.metadata["unstable"] = content["unstable"]  # results of before the model had it
    return cls(
        calculator=calculator,
        cells=[_restored(cell, arrays, k) for k, cell in enumerate(content["cells"])],
        train=read_cells(folder / "labels_train.extxyz"),
        test=read_cells(folder / "labels_test.extxyz"),
        fit=_joined(content["fit"], arrays),
        errors=Errors(**content["errors"]),
        train_errors=Errors(**content["train_errors"]),
        by_defect={name: Errors(**errors) for name, errors in content["by_defect"].items()},
        matched=tuple(content["matched"]),
        census=Census(**census),
        timings=content["timings"],
        settings=content["settings"],
        weights=content["weights"],
        unstable=content["unstable"],
        hole=content.get("hole", ""),
        constants=_constants(arrays),
    )


def _check(found: TrainingResult, n_labels: Mapping[str, int] | None) -> None:
    """Refuse parts that are of different results, or hold what is no number."""
    for name, several in (("train", found.train), ("test", found.test)):
        if n_labels is not None and n_labels[name] != len(several):
            raise ValueError(
                f"labels_{name}.extxyz has {len(several)} frames, result.json says {n_labels[name]}"
            )
    fit, n = found.fit, len(found.calculator.coefficients)
    if (
        fit.coefficients.shape != (n,)
        or fit.n_functions != n
        or fit.r_diagonal.ndim != 1
        or len(fit.r_diagonal) > n
    ):
        raise ValueError(f"the fit has {fit.coefficients.shape} coefficients, the model {n}")
    numbers: dict[str, Any] = {f"fit {name}": value for name, value in vars(fit).items()}
    for cell in found.cells:
        numbers |= {f"{cell.name} {name}": getattr(cell, name) for name in ("size", "steps", "wall_time")}
    numbers |= {f"time of {stage}": value for stage, value in found.timings.items()}
    if found.constants is not None:
        numbers |= {f"constants {name}": getattr(found.constants, name) for name in CONSTANTS}
        n_s, shape = found.constants.sites_s.shape, found.constants.columns_sanb.shape
        if len(shape) != 4 or n_s != shape[:1] or n_s != found.constants.multiplicity_s.shape:
            raise ValueError(f"force constants {shape} of {n_s} sites; expected (n_sites, d, n_atoms, d)")
    texts = ("fit scaling", "fit note")
    for name, value in numbers.items():
        array = np.asarray(value)
        if name not in texts and (array.dtype.kind not in "iuf" or not np.isfinite(array).all()):
            raise ValueError(f"{name} = {str(value)[:60]}; expected finite numbers")
    for place, errors in (("test", found.errors), ("train", found.train_errors), *found.by_defect.items()):
        for name, value in vars(errors).items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise ValueError(
                    f"errors of {place}: {name} = {value!r}; expected a number, or null if not measured"
                )


def _shown(value: float | None) -> str:
    return f"{'not measured':>14s}" if value is None or value != value else f"{value:14.3e}"


def _constants(arrays: Mapping[str, Any]) -> ForceConstants | None:
    names = {name: f"constants_{name}" for name in CONSTANTS}
    if not any(key in arrays for key in names.values()):
        return None
    return ForceConstants(**{name: arrays[key] for name, key in names.items()})


FILES = ("result.json", "model.json", "result.npz", "labels_train.extxyz", "labels_test.extxyz")
CONSTANTS = ("sites_s", "multiplicity_s", "columns_sanb")
STATES = ("unrelaxed", "relaxed", "perfect")


def _split(fit: LinearFit) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arrays and the numbers of a fit."""
    content = {name: getattr(fit, name) for name in fit.__dataclass_fields__}
    arrays = {f"fit_{name}": value for name, value in content.items() if isinstance(value, np.ndarray)}
    return arrays, {name: value for name, value in content.items() if f"fit_{name}" not in arrays}


def _joined(numbers: Mapping[str, Any], arrays: Mapping[str, Any]) -> LinearFit:
    return LinearFit(
        **numbers, **{k.removeprefix("fit_"): v for k, v in arrays.items() if k.startswith("fit_")}
    )


def _cell_arrays(cells: list[TrainingCell]) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for k, cell in enumerate(cells):
        for state in STATES:
            atoms: Atoms = getattr(cell, state)
            parts = {
                "numbers": atoms.numbers,
                "positions": atoms.positions,
                "cell": atoms.cell.array,
                "pbc": atoms.pbc,
            }
            arrays |= {f"cell{k}_{state}_{name}": value for name, value in parts.items()}
    return arrays


def _described(cell: TrainingCell) -> dict[str, Any]:
    info = {state: getattr(cell, state).info for state in STATES}
    return {name: getattr(cell, name) for name in ("name", "defect", "size", "steps", "wall_time")} | {
        "info": info
    }


def _restored(content: Mapping[str, Any], arrays: Mapping[str, Any], k: int) -> TrainingCell:
    rest = {name: value for name, value in content.items() if name != "info"}
    states = {}
    for state in STATES:
        states[state] = atoms_of(
            {name: arrays[f"cell{k}_{state}_{name}"] for name in ("numbers", "positions", "cell", "pbc")}
        )
        states[state].info = dict(content["info"][state])
    if len(states["relaxed"]) != len(states["unrelaxed"]):
        raise ValueError(
            f"cell {k} has {len(states['unrelaxed'])} atoms, and {len(states['relaxed'])} when relaxed"
        )
    return TrainingCell(**rest, **states)
