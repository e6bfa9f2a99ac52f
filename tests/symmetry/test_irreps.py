import itertools

import numpy as np
import pytest

from ase_mlipgen.symmetry.irreps import irreps
from ase_mlipgen.symmetry.operations import find_operations
from tests.symmetry.structures import parts, silicon


def table(elements, multiply):
    place = {e: i for i, e in enumerate(elements)}
    return np.array([[place[multiply(a, b)] for b in elements] for a in elements])


def cyclic(n):
    return table(range(n), lambda a, b: (a + b) % n)


def symmetric(n):
    return table(list(itertools.permutations(range(n))), lambda a, b: tuple(a[i] for i in b))


def direct(a, b):
    n = len(b)
    return np.array(
        [[a[i // n, j // n] * n + b[i % n, j % n] for j in range(len(a) * n)] for i in range(len(a) * n)]
    )


def matrix_group(*generators):
    """Return the table of the group that complex matrices generate."""

    def key(m):
        return tuple(np.round(m, 6).ravel() + 0.0)

    found = {key(np.eye(len(generators[0]))): np.eye(len(generators[0]))}
    new = list(found.values())
    while new:
        products = [m @ g for m in new for g in generators]
        new = []
        for m in products:
            if key(m) not in found:
                found[key(m)] = m
                new.append(m)
    elements = list(found)
    place = {e: i for i, e in enumerate(elements)}
    return np.array([[place[key(found[a] @ found[b])] for b in elements] for a in elements])


I, J = np.array([[1j, 0], [0, -1j]]), np.array([[0, 1], [-1, 0]], complex)
OMEGA = -(np.eye(2) + I + J + I @ J) / 2
X4, S4 = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]), np.array([[0, -1, 0], [1, 0, 0], [0, 0, -1]])
THREE = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])
OH = matrix_group(X4, THREE, -np.eye(3))
# (dimension, is_real, multiplicity) of each, from the character tables.
GROUPS = {
    "C1": (cyclic(1), [(1, True, 1)]),
    "C2": (cyclic(2), [(1, True, 1)] * 2),
    "C3": (cyclic(3), [(1, True, 1), (1, False, 2)]),
    "S4 improper": (matrix_group(S4), [(1, True, 1)] * 2 + [(1, False, 2)]),
    "C7": (cyclic(7), [(1, True, 1)] + [(1, False, 2)] * 3),
    "D2d": (matrix_group(S4, np.diag([1, -1, -1])), [(1, True, 1)] * 4 + [(2, True, 1)]),
    "D3": (symmetric(3), [(1, True, 1)] * 2 + [(2, True, 1)]),
    "Q8": (matrix_group(I, J), [(1, True, 1)] * 4 + [(2, False, 1)]),
    "Q8 x C3": (
        direct(matrix_group(I, J), cyclic(3)),
        [(1, True, 1)] * 4 + [(1, False, 2)] * 4 + [(2, False, 1), (2, False, 2)],
    ),
    "T": (matrix_group(THREE, np.diag([1, -1, -1])), [(1, True, 1), (1, False, 2), (3, True, 1)]),
    "binary tetrahedral": (
        matrix_group(I, OMEGA),
        [(1, True, 1), (1, False, 2), (2, False, 1), (2, False, 2), (3, True, 1)],
    ),
    "S4 permutations": (symmetric(4), [(1, True, 1)] * 2 + [(2, True, 1)] + [(3, True, 1)] * 2),
    "Oh": (OH, [(1, True, 1)] * 4 + [(2, True, 1)] * 2 + [(3, True, 1)] * 4),
    "Z2 x Oh": (direct(cyclic(2), OH), [(1, True, 1)] * 8 + [(2, True, 1)] * 4 + [(3, True, 1)] * 8),
    "S5": (symmetric(5), [(1, True, 1)] * 2 + [(4, True, 1)] * 2 + [(5, True, 1)] * 2 + [(6, True, 1)]),
    "Z4 x Oh": (direct(cyclic(4), OH), None),
}


@pytest.mark.parametrize("name", GROUPS)
def test_groups(name):
    product, expected = GROUPS[name]
    found = irreps(product)
    kinds = [(r.dimension, r.is_real, r.multiplicity) for r in found]
    if expected is not None:
        assert sorted(kinds) == sorted(expected)
    assert found[0].dimension == 1
    assert found[0].characters_g == pytest.approx(1.0)
    assert [k[0] for k in kinds] == sorted(k[0] for k in kinds)
    check(found, product)


def check(found, product):
    """Unitary, homomorphic, and matrix elements orthogonal in the sense of Schur, conjugates included."""
    n = len(product)
    rows = []
    for r in found:
        m = r.matrices_gmn
        assert m.dtype == (np.float64 if r.is_real else np.complex128)
        assert np.allclose(m[product], np.einsum("gab,hbc->ghac", m, m), atol=1e-12)
        both = [m, m.conj()][: r.multiplicity]
        rows += [matrices.reshape(n, -1).T * np.sqrt(r.dimension / n) for matrices in both]
    elements = np.concatenate(rows)
    assert elements.shape == (n, n)
    assert np.allclose(elements.conj() @ elements.T, np.eye(n), atol=1e-11)


def test_frobenius_schur():
    for name, (product, _) in GROUPS.items():
        for r in irreps(product):
            indicator = r.characters_g[np.diagonal(product)].mean()
            expected = 1 if r.is_real else 0 if r.multiplicity == 2 else -1
            assert abs(indicator - expected) < 1e-9, name


def test_group_of_a_crystal():
    found = find_operations(*parts(silicon(2, (0, 0, 0), (1, 1, 1))))
    representations = irreps(found.product_gh)
    check(representations, found.product_gh)
    # Td x Z2
    assert [r.dimension for r in representations] == [1] * 4 + [2] * 2 + [3] * 4


def test_the_same_every_time():
    a, b = irreps(OH), irreps(OH)
    assert all(x.matrices_gmn.tobytes() == y.matrices_gmn.tobytes() for x, y in zip(a, b, strict=True))


def test_no_group():
    with pytest.raises(ValueError, match="no table of a group"):
        irreps(np.zeros((3, 3), int))
    with pytest.raises(ValueError, match="no table of a group"):
        irreps(np.array([[1, 0], [0, 1]]))
    # A Latin square with an identity that is not associative: a loop of five elements.
    loop = np.array([[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]])
    with pytest.raises(RuntimeError, match="associative"):
        irreps(loop)
