"""A fit in a process of its own, so that its memory can be measured: labels to a file, rows, triangle, coefficients.

python large_fit.py FILE N_CELLS DEGREE; prints one line of JSON.
"""

import json
import resource
import sys
import time

import numpy as np

from ase_mlipgen import EAM2D, ACEBasis, Vacancy, triangular_lattice
from ase_mlipgen.defects import displaced, training_cell
from ase_mlipgen.fit import assemble, solve
from ase_mlipgen.labels import CellFile, LabelledCell, write_cells

UNIT = 1 if sys.platform == "darwin" else 1024  # bytes of what getrusage counts in


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def labelled(n_cells, seed=0):
    """Yield samples around the unrelaxed vacancy of a sheet of 69 atoms."""
    rng, reference = np.random.default_rng(seed), EAM2D()
    cell = training_cell(triangular_lattice("W", 2.72711), Vacancy(), 8)
    for _ in range(n_cells):
        atoms = displaced(cell, 0.05, rng, "uniform")
        work = atoms.copy()
        work.calc = reference
        yield LabelledCell(atoms, work.get_potential_energy(), work.get_forces(), defect="vacancy")


def main(path, n_cells, degree):
    basis = ACEBasis(["W"], order=3, degree=degree, cutoff=6.0)
    write_cells(path, labelled(n_cells))
    cells = CellFile(path)
    assemble(basis, cells[:1], {"energy": 100, "forces": 1}, {"W": 0.0})  # kernels, libraries
    before, begun = peak(), time.perf_counter()
    factor = assemble(basis, cells, {"energy": 100, "forces": 1}, {"W": 0.0})
    assembled = time.perf_counter()
    fit = solve(factor)
    return {
        "n_rows": fit.n_rows,
        "n_functions": fit.n_functions,
        "rank": fit.rank,
        "residual": fit.residual_norm,
        "before": before,
        "peak": peak(),
        "assemble": assembled - begun,
        "solve": time.perf_counter() - assembled,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
