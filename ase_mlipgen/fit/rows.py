"""Observations of a cell as rows of a least-squares system.

A cell gives 1 energy row, 3 n_atoms force rows (atom by atom, x y z, z included also in planar cells, as
Ortner and Wang count them) and, if wanted, 6 virial rows (Voigt xx yy zz yz xz xy, eV), each times the square
root of its weight. From the targets what is not fitted is subtracted: the energies E0 of the isolated atoms
and the fixed core repulsion.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.fit.weights import Weights

KINDS = ("energy", "forces", "stress")
DEFAULT_KINDS = ("energy", "forces")
SMALLEST_PART = 1024  # rows of a large cell that are made at once
Array = npt.NDArray[np.float64]


class Observed(Protocol):
    """What a labelled cell offers: see `ase_mlipgen.labels.LabelledCell`."""

    @property
    def atoms(self) -> Atoms: ...  # noqa: D102
    @property
    def energy(self) -> float: ...  # noqa: D102
    @property
    def forces(self) -> Array: ...  # noqa: D102
    @property
    def stress(self) -> Array | None: ...  # noqa: D102
    @property
    def defect(self) -> str: ...  # noqa: D102


class Basis(Protocol):
    """What a basis offers: see `ase_mlipgen.basis.ACEBasis`."""

    def __len__(self) -> int: ...
    def design(self, atoms: Atoms, virial: bool = True, part: slice | None = None) -> Any:
        """Return rows: energy (K,), forces (n_atoms, 3, K), virial (6, K) if wanted.

        With `part`: forces on these atoms only; energy and virial add up over the parts of a cell.
        """

    def baseline(self, atoms: Atoms) -> Any:
        """Return what is not fitted: energy, forces (n_atoms, 3), virial (6,)."""

    def design_tangent(self, atoms: Atoms, velocity_ic: npt.ArrayLike) -> Array:
        """Return the derivative of the force rows along a motion of the atoms, (n_atoms, 3, K)."""

    def baseline_tangent(self, atoms: Atoms, velocity_ic: npt.ArrayLike) -> Array:
        """Return the derivative of the baseline's forces along a motion, (n_atoms, 3)."""


class RowBlock(NamedTuple):
    """Weighted rows of one cell.

    Attributes
    ----------
    A : (n_rows, n_functions) array, Fortran order
    b : (n_rows,) array
    slices : dict of str to slice
        Which rows are "energy", "forces", "stress"; in this order.
    """

    A: Array
    b: Array
    slices: dict[str, slice]


