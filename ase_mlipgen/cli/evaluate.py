"""`mlipgen eval`: a model on structures, against labels where there are any."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ase_mlipgen.cli.common import Debug, GateError, Json, show_json, show_table

MOST_FRAMES = 20
"""Rows of the table of uncertainties; --json has all."""


def evaluate(
    model: Annotated[str, typer.Argument(help='Model file, run directory, or "EAM2D".')],
    structures: Annotated[
        Path, typer.Argument(help="Structures, any format of ASE; labels as REF_energy, REF_forces.")
    ],
    max_energy_rmse: Annotated[
        float | None, typer.Option(help="Gate: exit with 4 above this, eV/atom.")
    ] = None,
    max_force_rmse: Annotated[float | None, typer.Option(help="Gate: exit with 4 above this, eV/Å.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Evaluate a model; with labels, print its RMSEs, with a posterior, how certain it is."""
    from ase_mlipgen.cli.model import load_model, read_structures

    calculator = load_model(model)
    frames = [_frame(calculator, atoms) for atoms in read_structures(structures)]
    summary = summarise(frames)
    if as_json:
        unstable = getattr(calculator, "unstable", "") or None
        show_json(
            {"model": model, "structures": str(structures), "unstable": unstable, **summary, "frames": frames}
        )
    else:
        _show(frames, summary)
    _check("energy RMSE", summary["energy_rmse"], max_energy_rmse, "eV/atom")
    _check("force RMSE", summary["force_rmse"], max_force_rmse, "eV/Å")


def _frame(calculator: Any, atoms: Any) -> dict[str, Any]:
    """Evaluate one structure; errors are None without a label."""
    import numpy as np

    energy, forces = atoms.info.get("REF_energy"), atoms.arrays.get("REF_forces")
    atoms.calc = calculator
    found, predicted = float(atoms.get_potential_energy()), atoms.get_forces()
    difference = None if forces is None else predicted - np.reshape(forces, (-1, 3))
    return {
        "n_atoms": len(atoms),
        "energy": found,
        "largest_force": float(np.linalg.norm(predicted, axis=1).max(initial=0.0)),
        "energy_error": None if energy is None else found - float(energy),
        "force_squares": None if difference is None else float(np.sum(difference**2)),
        "largest_force_error": None if difference is None else float(np.abs(difference).max(initial=0.0)),
        **_uncertainty(calculator, atoms),
    }


def _uncertainty(calculator: Any, atoms: Any) -> dict[str, Any]:
    """Return how certain a model is of a structure; None where it has no posterior."""
    import numpy as np

    if getattr(calculator, "posterior", None) is None or len(atoms) == 0:
        return dict.fromkeys(("energy_std", "largest_force_std", "largest_grade", "grade_atom"))
    found = calculator.get_uncertainty(atoms)
    return {
        "energy_std": found.energy_std,
        "largest_force_std": float(np.linalg.norm(found.forces_std, axis=1).max()),
        "largest_grade": float(found.grade_i.max()),
        "grade_atom": int(np.argmax(found.grade_i)),
    }


def summarise(frames: list[dict[str, Any]]) -> dict[str, Any]:
    """Return RMSEs over the labelled frames, eV/atom and eV/Å; None without labels."""
    energies = [f["energy_error"] / f["n_atoms"] for f in frames if f["energy_error"] is not None]
    forces = [f for f in frames if f["force_squares"] is not None]
    n_components = 3 * sum(f["n_atoms"] for f in forces)
    squares = sum(f["force_squares"] for f in forces)
    return {
        "n_frames": len(frames),
        "n_labelled": len(energies),
        "energy_rmse": math.sqrt(sum(e * e for e in energies) / len(energies)) if energies else None,
        "force_rmse": math.sqrt(squares / n_components) if n_components else None,
        "largest_force_error": max((f["largest_force_error"] for f in forces), default=None),
        "largest_grade": max(
            (f["largest_grade"] for f in frames if f["largest_grade"] is not None), default=None
        ),
        "units": {
            "energy_std": "eV",
            "largest_force_std": "eV/Å",
            "energy": "eV",
            "energy_rmse": "eV/atom",
            "force_rmse": "eV/Å",
            "largest_force_error": "eV/Å",
        },
    }


def _show(frames: list[dict[str, Any]], summary: dict[str, Any]) -> None:
    _show_errors(frames, summary)
    if summary["largest_grade"] is not None:
        _show_uncertainty(frames)


def _show_uncertainty(frames: Sequence[Mapping[str, Any]]) -> None:
    """Print how certain the model is of each structure; of many, of those with the largest grades."""
    from ase_mlipgen.extrapolation import ROUND_OFF, THRESHOLD

    numbers = sorted(range(len(frames)), key=lambda k: -frames[k]["largest_grade"])[:MOST_FRAMES]
    rows = []
    for k in sorted(numbers) if len(numbers) == len(frames) else numbers:
        f = frames[k]
        rows.append(
            [str(k), str(f["n_atoms"]), f"{f['energy_std']:.3e}", f"{f['largest_force_std']:.3e}",
             f"{f['largest_grade']:.3g}", str(f["grade_atom"])]
        )  # fmt: skip
    title = "standard deviations, and extrapolation grade: up to 1 within the training data"
    if len(numbers) < len(frames):
        title += f"; the {len(numbers)} largest grades of {len(frames)}"
    head = ("frame", "atoms", "energy (eV)", "largest force (eV/Å)", "largest grade", "atom")
    show_table(title, head, rows, tuple(range(6)))
    if n_far := sum(f["largest_grade"] > THRESHOLD * (1.0 + ROUND_OFF) for f in frames):
        typer.echo(
            f"the model extrapolates on {n_far} of {len(frames)} structures: they have an atom of a grade above "
            f"{THRESHOLD:g}"
        )


def _show_errors(frames: list[dict[str, Any]], summary: dict[str, Any]) -> None:
    if summary["n_labelled"] == 0 and summary["force_rmse"] is None:
        rows = [
            [str(k), str(f["n_atoms"]), f"{f['energy']:.6f}", f"{f['largest_force']:.3e}"]
            for k, f in enumerate(frames)
        ]
        show_table("no labels", ("frame", "atoms", "energy (eV)", "largest force (eV/Å)"), rows, (0, 1, 2, 3))
        return
    names = (
        (
            "energy_rmse",
            "energy RMSE",
            "eV/atom",
            "over frames, total energy error divided by the number of atoms",
        ),
        ("force_rmse", "force RMSE", "eV/Å", "over frames, atoms and three components"),
        ("largest_force_error", "largest force error", "eV/Å", "of one component"),
    )
    rows = [
        [label, f"{summary[k]:.3e}", unit, text] for k, label, unit, text in names if summary[k] is not None
    ]
    show_table(f"{summary['n_frames']} frames", ("", "value", "unit", "definition"), rows, (1,))


def _check(name: str, value: float | None, limit: float | None, unit: str) -> None:
    if limit is None:
        return
    if value is None:
        raise GateError(f"the {name} is unknown: the structures carry no labels REF_energy, REF_forces")
    if not value <= limit:
        raise GateError(f"the {name} is {value:.3e} {unit}, above the limit of {limit:g} {unit}")
