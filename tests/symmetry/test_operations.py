import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk, fcc111, hcp0001, nanotube
from ase.build import molecule as ase_molecule

from ase_mlipgen.symmetry.operations import find_operations
from tests.symmetry.structures import parts, silicon, tetrahedron


def spglib_order(atoms, symprec=1e-6):
    found = spglib.get_symmetry(
        (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=symprec
    )
    return len(found["rotations"])


def check_group(found, atoms, tolerance=1e-9):
    """The operations act as they say, and form a group, by products of their own."""
    assert np.allclose(found.rotations_gcc[0], np.eye(3), atol=0)
    assert np.array_equal(found.permutations_gi[0], np.arange(len(atoms)))
    inverse = np.linalg.inv(atoms.cell.complete().array)
    keys = set()
    for R, t, image in zip(found.rotations_gcc, found.shifts_gc, found.permutations_gi, strict=True):
        assert np.allclose(R @ R.T, np.eye(3), atol=1e-12)
        off = (atoms.positions[image] - atoms.positions @ R.T - t) @ inverse
        off -= np.round(off) * atoms.pbc
        assert abs(off @ atoms.cell.complete().array).max() < tolerance
        assert np.array_equal(atoms.numbers[image], atoms.numbers)
        keys.add((tuple(np.round(R, 6).ravel() + 0.0), tuple(image)))
    assert len(keys) == found.order
    table = found.product_gh
    for g in range(found.order):
        for h in range(0, found.order, 5):
            k = table[g, h]
            assert np.allclose(
                found.rotations_gcc[g] @ found.rotations_gcc[h], found.rotations_gcc[k], atol=1e-12
            )
            assert np.array_equal(
                found.permutations_gi[g][found.permutations_gi[h]], found.permutations_gi[k]
            )
    assert np.array_equal(table[np.arange(found.order), found.inverse_g], np.zeros(found.order))


VACANCIES = {
    "vacancy": (2, [(0, 0, 0)], 24),
    "vacancy in 27 cells": (3, [(0, 0, 0)], 24),
    "half a cell apart": (2, [(0, 0, 0), (1, 1, 1)], 48),
    "nearest pair": (3, [(0, 0, 0), (0.25, 0.25, 0.25)], 12),
    "second nearest pair": (3, [(0, 0, 0), (0.5, 0.5, 0)], 4),
    "along a cube edge": (4, [(0, 0, 0), (1, 0, 0)], 8),
    "half an edge": (4, [(0, 0, 0), (2, 0, 0)], 16),
    "one different": (3, [(0, 0, 0), (0.75, 0.25, -0.25)], 4),
    "inversion alone": (4, [(0, 0, 0), (1.25, 0.75, -0.25)], 2),
    "three": (3, [(0, 0, 0), (0.25, 0.25, 0.25), (1, 0.5, 0)], None),
}


@pytest.mark.parametrize("name", VACANCIES)
def test_vacancies_as_spglib(name):
    n, places, order = VACANCIES[name]
    atoms = silicon(n, *places)
    found = find_operations(*parts(atoms))
    assert found.order == spglib_order(atoms)
    assert order is None or found.order == order
    check_group(found, atoms)


def crystals():
    yield "primitive diamond", bulk("Si", "diamond", a=5.43)
    yield "conventional diamond", bulk("Si", "diamond", a=5.43, cubic=True)
    yield "hcp", bulk("Mg", "hcp", a=3.2, c=5.2)
    yield "wurtzite", bulk("ZnO", "wurtzite", a=3.25, c=5.2)
    yield "bcc", bulk("Fe", "bcc", a=2.87)
    yield "zincblende", bulk("GaAs", "zincblende", a=5.65, cubic=True)
    yield "hcp 2x2x1", bulk("Mg", "hcp", a=3.2, c=5.2).repeat((2, 2, 1))
    vacancy = bulk("Mg", "hcp", a=3.2, c=5.2).repeat((3, 3, 2))
    del vacancy[4]
    yield "hcp vacancy", vacancy
    triclinic = [(3, 0, 0), (0.4, 3.5, 0), (0.3, 0.7, 4)]
    yield (
        "triclinic, inversion",
        Atoms("Cu2", scaled_positions=[(0.1, 0.2, 0.3), (0.4, 0.9, 0.7)], cell=triclinic, pbc=True),
    )
    yield (
        "triclinic, none",
        Atoms(
            "CuAgAu",
            scaled_positions=[(0, 0, 0), (0.3, 0.2, 0.1), (0.4, 0.8, 0.65)],
            cell=triclinic,
            pbc=True,
        ),
    )
    skewed = bulk("Mg", "hcp", a=3.2, c=5.2)
    skewed.set_cell(np.array([(1, 0, 0), (7, 1, 0), (-3, 5, 1)]) @ skewed.cell.array)
    yield "hcp, long vectors", skewed


@pytest.mark.parametrize(("name", "atoms"), list(crystals()), ids=[name for name, _ in crystals()])
def test_crystals_as_spglib(name, atoms):
    found = find_operations(*parts(atoms))
    assert found.order == spglib_order(atoms)
    check_group(found, atoms)


def water():
    return Atoms("OH2", [(0, 0, 0.12), (0, 0.76, -0.48), (0, -0.76, -0.48)])


def ring(n):
    angle = 2 * np.pi * np.arange(n) / n
    return Atoms(f"C{n}", np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1) * n * 0.25)


