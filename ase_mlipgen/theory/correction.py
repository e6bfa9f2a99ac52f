"""One linear solve with a model's Hessian: the displacement that balances a force, preconditioned CG.

The Hessian acts through `hessian_product` where the calculator has one, else by differences of forces. The bond
Laplacian of the strain norm, factorised once, is the preconditioner: the number of steps depends on the model's
stability in that norm, not on the size of the cell (about 40 steps to 1e-6). Enter at `Response`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms
from scipy.sparse.linalg import LinearOperator, cg

from ase_mlipgen.theory.norms import DualNorm

Floats = npt.NDArray[np.float64]

TOLERANCE = 1e-6
"""Relative residual of the solve: far below what the certificate claims."""

STEP = 1e-3
"""Å, largest displacement for differences of forces where there is no Hessian."""

STEPS = 500


class UnstableError(RuntimeError):
    """The Hessian has a direction of negative curvature, or the solve does not converge."""


class Response:
    """x = H^-1 f at one configuration, on forces that sum to zero.

    Parameters
    ----------
    calculator : ASE calculator
    atoms : the configuration, a minimum of the calculator's energy
    dual : norm of the cell: its bonds say which components count, its factor preconditions
    """

    def __init__(self, calculator: Any, atoms: Atoms, dual: DualNorm) -> None:
        self.calculator, self.atoms, self.dual = calculator, atoms.copy(), dual
        self.d = dual.bonds.dimension
        self.products = 0
        self._exact = "hessian" in getattr(calculator, "implemented_properties", ()) and hasattr(
            calculator, "hessian_product"
        )

    def solve(self, f_ic: Floats) -> Floats:
        """Solve H x = f.

        Parameters
        ----------
        f_ic : (n_atoms, 3) array, eV/Å; its mean is taken off

        Returns
        -------
        (n_atoms, 3) array, Å, of zero mean

        Raises
        ------
        UnstableError
        """
        right = self._flat(f_ic - f_ic.mean(axis=0))
        if not np.any(right):
            return np.zeros((len(self.atoms), 3))
        size = right.size
        H = LinearOperator((size, size), matvec=self._apply, dtype=float)
        M = LinearOperator((size, size), matvec=self._precondition, dtype=float)
        x, info = cg(H, right, rtol=TOLERANCE, maxiter=STEPS, M=M)
        if info != 0:
            raise UnstableError(
                f"the linear solve did not converge in {STEPS} steps: the model is nearly unstable"
            )
        found = self._full(x)
        return np.asarray(found - found.mean(axis=0))

    def _apply(self, v: Floats) -> Floats:
        self.products += 1
        v_ic = self._full(v)
        H_v = self._flat(self._product(v_ic))
        if float(v @ H_v) < 0.0:
            raise UnstableError(
                "the model's Hessian has a direction of negative curvature where it was relaxed"
            )
        return H_v

    def _precondition(self, r: Floats) -> Floats:
        return self._flat(self.dual.solve(self._full(r)))

    def _product(self, v_ic: Floats) -> Floats:
        if self._exact:
            return np.asarray(self.calculator.hessian_product(self.atoms, v_ic))
        scale = STEP / float(np.abs(v_ic).max())
        forces = []
        for sign in (1.0, -1.0):
            moved = self.atoms.copy()
            moved.positions += sign * scale * v_ic
            moved.calc = self.calculator
            forces.append(np.array(moved.get_forces()))
        return np.asarray((forces[1] - forces[0]) / (2.0 * scale))

    def _flat(self, field_ic: Floats) -> Floats:
        return np.ascontiguousarray(field_ic[:, : self.d]).ravel()

    def _full(self, v: Floats) -> Floats:
        full = np.zeros((len(self.atoms), 3))
        full[:, : self.d] = np.asarray(v).reshape(-1, self.d)
        return full
