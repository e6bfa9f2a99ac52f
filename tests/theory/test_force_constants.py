"""Force constants against analytic Hessians, all-atom differences, and the ratio of full matrices."""

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
from ase_mlipgen.defects import training_cell, triangular_lattice
from ase_mlipgen.theory import force_constants_percent
from ase_mlipgen.theory.force_constants import force_constants, full_hessian, translation_classes

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
        found = force_constants(atoms, calculator, analytic=False)
        assert np.array_equal(found.sites_s, exact.sites_s)
        size = np.abs(exact.columns_sanb).max()
        assert found.columns_sanb == pytest.approx(exact.columns_sanb, abs=3e-8 * size)


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
