"""NRLTB against QUIP: every parameter set, strained and rattled cells, defects, k-points.

QUIP finds its Fermi level to about 1e-9 electrons, so that energies agree to some 1e-9 eV an atom and no better.
"""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ase_mlipgen.calculators.nrltb import NRLTB
from ase_mlipgen.tightbinding.parameters import find_parameters, parameter_sets
from tests.oracles import quippy_oracle

GENERAL = np.array([[0.25, 0.25, 0.25], [-0.1, 0.37, 0.2], [0.5, 0.0, 0.5]]), np.array([0.4, 0.4, 0.2])
SHEAR = np.array([[1.02, 0.01, 0.0], [0.0, 0.985, 0.03], [0.0, 0.0, 1.01]])


def silicon(n=1, *, amplitude=0.1, strain=None, missing=()):
    """Return n^3 rattled cells of eight atoms without some of them."""
    atoms = bulk("Si", a=5.43, cubic=True).repeat(n)
    if strain is not None:
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    atoms.rattle(amplitude, seed=1)
    del atoms[list(missing)]
    return atoms


def as_list(points):
    """Return points of rational weights as our calculator takes them: a list, each as often as it weighs."""
    scaled_kc, weights_k = points
    return np.repeat(scaled_kc, np.rint(10 * weights_k).astype(int), axis=0)


def both(atoms, parameters, kT=0.01, points=None, **options):
    """Return our atoms and QUIP's, a calculator attached to each."""
    mine, theirs = atoms.copy(), atoms.copy()
    kpts = (1, 1, 1) if points is None else as_list(points)
    mine.calc = NRLTB(parameters, kT=kT, kpts=kpts, **options)
    theirs.calc = quippy_oracle.potential(parameters, kT, points)
    return mine, theirs


def band_energy(atoms):
    """Return sum f eps, which is what QUIP calls the energy."""
    return atoms.get_potential_energy() + atoms.calc.results["entropy_term"]


def same_energy(mine, theirs):
    difference = band_energy(mine) - theirs.get_potential_energy()
    assert abs(difference) < 5e-9 * len(mine)


@pytest.mark.parametrize(("kT", "points"), [(0.01, None), (0.3, GENERAL)], ids=["Gamma", "k-points"])
@pytest.mark.parametrize("name", parameter_sets())
def test_energies_of_every_set(name, kT, points):
    """The distances reach from the nearest neighbours to beyond the cutoff: nearly the whole of every function."""
    parameters = find_parameters(name)
    atoms = bulk(parameters.element, cubic=True)
    atoms.rattle(0.1, seed=3)
    same_energy(*both(atoms, parameters, kT, points))


@pytest.mark.parametrize("name", ["Al_spd", "C_sp", "Si_sp"])
def test_units_and_electrons_of_an_atom(name):
    """E = sum of on-site energies: nothing but the rydberg and the count of electrons."""
    parameters = find_parameters(name)
    atoms = Atoms(parameters.element, cell=[40.0] * 3, pbc=True)
    mine, theirs = both(atoms, parameters, kT=1e-4)
    assert band_energy(mine) == pytest.approx(theirs.get_potential_energy(), abs=1e-8)


def primitive():
    atoms = bulk("Si", a=5.43)
    atoms.set_cell(atoms.cell.array @ SHEAR, scale_atoms=True)
    atoms.rattle(0.1, seed=2)
    return atoms


# name -> (cell, k-points): all with a gap of more than 0.15 eV
GAPPED = {
    "2 atoms, sheared, k-points": (primitive, GENERAL),
    "8 atoms": (silicon, None),
    "8 atoms, k-points": (silicon, GENERAL),
    "8 atoms, strained": (lambda: silicon(strain=SHEAR), None),
    "64 atoms": (lambda: silicon(2), None),
    "64 atoms, strained, k-points": (lambda: silicon(2, strain=SHEAR), GENERAL),
    "divacancy in 64 atoms": (lambda: silicon(2, missing=(0, 1)), None),
    "216 atoms": (lambda: silicon(3), None),
}


@pytest.mark.parametrize("case", GAPPED)
def test_forces_and_stress_of_gapped_silicon(case):
    build, points = GAPPED[case]
    mine, theirs = both(build(), find_parameters("Si_sp"), 0.002, points)
    theirs.calc.calculate(theirs, ["energy", "forces", "stress"])
    np.testing.assert_allclose(mine.get_forces(), theirs.get_forces(), rtol=0, atol=1e-7)
    np.testing.assert_allclose(mine.get_stress(), theirs.get_stress(), rtol=0, atol=5e-9)
    same_energy(mine, theirs)
    assert mine.calc.get_band_gap(mine) > 0.15
    assert abs(mine.get_forces()).max() > 1


# QUIP's virial is NaN with d orbitals.
@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("Si_spd", None),
        ("Si_spd", GENERAL),
        ("Mo_spd", None),
        ("W_spd", None),
        ("W_spd_new", GENERAL),
        ("C_sp", None),
    ],
)
def test_forces_of_other_gapped_cells(name, points):
    """Bcc cells of two atoms have a gap at few k-points."""
    parameters = find_parameters(name)
    atoms = bulk(parameters.element, cubic=True)
    atoms.rattle(0.1, seed=3)
    mine, theirs = both(atoms, parameters, 0.002, points)
    assert mine.calc.get_band_gap(mine) > 0.15
    np.testing.assert_allclose(mine.get_forces(), theirs.get_forces(), rtol=0, atol=1e-7)


@pytest.mark.parametrize("case", ["vacancy in 64 atoms", "vacancy in 216 atoms"])
def test_energy_of_a_vacancy(case):
    """Its levels are partly filled, so QUIP's forces are no derivatives."""
    n = 2 if "64" in case else 3
    same_energy(*both(silicon(n, missing=(0,)), find_parameters("Si_sp")))


@pytest.mark.parametrize("name", ["Al_spd", "Cu_spd_99", "Fe_spd_para", "Pb_sp"])
def test_forces_of_metals_are_derivatives_of_quips_energy(name):
    """With A = E - TS from our forces and TS by differences: what QUIP gives for energies, not its forces."""
    parameters, kT, h = find_parameters(name), 0.3, 1e-2
    atoms = bulk(parameters.element, cubic=True)
    atoms.rattle(0.1, seed=3)
    mine, theirs = both(atoms, parameters, kT)
    force = mine.get_forces()[1, 2]
    expected, z = 0.0, atoms.positions[1, 2]
    for step, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
        for a in (mine, theirs):
            a.positions[1, 2] = z + step * h
        mine.get_potential_energy()
        free = theirs.get_potential_energy() - mine.calc.results["entropy_term"]
        expected -= weight * free / (12 * h)
    assert force == pytest.approx(expected, abs=2e-5)


def test_other_cutoffs_are_other_potentials():
    atoms, parameters = silicon(), find_parameters("Si_sp")
    energies = {
        cutoff: band_energy(both(atoms, parameters, cutoff=cutoff)[0]) / 8
        for cutoff in ("cosine", "original", "forceshift")
    }
    assert abs(energies["original"] - energies["cosine"]) < 1e-3
    assert abs(energies["forceshift"] - energies["cosine"]) > 1e-2
