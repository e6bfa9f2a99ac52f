"""The Hessian of a whole cell, defects included: analytic, or from differences of labelled forces.

A calculator that has its own Hessian gives it at the cost of a few force calls. Otherwise every atom is moved both ways
along every direction, 6 n_atoms force calls (4 in a plane): ordinary labels, so they run on any executor and are kept
in any store. Central differences of second order, symmetrised: good to about 1e-5 of the largest force constant at the
default step. Enter at `hessian_of`, or at `difference_cells` and
`hessian_of_forces` where the forces are labels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.defects import is_planar

STEP = 0.005
"""Å."""


def has_hessian(calculator: Any) -> bool:
    """Say whether a calculator gives analytic second derivatives."""
    return "hessian" in getattr(calculator, "implemented_properties", ())


def analytic_hessian(atoms: Atoms, calculator: Any) -> Any:
    """Return the calculator's own Hessian, (3 n_atoms, 3 n_atoms), eV/Å^2, sparse where it can be.

    Raises
    ------
    ValueError
        It has another shape.
    """
    probe = atoms.copy()
    probe.set_constraint()
    if hasattr(calculator, "get_hessian"):
        hessian = calculator.get_hessian(probe, format="sparse")
    else:
        hessian = calculator.get_property("hessian", probe)
    size = 3 * len(atoms)
    if hessian.shape != (size, size):
        raise ValueError(f"the calculator's Hessian has shape {hessian.shape}; expected ({size}, {size})")
    return hessian


def difference_cells(atoms: Atoms, step: float = STEP) -> list[Atoms]:
    """Return the cells whose forces make the Hessian: every coordinate moved by +step, then by -step, Å.

    In planar cells x and y only: 2 d n_atoms cells, d = 2 or 3.
    """
    found = []
    for atom in range(len(atoms)):
        for axis in range(_dimension(atoms)):
            for signed in (step, -step):
                moved = atoms.copy()
                moved.positions[atom, axis] += signed
                found.append(moved)
    return found


def hessian_of_forces(
    atoms: Atoms, forces_kic: Sequence[npt.ArrayLike], step: float = STEP
) -> npt.NDArray[np.float64]:
    """Assemble the Hessian from the forces on `difference_cells`.

    Parameters
    ----------
    forces_kic : 2 d n_atoms arrays (n_atoms, 3), eV/Å, in the order of the cells

    Returns
    -------
    (d n_atoms, d n_atoms) array, eV/Å^2, symmetric; d = 2 for planar cells, else 3.

    Raises
    ------
    ValueError
        Another number of forces.
    """
    d, n_atoms = _dimension(atoms), len(atoms)
    if len(forces_kic) != 2 * d * n_atoms:
        raise ValueError(f"{len(forces_kic)} sets of forces; expected {2 * d * n_atoms}, two a coordinate")
    forces = np.asarray(forces_kic, dtype=float)[:, :, :d].reshape(-1, 2, n_atoms * d)
    hessian = (forces[:, 1] - forces[:, 0]) / (2.0 * step)
    return np.asarray(0.5 * (hessian + hessian.T))


def hessian_of(atoms: Atoms, calculator: Any, analytic: bool = True) -> Any:
    """Return the Hessian of a calculator that is cheap: its own if it has one and `analytic`, else by differences."""
    if analytic and has_hessian(calculator):
        return analytic_hessian(atoms, calculator)
    return hessian_of_forces(
        atoms, [np.array(calculator.get_forces(moved)) for moved in difference_cells(atoms)]
    )


def in_components(hessian: Any, atoms: Atoms) -> npt.NDArray[np.float64]:
    """Return a Hessian as a dense array of the components that count: (d n_atoms, d n_atoms)."""
    d, n_atoms = _dimension(atoms), len(atoms)
    full = np.asarray(hessian.toarray() if hasattr(hessian, "toarray") else hessian, dtype=float)
    width = full.shape[0] // n_atoms
    blocks = full.reshape(n_atoms, width, n_atoms, width)[:, :d, :, :d]
    return blocks.reshape(d * n_atoms, d * n_atoms)


def _dimension(atoms: Atoms) -> int:
    return 2 if is_planar(atoms) else 3
