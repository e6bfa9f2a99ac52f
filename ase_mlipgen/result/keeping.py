"""The directory of a result: open formats, written whole, checked when they are read. Enter at `save` and `load`.

model.json, result.json, the labelled cells as extended XYZ, and arrays (fit, training cells, force constants) as npz.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from ase_mlipgen.calculators.linear_ace import LinearACE, ModelFileError
from ase_mlipgen.durable import replacing
from ase_mlipgen.files import DamagedError, arrays_of, json_of, read_text
from ase_mlipgen.fit import LinearFit
from ase_mlipgen.labels import read_cells, write_cells
from ase_mlipgen.labels.record import atoms_of
from ase_mlipgen.posterior import PosteriorError
from ase_mlipgen.result.cells import Census, TrainingCell
from ase_mlipgen.theory.errors import Errors
from ase_mlipgen.theory.force_constants import ForceConstants

if TYPE_CHECKING:
    from ase_mlipgen.result.training import TrainingResult

FORMAT = "ase_mlipgen.TrainingResult"
VERSION = 1
FILES = ("result.json", "model.json", "result.npz", "labels_train.extxyz", "labels_test.extxyz")
CONSTANTS = ("sites_s", "multiplicity_s", "columns_sanb")
STATES = ("unrelaxed", "relaxed", "perfect")


class ResultDirectoryError(ValueError):
    """A directory that does not hold a complete training result."""


def save(result: "TrainingResult", directory: str | Path) -> Path:
    """Write a result to a directory, made if absent; see `TrainingResult.save`."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    result.calculator.save(folder / "model.json")
    write_cells(folder / "labels_train.extxyz", result.train)
    write_cells(folder / "labels_test.extxyz", result.test)
    arrays, numbers = _split(result.fit)
    arrays |= _cell_arrays(result.cells)
    if result.constants is not None:
        arrays |= {f"constants_{name}": getattr(result.constants, name) for name in CONSTANTS}
    with replacing(folder / "result.npz") as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "errors": asdict(result.errors),
        "train_errors": asdict(result.train_errors),
        "by_defect": {name: asdict(errors) for name, errors in result.by_defect.items()},
        "matched": list(result.matched),
        "census": asdict(result.census),
        "timings": result.timings,
        "settings": result.settings,
        "weights": result.weights,
        "unstable": result.unstable,
        "hole": result.hole,
        "labels": {"train": len(result.train), "test": len(result.test)},
        "fit": numbers,
        "cells": [_described(cell) for cell in result.cells],
    }
    with replacing(folder / "result.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return folder


def load(cls: "type[TrainingResult]", directory: str | Path) -> "TrainingResult":
    """Read a directory written by `save`; see `TrainingResult.load`."""
    folder = Path(directory)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ResultDirectoryError(
            f"{folder} is not a complete training result: it lacks {', '.join(missing)}"
        )
    try:
        content = json_of(read_text(folder / "result.json"), nan=True)
    except DamagedError as error:
        raise ResultDirectoryError(f"{folder / 'result.json'} is truncated or damaged: {error}") from error
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
    cls: "type[TrainingResult]", folder: Path, content: Mapping[str, Any], arrays: Mapping[str, Any]
) -> "TrainingResult":
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


def _check(found: "TrainingResult", n_labels: Mapping[str, int] | None) -> None:
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


def _constants(arrays: Mapping[str, Any]) -> ForceConstants | None:
    names = {name: f"constants_{name}" for name in CONSTANTS}
    if not any(key in arrays for key in names.values()):
        return None
    return ForceConstants(**{name: arrays[key] for name, key in names.items()})


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
