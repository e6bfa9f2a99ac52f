"""Rows of whole Hessians, so that squared residuals add up to |H - H~|^2 in the Frobenius norm.

A Hessian is symmetric: of every pair of equal entries one is a row, times sqrt(2). A perfect crystal is known from the
columns of one atom a sublattice, which count as often as there are such atoms. The rows are exact derivatives of force
rows, one column after another, so that memory is that of one column. Enter at `cell_blocks`, `crystal_blocks`.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.fit.rows import Array, Basis, RowBlock, hessian_rows


def cell_blocks(basis: Basis, atoms: Atoms, hessian: Array, weight: float = 1.0) -> Iterator[RowBlock]:
    """Yield the rows of the Hessian of a cell, a block a column.

    Parameters
    ----------
    basis : Basis
    atoms : Atoms
    hessian : (d n_atoms, d n_atoms) array, eV/Å^2
        Reference; d = 3, or 2 in a plane. Its symmetric part is taken.
    weight : float
        Å^4/eV^2, of |H - H~|^2.

    Raises
    ------
    ValueError
        The Hessian has another shape.
    """
    n_atoms, size = len(atoms), len(hessian)
    d = size // n_atoms
    if hessian.shape != (d * n_atoms, d * n_atoms) or d not in (2, 3):
        raise ValueError(
            f"the Hessian has shape {hessian.shape}; expected {(3 * n_atoms,) * 2}, or {(2 * n_atoms,) * 2} in a plane"
        )
    symmetric = 0.5 * (hessian + hessian.T)
    for k in range(size):
        block = hessian_rows(basis, atoms, k // d, k % d, symmetric[k].reshape(n_atoms, d), weight)
        factor = np.full(size - k, np.sqrt(2.0))
        factor[0] = 1.0
        A, b = block.A[k:] * factor[:, None], block.b[k:] * factor
        yield RowBlock(A, b, {"force_constants": slice(0, len(b))})


def crystal_blocks(
    basis: Basis,
    perfect: Atoms,
    sites_s: npt.ArrayLike,
    multiplicity_s: npt.ArrayLike,
    columns_sanb: Array,
    weight: float = 1.0,
) -> Iterator[RowBlock]:
    """Yield the rows of the Hessian of a perfect cell from the columns of one atom a sublattice.

    Parameters
    ----------
    basis : Basis
    perfect : Atoms
    sites_s, multiplicity_s, columns_sanb : as in `theory.ForceConstants`
    weight : float
        Å^4/eV^2, of |H - H~|^2 of the whole cell.
    """
    for site, multiplicity, columns in zip(
        np.asarray(sites_s), np.asarray(multiplicity_s), columns_sanb, strict=True
    ):
        for axis, column in enumerate(columns):
            yield hessian_rows(basis, perfect, int(site), axis, column, weight * float(multiplicity))
