"""Force constants against analytic Hessians, all-atom differences, and the ratio of full matrices."""

from functools import partial

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from matscipy.calculators.manybody import Manybody
from matscipy.calculators.manybody.explicit_forms import Kumagai, StillingerWeber
from matscipy.calculators.manybody.explicit_forms.kumagai import Kumagai_Comp_Mat_Sci_39_Si
from matscipy.calculators.manybody.explicit_forms.stillinger_weber import Stillinger_Weber_PRB_31_5262_Si
from matscipy.numerical import numerical_hessian

from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.defects import Vacancy, relax, training_cell, triangular_lattice
from ase_mlipgen.theory import force_constants_percent
from ase_mlipgen.theory.force_constants import (
    difference_hessian,
    force_constants,
    full_hessian,
    translation_classes,
)

SILICON = bulk("Si", cubic=True) * 2


def kumagai():
    return Manybody(**Kumagai(Kumagai_Comp_Mat_Sci_39_Si))


def stillinger_weber():
    return Manybody(**StillingerWeber(Stillinger_Weber_PRB_31_5262_Si))


@pytest.mark.parametrize(
    ("atoms", "sublattices"),
    [
        (training_cell(triangular_lattice("W", 2.7), None, 5), 1),
        (bulk("Cu", cubic=True) * 2, 1),
        (SILICON, 2),
        (bulk("Mg") * 3, 2),
        (bulk("NaCl", "rocksalt", a=5.6, cubic=True), 2),
    ],
)
def test_one_representative_a_sublattice(atoms, sublattices):
    classes = translation_classes(atoms)
    assert len(set(classes)) == sublattices
    assert np.all(np.bincount(classes)[list(set(classes))] == len(atoms) // sublattices)


def test_differences_agree_with_the_analytic_hessian():
    for atoms, calculator in (
        (SILICON, kumagai()),
        (training_cell(triangular_lattice("W", 2.727), None, 6), EAM2D()),
    ):
        exact = force_constants(atoms, calculator)
        assert exact.n_calls == 0
        found = force_constants(atoms, calculator, analytic=False)
        assert np.array_equal(found.sites_s, exact.sites_s)
        size = np.abs(exact.columns_sanb).max()
        assert found.columns_sanb == pytest.approx(exact.columns_sanb, abs=3e-8 * size)


@pytest.mark.parametrize(
    ("atoms", "calculator", "calls", "most"),
    [
        (bulk("Si", a=5.43), stillinger_weber, 2, 24),
        (SILICON, stillinger_weber, 2, 24),
        (bulk("Cu", cubic=True) * (2, 2, 1), EMT, 2, 12),
        (bulk("Mg", a=3.2, c=5.2) * (3, 3, 2), partial(LennardJones, sigma=2.8, rc=6.0, smooth=True), 2, 24),
        (bulk("NaCl", "rocksalt", a=5.6), partial(LennardJones, sigma=2.8, rc=6.0, smooth=True), 4, 24),
        (training_cell(triangular_lattice("W", 2.727), None, 4), EAM2D, 2, 8),
    ],
    ids=["diamond", "diamond 2x2x2", "copper 2x2x1", "hcp", "rocksalt", "sheet"],
)
def test_as_few_force_calls_as_the_space_group_allows(atoms, calculator, calls, most):
    found, every = (
        force_constants(atoms, calculator(), analytic=False, symprec=symprec) for symprec in (1e-5, None)
    )
    assert (found.n_calls, every.n_calls) == (calls, most)
    size = np.abs(every.columns_sanb).max()
    assert found.columns_sanb == pytest.approx(every.columns_sanb, abs=1e-7 * size)
    assert found.columns_sanb.sum(axis=2) == pytest.approx(0.0, abs=1e-7 * size)


def test_hessian_of_a_vacancy_from_its_orbits(caplog):
    """Against the analytic Hessian; displacing every atom in every direction would take 372 force calls."""
    atoms = bulk("Cu", cubic=True) * 2
    del atoms[0]
    atoms = relax(atoms, EMT()).atoms
    with caplog.at_level("INFO"):
        found = difference_hessian(atoms, EMT())
    assert "14 force calls" in caplog.text
    atoms.calc = EMT()
    assert found == pytest.approx(numerical_hessian(atoms, 1e-4).toarray(), abs=1e-5)
    planar = training_cell(triangular_lattice("W", 2.727), Vacancy(), 3)
    exact = EAM2D().get_hessian(planar, format="dense")
    assert difference_hessian(planar, EAM2D()) == pytest.approx(exact, abs=1e-7 * np.abs(exact).max())


def test_magnetic_moments_tell_atoms_apart():
    """Antiferromagnetic order halves the group of bcc: two orbits of atoms."""
    atoms = bulk("Cu", "bcc", a=2.9, cubic=True)
    plain = hessian_calls(atoms)
    atoms.set_initial_magnetic_moments([1, -1])
    assert (plain, hessian_calls(atoms)) == (2, 4)


def hessian_calls(atoms):
    calculator = EMT()
    calls = []
    calculate = calculator.calculate
    calculator.calculate = lambda *args: (calls.append(1), calculate(*args))
    difference_hessian(atoms, calculator)
    return len(calls)


def test_translated_columns_are_the_whole_hessian():
    """Against all atoms' columns, without the use of translations: analytic (silicon), differences (copper)."""
    hessian = kumagai().get_hessian(SILICON, format="sparse").toarray()
    assert full_hessian(force_constants(SILICON, kumagai()), SILICON) == pytest.approx(hessian, abs=1e-8)
    copper = bulk("Cu", cubic=True)
    copper.calc = EMT()
    slow = numerical_hessian(copper, 1e-4).toarray()
    assert full_hessian(force_constants(copper, EMT()), copper) == pytest.approx(slow, abs=1e-5)
    assert copper.calc is not None


def test_planar_columns_are_in_plane():
    sheet = training_cell(triangular_lattice("W", 2.727), None, 4)
    found = force_constants(sheet, EAM2D())
    assert found.columns_sanb.shape == (1, 2, len(sheet), 2)
    whole = EAM2D().get_hessian(sheet, format="sparse").toarray().reshape(len(sheet), 3, len(sheet), 3)
    assert full_hessian(found, sheet) == pytest.approx(
        whole[:, :2, :, :2].reshape(2 * len(sheet), -1), abs=1e-9
    )
    # A rigid shift costs nothing.
    assert found.columns_sanb.sum(axis=2) == pytest.approx(0.0, abs=1e-9)


def test_the_ratio_over_representatives_is_that_of_the_full_matrices():
    ours, theirs = (force_constants(SILICON, c) for c in (kumagai(), stillinger_weber()))
    full = [c.get_hessian(SILICON, format="sparse") for c in (kumagai(), stillinger_weber())]
    dense = [matrix.toarray() for matrix in full]
    expected = 100 * np.linalg.norm(dense[0] - dense[1]) / np.linalg.norm(dense[0])
    assert expected > 1.0
    assert force_constants_percent(ours, theirs) == pytest.approx(expected)
    assert force_constants_percent(*full) == pytest.approx(expected)
    assert force_constants_percent(*dense) == pytest.approx(expected)


def test_nothing_is_changed_in_the_given_cell():
    atoms = bulk("Cu", cubic=True)
    before = atoms.positions.copy()
    force_constants(atoms, EMT())
    assert np.array_equal(atoms.positions, before)
    assert atoms.calc is None


def test_what_cannot_be_compared_is_refused():
    silicon, copper = force_constants(SILICON, kumagai()), force_constants(bulk("Cu", cubic=True), EMT())
    with pytest.raises(ValueError, match="same cell"):
        force_constants_percent(silicon, copper)
    with pytest.raises(ValueError, match="same"):
        force_constants_percent(np.eye(3), np.eye(6))
    gas = Atoms("Ar", cell=[30, 30, 30], pbc=True)
    with pytest.raises(ValueError, match="zero"):
        force_constants_percent(*[force_constants(gas, LennardJones(rc=5.0))] * 2)
