"""NeighborList against a brute-force list over all images (hypothesis), and its skin against fresh lists."""

import copy
import itertools
import pickle

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ase_mlipgen.neighbors import CoincidentAtomsError, NeighborList, pairs


def brute_force(atoms, cutoff):
    """All pairs in the order (i, j, S), by trying every image that can be near."""
    shifts = images(atoms, cutoff)
    cell, positions = atoms.cell.array, atoms.positions
    i_p, j_p, d_pc = [], [], []
    for i, j in itertools.product(range(len(atoms)), repeat=2):
        d = positions[j] - positions[i] + shifts @ cell
        near = (np.linalg.norm(d, axis=1) < cutoff) & ~((i == j) & (shifts == 0).all(axis=1))
        i_p += [i] * int(near.sum())
        j_p += [j] * int(near.sum())
        d_pc.append(d[near])
    return np.array(i_p, dtype=int), np.array(j_p, dtype=int), np.concatenate(d_pc)


def images(atoms, cutoff):
    cell, pbc, positions = atoms.cell.array, atoms.pbc, atoms.positions
    n_images = np.zeros(3, dtype=int)
    if pbc.any():
        dual = np.linalg.pinv(cell[pbc])
        reach = cutoff + np.ptp(positions, axis=0).sum()
        n_images[pbc] = np.ceil(reach * np.linalg.norm(dual, axis=0)).astype(int)
    return np.array(list(itertools.product(*[range(-n, n + 1) for n in n_images])))


def is_clear_cut(atoms, cutoff):
    """No pair right at the cutoff, no two atoms in one place, and few enough images for brute force."""
    shifts = images(atoms, cutoff)
    if len(shifts) * len(atoms) ** 2 > 300_000:
        return False
    d = atoms.positions[:, None, None] - atoms.positions[:, None] + shifts @ atoms.cell.array
    r = np.linalg.norm(d, axis=-1)
    return (abs(r - cutoff) > 1e-8).all() and (r < 1e-6).sum() == len(atoms)


