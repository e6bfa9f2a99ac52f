"""Reduction of k-points against spglib's, phases against plane waves, operations on lists of points."""

import numpy as np
import pytest
import spglib
from ase.build import bulk
from ase.dft.kpoints import monkhorst_pack

from ase_mlipgen.tightbinding.kpoints import KPoints, merged, operations_of, phases, reciprocal_rotations
from tests.tightbinding.structures import hexagonal
from tests.tightbinding.structures import operations_of as symmetry_of


def even(points):
    return KPoints(np.asarray(points, float), np.full(len(points), 1 / len(points)))


STRUCTURES = {
    "diamond": lambda: bulk("Si", a=5.43),
    "bcc": lambda: bulk("W", a=3.16),
    "cubic cell": lambda: bulk("W", a=3.16, cubic=True),
    "hcp": lambda: bulk("Ti", a=2.95, c=4.68),
    "hexagonal diamond cell": hexagonal,
}


@pytest.mark.parametrize("size", [(3, 3, 3), (4, 4, 4), (4, 4, 1)])
@pytest.mark.parametrize("name", STRUCTURES)
def test_meshes_about_gamma_reduce_as_in_spglib(name, size):
    atoms = STRUCTURES[name]()
    points = even(np.array(list(np.ndindex(size))) / size)
    found_rotations = symmetry_of(atoms)
    rotations = reciprocal_rotations(found_rotations.rotations_gcc, atoms.cell.array)
    kept = operations_of(points, rotations)
    found = merged(points, rotations[kept])
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    star_k, _ = spglib.get_ir_reciprocal_mesh(size, cell, is_shift=[0, 0, 0])
    expected = np.sort(np.unique(star_k, return_counts=True)[1]) / len(star_k)
    np.testing.assert_allclose(np.sort(found.weights_k), expected, atol=1e-12)


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 2, 2), (3, 2, 1), (4, 5, 6)])
def test_time_reversal_leaves_half(size):
    points = even(monkhorst_pack(size))
    found = merged(points)
    n_own_images = sum(np.allclose(2 * k, np.round(2 * k)) for k in points.scaled_kc)
    assert len(found.weights_k) == (len(points.weights_k) + n_own_images) // 2
    assert found.weights_k.sum() == pytest.approx(1, abs=1e-14)


def test_points_that_are_the_same_modulo_the_lattice():
    k = np.array([0.1, -0.2, 0.3])
    found = merged(even([k, np.add(k, [1, 0, -3]), -k, [0.5, 0, 0], [-0.5, 0, 0], -k + 1e-12]))
    np.testing.assert_allclose(found.weights_k, [4 / 6, 2 / 6])
    np.testing.assert_array_equal(found.scaled_kc, [k, [0.5, 0, 0]])
    almost = merged(even([k, k + 1e-6]))
    assert len(almost.weights_k) == 2


def test_weights_break_symmetry():
    """A fourfold turn takes (1/4, 0, 0) onto (0, 1/4, 0), but not with another weight."""
    turn = np.array([np.eye(3), [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]], dtype=np.int64)
    points = np.array([[0.25, 0, 0], [0, 0.25, 0]])
    np.testing.assert_array_equal(operations_of(even(points), turn), [0, 1])
    np.testing.assert_array_equal(operations_of(KPoints(points, np.array([0.4, 0.6])), turn), [0])
    assert len(merged(even(points), turn).weights_k) == 1


def test_phases():
    images = np.array(list(np.ndindex(3, 3, 3))) - 1
    for k in ([0.1, 0.2, -0.3], [0.5, 0, 0.5], [0, 0, 0], [1, -0.5, 2.5]):
        found = phases(np.array(k, float), images)
        np.testing.assert_allclose(found, np.exp(2j * np.pi * images @ k), atol=1e-13)
        assert np.iscomplexobj(found) == (k == [0.1, 0.2, -0.3])


@pytest.mark.parametrize("name", STRUCTURES)
def test_waves_turn_with_their_points(name):
    """exp(i q.x) turned by R is the wave of R q, in units of the reciprocal cell k @ M."""
    atoms = STRUCTURES[name]()
    operations = symmetry_of(atoms)
    B = np.linalg.inv(atoms.cell.array).T
    k = np.array([0.13, 0.27, -0.41])
    rotations = reciprocal_rotations(operations.rotations_gcc, atoms.cell.array)
    for R, M in zip(operations.rotations_gcc, rotations, strict=True):
        np.testing.assert_allclose((k @ M) @ B, R @ (k @ B), atol=1e-12)
