"""Energies, forces and virial of embedded-atom functions.

    E_i = F(rho_i) + 1/2 sum_p phi_p,       F_i = sum_p (F'_i f'_ij + F'_j f'_ji + phi'_p) d_p / r_p

over the pairs p of atom i in a full list, so that nothing is added to another atom: one pass over the pairs for
densities and slopes, one for forces, F in between. O(n_pairs); both passes run in threads, on spans of atoms whose
results do not depend on who does them. Enter at `evaluate`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.eam import lane_kernels
from ase_mlipgen.eam.functions import EAMFunctions, Floats, Ints
from ase_mlipgen.eam.lane_kernels import SPAN, Space
from ase_mlipgen.simd import host_lanes
from ase_mlipgen.threads import in_order
from ase_mlipgen.workspace import borrow, give_back

# Slopes that take more memory are not kept but computed twice, part by part: a third slower, but lean.
KEPT_BYTES, PART_BYTES = 2**26, 2**21
# Fewer are done before another thread has begun.
PAIRS_PER_THREAD = 50_000


class Result(NamedTuple):
    """Site energies (n_atoms,), eV; forces (n_atoms, 3), eV/Å; virial (6,), eV; smallest distance, Å, or inf."""

    energies_i: Floats
    forces: Floats
    virial: Floats
    closest: float


Part = tuple[int, int]  # first span, end
PairArrays = tuple[Ints, npt.NDArray[np.int32], npt.NDArray[np.int32], Floats]  # first_i, j_p, s_p, shifts


class _Listed(NamedTuple):
    """Pairs as the kernels want them: shifts in rows of four, then one that leads beyond the cutoff."""

    first_i: Ints
    j_p: npt.NDArray[np.int32]
    s_p: npt.NDArray[np.int32]
    shifts: Floats
    n_slots: int


class _Plan(NamedTuple):
    """Which spans are done together, and whether what is stored of their pairs is kept for all."""

    parts: list[Part]
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
    passes = _Evaluation(functions, a_i, positions, (first_i, j_p, s_p, shifts), threads)
    result = passes.run()
    passes.close()
    return result


class Passes:
    """Atoms, pairs and plan of passes over parts of the atoms, and memory for columns of numbers of the pairs."""

    columns_per_slope = 1

    def __init__(
        self, functions: EAMFunctions, a_i: Ints, positions: Floats, pairs: PairArrays, threads: int
    ) -> None:
        first_i, j_p, s_p, shifts = pairs
        reach = 1.0625 * functions.cutoff
        self.atoms, rows, n_slots = lane_kernels.prepare(positions, a_i, first_i, shifts, reach)
        self.listed = _Listed(first_i, j_p, s_p, rows, n_slots)
        self.functions, self.form, self.a_i = functions, functions.form, a_i
        self.lanes = host_lanes(registers=1)
        self.n_slopes = 3 if getattr(self.form, "two_way", False) else 2
        self.n_spans = -(-len(a_i) // SPAN)
        self.span_size = SPAN * self.listed.n_slots * self.n_slopes * self.columns_per_slope
        self.plan = _plan(self.n_spans, 8 * self.span_size, len(j_p), threads)
        size = self.n_spans * self.span_size if self.plan.keep else 0
        self.memory = borrow(size)
        self.kept = self.memory.empty(size)

    def close(self) -> None:
        """Give back the memory of the columns."""
        give_back(self.memory)

    def each_part(self, work: Callable[[Part], object]) -> None:
        """Call `work` with every part of the atoms, in threads."""
        for _ in in_order(work, self.plan.parts, self.plan.threads):
            pass

    def columns(self, part: Part) -> Floats:
        """Return the place of a part's columns: kept, or new."""
        first, last = (n * self.span_size for n in part)
        return self.kept[first:last] if self.plan.keep else np.empty(last - first)

    def atoms_of(self, part: Part) -> slice:
        """Return which atoms a part has."""
        return slice(part[0] * SPAN, part[1] * SPAN)

    def space(self) -> Space:
        """Return memory of one thread."""
        return Space.of(self.lanes.width, self.listed.n_slots)


class _Evaluation(Passes):
    """The two passes of an evaluation."""

    def run(self) -> Result:
        n_atoms = len(self.a_i)
        self.rho_i, self.phi_i, self.dF_i, self.energies_i = np.empty((4, n_atoms))
        self.forces, self.virial_s = np.empty((n_atoms, 3)), np.empty((self.n_spans, 6))
        self.closest_s = np.empty(self.n_spans)
        self.each_part(self._embed)
        with_dF = self.atoms if self.plan.keep else self.atoms.copy()
        with_dF[:, 3] = self.dF_i
        self.each_part(lambda part: self._push(part, with_dF))
        closest = float(self.closest_s.min())
        closest = closest if closest < self.functions.cutoff else np.inf
        return Result(self.energies_i, self.forces, self.virial_s.sum(axis=0), closest)

    def _embed(self, part: Part) -> None:
        """Do the densities and embedding energies of a part."""
        self._densities(part)
        i = self.atoms_of(part)
        site = self.functions.site_terms(self.rho_i[i], self.a_i[i])
        self.energies_i[i] = site.F + 0.5 * self.phi_i[i]
        self.dF_i[i] = site.dF

    def _densities(self, part: Part) -> Floats:
        slopes = self.columns(part)
        lane_kernels.densities(
            self.lanes, self.form, *part, self.listed, self.n_slopes, self.atoms, self.space(),
            self.rho_i, self.phi_i, slopes, self.closest_s,
        )  # fmt: skip
        return slopes

    def _push(self, part: Part, atoms: Floats) -> None:
        slopes = self.columns(part) if self.plan.keep else self._densities(part)
        lane_kernels.forces(
            self.lanes, *part, self.listed, self.n_slopes, atoms, self.space(), slopes,
            self.forces, self.virial_s,
        )  # fmt: skip


def _plan(n_spans: int, span_bytes: int, n_pairs: int, threads: int) -> _Plan:
    threads = min(threads, n_pairs // PAIRS_PER_THREAD + 1)
    keep = span_bytes * n_spans <= KEPT_BYTES
    size = n_spans if threads == 1 else -(-n_spans // (4 * threads))
    if not keep:
        size = max(1, min(size, PART_BYTES // span_bytes))
    return _Plan([(k, min(k + size, n_spans)) for k in range(0, n_spans, size)], keep, threads)
