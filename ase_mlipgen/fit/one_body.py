"""The one-body energies E0 from labelled cells, where the user gives none.

Total energies of a reference may be thousands of eV an atom (all-electron or pseudopotential zero); the
functions of the basis should describe differences. E0 is the least-squares energy per atom of each element
over the labelled cells, the smallest such numbers where the composition does not determine them.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ase_mlipgen.fit.rows import Observed


def average_E0(
    cells: Sequence[Observed], elements: Sequence[str], known: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Return the least-squares energy per atom of each element, eV.

    Parameters
    ----------
    cells : sequence of LabelledCell
    elements : sequence of str
        Elements that do not occur get 0.
    known : mapping of symbol to float, optional
        Energies that are given, of isolated atoms for example, eV.
    """
    known = {element: known[element] for element in elements if element in known} if known else {}
    if known:
        rest = [element for element in elements if element not in known]
        fitted = _averages(cells, rest, known) if rest else {}
        return {element: float({**known, **fitted}[element]) for element in elements}
    return _averages(cells, elements, {})


def _averages(
    cells: Sequence[Observed], elements: Sequence[str], known: Mapping[str, float]
) -> dict[str, float]:
    symbols = [cell.atoms.get_chemical_symbols() for cell in cells]
    counts = np.array([[listed.count(element) for element in elements] for listed in symbols], dtype=float)
    energies = np.array([cell.energy for cell in cells])
    energies -= np.array([sum(known.get(symbol, 0.0) for symbol in listed) for listed in symbols])
    per_cell = np.array([[len(listed)] for listed in symbols], dtype=float)
    solution, *_ = np.linalg.lstsq(counts / per_cell, energies / per_cell[:, 0], rcond=1e-8)
    return dict(zip(elements, solution.tolist(), strict=True))
