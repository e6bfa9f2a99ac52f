"""Solutions in eV, by the names that ASE has for an electronic structure. Enter at `of_levels`, `of_supercell`."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ase_mlipgen.tightbinding.setup import RYDBERG
from ase_mlipgen.tightbinding.solution import SPIN, Solution

DEGENERATE = 1e-9
"""eV: levels closer than this are one."""


def of_supercell(results: dict[str, Any], member_of_i: npt.NDArray[np.int64], n_cells: int) -> dict[str, Any]:
    """Extend results of the primitive cell to the supercell, each atom a translate of a member."""
    for name in ("energy", "free_energy"):
        results[name] = results[name] * n_cells
    for name in ("energies", "forces", "charges"):
        results[name] = results[name][member_of_i]
    return results


def of_levels(solution: Solution, n_cells: int, gamma: bool) -> dict[str, Any]:
    """Return what ASE asks of an electronic structure; all levels of a Gamma calculation belong to one k-point."""
    levels = [w * RYDBERG for w in solution.levels_b]
    ends = np.cumsum([len(w) for w in levels])
    filled = np.split(SPIN * solution.occupations.fractions_n, ends[:-1])
    if gamma:
        copies = np.rint(solution.weights_b * n_cells / SPIN).astype(int)
        all_levels, all_filled = (
            np.concatenate([np.repeat(x, c) for x, c in zip(of_blocks, copies, strict=True)])
            for of_blocks in (levels, filled)
        )
        order = np.argsort(all_levels, kind="stable")
        levels, filled = [all_levels[order]], [all_filled[order]]
    points_kc, weights_k = (np.zeros((1, 3)), np.ones(1)) if gamma else solution.points
    occupations = solution.occupations
    gap = (occupations.lowest_unoccupied - occupations.highest_occupied) * RYDBERG
    return {
        "fermi_level": occupations.fermi_level * RYDBERG,
        "band_gap": gap if gap > DEGENERATE else 0.0,
        "entropy_term": solution.entropy_term * n_cells * RYDBERG,
        "eigenvalues": np.array(levels)[None],
        "occupations": np.array(filled)[None],
        "ibz_kpoints": points_kc,
        "kpoint_weights": weights_k,
    }
