"""Derivatives by strain through matscipy's hooks: against differences of energies, forces and stresses."""

from functools import cache

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.optimize import LBFGS
from ase.stress import full_3x3_to_voigt_6_strain
from matscipy.calculators.manybody import Manybody
from matscipy.calculators.manybody.explicit_forms import StillingerWeber
from matscipy.calculators.manybody.explicit_forms.stillinger_weber import Stillinger_Weber_PRB_31_5262_Si
from matscipy.elasticity import (
    fit_elastic_constants,
    full_3x3x3x3_to_Voigt_6x6,
    nonaffine_elastic_contribution,
)
from scipy.linalg import sqrtm

from ase_mlipgen import EAM2D, ACEBasis, DefectTrainer, LinearACE, Vacancy
from ase_mlipgen.calculators.nrltb import NRLTB
from ase_mlipgen.elasticity import PROPERTIES, UnstableError, opened
from ase_mlipgen.neighbors import pairs

STRAINS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def stillinger_weber():
    return Manybody(**StillingerWeber(Stillinger_Weber_PRB_31_5262_Si))


@cache
def silicon_model(order=3):
    """A stable potential of silicon, in half a second."""
    basis = ACEBasis(["Si"], order=order, degree=12 if order == 3 else 9, cutoff=4.2)
    with pytest.warns(match="less than twice the cutoff"):
        return DefectTrainer(
            bulk("Si", a=5.431, cubic=True), Vacancy(), stillinger_weber, basis, 1, 20, 2, amplitude=0.1,
            n_perfect=10, matching=None, observations=("energy", "forces", "stress"), progress=False,
        ).run().calculator  # fmt: skip


@cache
def carbide_model():
    """Random, of two elements."""
    basis = ACEBasis(["Si", "C"], order=3, degree=6, cutoff=4.0)
    return LinearACE(basis, 0.1 * np.random.default_rng(0).normal(size=len(basis)))


def tight_binding(**kpts):
    return NRLTB("Si", kT=0.2, kpts=kpts or {"size": (2, 2, 2), "gamma": True}, threads=1)


def rattled(atoms, size=0.05):
    atoms.rattle(size, seed=3)
    return atoms


def carbide():
    atoms = bulk("Si", a=4.6, cubic=True)
    atoms.symbols = ["Si", "C"] * 4
    return rattled(atoms)


def sheet():
    a = 2.7271057
    atoms = Atoms("W2", [[0, 0, 0], [a / 2, a * 0.9, 0]], cell=[a, 1.7 * a, 12.0], pbc=(1, 1, 0)) * (2, 2, 1)
    del atoms[1]
    return rattled(atoms)


def skewed():
    """One atom whose neighbours are all images of it."""
    atoms = bulk("W", a=3.1)
    atoms.set_cell(atoms.cell.array @ [[1, 0.02, 0], [0, 0.98, 0.03], [0, 0, 1.01]], scale_atoms=True)
    return atoms


def molecule():
    return Atoms("Si3", positions=[[0.1, 0, 0], [2.3, 0.3, 0.2], [0.4, 2.2, 1.1]], cell=[9, 9, 9])


# name -> (atoms, calculator): no equilibria; tight binding has 25 evaluations behind it
CASES = {
    "eam-one-atom": (skewed, EAM2D),
    "eam-vacancy": (lambda: rattled((bulk("W", a=3.165, cubic=True) * 2)[1:]), EAM2D),
    "eam-sheet": (sheet, EAM2D),
    "ace-two-atoms": (lambda: rattled(bulk("Si", a=5.3)), silicon_model),
    "ace-order-4": (lambda: rattled(bulk("Si", a=5.3)), lambda: silicon_model(4)),
    "ace-two-elements": (carbide, carbide_model),
    "ace-molecule": (molecule, silicon_model),
    "tight-binding": (lambda: rattled(bulk("Si", a=5.3)), tight_binding),
}


@pytest.fixture(params=CASES)
def case(request):
    make, calculator = CASES[request.param]
    atoms = make()
    atoms.calc = calculator()
    return atoms


def deformed(atoms, F):
    moved = atoms.copy()
    moved.set_cell(atoms.cell.array @ F.T)
    moved.positions = atoms.positions @ F.T
    moved.calc = atoms.calc
    return moved


def slope(function, h):
    """Central differences over two steps, extrapolated."""
    wide, narrow = ((function(x) - function(-x)) / (2 * x) for x in (h, h / 2))
    return (4 * narrow - wide) / 3


def curvature(function, h):
    wide, narrow = ((function(x) - 2 * function(0) + function(-x)) / x**2 for x in (h, h / 2))
    return (4 * narrow - wide) / 3