MOLECULES = {
    "tetrahedron": (tetrahedron(), 24),
    "water": (water(), 4),
    "ammonia": (
        Atoms(
            "NH3", [(0, 0, 0.3), (0, 0.94, 0), (0.94 * 3**0.5 / 2, -0.47, 0), (-0.94 * 3**0.5 / 2, -0.47, 0)]
        ),
        6,
    ),
    "octahedron": (Atoms("SF6", np.concatenate([np.zeros((1, 3)), 1.6 * np.eye(3), -1.6 * np.eye(3)])), 48),
    "dimer": (Atoms("N2", [(0, 0, 0), (0.3, 0.4, 1.0)]), 16),
    "unlike dimer": (Atoms("CO", [(0, 0, 0), (0.3, 0.4, 1.0)]), 8),
    "atom": (Atoms("Si", [(1, 2, 3)]), 48),
    "ring of six": (ring(6), 24),
    "ring of seven": (ring(7), 28),
    "four different": (Atoms("HCNO", [(0, 0, 0), (1.1, 0, 0), (0, 1.2, 0), (0, 0, 1.3)]), 1),
}


@pytest.mark.parametrize("name", MOLECULES)
def test_molecules(name):
    atoms, order = MOLECULES[name]
    atoms.rotate(37, (1, 2, 3))
    found = find_operations(*parts(atoms))
    assert found.order == order
    check_group(found, atoms)


def test_icosahedral_molecule():
    atoms = ase_molecule("C60")
    found = find_operations(*parts(atoms), symprec=1e-2)
    assert found.order == 120
    check_group(found, atoms, tolerance=1e-2)


def test_large_groups_get_a_subgroup():
    for n in (60, 1001):
        found = find_operations(*parts(ring(n)))
        assert 4 <= found.order <= 192
        check_group(found, ring(n))
    perfect = silicon(3)
    found = find_operations(*parts(perfect))
    assert found.order == 24
    assert (found.permutations_gi == np.arange(len(perfect))).all(axis=0).any()
    small = find_operations(*parts(silicon(2, (0, 0, 0))), max_order=10)
    assert 1 < small.order <= 10
    check_group(small, silicon(2, (0, 0, 0)))


def test_slabs_as_spglib_with_vacuum():
    for atoms in (fcc111("Al", (2, 2, 3), vacuum=8.0), hcp0001("Mg", (2, 1, 4), vacuum=8.0)):
        found = find_operations(atoms.positions, atoms.cell.array, [True, True, False], atoms.numbers)
        assert found.order == spglib_order(atoms)
        atoms.pbc = (True, True, False)
        check_group(found, atoms)


def test_cell_vector_along_an_open_direction_does_not_matter():
    atoms = fcc111("Al", (1, 1, 3), vacuum=5.0)
    atoms.pbc = (True, True, False)
    expected = find_operations(*parts(atoms)).order
    assert expected == 12
    atoms.cell[2] = (0, 0, 0)
    assert find_operations(*parts(atoms)).order == expected
    atoms.cell[2] = (1, 2, 1)
    assert find_operations(*parts(atoms)).order == expected


def test_wires():
    chain = Atoms("C2", [(0, 0, 0), (0, 0, 1.2)], cell=(0, 0, 3), pbc=(False, False, True))
    assert find_operations(*parts(chain)).order == 16
    square = [(1, 1, 0), (1, -1, 0), (-1, 1, 0), (-1, -1, 0)]
    wire = Atoms("Au4", square, cell=(0, 0, 2.5), pbc=(False, False, True))
    assert find_operations(*parts(wire)).order == 16
    wire[0].symbol = "Ag"
    assert find_operations(*parts(wire)).order == 4


def test_atoms_above_one_another_along_a_wire():
    wire = nanotube(4, 4, length=1)
    wire.pbc = (False, False, True)
    found = find_operations(*parts(wire), symprec=1e-6)
    # Of the tube itself: 8 turns, twofold axes across and a mirror.
    assert found.order == 32
    check_group(found, wire, tolerance=1e-6)


