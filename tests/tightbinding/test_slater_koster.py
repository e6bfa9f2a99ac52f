"""Blocks against the table of Slater and Koster typed out anew; derivatives against differences."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ase_mlipgen.jit import kernel
from ase_mlipgen.tightbinding import slater_koster as sk

RNG = np.random.default_rng(1)
V_B = RNG.normal(size=10)


@kernel
def block(v_b, u, n):
    B = np.zeros((n, n))
    sk.fill_block(v_b, u, B)
    return B


@kernel
def torque(P, B):
    t = np.zeros(3)
    sk.add_torque(P, B, 1.0, t)
    return t


@kernel
def cutoff_function(r, cutoff, width, variant):
    return sk.cutoff_function(r, cutoff, width, variant)


@kernel
def integrals(r, f, df, hopping_bk, overlap_bk):
    out = np.empty((4, hopping_bk.shape[0]))
    sk.bond_integrals(r, f, df, hopping_bk, overlap_bk, out[0], out[1], out[2], out[3])
    return out


def table(v, l, m, n):
    """Table I of Phys. Rev. 94, 1498 (1954), upper triangle, orbitals s x y z xy yz zx x2-y2 3z2-r2."""
    sss, sps, pps, ppp, sds, pds, pdp, dds, ddp, ddd = v
    r3 = np.sqrt(3)
    d2, d3 = l * l - m * m, n * n - (l * l + m * m) / 2
    return {
        (0, 0): sss, (0, 1): l * sps, (0, 2): m * sps, (0, 3): n * sps,
        (1, 1): l * l * pps + (1 - l * l) * ppp, (1, 2): l * m * (pps - ppp), (1, 3): l * n * (pps - ppp),
        (0, 4): r3 * l * m * sds, (0, 7): r3 / 2 * d2 * sds, (0, 8): d3 * sds,
        (1, 4): r3 * l * l * m * pds + m * (1 - 2 * l * l) * pdp,
        (1, 5): r3 * l * m * n * pds - 2 * l * m * n * pdp,
        (1, 6): r3 * l * l * n * pds + n * (1 - 2 * l * l) * pdp,
        (1, 7): r3 / 2 * l * d2 * pds + l * (1 - d2) * pdp,
        (2, 7): r3 / 2 * m * d2 * pds - m * (1 + d2) * pdp,
        (3, 7): r3 / 2 * n * d2 * pds - n * d2 * pdp,
        (1, 8): l * d3 * pds - r3 * l * n * n * pdp,
        (2, 8): m * d3 * pds - r3 * m * n * n * pdp,
        (3, 8): n * d3 * pds + r3 * n * (l * l + m * m) * pdp,
        (4, 4): 3 * l * l * m * m * dds + (l * l + m * m - 4 * l * l * m * m) * ddp + (n * n + l * l * m * m) * ddd,
        (4, 5): 3 * l * m * m * n * dds + l * n * (1 - 4 * m * m) * ddp + l * n * (m * m - 1) * ddd,
        (4, 6): 3 * l * l * m * n * dds + m * n * (1 - 4 * l * l) * ddp + m * n * (l * l - 1) * ddd,
        (4, 7): l * m * d2 * (1.5 * dds - 2 * ddp + 0.5 * ddd),
        (5, 7): m * n * (1.5 * d2 * dds - (1 + 2 * d2) * ddp + (1 + d2 / 2) * ddd),
        (6, 7): n * l * (1.5 * d2 * dds + (1 - 2 * d2) * ddp - (1 - d2 / 2) * ddd),
        (4, 8): r3 * l * m * (d3 * dds - 2 * n * n * ddp + (1 + n * n) / 2 * ddd),
        (5, 8): r3 * m * n * (d3 * dds + (l * l + m * m - n * n) * ddp - (l * l + m * m) / 2 * ddd),
        (6, 8): r3 * l * n * (d3 * dds + (l * l + m * m - n * n) * ddp - (l * l + m * m) / 2 * ddd),
        (7, 7): 0.75 * d2**2 * dds + (l * l + m * m - d2**2) * ddp + (n * n + d2**2 / 4) * ddd,
        (7, 8): r3 / 2 * d2 * d3 * dds + r3 * n * n * -d2 * ddp + r3 / 4 * (1 + n * n) * d2 * ddd,
        (8, 8): d3**2 * dds + 3 * n * n * (l * l + m * m) * ddp + 0.75 * (l * l + m * m) ** 2 * ddd,
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_blocks_are_those_of_the_table(seed):
    u = np.random.default_rng(seed).normal(size=3)
    u /= np.linalg.norm(u)
    B, back = block(V_B, u, 9), block(V_B, -u, 9)
    for (a, b), expected in table(V_B, *u).items():
        assert B[a, b] == pytest.approx(expected, abs=1e-14), (a, b)
    np.testing.assert_allclose(back, B.T, atol=1e-15)
    np.testing.assert_array_equal(block(V_B, u, 4), B[:4, :4])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_blocks_turn_with_the_bond(sign):
    R = sign * Rotation.random(random_state=3).as_matrix()
    D = sk.rotation_matrix(R)
    u = np.array([0.36, 0.48, 0.8])
    np.testing.assert_allclose(D @ D.T, np.eye(9), atol=1e-14)
    np.testing.assert_allclose(block(V_B, R @ u, 9), D @ block(V_B, u, 9) @ D.T, atol=1e-14)


def test_torque_is_the_derivative_by_angles():
    u, P, h = np.array([0.36, 0.48, 0.8]), RNG.normal(size=(9, 9)), 1e-5
    for n in (4, 9):
        found = torque(P[:n, :n], block(V_B, u, n))
        for a in range(3):
            plus, minus = (Rotation.from_rotvec(s * h * np.eye(3)[a]).as_matrix() @ u for s in (1, -1))
            slope = np.sum(P[:n, :n] * (block(V_B, plus, n) - block(V_B, minus, n))) / (2 * h)
            assert found[a] == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("variant", [sk.ORIGINAL, sk.COSINE, sk.FORCESHIFT])
def test_cutoff_functions(variant):
    for r in (2.0, 11.7, 12.1, 12.3):
        f, df = cutoff_function(r, 12.5, 0.5, variant)
        slope = (
            cutoff_function(r + 1e-5, 12.5, 0.5, variant)[0]
            - cutoff_function(r - 1e-5, 12.5, 0.5, variant)[0]
        ) / 2e-5
        assert df == pytest.approx(slope, abs=1e-8)
    f, df = cutoff_function(12.5 - 1e-9, 12.5, 0.5, variant)
    assert f == pytest.approx(1 / (1 + np.exp(5)) if variant == sk.ORIGINAL else 0.0, abs=1e-8)
    assert cutoff_function(12.5, 12.5, 0.5, variant) == (0.0, 0.0)
    assert cutoff_function(3.0, 12.5, 0.5, sk.COSINE) == cutoff_function(3.0, 12.5, 0.5, sk.ORIGINAL)


def test_bond_integrals():
    hopping, overlap = np.array([[2.0, -0.3, 0.1, 0.8]]), np.array([[1.0, 0.2, -0.1, 0.05, 0.7]])

    def at(r):
        f, df = cutoff_function(r, 6.0, 0.5, sk.COSINE)
        return integrals(r, f, df, hopping, overlap)[:, 0]

    for r in (2.0, 5.8):
        h, dh, s, ds = at(r)
        f = cutoff_function(r, 6.0, 0.5, sk.COSINE)[0]
        assert h == pytest.approx((2.0 - 0.3 * r + 0.1 * r**2) * np.exp(-0.8 * r) * f, rel=1e-13)
        assert s == pytest.approx((1 + 0.2 * r - 0.1 * r**2 + 0.05 * r**3) * np.exp(-0.7 * r) * f, rel=1e-13)
        slopes = (at(r + 1e-5) - at(r - 1e-5)) / 2e-5
        assert dh == pytest.approx(slopes[0], abs=1e-9)
        assert ds == pytest.approx(slopes[2], abs=1e-9)
