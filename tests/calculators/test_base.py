"""PairCalculator's contract with ASE, on pair potentials written in the test."""

import copy

import numpy as np
import pytest
import scipy.sparse as sp
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress

from ase_mlipgen.calculators.base import (
    Evaluation,
    NonFiniteEnergyError,
    PairCalculator,
    UnknownElementError,
)
from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.neighbors import CoincidentAtomsError


class Soft(PairCalculator):
    """E = 1/4 sum_p (r - 3)^4 over pairs closer than 3 Å, plus the sites' atomic numbers."""

    cutoff = 3.0
    elements = ("H", "O", "Cu")
    n_evaluations = 0

    def evaluate(self, numbers_i, pairs):
        self.n_evaluations += 1
        d_pc = pairs.vectors()
        r_p = np.linalg.norm(d_pc, axis=1)
        x_p = np.minimum(r_p - 3.0, 0.0)
        energies_i = numbers_i + np.bincount(pairs.centres(), x_p**4 / 4, minlength=len(numbers_i))
        return Evaluation.from_gradients(energies_i, (x_p**3 / r_p)[:, None] * d_pc, pairs)


class WithHessian(Soft):
    def sparse_hessian(self, numbers_i, pairs):
        return sp.csr_matrix(np.diag(np.arange(3.0 * len(numbers_i))))


def copper(repeat=1):
    atoms = bulk("Cu", cubic=True).repeat(repeat)
    atoms.rattle(0.1, seed=4)
    return atoms


def test_forces_and_stress_are_derivatives():
    atoms = copper()
    atoms.cell[2, 0] += 0.3
    atoms.calc = Soft()
    np.testing.assert_allclose(atoms.get_forces(), calculate_numerical_forces(atoms, eps=1e-4), atol=1e-8)
    np.testing.assert_allclose(atoms.get_stress(), calculate_numerical_stress(atoms), atol=1e-9)
    np.testing.assert_allclose(atoms.get_forces().sum(axis=0), 0, atol=1e-14)


def test_energy_is_extensive_and_sums_sites():
    one, eight = copper(), copper().repeat(2)
    one.calc = eight.calc = Soft()
    assert eight.get_potential_energy() == pytest.approx(8 * one.get_potential_energy(), rel=1e-13)
    assert eight.get_potential_energies().sum() == pytest.approx(eight.get_potential_energy(), rel=1e-13)


def test_molecule_has_forces_but_no_stress():
    atoms = molecule("H2O")
    atoms.calc = Soft()
    np.testing.assert_allclose(atoms.get_forces(), calculate_numerical_forces(atoms, eps=1e-4), atol=1e-6)
    with pytest.raises(PropertyNotImplementedError, match="no volume"):
        atoms.get_stress()
    assert np.isfinite(atoms.get_potential_energy())


def test_lone_atom():
    atoms = Atoms("O")
    atoms.calc = Soft()
    assert atoms.get_potential_energy() == 8.0
    np.testing.assert_array_equal(atoms.get_forces(), [[0, 0, 0]])


def test_one_evaluation_for_all_properties():
    atoms = copper()
    atoms.calc = WithHessian()
    for call in (
        atoms.get_potential_energy,
        atoms.get_forces,
        atoms.get_stress,
        atoms.get_potential_energies,
    ):
        call()
    atoms.calc.get_property("hessian", atoms)
    atoms.set_initial_charges(np.ones(len(atoms)))
    atoms.set_initial_magnetic_moments(np.ones(len(atoms)))
    atoms.get_forces()
    assert atoms.calc.n_evaluations == 1
    atoms.positions[0] += 0.1
    atoms.get_forces()
    assert atoms.calc.n_evaluations == 2


def test_hessian_dispatch():
    atoms = copper()
    atoms.calc = calculator = WithHessian()
    expected = np.diag(np.arange(3.0 * len(atoms)))
    np.testing.assert_array_equal(calculator.get_property("hessian", atoms).toarray(), expected)
    np.testing.assert_array_equal(calculator.get_hessian(atoms, format="dense"), expected)
    mass = atoms.get_masses()[0]
    dynamical_matrix = calculator.get_property("dynamical_matrix", atoms).toarray()
    np.testing.assert_allclose(dynamical_matrix, expected / mass, rtol=1e-14)
    calculator.get_property("hessian", atoms).data[:] = 0
    np.testing.assert_array_equal(calculator.get_property("hessian", atoms).toarray(), expected)
    with pytest.raises(ValueError, match="format = 'neighbour-list'"):
        calculator.get_hessian(atoms, format="neighbour-list")
    assert atoms.get_properties(["energy", "forces"])["forces"].shape == (len(atoms), 3)
    assert set(calculator.export_properties()) - {"natoms"} == {
        "energy",
        "free_energy",
        "energies",
        "forces",
        "stress",
    }


