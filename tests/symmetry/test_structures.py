import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ase_mlipgen.symmetry.irreps import irreps
from ase_mlipgen.symmetry.operations import find_operations
from ase_mlipgen.symmetry.structures import (
    orbits,
    symmetrised_positions,
    symmetrised_tensor,
    symmetrised_vectors,
)
from tests.symmetry.structures import parts, silicon


def pair_forces(atoms):
    """Forces of a pair potential that is not zero anywhere near, over all images within 6 Å."""
    forces = np.zeros((len(atoms), 3))
    for shift in np.ndindex(3, 3, 3):
        d = atoms.positions[None] - atoms.positions[:, None] + (np.array(shift) - 1) @ atoms.cell.array
        r = np.linalg.norm(d, axis=2)
        r[r < 1e-6] = np.inf
        forces += np.einsum(
            "ij,ijc->ic", (np.exp(-r) - 3 * np.exp(-2 * r)) * (r < 6) * (6 - np.minimum(r, 6)) ** 2, d
        )
    return forces


def test_orbits():
    atoms = silicon(2, (0, 0, 0))
    found = find_operations(*parts(atoms))
    representative_o, orbit_of_i, element_i = orbits(found.permutations_gi)
    sets = {frozenset(found.permutations_gi[:, i].tolist()) for i in range(len(atoms))}
    assert len(representative_o) == len(sets)
    for o, first in enumerate(representative_o):
        members = np.flatnonzero(orbit_of_i == o)
        assert set(members.tolist()) in sets
        assert first == members.min()
        assert element_i[first] == 0
    at = found.permutations_gi[element_i, representative_o[orbit_of_i]]
    assert np.array_equal(at, np.arange(len(atoms)))


def test_forces_are_symmetric_and_the_mean_keeps_them():
    atoms = silicon(2, (0, 0, 0), (1, 1, 1))
    found = find_operations(*parts(atoms))
    forces = pair_forces(atoms)
    assert abs(forces).max() > 1e-3
    assert np.allclose(symmetrised_vectors(forces, found), forces, atol=1e-13)
    noise = np.random.default_rng(3).standard_normal(forces.shape)
    mean = symmetrised_vectors(noise, found)
    assert np.allclose(symmetrised_vectors(mean, found), mean, atol=1e-14)
    for R, image in zip(found.rotations_gcc, found.permutations_gi, strict=True):
        assert np.allclose(mean[image], mean @ R.T, atol=1e-14)
    assert abs(mean).max() < abs(noise).max()


def test_positions_become_symmetric_and_move_least():
    atoms = silicon(3, (0, 0, 0), (0.25, 0.25, 0.25))
    found = find_operations(*parts(atoms))
    rng = np.random.default_rng(4)
    along = symmetrised_vectors(rng.standard_normal((len(atoms), 3)), found) * 0.1
    ideal = atoms.positions + along
    noise = rng.standard_normal(ideal.shape) * 0.02
    drift = np.array([0.3, 7.0, -20.0])
    moved = symmetrised_positions(ideal + noise + drift, atoms.cell.array, atoms.pbc, found)
    assert found.deviation(ideal + noise, atoms.cell.array, atoms.pbc) > 0.03
    assert found.deviation(moved, atoms.cell.array, atoms.pbc) < 1e-11
    assert find_operations(moved, atoms.cell.array, atoms.pbc, atoms.numbers).order == 12
    expected = symmetrised_vectors(noise - noise.mean(axis=0), found) + noise.mean(axis=0)
    assert np.allclose(moved, ideal + drift + expected, atol=1e-11)
    assert np.allclose(symmetrised_positions(moved, atoms.cell.array, atoms.pbc, found), moved, atol=1e-11)


def test_relaxed_positions_keep_the_group_and_labels_tell_atoms_apart():
    atoms = silicon(2, (0, 0, 0), (1, 1, 1))
    first = find_operations(*parts(atoms))
    for _ in range(5):
        atoms.positions += 0.05 * symmetrised_vectors(pair_forces(atoms), first)
    again = find_operations(*parts(atoms))
    assert again.order == 48
    assert np.array_equal(np.sort(again.permutations_gi, axis=0), np.sort(first.permutations_gi, axis=0))


