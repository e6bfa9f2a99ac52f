"""Harmonics against scipy.special.sph_harm_y and finite differences."""

import numpy as np
from scipy.special import sph_harm_y

from ase_mlipgen.ace.harmonics import harmonics, n_lm

LMAX = 12


def directions():
    u = np.random.default_rng(3).normal(size=(40, 3))
    u /= np.linalg.norm(u, axis=1)[:, None]
    return np.concatenate([u, np.eye(3), -np.eye(3)])


def test_values_against_scipy():
    u = directions()
    Y, _ = harmonics(u, LMAX)
    theta, phi = np.arccos(u[:, 2]), np.arctan2(u[:, 1], u[:, 0])
    for l in range(LMAX + 1):
        for m in range(l + 1):
            np.testing.assert_allclose(Y[:, l * (l + 1) // 2 + m], sph_harm_y(l, m, theta, phi), atol=2e-14)


def test_gradient_against_differences_of_the_harmonics_along_displacements():
    u = directions()
    _, dY = harmonics(u, 6)
    h = 1e-5
    for c in range(3):
        plus, minus = u + h * np.eye(3)[c], u - h * np.eye(3)[c]
        plus /= np.linalg.norm(plus, axis=1)[:, None]
        minus /= np.linalg.norm(minus, axis=1)[:, None]
        numerical = (harmonics(plus, 6)[0] - harmonics(minus, 6)[0]) / (2 * h)
        analytic = dY[..., c] - u[:, c, None] * np.einsum("pc,pkc->pk", u, dY)
        np.testing.assert_allclose(analytic, numerical, atol=1e-8)


def test_addition_theorem():
    u = directions()
    Y, _ = harmonics(u, 5)
    for l in range(6):
        k = l * (l + 1) // 2
        total = np.abs(Y[:, k]) ** 2 + 2 * np.sum(np.abs(Y[:, k + 1 : k + l + 1]) ** 2, axis=1)
        np.testing.assert_allclose(total, (2 * l + 1) / (4 * np.pi), rtol=1e-13)
    assert Y.shape[1] == n_lm(5)
