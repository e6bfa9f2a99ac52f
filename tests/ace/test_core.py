"""The repulsive core against the published ZBL formula, finite differences and monotony."""

import numpy as np
import pytest

from ase_mlipgen.ace.core import zbl, zbl_core
from ase_mlipgen.ace.lane_core import add_core, core_tables
from ase_mlipgen.simd import Lanes
from ase_mlipgen.workspace import Workspace

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


@pytest.mark.parametrize("width", [4, 16])
def test_near_pairs_side_by_side_against_one_by_one(width):
    """Two elements, three cores, distances on both sides of the hand-over and of the cutoff; against `PairCore`."""
    light, mixed, heavy = (
        zbl_core(*pair, 0.2 * pair[2], pair[2]) for pair in ((14, 14, 2.35), (14, 74, 2.5), (74, 74, 2.74))
    )
    cores = [light, mixed, mixed, heavy]
    rng = np.random.default_rng(0)
    mu_i = rng.integers(0, 2, 40)
    first_c = np.concatenate([[0], np.cumsum(rng.integers(0, 9, 20))])
    n = first_c[-1]
    j_c, d_cc = rng.integers(0, 40, n).astype(np.int32), rng.normal(size=(n, 3))
    d_cc *= (rng.uniform(0.3, 3.0, n) / np.linalg.norm(d_cc, axis=1))[:, None]
    energies_k, gradient_cc, virial_ab = np.zeros(20), np.zeros((n, 3)), np.zeros((3, 3))
    add_core(
        Lanes(width), 20, first_c, j_c, d_cc, mu_i, 2, core_tables(cores),
        np.empty((2, n), np.int64), Workspace().empty(3, width), energies_k, gradient_cc, virial_ab,
    )  # fmt: skip
    r, k_c = np.linalg.norm(d_cc, axis=1), np.repeat(np.arange(20), np.diff(first_c))
    found = [cores[2 * mu_i[20 + k] + mu_i[j]].evaluate(x) for k, j, x in zip(k_c, j_c, r, strict=True)]
    value, slope = np.array(found)[:, :, 0].T
    assert (r < 0.5).any()
    assert (value == 0.0).any()
    expected = (0.5 * slope / r)[:, None] * d_cc
    np.testing.assert_allclose(energies_k, np.bincount(k_c, 0.5 * value, minlength=20), rtol=1e-12)
    np.testing.assert_allclose(gradient_cc, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(virial_ab, d_cc.T @ expected, rtol=1e-12)
