"""phonopy through its own API: frequencies of a reference and a model beside ASE's and those of our Hessian.

Made comparable: the same supercell, wide enough that force constants end within it, so that it does not matter to which
image of an atom they are given; central differences over 1e-4 Å, whose error is of second order; masses and the factor
from eV, Å and atomic mass units to THz are ASE's (phonopy's differ in the seventh digit). phonopy displaces one atom in
one direction and lets the space group do the rest, ASE both atoms in all three; both then impose the acoustic sum rule
and the symmetry of second derivatives, which differences miss by their error only.
"""

from functools import cache

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.phonons import Phonons
from matscipy.calculators.manybody import Manybody
from matscipy.calculators.manybody.explicit_forms import StillingerWeber
from matscipy.calculators.manybody.explicit_forms.stillinger_weber import Stillinger_Weber_PRB_31_5262_Si

from ase_mlipgen import ACEBasis, DefectTrainer, Vacancy
from ase_mlipgen.theory.force_constants import difference_hessian

phonopy = pytest.importorskip("phonopy", reason="phonopy is not installed: pip install '.[oracles]'")
PhonopyAtoms = pytest.importorskip("phonopy.structure.atoms").PhonopyAtoms

DELTA = 1e-4
N = 5  # cells along each vector: 9.6 Å to the nearest point midway to an image; force constants reach 8.4 Å
THZ = np.sqrt(units._e / units._amu) * 1e10 / (2 * np.pi * 1e12)
Q = [[0.5, 0, 0.5], [0.5, 0.5, 0.5], [0.11, 0.07, 0.31], [0.2, 0.4, 0.6], [0.05, 0.0, 0.0]]


def stillinger_weber():
    return Manybody(**StillingerWeber(Stillinger_Weber_PRB_31_5262_Si))


@cache
def model():
    basis = ACEBasis(["Si"], order=3, degree=12, cutoff=4.2)
    with pytest.warns(match="less than twice the cutoff"):
        return DefectTrainer(
            bulk("Si", a=5.431, cubic=True), Vacancy(), stillinger_weber, basis, 1, 20, 2, amplitude=0.1,
            n_perfect=10, matching=None, observations=("energy", "forces", "stress"), progress=False,
        ).run().calculator  # fmt: skip


CALCULATORS = {"reference": stillinger_weber, "model": model}


def silicon():
    return bulk("Si", a=5.431)


def of_phonopy():
    """Return phonopy's object of silicon, and the supercell as ASE's atoms."""
    atoms = silicon()
    cell = PhonopyAtoms(
        symbols=atoms.get_chemical_symbols(), cell=atoms.cell.array, masses=atoms.get_masses(),
        scaled_positions=atoms.get_scaled_positions(),
    )  # fmt: skip
    phonon = phonopy.Phonopy(cell, np.diag([N] * 3), primitive_matrix=np.eye(3))
    return phonon, as_atoms(phonon.supercell)


def as_atoms(cell):
    return Atoms(cell.symbols, cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True)


def frequencies(phonon):
    phonon.run_qpoints(Q)
    return phonon.qpoints.frequencies * (THZ / phonon.unit_conversion_factor)


@pytest.mark.parametrize("name", CALCULATORS)
def test_frequencies(name, tmp_path):
    calculator = CALCULATORS[name]()
    phonon, supercell = of_phonopy()
    phonon.generate_displacements(distance=DELTA, is_plusminus=True, is_diagonal=False)
    phonon.forces = [calculator.get_forces(as_atoms(cell)) for cell in phonon.supercells_with_displacements]
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants()
    found = frequencies(phonon)
    assert found.min() > 0.3
    assert 14 < found.max() < 20

    phonons = Phonons(silicon(), calculator, supercell=(N, N, N), delta=DELTA, name=tmp_path / "phonon")
    phonons.run()
    phonons.read(acoustic=True)
    energies = phonons.band_structure(Q, verbose=False)
    hbar = units._hbar / units._e
    np.testing.assert_allclose(energies / hbar / (2 * np.pi * 1e12), found, rtol=0, atol=1e-6)

    if name == "model":
        H = calculator.get_hessian(supercell, format="dense")
    else:
        supercell.calc = calculator
        H = difference_hessian(supercell, calculator, step=1e-3)
    phonon.force_constants = H.reshape(len(supercell), 3, -1, 3).swapaxes(1, 2).copy()
    np.testing.assert_allclose(frequencies(phonon), found, rtol=0, atol=1e-6)
