"""Rows of the matching conditions against the calculator that they describe."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from ase_mlipgen import ACEBasis, LinearACE, Vacancy, training_cell, triangular_lattice
from ase_mlipgen.labels import label
from ase_mlipgen.theory.force_constants import force_constants
from ase_mlipgen.theory.matching import (
    CONDITIONS,
    checked_conditions,
    force_constant_rows,
    independent_rows,
    matching_constraints,
)

COPPER = bulk("Cu", cubic=True, a=3.59)
BASIS = ACEBasis(["Cu"], order=2, degree=8, cutoff=4.5)


def test_names():
    assert checked_conditions("exact") == CONDITIONS
    assert checked_conditions(None) == ()
    assert checked_conditions("energies") == ("energies",)
    assert checked_conditions(["force_constants", "energies"]) == ("energies", "force_constants")
    with pytest.raises(ValueError, match="unknown matching condition 'energy'"):
        checked_conditions(["energy"])


@pytest.mark.parametrize(
    ("perfect", "basis"),
    [
        (training_cell(COPPER, None, 2), BASIS),
        (training_cell(bulk("Si"), None, 2), ACEBasis(["Si"], order=2, degree=6, cutoff=4.0)),
        (
            training_cell(triangular_lattice("W", 2.727), None, 5),
            ACEBasis(["W"], order=2, degree=6, cutoff=4.5),
        ),
    ],
    ids=["fcc", "diamond", "triangular"],
)
def test_force_constant_rows_give_the_models_own_force_constants(perfect, basis):
    """Second algorithm: `force_constants` takes extrapolated differences of the calculator's forces."""
    coefficients = np.random.default_rng(2).normal(size=len(basis))
    model = LinearACE(basis, coefficients)
    constants = force_constants(perfect, model)
    rows = force_constant_rows(basis, perfect, constants)
    scale = np.abs(rows.d).max()
    np.testing.assert_allclose(rows.C @ coefficients, rows.d, atol=2e-8 * scale)
    assert len(rows) < constants.columns_sanb.size / 4


def test_symmetry_leaves_few_rows_in_fcc():
    """A 2^3 cubic fcc cell has 32 sites in 5 shells with 1 + 3 + 2 + 4 + 1 free constants at most."""
    perfect = training_cell(COPPER, None, 2)
    rows = force_constant_rows(BASIS, perfect, force_constants(perfect, EMT()))
    assert 5 <= len(rows) <= 11


def test_independent_rows_span_the_others():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(40, 6)) @ rng.normal(size=(6, 20)) + 1e-10 * rng.normal(size=(40, 20))
    kept = independent_rows(A, np.arange(40.0), 1e-6)
    assert len(kept) == 6
    projection = kept.C.T @ np.linalg.lstsq(kept.C.T, A.T, rcond=None)[0]
    np.testing.assert_allclose(projection, A.T, atol=1e-8)


def test_constraints_hold_for_a_model_that_is_its_own_reference():
    """Rows against the calculator: a model's own coefficients satisfy the constraints made from its labels."""
    coefficients = np.random.default_rng(4).normal(size=len(BASIS)) / 10
    model = LinearACE(BASIS, coefficients, {"Cu": -1.0})
    defective, perfect = training_cell(COPPER, Vacancy(), 2), training_cell(COPPER, None, 2)
    moved = defective.copy()
    moved.rattle(0.05, seed=1)
    equilibrium, other, host = label([moved, defective, perfect], model)
    found = matching_constraints(
        BASIS,
        {"Cu": -1.0},
        CONDITIONS,
        [equilibrium],
        [other, host],
        [(perfect, force_constants(perfect, model))],
    )
    assert tuple(found) == CONDITIONS
    for part in found.values():
        assert part.violation(coefficients) < 1e-5 * np.abs(part.d).max()
        assert part.violation(coefficients * 1.01) > 1e-3
    assert matching_constraints(BASIS, {"Cu": -1.0}, (), [equilibrium], [], []) == {}
