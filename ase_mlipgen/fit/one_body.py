"""The one-body energies E0 from labelled cells, where the user gives none.

Total energies of a reference may be thousands of eV an atom (all-electron or pseudopotential zero); the
functions of the basis should describe differences. E0 is the least-squares energy per atom of each element
over the labelled cells, the smallest such numbers where the composition does not determine them.
"""

from collections.abc import Sequence

import numpy as np

from ase_mlipgen.fit.rows import Observed


def average_E0(cells: Sequence[Observed], elements: Sequence[str]) -> dict[str, float]:
    """Return the least-squares energy per atom of each element, eV.

    Parameters
    ----------
    cells : sequence of LabelledCell
    elements : sequence of str
        Elements that do not occur get 0.
    """
    symbols = [cell.atoms.get_chemical_symbols() for cell in cells]
    counts = np.array([[listed.count(element) for element in elements] for listed in symbols], dtype=float)
    energies = np.array([cell.energy for cell in cells])
    per_cell = counts.sum(axis=1, keepdims=True)
    solution, *_ = np.linalg.lstsq(counts / per_cell, energies / per_cell[:, 0], rcond=1e-8)
    return dict(zip(elements, solution.tolist(), strict=True))