def test_noise_as_large_as_symprec_takes_no_time():
    atoms = bulk("GaAs", "zincblende", a=5.65, cubic=True).repeat(6)
    atoms.positions += np.random.default_rng(0).normal(size=atoms.positions.shape) * 1e-4
    for symprec in (2e-4, 2.5e-4, 4e-4):
        found = find_operations(*parts(atoms), symprec=symprec)
        check_group(found, atoms, tolerance=2e-3)


def test_large_cells():
    for places, order in (([(0, 0, 0), (5, 5, 5)], 48), ([(0, 0, 0), (4, 0, 0)], 8)):
        atoms = silicon(10, *places)
        assert len(atoms) == 7998
        found = find_operations(*parts(atoms))
        assert found.order == order
        assert found.deviation(atoms.positions, atoms.cell.array, atoms.pbc) < 1e-10


def test_a_displaced_atom_breaks_what_moves_it():
    atoms = silicon(2, (0, 0, 0))
    site = find_operations(*parts(atoms))
    keeps = (site.permutations_gi[:, 5] == 5) & (
        abs(site.rotations_gcc @ (1, 2, 3) - (1, 2, 3)).max(axis=1) < 1e-9
    )
    atoms.positions[5] += np.array([1, 2, 3]) * 3e-6
    assert find_operations(*parts(atoms)).order == keeps.sum() < 24
    assert find_operations(*parts(atoms), symprec=1e-4).order == 24
    assert site.deviation(atoms.positions, atoms.cell.array, atoms.pbc) > 1e-6


def test_strain_breaks_the_lattice():
    atoms = silicon(2, (0, 0, 0))
    whole = find_operations(*parts(atoms))
    atoms.set_cell(atoms.cell.array @ np.diag([1.001, 1, 1]), scale_atoms=True)
    assert find_operations(*parts(atoms)).order == spglib_order(atoms) == 8
    assert whole.deviation(atoms.positions, atoms.cell.array, atoms.pbc) > 1e-3


def test_drift_and_wrapping_do_not_matter():
    atoms = silicon(3, (0, 0, 0), (0.25, 0.25, 0.25))
    first = find_operations(*parts(atoms))
    atoms.positions += (0.1234, -3.21, 17.7)
    atoms.positions[::3] += atoms.cell.array[1] * 4
    assert first.deviation(atoms.positions, atoms.cell.array, atoms.pbc) < 1e-10
    again = find_operations(*parts(atoms))
    assert again.order == first.order == 12
    atoms.wrap()
    assert find_operations(*parts(atoms)).order == 12


def test_rotated_cell():
    atoms = silicon(3, (0, 0, 0), (0.25, 0.25, 0.25))
    atoms.rotate(31, (1, 2, -1), rotate_cell=True)
    found = find_operations(*parts(atoms))
    assert found.order == 12
    check_group(found, atoms)


def test_noise_within_symprec_still_gives_a_group():
    for amplitude in (1e-5, 1e-4, 3e-4):
        atoms = silicon(2, (0, 0, 0), (1, 1, 1))
        atoms.positions += np.random.default_rng(1).uniform(-1, 1, atoms.positions.shape) * amplitude
        found = find_operations(*parts(atoms), symprec=4e-4)
        check_group(found, atoms, tolerance=1e-3)
        if amplitude < 2e-4:
            assert found.order == 48


def test_results_are_the_same_every_time():
    atoms = silicon(3, (0, 0, 0), (0.5, 0.5, 0))
    a, b = find_operations(*parts(atoms)), find_operations(*parts(atoms))
    for name in ("rotations_gcc", "shifts_gc", "permutations_gi"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes()


def test_subgroup():
    whole = find_operations(*parts(silicon(2, (0, 0, 0))))
    proper = whole.subgroup(np.linalg.det(whole.rotations_gcc) > 0)
    assert proper.order == 12
    check_group(proper, silicon(2, (0, 0, 0)))
    with pytest.raises(ValueError, match="no group"):
        whole.subgroup([0, 1, 2, 3, 4])
    with pytest.raises(ValueError, match="identity"):
        whole.subgroup([1])


def test_atoms_in_one_place_have_the_trivial_group():
    atoms = silicon(1)
    atoms.positions[3] = atoms.positions[2]
    assert find_operations(*parts(atoms)).order == 1


def test_errors():
    atoms = silicon(1)
    with pytest.raises(ValueError, match="empty"):
        find_operations(np.zeros((0, 3)), np.eye(3), [True] * 3, [])
    with pytest.raises(ValueError, match="symprec = 0"):
        find_operations(*parts(atoms), symprec=0)
    with pytest.raises(ValueError, match="max_order = 0"):
        find_operations(*parts(atoms), max_order=0)
    with pytest.raises(ValueError, match="span 3 dimensions"):
        find_operations(atoms.positions, np.ones((3, 3)), atoms.pbc, atoms.numbers)
    atoms.positions[2, 1] = np.nan
    with pytest.raises(ValueError, match="position of atom 2"):
        find_operations(*parts(atoms))
