"""The gate: what passes, what is refused, what is said; summaries and differences of forces."""

import pickle

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from ase_mlipgen import EAM2D, ACEBasis, LinearACE, Vacancy, training_cell, triangular_lattice
from ase_mlipgen.defects import displaced
from ase_mlipgen.theory import StabilityError, bonds, laplacian, require_stable
from ase_mlipgen.theory.cell_hessian import (
    difference_cells,
    has_hessian,
    hessian_of,
    hessian_of_forces,
    in_components,
)
from ase_mlipgen.theory.operator_norms import Mode
from ase_mlipgen.theory.stability import CellOperators, Operators, measure_operators, summarise

CELL = training_cell(triangular_lattice("W", 2.72711), Vacancy(), 5)


def multiple(factor):
    return factor * np.kron(laplacian(bonds(CELL)).toarray(), np.eye(2))


def test_multiples_of_the_laplacian():
    found = measure_operators("cell", "vacancy", CELL, multiple(2.0), multiple(0.5))
    assert found.error == pytest.approx(1.5)
    assert (found.reference.value, found.surrogate.value) == (pytest.approx(2.0), pytest.approx(0.5))
    require_stable([found])


@pytest.mark.parametrize(("factors", "who"), [((-0.1, 1.0), "reference"), ((1.0, -0.1), "surrogate")])
def test_the_gate_names_model_cell_value_and_mode(factors, who):
    good = measure_operators("good", "vacancy", CELL, multiple(1.0), multiple(1.0))
    bad = measure_operators("bad cell", "vacancy", CELL, *map(multiple, factors))
    with pytest.raises(StabilityError, match=f"the {who} is not stable on bad cell: .* -1.000e-01") as caught:
        require_stable([good, bad])
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.who, error.cell, error.mode_ic.shape) == (who, "bad cell", (len(CELL), 3))
    assert str(error) == str(caught.value)
    assert error.value == pytest.approx(-0.1)
    require_stable([bad], who=[{"reference": "surrogate", "surrogate": "reference"}[who]])


def test_flat_is_not_stable():
    with pytest.raises(StabilityError):
        require_stable([measure_operators("cell", "", CELL, None, multiple(0.0))])


def test_the_worst_of_the_cells_that_count():
    def cell(defect, error, value):
        modes = (Mode(v, np.zeros((1, 3))) for v in (value, 2 * value))
        return CellOperators("", defect, error, *modes)

    cells = [cell("", 0.1, 1.0), cell("a", 0.5, 0.7), cell("b", 0.2, 0.6)]
    every = summarise(cells)
    assert every == Operators(0.5, 0.1, pytest.approx(1.2), pytest.approx(0.6))
    assert summarise(cells, ["a"]) == Operators(0.5, 0.1, pytest.approx(1.4), pytest.approx(0.7))
    unknown = [*cells, CellOperators("", "c", None, None, None)]
    assert summarise(unknown) == Operators(None, 0.1, None, None)
    assert summarise(unknown, ["b"]).eps_FC == 0.2
    assert summarise([]) == Operators()


@pytest.mark.parametrize("name", ["sheet", "crystal"])
def test_differences_of_forces_are_the_analytic_hessian(name):
    if name == "sheet":
        atoms, calculator, d = displaced(CELL, 0.03, np.random.default_rng(0)), EAM2D(), 2
    else:
        basis = ACEBasis(["Cu"], order=2, degree=6, cutoff=4.0)
        calculator = LinearACE(basis, np.random.default_rng(0).normal(size=len(basis)))
        atoms, d = displaced(bulk("Cu", cubic=True), 0.05, np.random.default_rng(0)), 3
    exact = in_components(hessian_of(atoms, calculator), atoms)
    moved = difference_cells(atoms)
    assert len(moved) == 2 * d * len(atoms)
    found = hessian_of_forces(atoms, [calculator.get_forces(m) for m in moved])
    np.testing.assert_allclose(found, exact, atol=2e-4 * np.abs(exact).max())
    np.testing.assert_array_equal(found, hessian_of(atoms, calculator, analytic=False))
    with pytest.raises(ValueError, match="two a coordinate"):
        hessian_of_forces(atoms, [np.zeros((len(atoms), 3))])


def test_who_has_a_hessian():
    assert has_hessian(EAM2D())
    assert not has_hessian(EMT())
