"""Radial functions against quadrature, scipy's Jacobi polynomials and extended-precision derivatives."""

import numpy as np
import pytest
from scipy.special import eval_jacobi

from ase_mlipgen.ace.radial import RadialBasis, transform

CASES = [
    RadialBasis(6.0, 1.78, 2.74),
    RadialBasis(5.5, 1.5, 2.35, pin=0),
    RadialBasis(4.0, 1.0, 2.0, p=3, pcut=3, pin=1),
]


@pytest.mark.parametrize("basis", CASES)
def test_orthonormal_in_x_by_gauss_legendre(basis):
    x_cut, x_in = basis.interval
    t, w = np.polynomial.legendre.leggauss(60)
    x = x_cut + (t + 1) / 2 * (x_in - x_cut)
    r = (1 + basis.r0) / x ** (1 / basis.p) - 1
    R, _ = basis.evaluate(r, 18)
    gram = (R * (w * (x_in - x_cut) / 2)[:, None]).T @ R
    np.testing.assert_allclose(gram, np.eye(18), atol=1e-12)


@pytest.mark.parametrize("basis", CASES)
def test_ratio_to_the_envelope_is_the_jacobi_polynomial(basis):
    x_cut, x_in = basis.interval
    r = np.linspace(basis.r_in + 0.05, basis.cutoff - 0.05, 25)
    t = 2 * (transform(r, basis.r0, basis.p) - x_cut) / (x_in - x_cut) - 1
    R, _ = basis.evaluate(r, 9)
    for n in range(1, 9):
        polynomial = eval_jacobi(n, 2 * basis.pin, 2 * basis.pcut, t)
        ratio = R[:, n] / R[:, 0] / polynomial
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)


@pytest.mark.parametrize("basis", CASES)
def test_derivative_against_richardson_differences(basis):
    r = np.linspace(basis.r_in + 0.3, basis.cutoff - 0.3, 31)
    _, dR = basis.evaluate(r, 10)

    def central(h):
        return (basis.evaluate(r + h, 10)[0] - basis.evaluate(r - h, 10)[0]) / (2 * h)

    numerical = (4 * central(5e-4) - central(1e-3)) / 3
    np.testing.assert_allclose(dR, numerical, atol=1e-8 * np.abs(dR).max())


@pytest.mark.parametrize("pin", [1, 2, 3, 4])
def test_nothing_is_left_inside_the_inner_cutoff(pin):
    R, dR = RadialBasis(5.5, 1.5, 2.35, pin=pin).evaluate([0.1, 1.0, 1.499], 12)
    assert not R.any()
    assert not dR.any()


@pytest.mark.parametrize("basis", CASES[:1])
def test_functions_vanish_smoothly_at_both_ends(basis):
    R, dR = basis.evaluate([0.1, basis.r_in - 1e-9, basis.cutoff, basis.cutoff + 1], 12)
    assert np.all(R == 0) or np.abs(R).max() < 1e-12
    assert np.abs(dR).max() < 1e-6
    near, slope = basis.evaluate([basis.cutoff - 1e-6], 12)
    assert np.abs(near).max() < 1e-8
    assert np.abs(slope).max() < 1e-3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"cutoff": -1.0, "r_in": 0.0, "r0": 2.0}, "cutoff"),
        ({"cutoff": np.nan, "r_in": 0.0, "r0": 2.0}, "cutoff"),
        ({"cutoff": 5.0, "r_in": 6.0, "r0": 2.0}, "r_in"),
        ({"cutoff": 5.0, "r_in": 1.0, "r0": 0.0}, "r0"),
        ({"cutoff": 5.0, "r_in": 1.0, "r0": 2.0, "p": 1.5}, "p must"),
        ({"cutoff": 5.0, "r_in": 1.0, "r0": 2.0, "pcut": 1}, "pcut"),
    ],
)
def test_nonsense_is_named(arguments, said):
    with pytest.raises(ValueError, match=said):
        RadialBasis(**arguments)
