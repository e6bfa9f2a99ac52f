"""Differences with symmetry against closed forms and against all atoms displaced in all directions."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from scipy.spatial.transform import Rotation

from ase_mlipgen.symmetry import differences
from ase_mlipgen.symmetry.operations import find_operations
from ase_mlipgen.symmetry.sites import SiteSymmetry, find_site_symmetry
from tests.symmetry.structures import parts, silicon, tetrahedron


class Springs:
    """Every pair nearer than 5 Å, over all images, has the energy (1 - r / 5 Å)^6; counts its calls."""

    def __init__(self, atoms):
        self.atoms, self.n_calls = atoms.copy(), 0

    def __call__(self, positions):
        self.n_calls += 1
        cell, forces = self.atoms.cell.complete().array, np.zeros((len(positions), 3))
        D = positions[None] - positions[:, None]
        D = D - np.where(self.atoms.pbc, np.round(D @ np.linalg.inv(cell)), 0) @ cell
        for shift in itertools.product(*(range(-2, 3) if periodic else (0,) for periodic in self.atoms.pbc)):
            moved = D + np.array(shift) @ cell
            r = np.maximum(np.linalg.norm(moved, axis=2), 1e-9)
            slope = -6 / 5 * np.clip(1 - r / 5, 0, None) ** 5
            forces += 2 * np.einsum("ij,ijc->ic", slope / r, moved)
        return forces


def group(name):
    """Return rotations of some point groups."""
    quarter, half = (Rotation.from_rotvec([0, 0, t]).as_matrix() for t in (np.pi / 2, np.pi))
    third = Rotation.from_rotvec([0, 0, 2 * np.pi / 3]).as_matrix()
    tilted = Rotation.from_euler("xyz", [0.3, 0.7, 1.1]).as_matrix()
    mirror, flip = np.diag([1, 1, -1.0]), np.diag([-1, 1, 1.0])
    generators = {
        "C1": [], "Ci": [-np.eye(3)], "Cs": [mirror], "C2": [half], "C2h": [half, mirror], "C3": [third],
        "C3v": [third, flip], "C4": [quarter], "S4": [quarter @ mirror], "D2": [half, flip @ mirror],
        "D3d": [third, flip, -np.eye(3)],
    }[name]  # fmt: skip
    found = [np.eye(3)]
    for R in found:
        found += [S @ R for S in generators if min(abs(S @ R - T).max() for T in found) > 1e-9]
    return np.array([tilted @ R @ tilted.T for R in found])


@pytest.mark.parametrize(
    ("name", "calls"),
    [("C1", 12), ("Ci", 6), ("Cs", 8), ("C2", 6), ("C2h", 4), ("C3", 4), ("C3v", 4), ("C4", 4), ("S4", 4), ("D2", 4),
     ("D3d", 2)],
)  # fmt: skip
def test_fewest_directions_of_a_tilted_point_group(name, calls):
    """The counts follow from how many dimensions the images of a direction span, and whether -u is among them."""
    rotations = group(name)
    found = differences.directions(rotations)
    images = np.einsum("gab,ub->uga", rotations, found)
    assert np.linalg.matrix_rank(images.reshape(-1, 3), tol=1e-6) == 3
    one_sided = np.abs(images + found[:, None]).max(axis=2).min(axis=1) < 1e-9
    assert np.sum(np.where(one_sided, 2, 4)) == calls


@pytest.mark.parametrize(
    ("atoms", "calls"),
    [
        (silicon(1), 2),
        (silicon(1, (0, 0, 0)), 4 + 2),
        (bulk("Mg", a=3.2, c=5.2) * (2, 2, 1), 2),
        (bulk("Cu", cubic=True) * (2, 1, 1), 2),
        (tetrahedron(), 2 + 4),
        (molecule("H2O"), 4 + 8),
        (molecule("CH3OH"), 44),
        (Atoms("Si3", [[0, 0, 0], [1.5, 0.3, 0.1], [0.2, 1.9, 0.4]], cell=[4, 5, 6], pbc=True), 36),
    ],
    ids=["diamond", "vacancy", "hcp", "fcc 2x1x1", "tetrahedron", "water", "methanol", "none"],
)
def test_the_hessian_is_that_of_all_columns(atoms, calls):
    symmetry, forces = find_site_symmetry(*parts(atoms), 1e-5), Springs(atoms)
    H, n_calls = differences.hessian(forces, atoms.positions, symmetry, 0.01)
    assert n_calls == forces.n_calls
    every, most = differences.hessian(forces, atoms.positions, SiteSymmetry.none(len(atoms)), 0.01)
    assert most == 12 * len(atoms)
    assert n_calls == calls
    assert pytest.approx(every, abs=2e-7 * np.abs(every).max()) == H
    assert np.array_equal(H, H.T)
    assert H.reshape(-1, len(atoms), 3).sum(axis=1) == pytest.approx(0.0, abs=1e-6 * np.abs(H).max())


def test_orbits_and_stabilisers_multiply_to_the_order_of_the_group():
    for atoms in (silicon(2, (0, 0, 0)), silicon(2, (0, 0, 0), (0.25, 0.25, 0.25)), molecule("C6H6")):
        operations = find_operations(*parts(atoms), symprec=1e-5)
        symmetry = find_site_symmetry(*parts(atoms), 1e-5)
        for first, size in zip(*np.unique(symmetry.representative_i, return_counts=True), strict=True):
            assert len(symmetry.stabiliser(first)[0]) * size == operations.order


def test_a_carrier_takes_positions_to_positions():
    atoms = bulk("Si", a=5.4) * (3, 2, 1)
    symmetry = find_site_symmetry(*parts(atoms), 1e-6)
    inverse = np.linalg.inv(atoms.cell.array)
    for target in range(len(atoms)):
        R, image = symmetry.carrier(0, target)
        assert image[0] == target
        off = (
            atoms.positions[image] - atoms.positions[target] - (atoms.positions - atoms.positions[0]) @ R.T
        ) @ inverse
        assert off == pytest.approx(np.round(off), abs=1e-9)


def test_only_rotations_that_are_kept():
    atoms = silicon(1)
    symmetry = find_site_symmetry(*parts(atoms), 1e-6, lambda R: np.linalg.det(R) > 0)
    assert np.all(np.linalg.det(symmetry.rotations_gcc) > 0)
    assert len(symmetry.rotations_gcc) == 24


def test_forces_with_less_symmetry_than_the_atoms_are_reported():
    atoms = silicon(1)
    inner, field = Springs(atoms), np.array([[0, 1, 2], [1, 0, 5], [2, 5, 0]]) / 10

    def forces(positions):
        return inner(positions) - (positions - atoms.positions) @ field

    symmetry = find_site_symmetry(*parts(atoms), 1e-6)
    with pytest.warns(RuntimeWarning, match="lack the symmetry"):
        differences.hessian(forces, atoms.positions, symmetry, 0.01)


def test_product_and_slope_are_of_fourth_order():
    atoms = silicon(1, (0, 0, 0))
    forces, v = Springs(atoms), np.random.default_rng(0).normal(size=(len(atoms), 3))
    H, _ = differences.hessian(forces, atoms.positions, SiteSymmetry.none(len(atoms)), 0.005)
    found = differences.product(forces, atoms.positions, v, 0.01)
    assert found.ravel() == pytest.approx(H @ v.ravel(), abs=1e-6 * np.abs(H).max())
    assert not differences.product(forces, atoms.positions, 0 * v, 0.01).any()
    errors = [abs(differences.slope(np.exp, h) - 1.0) for h in (0.2, 0.1)]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.02)


def test_nonsense_is_refused():
    atoms = silicon(1)
    with pytest.raises(ValueError, match="step"):
        differences.columns(Springs(atoms), atoms.positions, SiteSymmetry.none(8), [0], 0.0)
    with pytest.raises(ValueError, match="not equivalent"):
        SiteSymmetry.none(8).carrier(0, 1)
