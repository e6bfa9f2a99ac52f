"""Preconditioned LBFGS that converges down to round-off.

ASE's `PreconLBFGS` accepts a step by the decrease of the energy (Armijo). Near the minimum that decrease drowns in the
energy's round-off: for 3600 atoms below forces of about 1e-5 eV/Å, where the line search then fails. `TightLBFGS`
takes the plain quasi-Newton step where the decrease cannot be resolved, and keeps its history over the change.
Source of the method: Packwood et al., J. Chem. Phys. 144, 164109 (2016).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.optimize.precon import Exp, PreconLBFGS
from ase.optimize.precon.precon import IdentityPrecon
from scipy.sparse.linalg import splu

PRECONDITIONED_ATOMS = 100
"""Cells smaller than this are relaxed without preconditioner: it gains nothing there."""

RESOLVED = 1e4
"""An energy difference counts where it is above this many times the rounding unit of the energy."""

SMALL_FORCE = 1e-4
"""eV/Å: smaller forces do not tell a direction."""

MU_STEP = 1e-2
"""Nearest-neighbour distances: displacement that shows how stiff the crystal is."""

SMOOTHINGS = 3
"""Times that forces are smoothed: once shows the core alone, which may be twenty times stiffer than the crystal."""

REMEMBERED = ("iteration", "_just_reset_hessian", "H0", "r0", "f0", "e0", "e1")
HISTORY = ("s", "y", "rho")


class FactoredExp(Exp):
    """ASE's exponential preconditioner, factorised once where ASE solves from scratch in every step.

    It is the same for x, y and z, so the factor is that of one number an atom.
    """

    _matrix: Any = None
    _factor: Any = None
    _built_at: npt.NDArray[np.float64] | None = None

    def state(self) -> dict[str, Any]:
        """Return the numbers and arrays from which `restore` builds the same matrix."""
        return {
            "mu": self.mu,
            "r_NN": self.r_NN,
            "r_cut": self.r_cut,
            "built_at": self._built_at,
            "old_positions": self.old_positions,
        }

    def restore(self, state: dict[str, Any], atoms: Atoms) -> None:
        """Become what `state` describes, for atoms that may have moved since."""
        self.mu, self.r_NN, self.r_cut = state["mu"], state["r_NN"], state["r_cut"]
        if state["built_at"] is not None:
            there = atoms.copy()
            there.positions[:] = state["built_at"]
            self._make_sparse_precon(there, force_stab=self.force_stab)
        self.old_positions = state["old_positions"]

    def _make_sparse_precon(
        self, atoms: Atoms, initial_assembly: bool = False, force_stab: bool = False
    ) -> None:
        self._built_at = atoms.get_positions()
        super()._make_sparse_precon(atoms, initial_assembly, force_stab)

    def estimate_mu(self, atoms: Atoms, H: Any = None) -> None:
        """Take the stiffness from a displacement that has the symmetry of the forces: one more force call.

        ASE displaces along sines, which a symmetric cell is not symmetric in: a reference that is solved in the blocks
        of a symmetry group would lose it. The forces, smoothed by the preconditioner itself, reach as far as sines do.
        """
        forces = atoms.get_forces()
        if not np.abs(forces).max() > SMALL_FORCE:
            super().estimate_mu(atoms, H)
            return
        self.mu = self.mu_c = 1.0
        self._make_sparse_precon(atoms, initial_assembly=True)
        v = forces.ravel()
        for _ in range(SMOOTHINGS):
            v = self.solve(v)
        v *= MU_STEP * self.r_NN / np.linalg.norm(v.reshape(-1, 3), axis=1).max()
        there = atoms.copy()
        there.calc = atoms.calc
        there.set_positions(atoms.positions + v.reshape(-1, 3))
        v = (there.positions - atoms.positions).ravel()
        change = float(np.dot(forces.ravel() - there.get_forces().ravel(), v))
        self.mu = max(1.0, change / float(np.dot(v, self.P @ v)))
        self._make_sparse_precon(atoms, force_stab=self.force_stab)

    def one_dim_to_ndim(self, csc_P: Any, N: int) -> Any:
        """Keep the matrix of one component beside ASE's expanded one."""
        self._matrix, self._factor = csc_P, None
        return super().one_dim_to_ndim(csc_P, N)

    def solve(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Apply the inverse to a flat vector of all components."""
        if self._factor is None:
            self._factor = splu(
                self._matrix.tocsc(),
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
            )
        return np.asarray(self._factor.solve(np.asarray(x).reshape(-1, 3))).ravel()


class TightLBFGS(PreconLBFGS):
    """`PreconLBFGS` whose line search is left out where the energy cannot judge a step.

    Parameters
    ----------
    atoms : to be relaxed in place
    precon : as in `PreconLBFGS`; by default exponential for cells of at least 100 atoms, else none
    maxstep : Å, longest move of one atom in a step
    """

    precon: Any

    def __init__(self, atoms: Atoms, precon: Any = "size", maxstep: float = 0.1, **kwargs: Any) -> None:
        if isinstance(precon, str) and precon == "size":
            # Exp(dim=2) is broken in ASE: planar cells use dim=3 with z held.
            precon = FactoredExp(dim=3) if len(atoms) >= PRECONDITIONED_ATOMS else None
        super().__init__(atoms, precon=precon, maxstep=maxstep, **kwargs)
        if isinstance(self.precon, IdentityPrecon):
            # ASE's stand-in for "none" means a stiffness of 1 eV/Å^2 for good; None is the one that scales with H0.
            self.precon = None

    def state(self) -> dict[str, Any]:
        """Return the memory of the steps so far: numbers, arrays and lists of them, which no later step changes.

        An optimiser that is given it by `restore` takes the same steps, bit by bit. It is empty with a preconditioner
        of the caller's own, whose state is not known.
        """
        if not isinstance(self.precon, FactoredExp | None):
            return {}
        state = {name: getattr(self, name) for name in REMEMBERED}
        state |= {name: list(getattr(self, name)) for name in HISTORY}
        if self.precon is not None:
            state |= {f"precon_{name}": value for name, value in self.precon.state().items()}
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state`; nothing is done with an empty one."""
        if not state:
            return
        for name in REMEMBERED:
            setattr(self, name, state[name])
        for name in HISTORY:
            # Arrays of their own: rows of a matrix lie elsewhere in memory, and BLAS might sum them otherwise.
            setattr(self, name, [row.copy() for row in state[name]])
        if isinstance(self.precon, FactoredExp):
            mine = {k.removeprefix("precon_"): v for k, v in state.items() if k.startswith("precon_")}
            self.precon.restore(mine, self._actual_atoms)

    def update(
        self,
        r: npt.NDArray[np.float64],
        f: npt.NDArray[np.float64],
        r0: npt.NDArray[np.float64] | None,
        f0: npt.NDArray[np.float64] | None,
    ) -> None:
        """Remember the last step unless it saw no positive curvature; without preconditioner learn the stiffness."""
        super().update(r, f, r0, f0)
        if not self.y:
            return
        curvature, change = np.dot(self.y[-1], self.s[-1]), np.dot(self.y[-1], self.y[-1])
        if not curvature > 1e-12 * np.sqrt(change * np.dot(self.s[-1], self.s[-1])):
            for history in (self.s, self.y, self.rho):
                history.pop()
        elif self.precon is None:
            self.H0 = curvature / change

    def line_search(
        self,
        r: npt.NDArray[np.float64],
        g: npt.NDArray[np.float64],
        e: float,
        previously_reset_hessian: bool,
    ) -> None:
        """Judge the step `self.p` by the energy where that is possible, else take it (shortened to `maxstep`)."""
        step = self.p.ravel()
        decrease = -float(np.dot(g.ravel(), step))
        smallest = np.sqrt(len(self._actual_atoms) * 1e-10)
        resolved = decrease > RESOLVED * np.finfo(float).eps * abs(e)
        # ASE lengthens steps below `smallest` to that length, which a tight tolerance cannot use.
        if decrease <= 0.0 or (resolved and np.linalg.norm(step) > smallest):
            super().line_search(r, g, e, previously_reset_hessian)
            return
        longest = float(np.linalg.norm(step.reshape(-1, 3), axis=1).max())
        self.alpha_k = min(1.0, self.maxstep / longest)
        self.e0 = None
        self.e1 = None