def test_nonaffine_forces_are_changes_of_the_forces(case):
    found = case.calc.get_property("nonaffine_forces", case)
    assert found.shape == (len(case), 3, 3, 3)
    for a, b in np.ndindex(3, 3):
        G = np.zeros((3, 3))
        G[a, b] = 1.0
        expected = slope(lambda h, G=G: deformed(case, np.eye(3) + h * G).get_forces(), 4e-4)
        np.testing.assert_allclose(
            found[:, :, a, b], expected, rtol=0, atol=2e-6 * np.abs(found).max() + 1e-9
        )


def test_born_constants_are_second_differences_of_the_energy(case):
    """By the Green-Lagrange strain, F = (1 + 2 eta)^(1/2), at whatever stress there is."""
    found = case.calc.get_property("born_constants", case) * case.get_volume()
    assert found == pytest.approx(found.transpose(2, 3, 0, 1), abs=1e-9 * np.abs(found).max())
    assert found == pytest.approx(found.transpose(1, 0, 2, 3), abs=1e-9 * np.abs(found).max())
    for seed in range(3):
        eta = np.random.default_rng(seed).normal(size=(3, 3)) / 3
        eta = eta + eta.T

        def energy(h, eta=eta):
            return deformed(case, np.real(sqrtm(np.eye(3) + 2 * h * eta))).get_potential_energy()

        expected = curvature(energy, 4e-3)
        assert np.einsum("abcd,ab,cd", found, eta, eta) == pytest.approx(expected, rel=1e-5)


def test_pairs_opened():
    """Every image is an atom of its own, at its place; vectors are those of the list."""
    listed = pairs(bulk("Si"), 5.0)
    found, source_k = opened(listed)
    np.testing.assert_allclose(found.vectors(), listed.vectors(), atol=1e-14)
    np.testing.assert_array_equal(source_k[found.j_p], listed.j_p)
    assert len(np.unique(found.positions.round(6), axis=0)) == len(found.positions) == len(source_k)
    assert not np.diff(found.first_i)[2:].any()


def test_a_supercell_has_the_constants_of_its_cell():
    atoms = bulk("Si", a=5.5)
    atoms.calc = silicon_model()
    big = atoms * (3, 2, 1)
    big.calc = atoms.calc
    for name in ("born_constants", "elastic_constants"):
        expected = atoms.calc.get_property(name, atoms)
        np.testing.assert_allclose(big.calc.get_property(name, big), expected, atol=1e-8)
    tiled = np.tile(atoms.calc.get_nonaffine_forces(atoms), (6, 1, 1, 1))
    np.testing.assert_allclose(big.calc.get_nonaffine_forces(big), tiled, atol=1e-10)


def relaxed(atoms, F):
    moved = deformed(atoms, F)
    LBFGS(moved, logfile=None).run(fmax=1e-6, steps=100)
    return moved


def by_energies(atoms, entries):
    """Elastic constants from energies of strained, relaxed cells, by E(eta) and the stress's own part.

    Not asked for: NaN.
    """
    volume = atoms.get_volume()
    basis = [
        0.5 * (np.outer(np.eye(3)[a], np.eye(3)[b]) + np.outer(np.eye(3)[b], np.eye(3)[a]))
        for a, b in STRAINS
    ]

    def energy(h, eta):
        return relaxed(atoms, np.real(sqrtm(np.eye(3) + 2 * h * eta))).get_potential_energy()

    def along(eta):
        return curvature(lambda h: energy(h, eta), 4e-3) / volume

    C = np.full((6, 6), np.nan)
    for m, n in entries:
        C[m, n] = C[n, m] = (along(basis[m] + basis[n]) - along(basis[m] - basis[n])) / 4
    stress = atoms.calc.get_stress_contribution_to_elastic_constants(atoms)
    return C + np.array([[stress[*s, *t] for t in STRAINS] for s in STRAINS])


def by_hook(atoms):
    C = atoms.calc.get_property("elastic_constants", atoms)
    return np.array([[C[*s, *t] for t in STRAINS] for s in STRAINS])


def by_stresses(atoms):
    """matscipy's fit; it takes all strains, for a stressed cell need not be symmetric."""
    return fit_elastic_constants(
        atoms, "triclinic", N_steps=3, delta=3e-4, optimizer=LBFGS, verbose=False, graphics=False, fmax=1e-6
    )[0]


def from_file(tmp_path):
    EAM2D().write_setfl(tmp_path / "W.eam.alloy")
    return EAM2D(tmp_path / "W.eam.alloy")