def test_products_by_way_of_the_matrix():
    atoms, calculator = copper(), WithHessian()
    v_vic = np.random.default_rng(0).normal(size=(2, len(atoms), 3))
    expected = np.arange(3.0 * len(atoms)).reshape(-1, 3) * v_vic
    np.testing.assert_allclose(calculator.hessian_product(atoms, v_vic), expected, rtol=1e-14)
    np.testing.assert_allclose(calculator.hessian_product(atoms, v_vic[0]), expected[0], rtol=1e-14)
    with pytest.raises(ValueError, match=r"v has shape \(3,\)"):
        calculator.hessian_product(atoms, np.zeros(3))
    with pytest.raises(PropertyNotImplementedError, match="Hessian"):
        Soft().hessian_product(atoms, v_vic)


def test_without_a_hessian():
    atoms = copper()
    atoms.calc = Soft()
    assert "hessian" not in Soft.implemented_properties
    for name in ("hessian", "dynamical_matrix", "born_constants", "elastic_constants"):
        with pytest.raises(PropertyNotImplementedError):
            atoms.calc.get_property(name, atoms)
    calculator = atoms.calc
    for method in (
        calculator.get_hessian,
        calculator.get_born_elastic_constants,
        calculator.get_nonaffine_forces,
    ):
        with pytest.raises(PropertyNotImplementedError, match=r"Hessian|many-body"):
            method(atoms)


def test_a_direct_calculate_leaves_nothing_stale():
    one, two = copper(), copper()
    two.positions[0, 0] += 0.2
    calculator = WithHessian()
    calculator.calculate(one, ["hessian"])
    calculator.calculate(two)
    assert "hessian" not in calculator.results
    assert calculator.results["energy"] == WithHessian().get_potential_energy(two)


def test_an_error_leaves_the_calculator_usable():
    atoms = copper()
    atoms.calc = Soft()
    energy = atoms.get_potential_energy()
    good = atoms.positions.copy()
    atoms.positions[0] = np.nan
    with pytest.raises(ValueError, match="position of atom 0"):
        atoms.get_potential_energy()
    assert atoms.calc.results == {}
    atoms.positions = good
    assert atoms.get_potential_energy() == energy


def test_refusals():
    calculator = Soft()
    with pytest.raises(UnknownElementError, match="Soft knows H, O, Cu, not He, Xe"):
        calculator.get_potential_energy(Atoms("HeOXe", positions=np.eye(3)))
    with pytest.raises(ValueError, match="empty"):
        calculator.get_potential_energy(Atoms())
    with pytest.raises(CoincidentAtomsError, match="distinct places"):
        calculator.get_potential_energy(Atoms("H2", positions=np.zeros((2, 3))))
    with pytest.raises(TypeError, match="no settable parameters"):
        calculator.set(cutoff=4.0)
    with pytest.raises(ValueError, match="skin = -1"):
        Soft(skin=-1)


def test_numbers_that_are_not_finite_are_an_error():
    class Overflows(Soft):
        def evaluate(self, numbers_i, pairs):
            found = super().evaluate(numbers_i, pairs)
            return found._replace(forces=np.full_like(found.forces, np.inf))

    with pytest.raises(NonFiniteEnergyError, match=r"closest pair is at 0\.9"):
        Overflows().get_forces(Atoms("H2", positions=[[0, 0, 0], [0.9, 0, 0]]))


def test_copies_share_nothing_and_remember_their_atoms():
    atoms = copper()
    atoms.calc = Soft()
    energy = atoms.get_potential_energy()
    other = copy.copy(atoms.calc)
    assert other.neighbors is not atoms.calc.neighbors
    assert other.get_potential_energy() == energy
    assert other.results is not atoms.calc.results


def test_a_cell_of_numbers_too_small_to_divide_by_has_no_volume():
    """LU of such a cell divides by zero; the determinant is zero all the same."""
    cell = [[0.0, 0.0, 0.0], [0.0, 2.7, 0.0], [5.69618907777844e-309, 0.0, 2.7]]
    atoms = Atoms("W", cell=cell, pbc=(False, True, True))
    calculator = EAM2D()
    assert np.isfinite(calculator.get_property("energy", atoms))
    np.testing.assert_allclose(calculator.get_property("forces", atoms), 0.0, atol=1e-12)
