"""Equality constraints that make the theorem's matching conditions exact at the equilibrium.

Ortner & Wang ask for small eps_E (3.3), eps_F (3.4) and eps_FC_hom (3.6). A linear model can have zero at the
training cell's equilibrium: the energies of the relaxed defect cell, the unrelaxed one and the perfect crystal;
the forces at the relaxed cell; the homogeneous force constants. Each is a set of rows C c = d, imposed by `fit.solve`.
Rows of force constants are exact derivatives of force rows. Entry point: :func:`matching_constraints`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from ase import Atoms
from scipy.linalg import svd

from ase_mlipgen.fit import Constraints, Weights, hessian_rows, rows
from ase_mlipgen.fit.pivoted import norms_or_largest
from ase_mlipgen.fit.rows import Basis, Observed
from ase_mlipgen.theory.force_constants import ForceConstants

Floats = npt.NDArray[np.float64]
CONDITIONS = ("energies", "forces", "force_constants")
ROUND_OFF = 1e-9
RELAXATION_NOISE = 1e-4
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
    if not np.iterable(matching):
        raise TypeError(f'matching = {matching!r}: expected "exact", None or some of {CONDITIONS}')
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


def transplant_constraints(
    basis: Basis, E0: Mapping[str, float], conditions: Sequence[str], cells: Sequence[Observed]
) -> dict[str, Constraints]:
    """Collect the rows that match transplanted cores as well: their energies, and the forces of the defective ones.

    Parameters
    ----------
    cells : labelled transplanted cells, `config_type` "defect" or "perfect"
    """
    found = {}
    if "energies" in conditions:
        found["transplanted_energies"] = [_matched(basis, cell, E0, "energy") for cell in cells]
    if "forces" in conditions:
        defective = [cell for cell in cells if cell.defect]
        found["transplanted_forces"] = [
            _matched(basis, cell, E0, "forces", RELAXATION_NOISE) for cell in defective
        ]
    return {condition: Constraints.stack(parts) for condition, parts in found.items()}


def _matched(
    basis: Basis, cell: Observed, E0: Mapping[str, float], kind: str, tolerance: float = 0.0
) -> Constraints:
    block = rows(basis, cell, UNWEIGHTED, E0, (kind,))
    return independent_rows(block.A, block.b, tolerance) if tolerance else Constraints(block.A, block.b)


def force_constant_rows(basis: Basis, perfect: Atoms, constants: ForceConstants) -> Constraints:
    """Return the independent rows of the basis functions' force constants, and the reference's as targets.

    One row an entry of `constants.columns_sanb`, then only as many as crystal symmetry leaves independent; the fixed
    core's part is moved to the targets. The rows are exact derivatives; the columns may be differences.
    """
    dimension = constants.columns_sanb.shape[1]
    blocks = [
        hessian_rows(basis, perfect, int(site), a, constants.columns_sanb[s, a])
        for s, site in enumerate(constants.sites_s)
        for a in range(dimension)
    ]
    return independent_rows(
        np.concatenate([block.A for block in blocks]),
        np.concatenate([block.b for block in blocks]),
        ROUND_OFF,
    )


def independent_rows(A: Floats, b: Floats, tolerance: float) -> Constraints:
    """Combine rows, by the leading left singular vectors, into as few as span them up to a relative tolerance.

    Columns are scaled to unit norm for that. What symmetry makes equal is averaged: it differs by round-off, or by the
    error of a relaxation (positions to 1e-6 Å), and picking one of several equal rows would leave to chance which.
    """
    scale, _ = norms_or_largest(A, 0, ROUND_OFF)
    U, singular, _ = svd(A / scale, full_matrices=False)
    leading = U[:, singular > tolerance * singular[0]].T
    return Constraints(leading @ A, leading @ b)
