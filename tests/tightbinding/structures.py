"""Structures with just the symmetry asked for, and comparison of all results, for the tests of tight binding."""

import numpy as np
from ase import Atoms
from ase.build import bulk, make_supercell

from ase_mlipgen.symmetry.operations import find_operations
from ase_mlipgen.symmetry.structures import symmetrised_vectors

A = 5.43  # Å, silicon


def parts(atoms):
    return atoms.positions, atoms.cell.array, atoms.pbc, atoms.numbers


def operations_of(atoms, max_order=192):
    return find_operations(*parts(atoms), symprec=1e-7, max_order=max_order)


def silicon(n=1, *, amplitude=0.0, seed=1):
    """Return n^3 conventional cells of diamond, every atom moved at random."""
    atoms = bulk("Si", "diamond", a=A, cubic=True).repeat(n)
    atoms.rattle(amplitude, seed=seed)
    return atoms


def primitive(n=1, *, amplitude=0.0, seed=1):
    """Return n^3 primitive cells of diamond: cell vectors of a rhombohedron."""
    atoms = bulk("Si", "diamond", a=A).repeat(n)
    atoms.rattle(amplitude, seed=seed)
    return atoms


def hexagonal(n=1):
    """Return six atoms of diamond along [111], n^2 times."""
    return make_supercell(bulk("Si", "diamond", a=A), [[1, -1, 0], [0, 1, -1], [1, 1, 1]]).repeat((n, n, 1))


def cluster(radius=4.5):
    """Return the atoms of diamond within a distance of one, not periodic."""
    atoms = silicon(3)
    D = atoms.get_distances(0, range(len(atoms)), mic=True, vector=True)
    near = np.linalg.norm(D, axis=1) < radius
    return Atoms(f"Si{near.sum()}", D[near])


def closure(table, elements):
    """Return the elements of a group that some of them generate, by number."""
    found = {0, *elements}
    while True:
        more = found | {int(table[g, h]) for g in found for h in found}
        if more == found:
            return found
        found = more


def generated_by(operations, *wanted):
    """Return the subgroup that operations of some orders and kinds generate, none a product of those before it."""
    table, known = operations.product_gh, {0}
    chosen = []
    for order, angle in wanted:
        chosen.append(element(operations, order, angle, without=known))
        known = closure(table, chosen)
    return operations.subgroup(sorted(known))


def with_symmetry(atoms, operations, amplitude=0.06):
    """Return atoms moved at random, but for the symmetry that is left them."""
    atoms = atoms.copy()
    moves = np.random.default_rng(5).normal(0, amplitude, (len(atoms), 3))
    atoms.positions += symmetrised_vectors(moves, operations) * np.sqrt(operations.order)
    return atoms


def kind(R):
    """Return the angle of a rotation in degrees, negative if it is followed by inversion."""
    det = round(float(np.linalg.det(R)))
    angle = np.degrees(np.arccos(np.clip((det * np.trace(R) - 1) / 2, -1, 1)))
    return det * round(float(angle)) if angle > 1 else (0 if det > 0 else -360)


def order_of(operations, g):
    """Return after how many times an operation is the identity."""
    n, h = 1, g
    while h != 0:
        n, h = n + 1, operations.product_gh[g, h]
    return n


def element(operations, order, angle, *, without=()):
    """Return the first operation of an order and a kind that is not among some."""
    for g, R in enumerate(operations.rotations_gcc):
        if g not in without and order_of(operations, g) == order and kind(R) == angle:
            return g
    raise AssertionError(f"no operation of order {order} and kind {angle}")


def assert_same_results(found, expected, *, energy=1e-10, force=1e-11):
    """Hold results of two calculators to one another; energies in eV."""
    for name in ("energy", "free_energy", "energies", "entropy_term", "charges", "fermi_level", "band_gap"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=energy, err_msg=name)
    for name in ("eigenvalues", "occupations"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=energy, err_msg=name)
    np.testing.assert_allclose(found["forces"], expected["forces"], rtol=0, atol=force)
    assert ("stress" in found) == ("stress" in expected)
    if "stress" in found:
        np.testing.assert_allclose(found["stress"], expected["stress"], rtol=0, atol=force)
