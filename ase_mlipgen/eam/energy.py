"""Energies, forces and virial of embedded-atom functions.

    E_i = F(rho_i) + 1/2 sum_p phi_p,       F_i = sum_p (F'_i f'_ij + F'_j f'_ji + phi'_p) d_p / r_p

over the pairs p of atom i in a full list, so that nothing is added to another atom: one pass over the pairs for
densities and slopes, one for forces, F in between. O(n_pairs); both passes run in threads, on spans of atoms whose
results do not depend on who does them. Enter at `evaluate`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.eam import lane_kernels
from ase_mlipgen.eam.functions import EAMFunctions, Floats, Ints
from ase_mlipgen.eam.lane_kernels import SPAN, Space
from ase_mlipgen.simd import host_lanes
from ase_mlipgen.threads import share

# Slopes that take more memory are not kept but computed twice, part by part: a third slower, but lean.
KEPT_BYTES, PART_BYTES = 2**27, 2**21
# Fewer are done before another thread has begun.
PAIRS_PER_THREAD = 50_000


class Result(NamedTuple):
    """Site energies (n_atoms,), eV; forces (n_atoms, 3), eV/Å; virial (6,), eV; smallest distance, Å, or inf."""

    energies_i: Floats
    forces: Floats
    virial: Floats
    closest: float


class _Listed(NamedTuple):
    """Pairs as the kernels want them: shifts in rows of four, then one that leads beyond the cutoff."""

    first_i: Ints
    j_p: npt.NDArray[np.int32]
    s_p: npt.NDArray[np.int32]
    shifts: Floats
    n_slots: int


class _Plan(NamedTuple):
    """Which spans are done together, and whether the slopes of all are kept."""

    parts: list[tuple[int, int]]
    keep: bool
    threads: int


def evaluate(
    functions: EAMFunctions,
    a_i: Ints,
    positions: Floats,
    first_i: Ints,
    j_p: npt.NDArray[np.int32],
    s_p: npt.NDArray[np.int32],
    shifts: Floats,
    threads: int = 1,
) -> Result:
    """Return energies, forces and virial; bitwise the same for any number of threads.

    Parameters
    ----------
    functions : EAMFunctions
    a_i : (n_atoms,) int64 array
        Element indices.
    positions, first_i, j_p, s_p, shifts : arrays
        A full list of pairs: those of atom i are first_i[i]:first_i[i + 1], with d_p = positions[j_p] - positions[i] +
        shifts[s_p], Å. Pairs beyond the cutoff add nothing.
    threads : int
    """
    rows = np.zeros((len(shifts) + 1, 4))
    rows[:-1, :3], rows[-1, 0] = shifts, 1.0625 * functions.cutoff
    listed = _Listed(first_i, j_p, s_p, rows, int(np.diff(first_i).max()))
    return _Evaluation(functions, a_i, positions, listed, threads).run()


class _Evaluation:
    """The arrays of one evaluation, and its two passes over parts of the atoms."""

    def __init__(
        self, functions: EAMFunctions, a_i: Ints, positions: Floats, listed: _Listed, threads: int
    ) -> None:
        n_atoms = len(a_i)
        n_spans = -(-n_atoms // SPAN)
        self.functions, self.form, self.a_i, self.listed = functions, functions.form, a_i, listed
        self.lanes = host_lanes(registers=1)
        self.n_slopes = 3 if getattr(self.form, "two_way", False) else 2
        self.atoms = lane_kernels.rows_of_four(positions, a_i.astype(float))
        self.rho_i, self.phi_i, self.dF_i, self.energies_i = np.empty((4, n_atoms))
        self.forces, self.virial_s = np.empty((n_atoms, 3)), np.empty((n_spans, 6))
        self.closest_s = np.empty(n_spans)
        self.span_size = SPAN * listed.n_slots * self.n_slopes
        self.plan = _plan(n_spans, 8 * self.span_size, len(listed.j_p), threads)
        self.kept = np.empty(n_spans * self.span_size if self.plan.keep else 0)

    def run(self) -> Result:
        parts, keep, threads = self.plan
        share(self._embed, parts, threads)
        with_slopes = self.atoms if keep else self.atoms.copy()
        with_slopes[:, 3] = self.dF_i
        share(lambda part: self._push(part, with_slopes), parts, threads)
        closest = float(self.closest_s.min())
        closest = closest if closest < self.functions.cutoff else np.inf
        return Result(self.energies_i, self.forces, self.virial_s.sum(axis=0), closest)

    def _slopes(self, part: tuple[int, int]) -> Floats:
        """Return the place of a part's slopes."""
        first, last = (size * self.span_size for size in part)
        return self.kept[first:last] if self.plan.keep else np.empty(last - first)

    def _embed(self, part: tuple[int, int]) -> None:
        """Do the densities and embedding energies of a part."""
        self._densities(part)
        i = slice(part[0] * SPAN, part[1] * SPAN)
        site = self.functions.site_terms(self.rho_i[i], self.a_i[i])
        self.energies_i[i] = site.F + 0.5 * self.phi_i[i]
        self.dF_i[i] = site.dF

    def _densities(self, part: tuple[int, int]) -> Floats:
        slopes = self._slopes(part)
        lane_kernels.densities(
            self.lanes, self.form, *part, self.listed, self.n_slopes, self.atoms, self._space(),
            self.rho_i, self.phi_i, slopes, self.closest_s,
        )  # fmt: skip
        return slopes

    def _push(self, part: tuple[int, int], atoms: Floats) -> None:
        slopes = self._slopes(part) if self.plan.keep else self._densities(part)
        lane_kernels.forces(
            self.lanes,
            *part,
            self.listed,
            self.n_slopes,
            atoms,
            self._space(),
            slopes,
            self.forces,
            self.virial_s,
        )

    def _space(self) -> Space:
        return Space.of(self.lanes.width, self.listed.n_slots)


def _plan(n_spans: int, span_bytes: int, n_pairs: int, threads: int) -> _Plan:
    threads = min(threads, n_pairs // PAIRS_PER_THREAD + 1)
    keep = span_bytes * n_spans <= KEPT_BYTES
    size = n_spans if threads == 1 else -(-n_spans // (4 * threads))
    if not keep:
        size = max(1, min(size, PART_BYTES // span_bytes))
    return _Plan([(k, min(k + size, n_spans)) for k in range(0, n_spans, size)], keep, threads)
