"""Columns of irreps: their number, orthonormality, and that they turn as the irrep says."""

import numpy as np
import pytest

from ase_mlipgen.symmetry.irreps import irreps
from ase_mlipgen.tightbinding.adapted import Orbits, adapt
from ase_mlipgen.tightbinding.setup import Group
from tests.symmetry.structures import silicon as with_vacancies
from tests.tightbinding.structures import cluster, generated_by, hexagonal, operations_of, primitive

STRUCTURES = {
    "molecule": cluster,
    "hexagonal": hexagonal,
    "rhombohedral": lambda: primitive(2),
    "vacancy": lambda: with_vacancies(2, (0, 0, 0)),
    "two vacancies": lambda: with_vacancies(2, (0, 0, 0), (1, 1, 1)),
}


def group_of(name):
    """Return the group of a structure, or the part of it that generators, as in "molecule C3", make."""
    parent, _, part = name.partition(" by ")
    operations = operations_of(STRUCTURES[parent]())
    wanted = {"C3": [(3, 120)], "S4": [(4, -90)], "T": [(3, 120), (2, 180)], "": None}[part]
    return operations if wanted is None else generated_by(operations, *wanted)


NAMES = [*STRUCTURES, "molecule by C3", "molecule by S4", "molecule by T", "vacancy by S4"]


def full_column(orbits, adapted, operations, lam, r, column):
    """Return the function psi_lambda on all atoms that one column stands for, by the formula of the module."""
    G, w = adapted.irrep.matrices_gmn, adapted.w_kmua[adapted.kind_r[r], :, :, column]
    psi = np.zeros((operations.permutations_gi.shape[1], orbits.n_orbitals), dtype=complex)
    for g, image in enumerate(operations.permutations_gi):
        psi[image[orbits.atoms_r[r]]] += np.einsum("m,uv,mv->u", G[g, lam].conj(), orbits.D_guv[g], w)
    n_stabilizer = len(orbits.stabilizers_r[r])
    return (psi * np.sqrt(adapted.irrep.dimension / orbits.size_r[r]) / n_stabilizer).ravel()


@pytest.mark.parametrize("n_orbitals", [4, 9])
@pytest.mark.parametrize("name", NAMES)
def test_blocks_hold_every_orbital_once(name, n_orbitals):
    operations = group_of(name)
    group = Group.of(operations, n_orbitals)
    n_atoms = operations.permutations_gi.shape[1]
    total = sum(a.size * a.irrep.dimension * a.irrep.multiplicity for a in group.adapted)
    assert total == n_atoms * n_orbitals
    for adapted in group.adapted:
        assert adapted.size > 0
        assert adapted.first_r[0] == 0
        assert (np.diff(adapted.first_r) >= 0).all()


@pytest.mark.parametrize(
    "name", ["molecule", "molecule by C3", "molecule by S4", "hexagonal", "rhombohedral"]
)
def test_sizes_are_those_of_character_theory(name):
    """How often an irrep occurs among the orbitals: the mean over the group of its character with theirs."""
    operations, n_orbitals = group_of(name), 9
    orbits = Orbits.of(operations, n_orbitals)
    stays_g = (operations.permutations_gi == np.arange(operations.permutations_gi.shape[1])).sum(axis=1)
    character_g = stays_g * np.trace(orbits.D_guv, axis1=1, axis2=2)
    for irrep in irreps(operations.product_gh):
        own_g = np.trace(irrep.matrices_gmn, axis1=1, axis2=2)
        expected = np.mean(own_g.conj() * character_g)
        assert adapt(orbits, irrep).size == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["molecule", "molecule by S4", "molecule by T", "hexagonal"])
def test_columns_are_orthonormal_and_turn_as_their_irrep(name):
    operations, n_orbitals = group_of(name), 9
    orbits = Orbits.of(operations, n_orbitals)
    n_atoms = operations.permutations_gi.shape[1]
    every = []
    for irrep in irreps(operations.product_gh):
        adapted = adapt(orbits, irrep)
        if not adapted.size:
            continue
        places = [(r, c) for r in range(len(orbits.size_r)) for c in range(np.diff(adapted.first_r)[r])]
        psi = np.array(
            [
                [full_column(orbits, adapted, operations, lam, r, c) for r, c in places]
                for lam in range(irrep.dimension)
            ]
        ).reshape(irrep.dimension, len(places), -1)
        every.append(psi.reshape(-1, psi.shape[-1]))
        if irrep.multiplicity == 2:  # the conjugate, whose levels are the same
            every.append(every[-1].conj())
        for g in range(operations.order):
            turned = np.zeros_like(psi).reshape(*psi.shape[:2], n_atoms, n_orbitals)
            before = psi.reshape(turned.shape)
            turned[:, :, operations.permutations_gi[g]] = before @ orbits.D_guv[g].T
            expected = np.einsum("ml,mcx->lcx", irrep.matrices_gmn[g], psi)
            np.testing.assert_allclose(turned.reshape(psi.shape), expected, atol=1e-10)
    V = np.concatenate(every)
    np.testing.assert_allclose(V.conj() @ V.T, np.eye(n_atoms * n_orbitals), atol=1e-10)