def assert_same(found, atoms, cutoff):
    i_p, j_p, d_pc = brute_force(atoms, cutoff)
    np.testing.assert_array_equal(found.centres(), i_p)
    np.testing.assert_array_equal(found.j_p, j_p)
    np.testing.assert_allclose(found.vectors(), d_pc, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(found.first_i, np.searchsorted(i_p, np.arange(len(atoms) + 1)))


def columns_of(found):
    return found.centres(), found.j_p, found.vectors()


@st.composite
def structures(draw):
    """Skewed cells, all boundary conditions, atoms in and out of the cell, zero vectors where not periodic."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pbc = np.array(draw(st.tuples(st.booleans(), st.booleans(), st.booleans())))
    lengths = np.array(draw(st.tuples(*[st.floats(1.5, 9.0)] * 3)))
    skew = draw(st.floats(0.0, 0.6))
    cell = lengths[:, None] * (np.eye(3) + skew * rng.uniform(-1, 1, (3, 3)))
    assume(np.abs(np.linalg.det(cell)) > 0.15 * lengths.prod())
    n_atoms = draw(st.integers(1, 6))
    fractional = rng.uniform(0, 1, (n_atoms, 3)) * draw(st.sampled_from([0.5, 1.0, 3.0])) - draw(
        st.floats(0, 2)
    )
    if draw(st.booleans()):
        fractional[0] = np.round(fractional[0])
    positions = fractional @ cell
    if draw(st.booleans()):
        cell[~pbc] = 0.0
    return Atoms(numbers=np.ones(n_atoms), positions=positions, cell=cell, pbc=pbc)


@settings(max_examples=250, deadline=None)
@given(atoms=structures(), cutoff=st.floats(0.8, 5.0))
def test_equals_brute_force(atoms, cutoff):
    assume(is_clear_cut(atoms, cutoff))
    assert_same(pairs(atoms, cutoff), atoms, cutoff)


@settings(max_examples=60, deadline=None)
@given(atoms=structures(), cutoff=st.floats(0.8, 4.0), skin=st.floats(0.01, 1.0), seed=st.integers(0, 2**32))
def test_skin_is_invisible(atoms, cutoff, skin, seed):
    """Within the cutoff, a list kept over moves is bitwise the list made afresh."""
    rng = np.random.default_rng(seed)
    neighbors = NeighborList(cutoff, skin)
    for _ in range(6):
        atoms.positions += rng.uniform(-0.2, 0.2, atoms.positions.shape) * skin
        kept, fresh = neighbors.pairs(atoms), pairs(atoms, cutoff)
        # d.d rounds as the fresh list's own test may not: pairs right at the cutoff may fall on either side.
        inside = np.linalg.norm(kept.vectors(), axis=1) < cutoff - 1e-9
        within = np.linalg.norm(fresh.vectors(), axis=1) < cutoff - 1e-9
        for columns in zip(columns_of(kept), columns_of(fresh), strict=True):
            np.testing.assert_array_equal(columns[0][inside], columns[1][within])


def test_rebuilt_only_when_needed():
    atoms = bulk("Cu", cubic=True)
    neighbors = NeighborList(3.0, skin=0.5)
    neighbors.pairs(atoms)
    atoms.positions[0, 0] += 0.24
    neighbors.pairs(atoms)
    assert neighbors.n_builds == 1
    changes = [
        lambda: atoms.positions.__iadd__([[0.02, 0, 0]] + [[0, 0, 0]] * (len(atoms) - 1)),
        lambda: atoms.set_cell(atoms.cell * 1.01),
        lambda: atoms.set_pbc((True, True, False)),
        lambda: atoms.set_atomic_numbers([28, 29, 29, 29]),
        lambda: atoms.pop(),
    ]
    for n_builds, change in enumerate(changes, start=2):
        change()
        found = neighbors.pairs(atoms)
        assert neighbors.n_builds == n_builds
        inside = np.linalg.norm(found.vectors(), axis=1) < 3.0
        np.testing.assert_array_equal(found.j_p[inside], brute_force(atoms, 3.0)[1])


def test_molecule_without_a_cell_and_far_fragments():
    atoms = molecule("CH3CH2OH")
    assert not atoms.cell.array.any()
    assert_same(pairs(atoms, 2.0), atoms, 2.0)
    apart = atoms + atoms
    apart.positions[len(atoms) :] += [1e7, -1e7, 1e7]
    assert len(pairs(apart, 2.0).j_p) == 2 * len(pairs(atoms, 2.0).j_p)


def test_lone_atom_has_no_pairs():
    found = pairs(Atoms("W"), 6.0)
    assert found.vectors().shape == (0, 3)
    assert found.first_i.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms(), "empty"),
        (Atoms("H", positions=[[np.nan, 0, 0]]), "position of atom 0"),
        (Atoms("H2", positions=[[0, 0, 0], [0, np.inf, 0]]), "position of atom 1"),
        (Atoms("H", pbc=True), "zero vector along a periodic direction"),
        (Atoms("H", cell=[[1, 0, 0], [2, 0, 0], [0, 0, 3]], pbc=True), "linearly dependent"),
        (Atoms("H", cell=[[1, 0, 0], [0, np.nan, 0], [0, 0, 3]], pbc=True), "not finite"),
        (Atoms("H", cell=[1e-3] * 3, pbc=True), r"within 0\.001 Å of its own periodic image"),
        (Atoms("H", cell=[1e-3, 4, 4], pbc=(True, False, True)), r"cell .* within 0\.001 Å"),
        (Atoms("H", cell=[[4, 0, 0], [4, 1e-6, 0], [0, 0, 4]], pbc=True), r"within 1e-06 Å"),
        (Atoms("H2", positions=[[0, 0, 0], [1e12, 0, 0]]), r"position of atom 1 .* within 1e\+08 Å"),
        (
            Atoms("H200", positions=np.random.default_rng(0).random((200, 3)) / 5, cell=[0.2] * 3, pbc=True),
            r"about 2\.\de\+06 neighbours within 3 Å",
        ),
        (
            Atoms(np.ones(60_000), positions=np.random.default_rng(0).random((60_000, 3))),
            "about 6e.04 neighbours",
        ),
    ],
)
def test_senseless_atoms(atoms, message):
    with pytest.raises(ValueError, match=message):
        pairs(atoms, 3.0)


def test_thin_but_sensible_cells_are_searched():
    """A skewed description of a crystal has heights of a hundredth of its bonds."""
    atoms = bulk("Cu", cubic=True)
    expected = np.sort(np.linalg.norm(pairs(atoms, 4.0).vectors(), axis=1))
    atoms.set_cell(np.array([[1, 60, 0], [0, 1, 0], [0, 0, 1]]) @ atoms.cell.array)
    found = np.sort(np.linalg.norm(pairs(atoms, 4.0).vectors(), axis=1))
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize(
    "pbc", [(True, True, True), (True, True, False), (False, True, True), (True, False, True)]
)
@pytest.mark.parametrize("cells", [3, 1000])
def test_vectors_sheared_by_many_cells_are_searched_at_once(pbc, cells):
    """Image by image, the second would take hours; the pairs are those of the compact cell."""
    vectors = np.array([[2.8, 0.1, 0.0], [0.2, 2.9, 0.3], [0.0, -0.1, 2.7]])
    compact = Atoms("W2", scaled_positions=[[0, 0, 0], [0.4, 0.5, 0.6]], cell=vectors, pbc=pbc)
    sheared = compact.copy()
    first, second = np.flatnonzero(pbc)[:2]
    vectors[first] += cells * vectors[second]
    vectors[second] += 2 * vectors[first]
    sheared.set_cell(vectors)
    expected, found = pairs(compact, 6.0), pairs(sheared, 6.0)
    np.testing.assert_array_equal(found.first_i, expected.first_i)
    for i in range(2):
        part = slice(*expected.first_i[i : i + 2])
        assert len(expected.j_p[part])
        each = [
            np.column_stack([some.j_p[part], some.vectors()[part].round(7) + 0.0])
            for some in (found, expected)
        ]
        np.testing.assert_allclose(*[one[np.lexsort(one.T)] for one in each], rtol=0, atol=1e-6)


def test_pairs_beyond_the_memory_are_refused(monkeypatch):
    monkeypatch.setattr("ase_mlipgen.sanity._memory", lambda: 1e6)
    with pytest.raises(ValueError, match=r"the 4000 atoms have about .* GiB"):
        pairs(bulk("Cu", cubic=True).repeat(10), 6.0)
    pairs(bulk("Cu", cubic=True), 6.0)


def test_nan_after_a_build_is_noticed():
    atoms = bulk("Cu", cubic=True)
    neighbors = NeighborList(3.0)
    neighbors.pairs(atoms)
    atoms.positions[2, 1] = np.nan
    with pytest.raises(ValueError, match="position of atom 2"):
        neighbors.pairs(atoms)


def test_two_atoms_in_one_place():
    with pytest.raises(CoincidentAtomsError, match="atoms"):
        pairs(Atoms("H2", positions=[[1, 1, 1], [1, 1, 1]]), 3.0)
    with pytest.raises(CoincidentAtomsError, match="periodic image"):
        pairs(Atoms("H2", positions=[[0, 0, 0], [0, 0, 4]], cell=[4, 4, 4], pbc=True), 3.0)


@pytest.mark.parametrize("arguments", [(0.0,), (-1.0,), (np.nan,), (np.inf,), (3.0, -0.1), (3.0, np.nan)])
def test_senseless_lengths(arguments):
    with pytest.raises(ValueError, match="expected a"):
        NeighborList(*arguments)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_work_and_are_independent(duplicate):
    atoms = bulk("Cu", cubic=True)
    neighbors = NeighborList(3.0)
    expected = neighbors.pairs(atoms)
    other = duplicate(neighbors)
    np.testing.assert_array_equal(other.pairs(atoms).vectors(), expected.vectors())
    other.pairs(Atoms("H"))
    assert neighbors.n_builds == 1
    np.testing.assert_array_equal(neighbors.pairs(atoms).j_p, expected.j_p)
