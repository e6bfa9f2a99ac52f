"""Second derivatives on a kept list, one thread: products with a vector beside a force call, and the sparse Hessian.

Rattled silicon, 512 atoms, and a planar tungsten sheet with two vacancies, 3598 atoms. A product is held to
differences of forces, the sparse Hessian to a product.
"""

import numpy as np
import pytest

from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.calculators.linear_ace import LinearACE
from tests.benchmarks.models import CUTOFF, crystal, sheet
from tests.benchmarks.races import Contender, at_most

PRODUCT = "Hessian times a vector, list kept, one thread"
SPARSE = "Sparse Hessian of the planar sheet, one thread"
DEGREES = {110: 10, 383: 14, 1119: 18}


def damaged_sheet():
    atoms = sheet((60, 30))
    del atoms[[100, 2000]]
    return atoms


def linear_ace(element, cutoff, functions):
    basis = ACEBasis([element], order=3, degree=DEGREES[functions], cutoff=cutoff)
    assert len(basis) == functions
    return LinearACE(basis, 1e-3 * np.random.default_rng(0).normal(size=len(basis)), threads=1)


MODELS = {
    **{
        f"Si, 512 atoms, {n} functions": (lambda n=n: (crystal(4), linear_ace("Si", CUTOFF, n)))
        for n in DEGREES
    },
    **{f"sheet, {n} functions": (lambda n=n: (damaged_sheet(), linear_ace("W", 6.0, n))) for n in DEGREES},
    "sheet, EAM2D": lambda: (damaged_sheet(), EAM2D(threads=1)),
}


def differences(calculator, atoms, v_ic, h=1e-6):
    """Return minus the slope of the forces along v; short steps, as second derivatives jump at the cutoff."""
    ahead, behind = atoms.copy(), atoms.copy()
    ahead.positions += h * v_ic
    behind.positions -= h * v_ic
    return (calculator.get_forces(behind) - calculator.get_forces(ahead)) / (2 * h)


@pytest.mark.parametrize("model", MODELS)
def test_product(race, model):
    atoms, calculator = MODELS[model]()
    v_vic = np.random.default_rng(1).normal(size=(8, len(atoms), 3))
    numbers, pairs = calculator._inputs(atoms)
    expected = differences(calculator, atoms, v_vic[0])
    product = calculator.apply_hessian(numbers, pairs, v_vic[:1])[0]
    np.testing.assert_allclose(product, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    race(
        PRODUCT,
        model,
        lambda: calculator.apply_hessian(numbers, pairs, v_vic[:1]),
        {
            "force call": lambda: calculator.evaluate(numbers, pairs),
            "ours, each of eight at once": Contender(
                lambda: calculator.apply_hessian(numbers, pairs, v_vic), 8 * len(atoms)
            ),
        },
        units=len(atoms),
        bar=at_most(2.5, "force call"),
    )


@pytest.mark.parametrize("model", ["sheet, 383 functions", "sheet, 1119 functions", "sheet, EAM2D"])
def test_sparse(race, model):
    atoms, calculator = MODELS[model]()
    H = calculator.get_hessian(atoms)
    v_ic = np.random.default_rng(1).normal(size=(len(atoms), 3))
    expected = calculator.hessian_product(atoms, v_ic).ravel()
    np.testing.assert_allclose(H @ v_ic.ravel(), expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    case = f"{model}, {len(atoms)} atoms, {H.nnz / 1e6:.2g} million numbers"
    race(SPARSE, case, lambda: calculator.get_hessian(atoms), unit="s", bar=at_most(60))