CRYSTALS = {
    "silicon": (lambda: bulk("Si", a=5.431), lambda _: silicon_model()),
    "silicon under pressure": (lambda: bulk("Si", a=5.25), lambda _: silicon_model()),
    "tungsten": (lambda: bulk("W", a=3.165), lambda _: EAM2D()),
    "tungsten under tension": (lambda: bulk("W", a=3.23, cubic=True), from_file),
    "tight binding": (lambda: bulk("Si", a=5.43), lambda _: tight_binding()),
}


@pytest.mark.parametrize("name", CRYSTALS)
def test_three_routes(name, tmp_path):
    """Stresses, energies, and matscipy's hook, within 0.01 % of C44."""
    make, calculator = CRYSTALS[name]
    atoms = make()
    atoms.calc = calculator(tmp_path)
    found = by_hook(atoms)
    allowed = 1e-4 * found[3, 3]
    np.testing.assert_allclose(by_stresses(atoms), found, rtol=0, atol=allowed)
    # Electrons take longer: for them the three constants of a cubic crystal only.
    entries = ((0, 0), (0, 1), (3, 3)) if name == "tight binding" else np.transpose(np.triu_indices(6))
    energies = by_energies(atoms, entries)
    asked = np.isfinite(energies)
    assert asked.sum() >= 4
    np.testing.assert_allclose(energies[asked], found[asked], rtol=0, atol=allowed)
    born = full_3x3x3x3_to_Voigt_6x6(atoms.calc.get_birch_coefficients(atoms))
    softened = born[3, 3] - found[3, 3]
    assert softened > 0.1 if "W" not in atoms.symbols else abs(softened) < 1e-6


def test_uniaxial_stress():
    """C_abcd is the slope of the Cauchy stress and not symmetric: the convention of matscipy."""
    atoms = bulk("Si", a=5.431)
    atoms.calc = silicon_model()
    atoms = relaxed(atoms, np.diag([1.0, 1.0, 1.03]))
    stress, found = atoms.get_stress(), by_hook(atoms)
    assert abs(stress[2]) > 10 * abs(stress[0] - stress[1])
    assert found[0, 2] - found[2, 0] == pytest.approx(stress[2] - stress[0], rel=1e-4)
    for n, (a, b) in enumerate(STRAINS):
        along = np.zeros((3, 3))
        along[a, b] += 0.5
        along[b, a] += 0.5
        expected = slope(lambda h, along=along: relaxed(atoms, np.eye(3) + h * along).get_stress(), 1e-3)
        np.testing.assert_allclose(found[:, n], expected, rtol=0, atol=1e-4 * found[3, 3])
    assert full_3x3_to_voigt_6_strain(along)[5] == 1.0


def test_properties_of_matscipy():
    """Every name is dispatched, and adds up as in matscipy."""
    atoms = bulk("Si", a=5.5)
    atoms.calc = calculator = silicon_model()
    got = {name: calculator.get_property(name, atoms) for name in PROPERTIES}
    assert set(PROPERTIES) <= set(calculator.implemented_properties)
    np.testing.assert_allclose(
        got["birch_coefficients"], got["born_constants"] + got["stress_elastic_contribution"], atol=1e-14
    )
    np.testing.assert_allclose(
        got["elastic_constants"],
        got["birch_coefficients"] + got["nonaffine_elastic_contribution"],
        atol=1e-14,
    )
    options = {"rtol": 1e-10, "atol": 1e-10}
    theirs = nonaffine_elastic_contribution(atoms, cg_parameters=options)
    np.testing.assert_allclose(got["nonaffine_elastic_contribution"], theirs, atol=1e-8)
    got["elastic_constants"][:] = 0
    assert calculator.get_property("elastic_constants", atoms).any()
    assert set(PROPERTIES).isdisjoint(calculator.export_properties())


def test_what_cannot_be():
    unstable = bulk("Si", a=5.5)
    unstable.calc = LinearACE(silicon_model().basis, -silicon_model().coefficients)
    with pytest.raises(UnstableError, match="relax the atoms"):
        unstable.calc.get_elastic_constants(unstable)
    flat = Atoms("W2", positions=[[0, 0, 0], [2.7, 0, 0]])
    with pytest.raises(PropertyNotImplementedError, match="no volume"):
        EAM2D().get_born_elastic_constants(flat)
    basis = ACEBasis(["Si"], order=5, degree=6, cutoff=4.2)
    high = LinearACE(basis, np.zeros(len(basis)))
    assert set(PROPERTIES).isdisjoint(high.implemented_properties)
    with pytest.raises(PropertyNotImplementedError, match="order 4 or less"):
        high.get_elastic_constants(unstable)
