"""Levels at given k-points and where they sit: for bands, densities of states and inspection. No symmetry is used.

Enter at `full_matrices`, `levels`, `projected_levels`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ase_mlipgen.lapack import generalised_eigh
from ase_mlipgen.threads import blas_threads, in_order
from ase_mlipgen.tightbinding.bonds import Model
from ase_mlipgen.tightbinding.eigensolvers import block_bytes
from ase_mlipgen.tightbinding.kpoints import KPoints
from ase_mlipgen.tightbinding.memory import InsufficientMemoryError, readable
from ase_mlipgen.tightbinding.setup import Group, Pairs, no_symmetry, set_up
from ase_mlipgen.tightbinding.solution import Block, System

Floats = npt.NDArray[np.float64]


def system_at(pairs: Pairs, model: Model, scaled_kc: Floats, memory: float) -> System:
    """Return a system with a block for each k-point, none left out; its electrons do not matter.

    Raises
    ------
    InsufficientMemoryError
        One block takes more bytes than `memory`.
    """
    n = len(pairs.positions) * len(model.onsite_ok)
    need = sum(block_bytes(n, is_real=not (2 * scaled_kc % 1).any()))
    if need > memory:
        raise InsufficientMemoryError(
            f"one k-point of {len(pairs.positions)} atoms without symmetry takes about {readable(need)}, and "
            f"{readable(memory)} are left: take a smaller cell, or the levels of a calculation that uses symmetry, "
            f"get_eigenvalues() and get_dos(atoms)"
        )
    group = Group.of(no_symmetry(len(pairs.positions)), len(model.onsite_ok))
    points = KPoints(scaled_kc, np.full(len(scaled_kc), 1 / len(scaled_kc)))
    return set_up(pairs, model, 0.0, group, points)


def full_matrices(system: System, block: Block) -> tuple[Any, Any]:
    """Return both triangles of H and S of a block, rydberg, orbital by orbital of atom by atom."""
    H, S = (_filled(M) for M in system.build(block))
    return H, S


def _filled(M: Any) -> Any:
    """Return a Hermitian matrix from its lower triangle, to the last bit."""
    lower = np.tril(M, -1)
    return lower + lower.conj().T + np.diag(np.diag(M).real)


def levels(system: System, threads: int) -> Floats:
    """Return the levels of each block, (n_k, n_levels), rydberg, ascending."""

    def work(block: Block) -> Floats:
        return generalised_eigh(*system.build(block), vectors=False)

    return np.array(_for_each(work, system.blocks, threads))


def projected_levels(system: System, threads: int) -> tuple[Floats, Floats]:
    """Return levels, (n_k, n_levels), rydberg, and Mulliken's part of each orbital in them, (n_k, n_levels, n_rows)."""

    def work(block: Block) -> tuple[Floats, Floats]:
        h, s = system.build(block)
        overlap = _filled(s)
        w = generalised_eigh(h, s)
        return w, np.real(h.conj() * (overlap @ h)).T

    found = _for_each(work, system.blocks, threads)
    return np.array([w for w, _ in found]), np.array([parts for _, parts in found])


def _for_each(work: Any, blocks: Sequence[Block], threads: int) -> list[Any]:
    with blas_threads(1 if len(blocks) > 1 else threads):
        return list(in_order(work, blocks, threads))
