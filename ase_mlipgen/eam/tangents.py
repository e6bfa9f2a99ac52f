"""Hessians of embedded-atom energies times displacements, without the Hessian (see `lane_tangents`).

The functions are evaluated once for all displacements. One costs 1.7 evaluations of forces, each further one 0.6.
Enter at `hessian_products`.
"""

import numpy as np
import numpy.typing as npt

from ase_mlipgen.eam import lane_kernels, lane_tangents
from ase_mlipgen.eam.energy import PairArrays, Part, Passes
from ase_mlipgen.eam.functions import EAMFunctions, Floats, Ints


def hessian_products(
    functions: EAMFunctions,
    a_i: Ints,
    positions: Floats,
    first_i: Ints,
    j_p: npt.NDArray[np.int32],
    s_p: npt.NDArray[np.int32],
    shifts: Floats,
    v_vic: Floats,
    threads: int = 1,
) -> Floats:
    """Return the Hessian times displacements, bitwise the same for any number of threads.

    Parameters
    ----------
    functions, a_i, positions, first_i, j_p, s_p, shifts, threads
        As for `energy.evaluate`.
    v_vic : (n_v, n_atoms, 3) array
        Å.

    Returns
    -------
    (n_v, n_atoms, 3) array
        eV/Å.
    """
    tangents = _Tangents(functions, a_i, positions, (first_i, j_p, s_p, shifts), threads)
    products = np.array([tangents.times(v_ic) for v_ic in v_vic]).reshape(v_vic.shape)
    tangents.close()
    return products


class _Tangents(Passes):
    """Slopes and curvatures at fixed positions, and the passes of one displacement."""

    columns_per_slope = 2

    def __init__(
        self, functions: EAMFunctions, a_i: Ints, positions: Floats, pairs: PairArrays, threads: int
    ) -> None:
        super().__init__(functions, a_i, positions, pairs, threads)
        n_atoms = len(a_i)
        self.rho_i, self.dF_i, self.ddF_i, self.change_i = np.empty((4, n_atoms))
        self.still = np.zeros_like(self.listed.shifts)
        self.each_part(self._embed)
        self.with_dF = lane_kernels.rows_of_four(positions, self.dF_i)

    def times(self, v_ic: Floats) -> Floats:
        """Return minus the change of the forces along v."""
        moves = lane_kernels.rows_of_four(np.ascontiguousarray(v_ic), self.change_i)
        change_ic = np.empty(v_ic.shape)

        def densities(part: Part) -> None:
            lane_tangents.density_changes(
                self.lanes, *part, self.listed, self.n_slopes, self.atoms, moves, self.still, self.space(),
                self._terms(part), self.change_i,
            )  # fmt: skip

        def forces(part: Part) -> None:
            lane_tangents.force_changes(
                self.lanes, *part, self.listed, self.n_slopes, self.with_dF, moves, self.still, self.space(),
                self._terms(part), change_ic,
            )  # fmt: skip

        self.each_part(densities)
        moves[:, 3] = self.ddF_i * self.change_i
        self.each_part(forces)
        return np.negative(change_ic, out=change_ic)

    def _embed(self, part: Part) -> None:
        self._curvatures(part)
        i = self.atoms_of(part)
        site = self.functions.site_terms(self.rho_i[i], self.a_i[i])
        self.dF_i[i], self.ddF_i[i] = site.dF, site.ddF

    def _terms(self, part: Part) -> Floats:
        return self.columns(part) if self.plan.keep else self._curvatures(part)

    def _curvatures(self, part: Part) -> Floats:
        terms = self.columns(part)
        lane_tangents.curvatures(
            self.lanes,
            self.form,
            *part,
            self.listed,
            self.n_slopes,
            self.atoms,
            self.space(),
            self.rho_i,
            terms,
        )
        return terms
