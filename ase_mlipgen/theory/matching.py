"""Equality constraints that make the theorem's matching conditions exact at the equilibrium.

Ortner & Wang ask for small eps_E (3.3), eps_F (3.4) and eps_FC_hom (3.6). A linear model can have zero at the
training cell's equilibrium: the energies of the relaxed defect cell, the unrelaxed one and the perfect crystal;
the forces at the relaxed cell; the homogeneous force constants. Each is a set of rows C c = d, imposed by `fit.solve`.
Force-constant rows are five-point differences of force rows: what the reference's columns are compared
with, whatever calculator it is. Entry point: :func:`matching_constraints`.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from ase import Atoms
from scipy.linalg import qr

from ase_mlipgen.fit import Constraints, Weights, rows
from ase_mlipgen.fit.rows import Basis, Observed
from ase_mlipgen.theory.force_constants import ForceConstants

Floats = npt.NDArray[np.float64]
CONDITIONS = ("energies", "forces", "force_constants")
STEP = 5e-4
DIFFERENCE_NOISE = 1e-6
RELAXATION_NOISE = 1e-4
STENCIL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))
UNWEIGHTED = Weights(energy=1.0, forces=1.0)


def checked_conditions(matching: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the conditions that `matching` names: "exact" is all of them, None is none.

    Raises
    ------
    ValueError
        For a name that is not a condition.
    """
    if matching is None:
        return ()
    if isinstance(matching, str):
        if matching == "exact":
            return CONDITIONS
        matching = (matching,)
    for name in matching:
        if name not in CONDITIONS:
            raise ValueError(
                f'unknown matching condition {name!r}; give "exact", None or some of {CONDITIONS}'
            )
    return tuple(name for name in CONDITIONS if name in matching)


def matching_constraints(
    basis: Basis,
    E0: Mapping[str, float],
    conditions: Sequence[str],
    equilibria: Sequence[Observed],
    others: Sequence[Observed],
    constants: Sequence[tuple[Atoms, ForceConstants]],
) -> dict[str, Constraints]:
    """Collect the rows of each condition.

    Parameters
    ----------
    basis : Basis
    E0 : mapping of symbol to float
    conditions : sequence of "energies", "forces", "force_constants"
    equilibria : labelled relaxed defect cells
        Energies and forces are matched there.
    others : labelled unrelaxed defect cells and perfect crystals
        Energies are matched there.
    constants : perfect cells and the reference's force constants there
    """
    found: dict[str, list[Constraints]] = {}
    if "energies" in conditions:
        found["energies"] = [_matched(basis, cell, E0, "energy") for cell in (*equilibria, *others)]
    if "forces" in conditions:
        found["forces"] = [_matched(basis, cell, E0, "forces", RELAXATION_NOISE) for cell in equilibria]
    if "force_constants" in conditions:
        found["force_constants"] = [force_constant_rows(basis, *pair) for pair in constants]
    return {condition: Constraints.stack(parts) for condition, parts in found.items()}


def _matched(
    basis: Basis, cell: Observed, E0: Mapping[str, float], kind: str, tolerance: float = 0.0
) -> Constraints:
    block = rows(basis, cell, UNWEIGHTED, E0, (kind,))
    return independent_rows(block.A, block.b, tolerance) if tolerance else Constraints(block.A, block.b)


def force_constant_rows(
    basis: Basis, perfect: Atoms, constants: ForceConstants, step: float = STEP
) -> Constraints:
    """Return the independent rows of the basis functions' force constants, and the reference's as targets.

    One row an entry of `constants.columns_sanb`, then only those that crystal symmetry leaves independent; the
    fixed core's part is moved to the targets. Five-point differences with `step` in Å.
    """
    dimension = constants.columns_sanb.shape[1]
    features, targets = [], []
    for s, site in enumerate(constants.sites_s):
        for a in range(dimension):
            slope = _difference(lambda atoms: basis.design(atoms).forces, perfect, site, a, step)
            fixed = _difference(lambda atoms: basis.baseline(atoms).forces, perfect, site, a, step)
            features.append(-slope[:, :dimension].reshape(-1, len(basis)))
            targets.append((constants.columns_sanb[s, a] + fixed[:, :dimension]).ravel())
    return independent_rows(np.concatenate(features), np.concatenate(targets), DIFFERENCE_NOISE)


def independent_rows(A: Floats, b: Floats, tolerance: float) -> Constraints:
    """Keep rows that span the others up to a relative tolerance.

    Pivoted QR of A' with the columns of A scaled to unit norm.
    What symmetry makes equal differs by the error of differences (1e-8) or of a relaxation (positions to 1e-6
    Å); scaled up by the solver such rests would count as conditions of their own.
    """
    norms = np.linalg.norm(A, axis=0)
    scaled = A / np.where(norms > 0.0, norms, 1.0)
    R, pivots = qr(scaled.T, mode="r", pivoting=True)
    diagonal = np.abs(np.diagonal(R))
    rank = int(np.sum(diagonal > tolerance * diagonal[0]))
    chosen = np.sort(pivots[:rank])
    return Constraints(A[chosen], b[chosen])


def _difference(
    forces: Callable[[Atoms], Floats], perfect: Atoms, atom: int, component: int, step: float
) -> Floats:
    """Return the derivative of `forces` by one coordinate."""
    total: Floats | None = None
    for offset, weight in STENCIL:
        moved = perfect.copy()
        moved.positions[atom, component] += offset * step
        part = (weight / step) * forces(moved)
        total = part if total is None else total + part
    assert total is not None
    return total
