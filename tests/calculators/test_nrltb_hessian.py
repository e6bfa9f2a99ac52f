"""Second derivatives of NRLTB, by differences with symmetry, against differences of all forces."""

import numpy as np
import pytest
from ase.build import bulk
from matscipy.numerical import numerical_hessian

from ase_mlipgen.calculators.nrltb import NRLTB
from ase_mlipgen.theory.force_constants import force_constants, full_hessian

A = 5.4264


def vacancy():
    atoms = bulk("Si", a=A, cubic=True)
    del atoms[0]
    return atoms


@pytest.mark.parametrize(
    ("atoms", "settings"),
    [
        (bulk("Si", a=A), {"kpts": {"size": (2, 2, 2), "gamma": True}}),
        (bulk("Si", a=A, cubic=True), {}),
        (bulk("Si", a=A, cubic=True), {"kpts": (2, 1, 1)}),
        (vacancy(), {}),
        (bulk("Al", a=4.05, cubic=True), {"kpts": (2, 2, 2)}),
    ],
    ids=["primitive", "cubic", "uneven k-points", "vacancy", "aluminium"],
)
def test_hessian_is_that_of_all_atoms_displaced(atoms, settings):
    calculator = NRLTB(atoms.symbols[0], kT=0.1, **settings)
    found = calculator.get_hessian(atoms, format="dense")
    atoms.calc = NRLTB(atoms.symbols[0], kT=0.1, **settings)
    slow = numerical_hessian(atoms, 2e-4).toarray()
    size = np.abs(slow).max()
    assert found == pytest.approx(slow, abs=2e-6 * size)
    assert found.reshape(len(found), -1, 3).sum(axis=1) == pytest.approx(0.0, abs=1e-6 * size)
    v = np.random.default_rng(0).normal(size=(2, len(atoms), 3))
    product = calculator.hessian_product(atoms, v)
    assert product.reshape(2, -1) == pytest.approx(v.reshape(2, -1) @ found, abs=1e-6 * size)


def test_uneven_kpoints_keep_fewer_rotations():
    atoms = bulk("Si", a=A, cubic=True)
    turn = np.array([[[0, 1, 0], [1, 0, 0], [0, 0, 1]], [[1, 0, 0], [0, 0, 1], [0, 1, 0]]], float)
    assert NRLTB("Si", kpts=(2, 1, 1)).keeps_rotations(atoms, turn).tolist() == [False, True]


def test_formats_masses_and_results():
    atoms = bulk("Si", a=A)
    calculator = NRLTB("Si", kpts=(2, 2, 2))
    energy = calculator.get_potential_energy(atoms)
    H = calculator.get_hessian(atoms, format="sparse")
    over_masses = calculator.get_hessian(atoms, format="dense", divide_by_masses=True)
    assert over_masses == pytest.approx(H.toarray() / atoms.get_masses()[0])
    assert calculator.results["energy"] == energy
    assert "hessian" not in calculator.implemented_properties


def test_force_constants_of_a_supercell_take_two_force_calls():
    atoms = bulk("Si", a=A, cubic=True)
    calculator = NRLTB("Si", kT=0.1)
    constants = force_constants(atoms, calculator, step=2e-3)
    assert constants.n_calls == 2
    expected = calculator.get_hessian(atoms, format="dense")
    assert full_hessian(constants, atoms) == pytest.approx(expected, abs=1e-7)
