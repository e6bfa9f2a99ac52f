"""Analytic and tabulated functions: against the formulas as printed, scipy's splines and finite differences."""

import dataclasses

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from ase_mlipgen.eam.analytic import TUNGSTEN
from tests.eam.synthetic import CUTOFF, tables

W = TUNGSTEN
RHO_N, RHO_O = 0.85 * W.rho_e, 1.15 * W.rho_e


def zeros(x):
    return np.zeros(len(x), dtype=np.int64)


def pair_terms(functions, r, a=0, b=0):
    return functions.pair_terms(np.asarray(r, dtype=float), zeros(r) + a, zeros(r) + b)


def site_terms(functions, rho, a=0):
    return functions.site_terms(np.asarray(rho, dtype=float), zeros(rho) + a)


def difference(function, x, h=1e-3):
    """Fourth-order central difference."""
    return (8 * (function(x + h) - function(x - h)) - function(x + 2 * h) + function(x - 2 * h)) / (12 * h)


def test_tungsten_is_the_published_formula():
    """Below the switch; the printed form (Zhou 2004, equations 2 to 8) in plain NumPy."""
    r = np.linspace(1.2, 4.99, 50)
    x = r / W.r_e
    f = W.f_e * np.exp(-W.beta * (x - 1)) / (1 + (x - W.lambda_) ** 20)
    repulsion = W.A * np.exp(-W.alpha * (x - 1)) / (1 + (x - W.kappa) ** 20)
    terms = pair_terms(W, r)
    np.testing.assert_allclose(terms.f, f, rtol=1e-14)
    np.testing.assert_allclose(terms.phi, repulsion - W.B * f / W.f_e, rtol=1e-13, atol=1e-14)
    rho = np.array([5.0, 30.0, 33.0, 37.0, 42.0, 43.0, 90.0])
    low = sum(c * (rho / RHO_N - 1) ** k for k, c in enumerate(W.F_n))
    middle = sum(c * (rho / W.rho_e - 1) ** k for k, c in enumerate(W.F))
    y = rho / W.rho_s
    high = W.F_e * (1 - np.log(y**W.eta)) * y**W.eta
    expected = np.where(rho < RHO_N, low, np.where(rho < RHO_O, middle, high))
    np.testing.assert_allclose(site_terms(W, rho).F, expected, rtol=1e-14)


@pytest.mark.parametrize("functions", [W, tables()], ids=["analytic", "tables"])
def test_derivatives(functions):
    """Steps of 1e-3 and fourth order for smooth functions; splines are smooth only within an interval."""
    h = 1e-3 if functions is W else 1e-5
    top = functions.cutoff - 0.01
    r = (
        np.concatenate([np.linspace(1.0, 4.99, 40), np.linspace(5.01, top, 40) if functions is W else []])
        + 1.7e-4
    )
    terms = pair_terms(functions, r)
    for value, slope in (("f", "df"), ("df", "ddf"), ("phi", "dphi"), ("dphi", "ddphi")):
        expected = difference(lambda x, name=value: getattr(pair_terms(functions, x), name), r, h)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(getattr(terms, slope), expected, rtol=1e-6, atol=1e-7 * scale)
    rho = np.array([3.0, 20.0, 33.0, 41.0, 44.0, 58.0]) + 1.7e-4
    site = site_terms(functions, rho)
    for value, slope in (("F", "dF"), ("dF", "ddF")):
        expected = difference(lambda x, name=value: getattr(site_terms(functions, x), name), rho, h)
        np.testing.assert_allclose(getattr(site, slope), expected, rtol=1e-6, atol=1e-8)


def test_pieces_of_the_embedding_energy_join():
    """At rho_n to 5e-7, 2e-8 and 5e-10; at rho_o the published parameters leave a step of 1.8 meV."""
    below, above = (np.array(site_terms(W, [RHO_N + d])).ravel() for d in (-1e-10, 1e-10))
    assert (abs(above - below) < [6e-7, 3e-8, 1e-9]).all()
    below, above = (site_terms(W, [RHO_O + d]).F[0] for d in (-1e-10, 1e-10))
    assert above - below == pytest.approx(-1.8e-3, abs=1e-4)
    assert W.rho_s == W.rho_e


def test_isolated_atom_is_the_zero_of_energy():
    site = site_terms(W, [0.0])
    assert site.F[0] == pytest.approx(0.0, abs=1e-12)
    assert np.isfinite(site).all()


@pytest.mark.parametrize("distance", [5.0, 6.0])
def test_switch_has_three_continuous_derivatives(distance):
    """Left and right limits, the third derivative from differences of the second."""
    h = 1e-6
    left = pair_terms(W, [distance - 2 * h, distance - h])
    right = pair_terms(W, [distance + h, distance + 2 * h])
    for name in ("f", "df", "ddf", "phi", "dphi", "ddphi"):
        assert getattr(left, name)[1] == pytest.approx(getattr(right, name)[0], abs=1e-5)
    for name in ("ddf", "ddphi"):
        a, b = np.diff(getattr(left, name))[0] / h, np.diff(getattr(right, name))[0] / h
        assert a == pytest.approx(b, abs=1e-3)
    assert not np.any(pair_terms(W, [6.0, 6.3, 100.0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"r_e": 0.0}, "r_e = 0.0"),
        ({"rho_e": np.nan}, "rho_e = nan"),
        ({"switch_on": 6.0}, "switch_on < cutoff"),
        ({"cutoff": np.inf}, "switch_on < cutoff"),
        ({"F": (1.0, 2.0)}, "four coefficients"),
    ],
)
def test_senseless_parameters(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TUNGSTEN, **change)


def test_tables_are_cubic_splines():
    """scipy's CubicSpline, not-a-knot, for every pair of elements; zero beyond the cutoff."""
    t = tables()
    grid = np.arange(t.f_abk.shape[-1]) * t.dr
    r = np.array([0.731, 2.2, 3.99, 4.9993])
    for a in (0, 1):
        for b in (0, 1):
            f, z = CubicSpline(grid, t.f_abk[a, b]), CubicSpline(grid, t.rphi_abk[a, b])
            terms = pair_terms(t, r, a, b)
            for k, name in enumerate(("f", "df", "ddf")):
                np.testing.assert_allclose(getattr(terms, name), f(r, k), rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(terms.phi, z(r) / r, rtol=1e-12)
    assert not np.any(pair_terms(t, [CUTOFF, CUTOFF + 1]))


def test_embedding_continues_along_its_tangent():
    t = tables()
    last = t.largest_density
    at = site_terms(t, [last])
    beyond = site_terms(t, [last + 10.0, -1.0])
    assert beyond.F[0] == pytest.approx(at.F[0] + 10 * at.dF[0], rel=1e-13)
    assert beyond.dF[0] == at.dF[0]
    assert beyond.ddF.tolist() == [0.0, 0.0]
    assert beyond.F[1] == pytest.approx(site_terms(t, [0.0]).F[0] - site_terms(t, [0.0]).dF[0], rel=1e-13)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dr": 0.0}, "dr = 0.0"),
        ({"file_cutoff": np.nan}, "file_cutoff = nan"),
        ({"F_ak": np.zeros((1, 9))}, "F_ak has shape"),
        ({"F_ak": np.zeros((2, 3))}, "four points"),
        ({"F_ak": np.full((2, 9), np.nan)}, "F_ak contains NaN"),
        ({"rphi_abk": np.arange(4 * 2001.0).reshape(2, 2, 2001)}, "not symmetric"),
    ],
)
def test_senseless_tables(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(tables(), **change)
