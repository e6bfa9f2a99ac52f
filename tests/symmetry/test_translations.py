import itertools

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk

from ase_mlipgen.symmetry.lattice import hermite, reduced
from ase_mlipgen.symmetry.operations import reduce_by_translations
from tests.symmetry.structures import parts, silicon


def supercells():
    yield "conventional", bulk("Si", "diamond", a=5.43, cubic=True), 4
    yield "3 cubed", silicon(3), 108
    yield "zincblende", bulk("GaAs", "zincblende", a=5.65, cubic=True).repeat((2, 1, 3)), 24
    hcp = bulk("Mg", "hcp", a=3.2, c=5.2)
    yield "hcp", hcp.repeat((3, 2, 2)), 12
    left = hcp.repeat((2, 2, 1))
    left.set_cell(left.cell.array[[1, 0, 2]])
    yield "left-handed", left, 4
    yield "vacancy pair", silicon(2, (0, 0, 0), (1, 1, 1)), 2
    slanted = hcp.repeat((4, 1, 1))
    slanted.set_cell(np.array([(1, 0, 0), (3, 1, 0), (-2, 0, 1)]) @ slanted.cell.array)
    slanted.rotate(20, (1, 2, 3), rotate_cell=True)
    yield "slanted", slanted, 4


CASES = list(supercells())
SMALL = [case for case in CASES if len(case[1]) <= 64]


@pytest.mark.parametrize(("name", "atoms", "n"), CASES, ids=[c[0] for c in CASES])
def test_primitive_cell(name, atoms, n):
    found = reduce_by_translations(*parts(atoms))
    assert found.n_translations == n == round(np.linalg.det(found.matrix))
    assert np.allclose(found.matrix @ found.cell, atoms.cell.array, atol=1e-12)
    members = found.members_i[found.member_of_i]
    off = (atoms.positions - atoms.positions[members]) @ np.linalg.inv(found.cell)
    assert np.allclose(off, np.round(off), atol=1e-9)
    assert np.array_equal(np.bincount(found.member_of_i), np.full(len(atoms) // n, n))
    assert np.array_equal(found.members_i[np.arange(len(found.members_i))], np.sort(found.members_i))
    assert np.array_equal(found.member_of_i[found.members_i], np.arange(len(found.members_i)))
    primitive = spglib.find_primitive(
        (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=1e-5
    )
    assert len(found.members_i) == len(primitive[1])


@pytest.mark.parametrize(("name", "atoms", "n"), SMALL, ids=[c[0] for c in SMALL])
@pytest.mark.parametrize("q", [(0, 0, 0), (0.13, -0.4, 0.21)], ids=["Gamma", "q"])
def test_bands_fold(name, atoms, n, q):
    """Eigenvalues of a matrix that decays with distance: those of the big cell are those of all k together."""
    found = reduce_by_translations(*parts(atoms))
    small = Atoms(atoms.numbers[found.members_i], atoms.positions[found.members_i], cell=found.cell, pbc=True)
    whole = bands(atoms, np.array(q))
    points = found.scaled_k + np.array(q) @ np.linalg.inv(found.matrix).T
    assert np.allclose(found.scaled_k[0], 0, atol=0)
    folded = np.sort(np.concatenate([bands(small, k) for k in points]))
    assert np.ptp(whole) > 0.1
    assert np.allclose(whole, folded, atol=1e-9)


def bands(atoms, k):
    width = np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0).max()
    n = int(np.ceil(6.0 * width)) + 6
    d = atoms.positions[None] - atoms.positions[:, None]
    scaled = d @ np.linalg.inv(atoms.cell.array)
    total = np.zeros(scaled.shape[:2], complex)
    for shift in np.ndindex(*(2 * n + 1,) * 3):
        S = np.array(shift) - n
        near = np.linalg.norm(d + S @ atoms.cell.array, axis=2)
        if near.min() < 6.0:
            total += np.where(near < 6.0, np.exp(-near) * (6.0 - near) ** 2, 0) * np.exp(2j * np.pi * (S @ k))
    total += np.diag(atoms.numbers * 0.01)
    return np.linalg.eigvalsh(total)


def test_nothing_to_reduce():
    assert reduce_by_translations(*parts(bulk("Si", "diamond", a=5.43))) is None
    assert reduce_by_translations(*parts(silicon(2, (0, 0, 0)))) is None
    atoms = silicon(2)
    atoms.pbc = (True, True, False)
    assert reduce_by_translations(*parts(atoms)) is None
    atoms = silicon(2)
    atoms.positions[3, 0] += 1e-4
    assert reduce_by_translations(*parts(atoms)) is None


def test_large_cell():
    atoms = silicon(10)
    found = reduce_by_translations(*parts(atoms))
    assert found.n_translations == 4000
    assert len(np.unique(np.round(found.scaled_k, 6), axis=0)) == 4000
    products = found.scaled_k @ found.matrix.T
    assert np.allclose(products, np.round(products), atol=1e-9)


def test_long_thin_cell():
    atoms = bulk("Cu", "fcc", a=3.6).repeat((2000, 1, 1))
    found = reduce_by_translations(*parts(atoms))
    assert found.n_translations == 2000
    assert np.linalg.det(found.cell) == pytest.approx(3.6**3 / 4)


def test_short_vectors():
    rng = np.random.default_rng(0)
    for _ in range(20):
        lattice = rng.standard_normal((3, 3))
        rows = rng.integers(-4, 5, (5, 3))
        triangle = np.array(hermite(rows.tolist()))
        assert np.array_equal(triangle, np.triu(triangle))
        minors = [round(np.linalg.det(rows[list(chosen)])) for chosen in itertools.combinations(range(5), 3)]
        assert np.prod(triangle.diagonal()) == np.gcd.reduce(minors)
        assert np.allclose(np.modf(rows @ np.linalg.inv(triangle) + 0.5)[0] % 1, 0.5, atol=1e-9)
        U = np.array([(1, 0, 0), (rng.integers(9), 1, 0), (rng.integers(9), rng.integers(9), 1)])
        basis = reduced(U @ lattice)
        back = basis @ np.linalg.inv(lattice)
        assert np.allclose(back, np.round(back), atol=1e-9)
        assert abs(np.linalg.det(back)) == pytest.approx(1)
        grid = np.array(list(np.ndindex(7, 7, 7))) - 3
        shortest = np.sort(np.linalg.norm(grid[np.any(grid, axis=1)] @ basis, axis=1))[0]
        assert np.linalg.norm(basis, axis=1).min() == pytest.approx(shortest)
