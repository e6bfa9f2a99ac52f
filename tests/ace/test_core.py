"""The repulsive core against the published ZBL formula, finite differences and monotony."""

import numpy as np
import pytest

from ase_mlipgen.ace.core import zbl, zbl_core

PAIRS = [(74, 74, 2.741), (14, 14, 2.352), (6, 74, 2.1), (1, 1, 0.74)]


def test_zbl_constants():
    """At short range the bare Coulomb energy, 14.3996 Z1 Z2 / r eV, times a screening that starts at 1."""
    value, _ = zbl(np.array([1e-6]), 74, 74)
    assert value[0] * 1e-6 / (74 * 74) == pytest.approx(14.399645, rel=1e-4)


@pytest.mark.parametrize(("z1", "z2", "r0"), PAIRS)
def test_polynomial_reproduces_the_switched_repulsion(z1, z2, r0):
    core = zbl_core(z1, z2, r0, 0.2 * r0, r0)
    r = np.linspace(0.2 * r0, 1.2 * r0, 500)
    target = np.where(r < r0, zbl(r, z1, z2)[0] * np.maximum(1 - (r / r0) ** 2, 0) ** 4, 0.0)
    np.testing.assert_allclose(core.evaluate(r)[0], target, atol=1e-11 * np.abs(target).max() + 1e-12)


@pytest.mark.parametrize(("z1", "z2", "r0"), PAIRS)
def test_rises_without_a_hole_and_is_c1_at_the_hand_over(z1, z2, r0):
    core = zbl_core(z1, z2, r0, 0.2 * r0, r0)
    r = np.linspace(0.01 * r0, 0.98 * r0, 3000)
    value, slope = core.evaluate(r)
    assert np.all(np.diff(value) < 0)
    assert np.all(slope < 0)
    inner, outer = core.evaluate([core.r_i * (1 - 1e-9)]), core.evaluate([core.r_i * (1 + 1e-9)])
    assert inner[0][0] == pytest.approx(outer[0][0], rel=1e-7)
    assert inner[1][0] == pytest.approx(outer[1][0], rel=1e-6)


def test_slope_against_finite_differences():
    core = zbl_core(74, 74, 2.741, 0.55, 2.741)
    r, h = np.linspace(0.3, 2.7, 97), 1e-6
    numerical = (core.evaluate(r + h)[0] - core.evaluate(r - h)[0]) / (2 * h)
    np.testing.assert_allclose(core.evaluate(r)[1], numerical, rtol=1e-6, atol=1e-6)
