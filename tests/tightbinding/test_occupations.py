"""Occupations against bisection of the plain count and closed forms: gaps of many kT, degenerate edges, full shells."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import entr

from ase_mlipgen.tightbinding.occupations import ElectronCountError, occupy

RNG = np.random.default_rng(0)


def fermi_dirac(levels, mu, kT):
    return 1 / (1 + np.exp(np.clip((levels - mu) / kT, -700, 700)))


@pytest.mark.parametrize("kT", [0.02, 0.1, 1.0])
def test_many_levels(kT):
    """A metal: mu by bisection of the plain count of electrons."""
    levels, weights = RNG.normal(0, 2, 200), RNG.uniform(0.1, 2, 200)
    electrons = 0.37 * weights.sum()
    mu = brentq(lambda mu: weights @ fermi_dirac(levels, mu, kT) - electrons, -9, 9, xtol=1e-14)
    found = occupy(levels, weights, electrons, kT)
    assert found.fermi_level == pytest.approx(mu, abs=1e-11)
    np.testing.assert_allclose(found.fractions_n, fermi_dirac(levels, mu, kT), atol=1e-11)
    f = found.fractions_n
    np.testing.assert_allclose(found.entropies_n, entr(f) + entr(1 - f), rtol=0, atol=1e-13)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    n=st.integers(1, 30),
    seed=st.integers(0, 10**6),
    part=st.floats(0.0, 1.0),
    log_kT=st.floats(-6, 2),
    degenerate=st.booleans(),
)
def test_electrons_are_kept(n, seed, part, log_kT, degenerate):
    rng = np.random.default_rng(seed)
    levels = rng.normal(0, 1, n)
    if degenerate:
        levels = np.round(levels)
    weights = rng.choice([2.0, 4.0, 0.25], n)
    electrons = part * weights.sum()
    found = occupy(levels, weights, electrons, 10**log_kT)
    assert found.fractions_n @ weights == pytest.approx(electrons, abs=1e-9 * weights.sum())
    assert np.all((found.fractions_n >= 0) & (found.fractions_n <= 1))
    assert np.all((found.entropies_n >= 0) & (found.entropies_n <= np.log(2) * (1 + 1e-12)))
    order = np.argsort(levels)
    assert np.all(np.diff(found.fractions_n[order]) <= 1e-15)
    assert np.isfinite([found.fermi_level]).all()


@pytest.mark.parametrize("kT", [1e-6, 1e-3, 0.02])
def test_mu_of_a_gap(kT):
    """Twice as many states above as below: mu is off the middle by kT ln(2) / 2, whatever the gap is in kT."""
    levels, weights = np.array([0.0, 1.0]), np.array([2.0, 4.0])
    found = occupy(levels, weights, 2.0, kT)
    assert found.fermi_level == pytest.approx(0.5 - kT * np.log(2) / 2, abs=1e-9)
    assert (found.highest_occupied, found.lowest_unoccupied) == (0.0, 1.0)
    missing, there = 1 - found.fractions_n[0], found.fractions_n[1]
    assert 2 * missing == pytest.approx(4 * there, abs=1e-15)


def test_partly_filled_degenerate_level():
    """Three degenerate states with two electrons of six, as at a vacancy: f = 1/3, S = -ln in closed form."""
    found = occupy(np.array([-5.0, 0.3, 9.0]), np.array([2.0, 6.0, 2.0]), 4.0, 1e-3)
    np.testing.assert_allclose(found.fractions_n, [1, 1 / 3, 0], atol=1e-12)
    assert found.fermi_level == pytest.approx(0.3 - 1e-3 * np.log(2), abs=1e-12)
    assert found.highest_occupied == found.lowest_unoccupied == 0.3
    assert found.entropies_n[1] == pytest.approx(np.log(3) - 2 / 3 * np.log(2), abs=1e-12)


def test_levels_split_by_rounding_fill_as_one():
    """Levels of a degenerate set that differ by 1e-13 at a kT far above that."""
    levels = 0.3 + 1e-13 * np.arange(3)
    found = occupy(np.concatenate([[-5.0], levels]), np.full(4, 2.0), 4.0, 1e-3)
    np.testing.assert_allclose(found.fractions_n[1:], 1 / 3, atol=1e-9)


@pytest.mark.parametrize(("electrons", "filled"), [(0.0, 0.0), (12.0, 1.0)])
def test_empty_and_full(electrons, filled):
    levels, weights = np.array([0.0, 1.0, 4.0]), np.full(3, 4.0)
    found = occupy(levels, weights, electrons, 0.1)
    np.testing.assert_allclose(found.fractions_n, filled, atol=1e-20)
    assert found.fermi_level < 0 if electrons == 0 else found.fermi_level > 4
    gone = found.highest_occupied if electrons == 0 else found.lowest_unoccupied
    assert np.isinf(gone)


@pytest.mark.parametrize("electrons", [-0.1, 12.1, np.nan])
def test_electrons_that_do_not_fit(electrons):
    with pytest.raises(ElectronCountError, match="hold 0 to 12"):
        occupy(np.array([0.0, 1.0, 4.0]), np.full(3, 4.0), electrons, 0.1)


def test_free_energy_is_stationary_in_the_levels():
    """d(sum w f eps - kT S)/d eps_n = w f_n at fixed electrons: what forces rest on."""
    levels, weights, kT = RNG.normal(0, 1, 12), RNG.choice([1.0, 2.0], 12), 0.2

    def free(levels):
        found = occupy(levels, weights, 7.0, kT)
        return weights @ (found.fractions_n * levels - kT * found.entropies_n)

    f, h = occupy(levels, weights, 7.0, kT).fractions_n, 1e-3
    for n in range(12):
        step = h * (np.arange(12) == n)
        near = free(levels + step) - free(levels - step)
        far = free(levels + 2 * step) - free(levels - 2 * step)
        slope = (8 * near - far) / (12 * h)
        assert slope == pytest.approx(weights[n] * f[n], abs=1e-10)


def test_entropy_of_a_flat_band():
    """Levels evenly over a band much wider than kT: S = pi^2 / 3 kT a state of a unit of energy."""
    n, kT = 20001, 0.05
    levels = np.linspace(-5, 5, n)
    found = occupy(levels, np.full(n, 1.0), n / 2, kT)
    density = (n - 1) / 10
    assert found.entropies_n.sum() / density == pytest.approx(np.pi**2 / 3 * kT, rel=1e-8)
    exact = quad(lambda x: 2 * (np.log1p(np.exp(-x)) + x / (1 + np.exp(x))), 0, 60)[0]
    assert exact == pytest.approx(np.pi**2 / 3, rel=1e-9)
