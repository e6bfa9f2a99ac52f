"""Write embedded-atom functions as a setfl file (LAMMPS pair styles eam/alloy and eam/fs), to full precision.

The format: three comment lines; the elements; n_rho, drho, n_r, dr, cutoff; for each element a line (atomic
number, mass, lattice constant, lattice), F(rho), and its density (eam/fs: one for each element that feels
it); then r phi(r) of the pairs (1,1), (2,1), (2,2), ... Numbers have 17 digits, so that reading gives the
same doubles.
"""

import os
from collections.abc import Iterable, Sequence
from typing import TextIO

import numpy as np

from ase_mlipgen.eam.functions import EAMFunctions, Floats
from ase_mlipgen.eam.tables import Tables


def tabulate(functions: EAMFunctions, n_r: int, n_rho: int) -> Tables:
    """Return analytic functions (finite at r = 0) on grids of n_r and n_rho points.

    The grids go from zero to the cutoff and to the largest density.

    Raises
    ------
    ValueError
        Fewer than four points.
    """
    for name, n_points in (("n_r", n_r), ("n_rho", n_rho)):
        if n_points < 4:
            raise ValueError(f"{name} = {n_points!r}: expected at least 4 grid points (10000 are good)")
    n = len(functions.elements)
    dr, drho = functions.cutoff / (n_r - 1), functions.largest_density / (n_rho - 1)
    r_k: Floats = np.arange(n_r, dtype=float) * dr
    rho_k: Floats = np.arange(n_rho, dtype=float) * drho
    F_ak = np.empty((n, n_rho))
    f_abk, rphi_abk = np.zeros((n, n, n_r)), np.zeros((n, n, n_r))
    for a in range(n):
        F_ak[a] = functions.site_terms(rho_k, np.full(n_rho, a)).F
        for b in range(n):
            terms = functions.pair_terms(r_k, np.full(n_r, a), np.full(n_r, b))
            f_abk[a, b], rphi_abk[a, b] = terms.f, r_k * terms.phi
    return Tables(functions.elements, functions.cutoff, dr, drho, F_ak, f_abk, rphi_abk)


def write(
    path: str | os.PathLike[str],
    tables: Tables,
    atomic_numbers: Sequence[int],
    masses: Sequence[float],
    kind: str,
    comment: str = "",
) -> None:
    """Write a setfl file.

    Parameters
    ----------
    path : str or path
    tables : Tables
    atomic_numbers, masses : sequences
        Of the elements; atomic mass units.
    kind : {"eam/alloy", "eam/fs"}
    comment : str
        Becomes the first three lines.

    Raises
    ------
    ValueError
        Another kind, or densities that eam/alloy cannot hold (they depend on the element that feels them).
    """
    if kind not in ("eam/alloy", "eam/fs"):
        raise ValueError(f"kind = {kind!r}: expected 'eam/alloy' or 'eam/fs'")
    by_source_bak = tables.f_abk.swapaxes(0, 1)
    if kind == "eam/alloy" and not (by_source_bak == by_source_bak[:, :1]).all():
        raise ValueError(
            "kind = 'eam/alloy' has one density an element, these have one a pair: write 'eam/fs'"
        )
    n_feel = len(tables.elements) if kind == "eam/fs" else 1
    with open(path, "w", encoding="utf-8") as file:
        lines = [*comment.splitlines()[:3], "", "", ""][:3]
        file.write("".join(f"# {line}\n" for line in lines))
        file.write(f"{len(tables.elements)} {' '.join(tables.elements)}\n")
        grids = (tables.F_ak.shape[-1], float(tables.drho), tables.f_abk.shape[-1], float(tables.dr))
        file.write(" ".join(map(repr, grids)) + f" {float(tables.file_cutoff)!r}\n")
        for a, (number, mass) in enumerate(zip(atomic_numbers, masses, strict=True)):
            file.write(f"{number} {mass} 0.0 none\n")
            _write_numbers(file, [tables.F_ak[a], *by_source_bak[a, :n_feel]])
        _write_numbers(
            file, [tables.rphi_abk[a, b] for a in range(len(tables.elements)) for b in range(a + 1)]
        )


def _write_numbers(file: TextIO, tables: Iterable[Floats]) -> None:
    for table in tables:
        file.write("".join(f"{number:.16e}\n" for number in table))
