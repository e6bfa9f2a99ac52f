"""Every number of a run as one JSON-able mapping, with units and definitions beside them. Enter at `metrics`."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ase_mlipgen.durable import replacing
from ase_mlipgen.result import TrainingResult
from ase_mlipgen.theory.budget import ErrorBudget
from ase_mlipgen.theory.comparison import Comparison
from ase_mlipgen.theory.errors import DEFINITIONS

FORMAT = "ase_mlipgen.metrics"
UNITS = {
    **{name: unit for name, (_, unit, _) in DEFINITIONS.items()},
    "closest_distance": "Å",
    "r_in": "Å",
    "geometry_error": "Å",
    "geometry_norm": "Å",
    **{f"relaxation_energy_{kind}": "eV" for kind in ("reference", "surrogate", "error")},
    **{f"formation_energy_{kind}": "eV" for kind in ("reference", "surrogate", "error")},
    "energy_excess": "eV",
    "timings": "s",
    "wall_time_reference": "s",
    "wall_time_surrogate": "s",
    "memory": "bytes",
    "fmax": "eV/Å",
    "amplitude": "Å",
}
LARGE_CELL = (
    "geometry_error", "geometry_norm", "relaxation_energy_reference", "relaxation_energy_surrogate",
    "relaxation_energy_error", "formation_energy_reference", "formation_energy_surrogate", "formation_energy_error",
    "energy_excess",
)  # fmt: skip


def metrics(
    result: TrainingResult, comparison: Comparison | None = None, budget: ErrorBudget | None = None
) -> dict[str, Any]:
    """Collect the numbers of a run; what is not a number is None.

    Parameters
    ----------
    result : TrainingResult
    comparison : of the large cell, if there was one
    budget : predicted errors, if they were asked for
    """
    fit = result.fit
    content = {
        "format": FORMAT,
        "errors": {
            "test": asdict(result.errors),
            "train": asdict(result.train_errors),
            "by_defect": {name: asdict(errors) for name, errors in result.by_defect.items()},
        },
        "fit": {
            "rank": fit.rank,
            "n_functions": fit.n_functions,
            "n_rows": fit.n_rows,
            "rtol": fit.rtol,
            "residual_norm": fit.residual_norm,
            "n_constraints": fit.n_constraints,
            "constraint_rank": fit.constraint_rank,
            "constraint_violation": fit.constraint_violation,
            "matched": list(result.matched),
            "note": fit.note,
            "weights": result.weights,
            "unstable": result.unstable,
            "hole": result.hole,
        },
        "r_in": dict(result.calculator.basis.r_in),
        "large_cell": None if comparison is None else large_cell(comparison),
        "budget": None if budget is None else budget.todict(),
        "census": asdict(result.census),
        "timings": result.timings,
        "settings": result.settings,
        "units": UNITS,
        "definitions": {name: text for name, (_, _, text) in DEFINITIONS.items()}
        | dict(Comparison.definition),
    }
    finite: dict[str, Any] = _finite(content)
    return finite


def large_cell(comparison: Comparison) -> dict[str, Any]:
    """Collect the numbers of a comparison."""
    both = {"reference": comparison.reference, "surrogate": comparison.surrogate}
    return {
        "n_atoms": len(comparison.reference.atoms),
        **{name: getattr(comparison, name) for name in LARGE_CELL},
        **{f"steps_{name}": relaxation.steps for name, relaxation in both.items()},
        **{f"wall_time_{name}": relaxation.wall_time for name, relaxation in both.items()},
        "failure": comparison.failure,
    }


def write_metrics(path: str | Path, content: Mapping[str, Any]) -> Path:
    """Write a mapping as JSON, whole or not at all."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return Path(path)


def _finite(value: Any) -> Any:
    """Replace NaN and infinity, which JSON has not, by None."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
