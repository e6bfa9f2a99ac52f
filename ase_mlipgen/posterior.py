"""What a linear fit leaves uncertain, as plain arrays: standard deviations, a committee, an extrapolation grade.

`fit.posterior` makes a `Posterior` from the triangle of a fit; here it is applied to structures and kept on disk
(npz, no objects). It belongs to one model: a digest of the coefficients says which. Enter at `Posterior`.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.durable import replacing
from ase_mlipgen.files import arrays_of
from ase_mlipgen.threads import blas_threads

Floats = npt.NDArray[np.float64]
PART = 200  # atoms whose force rows are made at once


class PosteriorError(ValueError):
    """A posterior that is missing, damaged or of another model."""


class Uncertainty(NamedTuple):
    """Standard deviations and grades of one structure.

    Attributes
    ----------
    energy_std : float, eV
        Of the total energy.
    forces_std : (n_atoms, 3) array, eV/Å
    grade_i : (n_atoms,) array
        Extrapolation grade; up to 1 for the atoms of the training samples.
    """

    energy_std: float
    forces_std: Floats
    grade_i: Floats


@dataclass(frozen=True, eq=False)
class Posterior:
    """Gaussian posterior of the coefficients of a linear model, and the leverage of site energies.

    The covariance of the coefficients is inflation² root root'. The grade of an atom is the norm of grade_root' b with
    b its row of function values: the square root of its leverage in the site energies of the training samples (diagonal
    of the hat matrix; Hoaglin and Welsch, Am. Stat. 32, 17 (1978)) over the largest leverage there. Above 1 the atom
    lies outside the ellipsoid of the training sites: the model extrapolates.

    Attributes
    ----------
    root : (K, m) array, eV
    grade_root : (K, K) array, per unit of a function
    sigma : float
        Standard deviation of a residual of weight one, from the training residual.
    tau : float
        Standard deviation of the prior: of coefficients times the norm of their columns in the data.
    inflation : float
        Root mean square of held-out force errors over what a well-specified model would have. The rows of a
        deterministic reference are not noisy: what is left is what the basis cannot describe, which does not shrink
        with their number, so that this is well above 1. 1 where nothing was held out.
    """

    root: Floats
    grade_root: Floats
    sigma: float
    tau: float
    inflation: float = 1.0

    def __call__(self, basis: ACEBasis, atoms: Atoms) -> Uncertainty:
        """Compute the standard deviations and grades of a structure."""
        n_atoms = len(atoms)
        energy, forces = np.zeros(len(basis)), np.empty((n_atoms, 3))
        with blas_threads(1):  # so that no bit depends on how many there are
            for start in range(0, n_atoms, PART):
                part = slice(start, min(start + PART, n_atoms))
                design = basis.design(atoms, False, part)
                energy += design.energy
                rows = np.reshape(design.forces, (-1, len(basis)))
                forces[part] = self._deviations(rows).reshape(-1, 3)
        return Uncertainty(float(self._deviations(energy[None])[0]), forces, self.grades(basis, atoms))

    def grades(self, basis: ACEBasis, atoms: Atoms) -> Floats:
        """Compute the extrapolation grade of every atom, (n_atoms,), at a sixth of the cost of a call."""
        with blas_threads(1):
            parts = [np.linalg.norm(rows @ self.grade_root, axis=1) for rows in basis.site_row_parts(atoms)]
        return np.concatenate([np.zeros(0), *parts])

    def _check(self, n_functions: int) -> None:
        """Refuse what no fit leaves."""
        shape, square = self.root.shape, self.grade_root.shape
        if self.root.ndim != 2 or shape[0] != n_functions or square != (n_functions, n_functions):
            raise ValueError(
                f"root is {shape} and grade_root {square}; expected {n_functions} rows, one a function"
            )
        for name in ("root", "grade_root", "sigma", "tau", "inflation"):
            value = np.asarray(getattr(self, name))
            if value.dtype != float or not np.isfinite(value).all():
                raise ValueError(
                    f"{name} holds numbers that are not finite, or none at all; expected finite ones"
                )
        if min(self.sigma, self.tau, self.inflation) < 0:
            raise ValueError("sigma, tau or inflation is negative; expected standard deviations")

    def _deviations(self, rows: Floats) -> Floats:
        return self.inflation * np.asarray(np.linalg.norm(rows @ self.root, axis=1))

    def sample(self, coefficients: npt.ArrayLike, n: int, seed: int = 0) -> Floats:
        """Draw n sets of coefficients around those of the fit, (n, K)."""
        if n < 1:
            raise ValueError(f"n = {n}: a committee has at least one member")
        noise = np.random.default_rng(seed).normal(size=(n, self.root.shape[1]))
        with blas_threads(1):
            return np.asarray(coefficients) + self.inflation * noise @ self.root.T

    def save(self, path: str | Path, coefficients: npt.ArrayLike) -> Path:
        """Write the posterior of a model as npz, whole or not at all."""
        numbers = np.array([self.sigma, self.tau, self.inflation])
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(
                file, root=self.root, grade_root=self.grade_root, numbers=numbers, model=_digest(coefficients)
            )
        return Path(path)

    @classmethod
    def load(cls, path: str | Path, coefficients: npt.ArrayLike) -> "Posterior":
        """Read what `save` wrote.

        Raises
        ------
        PosteriorError
            The file is damaged, or of a model with other coefficients.
        """
        try:
            content = arrays_of(path)
            sigma, tau, inflation = (float(x) for x in content["numbers"])
            found = cls(content["root"], content["grade_root"], sigma, tau, inflation)
            found._check(np.size(coefficients))
            model = content["model"]
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise PosteriorError(
                f"{path} holds no posterior ({error}); it was damaged: save the model again"
            ) from error
        if not np.array_equal(model, _digest(coefficients)):
            raise PosteriorError(
                f"{path} is the posterior of another model; delete it, or save the model again"
            )
        return found


def _digest(coefficients: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    return np.frombuffer(hashlib.sha256(np.asarray(coefficients, dtype=float).tobytes()).digest(), np.uint8)
