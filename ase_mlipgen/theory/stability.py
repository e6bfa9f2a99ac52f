"""Force-constant errors and stability (S) of reference and surrogate on the training cells, and the gate.

eps_FC = ||Hess E_L - Hess E~_L|| at the relaxed training cell (3.5), eps_FC_hom the same on the perfect crystal (3.6),
both as operators from displacements to forces; the stability constants are the smallest eigenvalues of the Hessians in
the same norm, over the relaxed training cells and their perfect hosts, both models at the reference's equilibrium.
Estimates of Theorem 3.1 divide by them: where one is not positive none of them holds, and `require_stable` says so.
Enter at `measure_operators`, `require_stable`.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms

from ase_mlipgen.theory.cell_hessian import in_components
from ase_mlipgen.theory.norms import DualNorm, bonds
from ase_mlipgen.theory.operator_norms import Mode, operator_norm, stability_constant


class InstabilityWarning(UserWarning):
    """A model is not stable where the theory needs it to be."""


class StabilityError(ArithmeticError):
    """Reference or surrogate is not stable on a training cell: the theory's estimates do not hold.

    Attributes
    ----------
    who : "reference" or "surrogate"
    cell : str
        Name of the cell.
    value : float
        The smallest eigenvalue, eV/Å^2.
    mode_ic : (n_atoms, 3) array
        The soft mode, Å, of norm ||Du|| = 1 Å.
    result : TrainingResult or None
        What was computed all the same, where a trainer raised this.
    """

    def __init__(self, who: str, cell: str, soft: Mode, result: Any = None) -> None:
        self.who, self.cell, self.value, self.mode_ic = who, cell, soft.value, soft.mode_ic
        self.result = result
        super().__init__(explain(who, cell, soft))

    def __reduce__(self) -> Any:
        return type(self), (self.who, self.cell, Mode(self.value, self.mode_ic), self.result)


class CellOperators(NamedTuple):
    """What the Hessians of one cell say; None where one was not computed.

    Attributes
    ----------
    name : str
    defect : str
        Empty for a perfect crystal.
    error : eV/Å^2, the norm of the difference of both Hessians
    reference, surrogate : Mode, the smallest eigenvalue of each
    """

    name: str
    defect: str
    error: float | None
    reference: Mode | None
    surrogate: Mode | None


class Operators(NamedTuple):
    """Over some cells: the largest force-constant errors and the smallest stability constants, eV/Å^2; or None."""

    eps_FC: float | None = None
    eps_FC_hom: float | None = None
    stability: float | None = None
    reference_stability: float | None = None


def measure_operators(
    name: str, defect: str, atoms: Atoms, reference: Any | None, surrogate: Any | None
) -> CellOperators:
    """Compare the Hessians of one cell.

    Parameters
    ----------
    name, defect : of the cell
    atoms : the unrelaxed cell, whose bonds make the norm
    reference, surrogate : Hessians, all components or those in the plane, eV/Å^2; None where unknown
    """
    norm = DualNorm(bonds(atoms))
    known = [None if H is None else in_components(H, atoms) for H in (reference, surrogate)]
    stable = [None if H is None else stability_constant(H, norm) for H in known]
    both = known[0] is not None and known[1] is not None
    error = operator_norm(known[0] - known[1], norm) if both else None  # type: ignore[operator]
    return CellOperators(name, defect, error, *stable)


def summarise(cells: Iterable[CellOperators], defects: Sequence[str] | None = None) -> Operators:
    """Take the worst over the perfect crystals and the cells of some defects, by default of all."""
    kept = [cell for cell in cells if not cell.defect or defects is None or cell.defect in defects]
    with_defect = [cell for cell in kept if cell.defect]
    perfect = [cell for cell in kept if not cell.defect]
    return Operators(
        eps_FC=_worst([cell.error for cell in with_defect], max),
        eps_FC_hom=_worst([cell.error for cell in perfect], max),
        stability=_worst([cell.surrogate and cell.surrogate.value for cell in kept], min),
        reference_stability=_worst([cell.reference and cell.reference.value for cell in kept], min),
    )


def require_stable(cells: Iterable[CellOperators], who: Sequence[str] = ("reference", "surrogate")) -> None:
    """Raise if a model has a stability constant that is not positive on one of the cells.

    Raises
    ------
    StabilityError
        Names the model, the cell, the value and where the soft mode is.
    """
    for cell in cells:
        for model in who:
            soft = getattr(cell, model)
            if soft is not None and not soft.value > 0.0:
                raise StabilityError(model, cell.name, soft)


def explain(who: str, cell: str, soft: Mode) -> str:
    """Say in sentences what an instability is and what to do."""
    moved = np.linalg.norm(soft.mode_ic, axis=1)
    atom = int(np.argmax(moved))
    share = float(np.sum(np.sort(moved**2)[::-1][:6]) / np.sum(moved**2)) if moved.any() else 0.0
    remedy = (
        "perturb the starting cell so that it leaves the saddle point, or take another reference or host cell"
        if who == "reference"
        else "take a larger basis, more samples, or impose the force constants (matching='exact')"
    )
    return (
        f"the {who} is not stable on {cell}: its stability constant is {soft.value:.3e} eV/Å^2, and should be "
        f"positive; the soft mode moves atom {atom} most, its six largest atoms hold {share:.0%} of it. "
        f"No estimate of the theory holds there: {remedy}"
    )


def _worst(values: Sequence[float | None], choose: Any) -> float | None:
    known = [value for value in values if value is not None]
    return float(choose(known)) if known and len(known) == len(values) else None
