"""Coupling against sympy's Clebsch-Gordan coefficients and against rotations of random densities."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ase_mlipgen.ace.coupling import clebsch_gordan, dense_tensor, invariants
from ase_mlipgen.ace.harmonics import harmonics

BLOCKS = [
    ((0, 1),), ((2, 1), (2, 1)), ((3, 2),), ((1, 1), (2, 1), (3, 1)), ((2, 2), (2, 1)), ((2, 3), (2, 1)), ((1, 4),),
    ((2, 4),), ((1, 1), (1, 1), (2, 1), (2, 1)), ((3, 2), (2, 2)), ((1, 2), (2, 1), (1, 1), (3, 1)),
]  # fmt: skip


def test_clebsch_gordan_against_orthogonality_and_closed_forms():
    assert clebsch_gordan(1, 0, 1, 0, 0, 0) == pytest.approx(-1 / np.sqrt(3), abs=1e-15)
    assert clebsch_gordan(2, 2, 1, -1, 1, 1) == pytest.approx(np.sqrt(3 / 5), abs=1e-15)
    assert clebsch_gordan(1, 1, 1, 0, 2, 1) == pytest.approx(np.sqrt(1 / 2), abs=1e-15)
    assert clebsch_gordan(1, 1, 1, 1, 1, 1) == 0.0
    for j1, j2 in [(3, 2), (8, 7), (5, 5)]:
        states = [(j, m) for j in range(abs(j1 - j2), j1 + j2 + 1) for m in range(-j, j + 1)]
        table = [
            [clebsch_gordan(j1, m1, j2, m2, j, m) for j, m in states]
            for m1 in range(-j1, j1 + 1)
            for m2 in range(-j2, j2 + 1)
        ]
        np.testing.assert_allclose(np.array(table) @ np.array(table).T, np.eye(len(states)), atol=1e-13)


def density(channel_l, points, weights):
    """Return A_m, m = -l..l, of a sum over points."""
    Y, _ = harmonics(points, channel_l)
    half = (weights[:, None] * Y[:, channel_l * (channel_l + 1) // 2 :]).sum(axis=0)
    return np.concatenate([[(-1) ** m * np.conj(half[m]) for m in range(channel_l, 0, -1)], half])


def contract(tensor, vectors):
    result = tensor.astype(complex)
    for vector in reversed(vectors):
        result = result @ vector
    return complex(result)


@pytest.mark.parametrize("groups", BLOCKS)
def test_values_are_real_and_invariant_under_rotation_and_reflection(groups):
    rng = np.random.default_rng(len(groups))
    points = rng.normal(size=(7, 3))
    points /= np.linalg.norm(points, axis=1)[:, None]
    weights = rng.normal(size=(len(groups), 7))
    moves = [np.eye(3), Rotation.random(rng=rng).as_matrix(), -np.eye(3), np.diag([1.0, 1.0, -1.0])]
    values = []
    for move in moves:
        vectors = [
            density(l, points @ move.T, weights[g]) for g, (l, k) in enumerate(groups) for _ in range(k)
        ]
        values.append([contract(dense_tensor(inv, groups), vectors) for inv in invariants(groups)])
    values = np.array(values)
    assert np.abs(values.real).max() > 1e-6
    np.testing.assert_allclose(values.imag, 0.0, atol=1e-13 * np.abs(values).max())
    for moved in values[1:]:
        np.testing.assert_allclose(moved, values[0], atol=1e-12 * np.abs(values).max())


@pytest.mark.parametrize("groups", BLOCKS)
def test_invariants_are_orthonormal_tensors(groups):
    found = invariants(groups)
    tensors = np.array([dense_tensor(inv, groups).ravel() for inv in found])
    np.testing.assert_allclose(tensors @ tensors.T, np.eye(len(found)), atol=1e-12)


def test_two_and_three_body_couplings_are_the_textbook_ones():
    (pair,) = invariants(((2, 1), (2, 1)))
    expected = np.fliplr(np.diag([(-1.0) ** m for m in range(-2, 3)])) / np.sqrt(5)
    tensor = dense_tensor(pair, ((2, 1), (2, 1)))
    np.testing.assert_allclose(tensor * np.sign(tensor[2, 2]), expected, atol=1e-15)