def test_tensors():
    atoms = silicon(3, (0, 0, 0), (0.25, 0.25, 0.25))
    found = find_operations(*parts(atoms))
    mean = symmetrised_tensor(np.random.default_rng(5).standard_normal((3, 3)), found)
    axis = np.ones(3) / np.sqrt(3)
    # A trigonal group leaves two numbers: along the axis, and across.
    along, across = axis @ mean @ axis, (np.trace(mean) - axis @ mean @ axis) / 2
    assert np.allclose(
        mean, along * np.outer(axis, axis) + across * (np.eye(3) - np.outer(axis, axis)), atol=1e-14
    )


@pytest.mark.parametrize("case", ["vacancy pair", "hcp with a screw", "chiral"])
def test_a_symmetric_matrix_falls_into_blocks(case):
    """The use of it all: functions adapted to row one of each irrep give every eigenvalue, d times each."""
    if case == "vacancy pair":
        atoms = silicon(2, (0, 0, 0), (1, 1, 1))
    elif case == "hcp with a screw":
        atoms = bulk("Mg", "hcp", a=3.2, c=5.2).repeat((2, 2, 1))
    else:
        # Three arms that all lean one way: C3 alone, whose pair of complex irreps must be counted twice.
        arm = np.array([(1.0, 0.2, 0.3), (2.1, 0.9, -0.4), (2.5, -0.8, 1.1)])
        turn = np.array([(-0.5, -(3**0.5) / 2, 0), (3**0.5 / 2, -0.5, 0), (0, 0, 1)])
        atoms = Atoms("CNO" * 3, np.concatenate([arm, arm @ turn.T, arm @ turn]))
    found = find_operations(*parts(atoms))
    if case == "chiral":
        assert found.order == 3
    n = 3 * len(atoms)
    matrix = vector_couplings(atoms)
    moves_g = np.zeros((found.order, n, n))
    for move, R, image in zip(moves_g, found.rotations_gcc, found.permutations_gi, strict=True):
        for i, j in enumerate(image):
            move[3 * j : 3 * j + 3, 3 * i : 3 * i + 3] = R
        assert np.allclose(move @ matrix, matrix @ move, atol=1e-10)
    values = []
    for irrep in irreps(found.product_gh):
        row = irrep.matrices_gmn[:, 0, 0].conj()
        projector = np.einsum("g,gab->ab", row, moves_g) * irrep.dimension / found.order
        weights, vectors = np.linalg.eigh(projector)
        assert np.allclose(weights, np.round(weights), atol=1e-10)
        columns = vectors[:, weights > 0.5]
        block = np.linalg.eigvalsh(columns.conj().T @ matrix @ columns)
        values += [block] * irrep.dimension * irrep.multiplicity
    assert np.allclose(np.sort(np.concatenate(values)), np.linalg.eigvalsh(matrix), atol=1e-10)


def vector_couplings(atoms):
    """A symmetric matrix between vectors on atoms that depends on pair vectors and elements alone."""
    n = len(atoms)
    matrix = np.zeros((n, 3, n, 3))
    for shift in np.ndindex(*np.where(atoms.pbc, 5, 1)):
        S = np.array(shift) - np.where(atoms.pbc, 2, 0)
        d = atoms.positions[None] - atoms.positions[:, None] + S @ atoms.cell.array
        r = np.linalg.norm(d, axis=2)
        strength = np.exp(-r) * np.maximum(5.5 - r, 0) ** 2
        matrix += np.einsum("ij,ijc,ijd->icjd", strength, d, d) - 0.7 * np.einsum(
            "ij,cd->icjd", strength, np.eye(3)
        )
    matrix = matrix.reshape(3 * n, 3 * n)
    return matrix + np.diag(np.repeat(atoms.numbers * 0.1, 3))
