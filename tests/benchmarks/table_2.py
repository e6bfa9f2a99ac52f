"""One fit of Ortner and Wang's Table 2 in one process: seconds of assembling and solving, peak of memory, as JSON.

`python -m tests.benchmarks.table_2 order degree L threads`; up to a minute. 200 cells of the tungsten sheet with a
vacancy, every atom moved in the plane; labels are made before the clock runs, and the peak includes them. The
residual that the solver reports is held to one from the rows and the coefficients.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.defects import Vacancy, training_cell, training_samples, triangular_lattice
from ase_mlipgen.fit import assemble, rows, solve
from ase_mlipgen.fit.weights import Weights
from ase_mlipgen.labels import label
from tests.benchmarks.apart import peak
from tests.benchmarks.models import SHEET_R0

WEIGHTS = {"energy": 100, "forces": 1}
E0 = {"W": 0.0}


def labelled(size, n_cells):
    cell = training_cell(triangular_lattice("W", SHEET_R0), Vacancy(), size)
    samples = training_samples(cell, np.random.default_rng(0), n_cells, 0).train
    return label([(atoms, "defect", "vacancy") for atoms in samples], EAM2D())


def fit(basis, cells, threads):
    """Return the triangle, the fit, and the seconds of each."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        factor = assemble(basis, cells, WEIGHTS, E0, executor=pool)
    assembled = time.perf_counter()
    found = solve(factor)
    return factor, found, (assembled - begun, time.perf_counter() - assembled)


def residual(basis, cells, coefficients):
    blocks = (rows(basis, cell, Weights(**WEIGHTS), E0) for cell in cells)
    return np.sqrt(sum(np.sum((block.A @ coefficients - block.b) ** 2) for block in blocks))


def main():
    order, degree, size, threads = map(int, sys.argv[1:])
    basis = ACEBasis(["W"], order=order, degree=degree, cutoff=6.0)
    cells = labelled(size, 200)
    fit(basis, cells[:2], threads)  # compiled or read
    factor, found, (assembling, solving) = fit(basis, cells, threads)
    figures = {"assemble": assembling, "solve": solving, "peak": peak()}
    np.testing.assert_allclose(found.residual_norm, residual(basis, cells, found.coefficients), rtol=1e-6)
    print(json.dumps({"functions": len(basis), "rows": factor.n_rows, **figures}))


if __name__ == "__main__":
    main()