def kinds_of(observations: Iterable[str]) -> tuple[str, ...]:
    """Check names of observations and bring them into the order of the rows.

    Raises
    ------
    ValueError
        An unknown kind, or none.
    """
    given = [observations] if isinstance(observations, str) else list(observations)
    for name in given:
        if name not in KINDS:
            raise ValueError(f"unknown observation {name!r}; rows are made for {', '.join(KINDS)}")
    if not given:
        raise ValueError(f"no observations; give some of {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in given)


def count_rows(n_atoms: int, observations: Iterable[str] = DEFAULT_KINDS) -> int:
    """Count the rows of a cell: 1 + 3 n_atoms, and 6 with stress."""
    count = {"energy": 1, "forces": 3 * n_atoms, "stress": 6}
    return sum(count[kind] for kind in kinds_of(observations))


def part_rows(n_functions: int) -> int:
    """Return how many rows of a cell are made at once: no more than the triangle has, if that is large."""
    return max(SMALLEST_PART, n_functions)


def rows(
    basis: Basis,
    cell: Observed,
    weights: Weights,
    E0: Mapping[str, float],
    observations: Iterable[str] = DEFAULT_KINDS,
    metric: Array | None = None,
) -> RowBlock:
    """Weighted rows of one cell.

    Parameters
    ----------
    basis : Basis
    cell : LabelledCell
    weights : Weights
    E0 : mapping of chemical symbols to float
        Energy of an isolated atom, eV.
    observations : iterable of "energy", "forces", "stress"
    metric : (n_atoms, n_atoms) array, optional
        W: squared force residuals are sum over components c of |W f_c|^2, instead of |f_c|^2.

    Returns
    -------
    RowBlock

    Raises
    ------
    ValueError
        No E0 for an element; stress wanted but not labelled; a row that is not finite; another number of
        functions.
    """
    kinds = kinds_of(observations)
    design = basis.design(cell.atoms, "stress" in kinds)
    return _weighted(design, basis, cell, weights, E0, kinds, metric=metric)


def row_blocks(
    basis: Basis,
    cell: Observed,
    weights: Weights,
    E0: Mapping[str, float],
    observations: Iterable[str] = DEFAULT_KINDS,
    most: int | None = None,
    metric: Array | None = None,
) -> Iterator[RowBlock]:
    """Yield the rows of `rows` in blocks of about `most` rows: forces part by part, then what the parts add up to.

    By default as many rows as there are functions, at least `SMALLEST_PART`, so that a large cell needs no more
    memory than the triangle. A smaller cell is one block, and so is one with a metric, which mixes all its atoms.
    """
    kinds, n_atoms = kinds_of(observations), len(cell.atoms)
    most = part_rows(len(basis)) if most is None else most
    if count_rows(n_atoms, kinds) <= most or metric is not None:
        yield rows(basis, cell, weights, E0, kinds, metric)
        return
    step = max(1, most // 3)
    total: Any = None
    for start in range(0, n_atoms, step):
        part = slice(start, min(start + step, n_atoms))
        design = basis.design(cell.atoms, "stress" in kinds, part)
        sums = design.energy, design.virial
        total = sums if total is None else tuple(a + b for a, b in zip(total, sums, strict=True))
        if "forces" in kinds:
            yield _weighted(design, basis, cell, weights, E0, ("forces",), part)
    if rest := tuple(kind for kind in kinds if kind != "forces"):
        yield _weighted(design._replace(energy=total[0], virial=total[1]), basis, cell, weights, E0, rest)


def hessian_rows(
    basis: Basis, atoms: Atoms, atom: int, axis: int, column: Array, weight: float = 1.0
) -> RowBlock:
    """Weighted rows of force constants: one column of the Hessian at any configuration, a row an entry.

    Parameters
    ----------
    basis : Basis
    atoms : Atoms
    atom, axis : int
        The coordinate that the forces are differentiated by.
    column : (n_atoms, d) array, eV/Å^2
        Reference: d^2 E / (d x_{atom, axis} d x_{n, b}), b < d; d = 3, or 2 in a plane.
    weight : float
        Å^4/eV^2, of squared residuals, as in `Weights`.

    Returns
    -------
    RowBlock
        n_atoms d rows, atom by atom, called "force_constants".

    Raises
    ------
    ValueError
        A column of another shape, or a row that is not finite.
    """
    column = np.asarray(column, dtype=float)
    if column.ndim != 2 or len(column) != len(atoms) or column.shape[1] > 3:
        raise ValueError(f"the column has shape {column.shape}; expected ({len(atoms)}, 3), or 2 in a plane")
    motion, d = np.zeros((len(atoms), 3)), column.shape[1]
    motion[atom, axis] = 1.0
    root = np.sqrt(weight)
    A = -root * basis.design_tangent(atoms, motion)[:, :d].reshape(-1, len(basis))
    b = root * (column + basis.baseline_tangent(atoms, motion)[:, :d]).ravel()
    if not (np.isfinite(A).all() and np.isfinite(b).all()):
        raise ValueError(f"force-constant rows of a cell of {len(atoms)} atoms are not finite")
    return RowBlock(A, b, {"force_constants": slice(0, len(b))})


def _weighted(
    design: Any,
    basis: Basis,
    cell: Observed,
    weights: Weights,
    E0: Mapping[str, float],
    kinds: tuple[str, ...],
    part: slice | None = None,
    metric: Array | None = None,
) -> RowBlock:
    """Weigh rows and targets; with `part`, those of forces on some atoms."""
    atoms, baseline = cell.atoms, basis.baseline(cell.atoms)
    block = _empty(len(range(len(atoms))[part or slice(None)]), len(basis), kinds)
    for kind, where in block.slices.items():
        matrix = _features(kind, design)
        target = _target(kind, cell, E0) - np.ravel(_fixed(kind, baseline))
        if kind == "forces" and part is not None:
            target = target.reshape(-1, 3)[part].ravel()
        if matrix.shape != block.A[where].shape:
            raise ValueError(f"the basis gave {kind} rows {matrix.shape}; expected {block.A[where].shape}")
        if kind == "forces" and metric is not None:
            matrix, target = _mixed(metric, matrix), _mixed(metric, target[:, None])[:, 0]
        weight = weights.row_weight(kind)
        np.multiply(matrix, weight, out=block.A[where])
        block.b[where] = target * weight
    if not (np.isfinite(block.A).all() and np.isfinite(block.b).all()):
        raise ValueError(f"rows of a cell of {len(atoms)} atoms ({cell.defect or 'perfect'}) are not finite")
    return block


def _mixed(metric: Array, rows: Array) -> Array:
    """Multiply force rows, three an atom, by W for each component."""
    n_atoms, width = len(metric), rows.shape[1]
    if metric.shape != (n_atoms, n_atoms) or len(rows) != 3 * n_atoms:
        raise ValueError(
            f"the metric has shape {metric.shape}; expected {(len(rows) // 3,) * 2}, a row an atom"
        )
    return np.reshape(metric @ rows.reshape(n_atoms, 3 * width), (-1, width))


def _empty(n_atoms: int, n_functions: int, kinds: tuple[str, ...]) -> RowBlock:
    slices, start = {}, 0
    for kind in kinds:
        stop = start + count_rows(n_atoms, (kind,))
        slices[kind] = slice(start, stop)
        start = stop
    return RowBlock(np.empty((start, n_functions), order="F"), np.empty(start), slices)


def _features(kind: str, design: Any) -> Array:
    matrix: Array = {"energy": design.energy, "forces": design.forces, "stress": design.virial}[kind]
    return np.reshape(matrix, (-1, matrix.shape[-1]))


def _fixed(kind: str, baseline: Any) -> Any:
    return {"energy": baseline.energy, "forces": baseline.forces, "stress": baseline.virial}[kind]


def _target(kind: str, cell: Observed, E0: Mapping[str, float]) -> Array:
    if kind == "energy":
        return np.array([cell.energy - _isolated(cell.atoms, E0)])
    if kind == "forces":
        return np.ravel(cell.forces)
    if cell.stress is None:
        raise ValueError(
            "stress is among the observations, but a cell has no stress label; label it, or leave stress out"
        )
    return np.ravel(cell.stress) * cell.atoms.get_volume()


def _isolated(atoms: Atoms, E0: Mapping[str, float]) -> float:
    symbols = atoms.get_chemical_symbols()
    for symbol in sorted(set(symbols)):
        if symbol not in E0:
            raise ValueError(
                f"no E0 for {symbol!r}; E0 has {', '.join(E0) or 'no element'}; 0.0 is a good choice"
            )
    return sum(E0[symbol] * symbols.count(symbol) for symbol in sorted(set(symbols)))
