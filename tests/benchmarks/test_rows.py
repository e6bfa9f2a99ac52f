"""Design rows on a kept list, one thread, and the fits of Ortner and Wang's Table 2 (see `table_2`).

Rows times random coefficients are held to the forces of the model's evaluator, residuals of fits to their rows.
"""

import numpy as np
import pytest

from ase_mlipgen.ace.design import Neighbourhoods, design_columns
from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.calculators.linear_ace import LinearACE
from ase_mlipgen.defects import Vacancy, training_cell, triangular_lattice
from ase_mlipgen.neighbors import pairs
from tests.benchmarks import apart, table_2
from tests.benchmarks.models import CUTOFF, SHEET_R0, crystal, moves_in_plane
from tests.benchmarks.races import Record, at_most

ROWS = "Design rows (energy, forces, virial of every function) on a kept list, one thread"
LARGEST = "The largest fit of Ortner and Wang's Table 2, rows and solution, two threads"
TABLE = "The fits of Ortner and Wang's Table 2, 200 cells each, two threads"
LARGEST_ROWS, LARGEST_FUNCTIONS = 41_600, 2849
THREADS = 2
BASES = {110: (3, 10), 211: (3, 12), 383: (3, 14), 668: (3, 16), 1119: (3, 18), 1445: (4, 16), 2849: (4, 18)}


def tungsten():
    """Return 69 atoms of the sheet around a vacancy, moved in their plane."""
    atoms = training_cell(triangular_lattice("W", SHEET_R0), Vacancy(), 8)
    atoms.positions += moves_in_plane(atoms, 0.05)
    return atoms


CASES = [
    pytest.param(crystal(3), "Si", 3, 14, CUTOFF, id="383 functions"),
    pytest.param(crystal(3), "Si", 3, 18, CUTOFF, id="1119 functions"),
    pytest.param(crystal(3), "Si", 3, 20, CUTOFF, id="1809 functions"),
    pytest.param(crystal(3), "Si", 3, 22, CUTOFF, id="2838 functions"),
    pytest.param(tungsten(), "W", 3, 18, 6.0, id="1119 functions, planar"),
    pytest.param(tungsten(), "W", 4, 18, 6.0, id="2849 functions, planar"),
]


@pytest.mark.parametrize(("atoms", "symbol", "order", "degree", "cutoff"), CASES)
def test_design(race, atoms, symbol, order, degree, cutoff):
    basis = ACEBasis([symbol], order=order, degree=degree, cutoff=cutoff, core=None)
    found = pairs(atoms, cutoff)
    hoods = Neighbourhoods(found.first_i, found.j_p, found.vectors(), basis.element_indices(atoms))
    planar = not hoods.d_pc[:, 2].any()
    plan, centres = basis.design_plans[planar], np.arange(len(atoms))
    columns = np.zeros((len(basis), 7 + 3 * len(atoms)))

    def call():
        design_columns(centres, hoods, plan, basis.radial[0], basis.angular, columns)

    call()
    forces = columns[:, 1:-6]
    coefficients = np.random.default_rng(0).normal(size=len(basis))
    scale = np.abs(forces * coefficients[:, None]).sum(axis=0).max()
    expected = LinearACE(basis, coefficients).get_forces(atoms).ravel()
    np.testing.assert_allclose(forces.T @ coefficients, expected, rtol=0, atol=1e-11 * scale)
    shape = f", planar, {len(found.j_p) / len(atoms):.3g} neighbours" if planar else ", 32 neighbours"
    case = f"{symbol}, order {order}, {len(basis)} functions{shape}"
    race(ROWS, case, call, units=len(atoms), seconds=2)


def test_fit_of_table_2():
    """The program's own check, on a fit of a second."""
    basis, cells = ACEBasis(["W"], order=3, degree=10, cutoff=6.0), table_2.labelled(4, 200)
    factor, found, _ = table_2.fit(basis, cells, THREADS)
    assert factor.n_rows == 6800
    expected = table_2.residual(basis, cells, found.coefficients)
    assert found.residual_norm == pytest.approx(expected, rel=1e-6)


def fit(functions, size):
    """Return the figures of one fit and a record of its times for a group."""
    found = apart.run("table_2", *BASES[functions], size, THREADS)
    assert found["functions"] == functions
    parts = {name: found[name] for name in ("assemble", "solve")}
    case = f"L = {size}, {found['rows']} rows, {functions} functions"
    return found, lambda group, bar=None: Record(group, case, "s", sum(parts.values()), parts=parts, bar=bar)


def test_largest_fit(measuring, keep):
    found, record = fit(LARGEST_FUNCTIONS, 8)
    assert found["rows"] == LARGEST_ROWS
    keep(record(LARGEST, at_most(50)))
    keep(Record(LARGEST, "peak memory", "GB", found["peak"], bar=at_most(2)))


@pytest.mark.slow
@pytest.mark.parametrize("size", range(4, 9), ids=lambda L: f"L = {L}")
@pytest.mark.parametrize("functions", BASES)
def test_fits(measuring, keep, functions, size):
    _, record = fit(functions, size)
    keep(record(TABLE))
