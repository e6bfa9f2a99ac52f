"""Functions of vectors against NumPy and against the scalar functions."""

import numba as nb
import numpy as np
import pytest

from ase_mlipgen.eam.analytic import TUNGSTEN
from ase_mlipgen.eam.lane_terms import pair_terms, power_of_two
from ase_mlipgen.simd import Lanes, load, raw, store
from tests.eam.synthetic import tables

WIDTHS = [4, 8]


@nb.njit
def powers(lanes, x, y, n):
    p_x, p_y = raw(x), raw(y)
    for k in range(n):
        store(p_y, k, power_of_two(lanes, load(lanes, p_x, k)))


@nb.njit
def all_terms(lanes, form, square, a, b, out, n):
    table, p_square, p_a, p_b, p_out = raw(form), raw(square), raw(a), raw(b), raw(out)
    for k in range(n):
        found = pair_terms(lanes, table, load(lanes, p_square, k), load(lanes, p_a, k), load(lanes, p_b, k))
        for c, vector in enumerate(found):
            store(p_out, n * c + k, vector)


@pytest.mark.parametrize("width", WIDTHS)
def test_power_of_two(width):
    """numpy.exp2 of the platform is good to an ulp; ours to another."""
    x = np.concatenate([np.linspace(-1000, 1000, 4000), np.linspace(-2, 2, 3999), [0.0]])
    y = np.empty_like(x)
    powers(Lanes(width), x, y, len(x) // width)
    np.testing.assert_allclose(y, np.exp2(x), rtol=4.5e-16)
    assert y[-1] == 1.0
    x = np.array([-1e6, -1022.0, 1023.0, 1025.0, np.inf, -np.inf, 1e9, 5.0])
    y = np.empty_like(x)
    powers(Lanes(width), x, y, len(x) // width)
    assert y.tolist() == [2.0**-1022, 2.0**-1022, 2.0**1023, np.inf, np.inf, 2.0**-1022, np.inf, 32.0]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["analytic", "one-way", "two-way"])
def test_pair_terms_equal_the_scalar_functions(name, width):
    functions = {
        "analytic": TUNGSTEN,
        "one-way": tables(symmetric=True),
        "two-way": tables(),
    }[name]
    rng = np.random.default_rng(0)
    r = np.concatenate([rng.uniform(0.5, functions.cutoff, 1600), rng.uniform(functions.cutoff, 9, 160)])
    a, b = rng.integers(0, len(functions.elements), (2, len(r)))
    out = np.empty((8, len(r)))
    all_terms(Lanes(width), functions.form, r * r, a.astype(float), b.astype(float), out, len(r) // width)
    there, back = functions.pair_terms(r, a, b), functions.pair_terms(r, b, a)
    slopes = [there.df / r, back.df / r, there.dphi / r]
    bends = [there.ddf, back.ddf, there.ddphi]
    curvatures = [(bend - slope) / r**2 for bend, slope in zip(bends, slopes, strict=True)]
    expected = [there.f, there.phi, *slopes, *curvatures]
    for mine, theirs in zip(out, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-13 * np.abs(theirs).max())
    assert not out[:, r >= functions.cutoff].any()


@pytest.mark.parametrize("functions", [TUNGSTEN, tables()], ids=["analytic", "tables"])
def test_exactly_zero_from_the_cutoff_on(functions):
    r = np.array([functions.cutoff, np.nextafter(functions.cutoff, 9), 6.375, 1e3, 1e9, 8.0, 7.0, 6.5])
    out = np.empty((8, 8))
    all_terms(Lanes(8), functions.form, np.nextafter(r * r, np.inf), 0 * r, 0 * r, out, 1)
    assert not out.any()
