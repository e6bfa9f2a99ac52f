"""NRLTB as a function of atoms: derivatives, sums, invariances, closed forms, what it refuses."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from scipy.optimize import brentq
from scipy.spatial.transform import Rotation

from ase_mlipgen.calculators.base import NonFiniteEnergyError, UnknownElementError
from ase_mlipgen.calculators.nrltb import CUTOFFS, NRLTB, CloseAtomsError
from ase_mlipgen.labels import identity
from ase_mlipgen.neighbors import CoincidentAtomsError
from ase_mlipgen.tightbinding.closest import CLOSEST
from ase_mlipgen.tightbinding.occupations import ElectronCountError
from ase_mlipgen.tightbinding.parameters import find_parameters
from ase_mlipgen.tightbinding.setup import RYDBERG
from tests.tightbinding.structures import cluster, primitive, silicon

GENERAL = [[0.1, 0.2, 0.3], [-0.3, 0.25, 0.05], [0.0, 0.0, 0.0]]
EDGE = [[0.5, 0.0, 0.5], [0.5, 0.5, 0.5]]
POINTS = {"Gamma": (1, 1, 1), "general k": GENERAL, "zone boundary": EDGE}


def tungsten():
    atoms = bulk("W", a=3.165, cubic=True)
    atoms.rattle(0.1, seed=4)
    return atoms


def open_boundaries(kind):
    """Return a rattled molecule, slab or wire."""
    atoms = {"molecule": cluster, "dimer": lambda: Atoms("Si2", [[0, 0, 0], [1.9, 1.0, 0.7]])}.get(
        kind, lambda: silicon((1, 1, 1))
    )()
    atoms.rattle(0.05, seed=3)
    if kind in ("slab", "wire"):
        atoms.pbc = (True, True, False) if kind == "slab" else (True, False, False)
    return atoms


def solved(atoms, *arguments, **options):
    """Return results of a new calculator."""
    atoms = atoms.copy()
    atoms.calc = NRLTB(*arguments, **{"threads": 1, **options})
    atoms.get_potential_energy()
    return atoms.calc.results


def derivative(atoms, calculator, change, h=3e-4):
    """Return the derivative of the free energy along a change of the atoms, of fourth order in h."""
    total = 0.0
    for step, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
        moved = atoms.copy()
        change(moved, step * h)
        total += weight * calculator.get_property("free_energy", moved)
    return total / (12 * h)


def assert_derivatives(atoms, calculator, *, stress=True, seeds=(0, 1)):
    """Hold forces and stress to differences along random displacements and strains of everything at once."""
    forces = calculator.get_property("forces", atoms)
    tensor = calculator.get_stress(atoms)[[0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(3, 3) if stress else None
    for seed in seeds:
        rng = np.random.default_rng(seed)
        v = rng.normal(size=(len(atoms), 3))

        def move(moved, t, v=v):
            moved.positions += t * v

        expected = -derivative(atoms, calculator, move)
        assert np.sum(forces * v) == pytest.approx(expected, abs=1e-7 * np.sqrt(len(atoms)))
        if stress:
            strain = rng.normal(size=(3, 3))
            strain += strain.T

            def deform(moved, t, strain=strain):
                moved.set_cell(moved.cell.array @ (np.eye(3) + t * strain), scale_atoms=True)

            expected = derivative(atoms, calculator, deform, 1e-4)
            assert np.sum(tensor * strain) * atoms.get_volume() == pytest.approx(expected, abs=3e-7)


@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("cutoff", CUTOFFS)
@pytest.mark.parametrize("case", ["Si sp", "Si spd", "W spd"])
def test_forces_and_stress_are_derivatives(case, cutoff, points):
    """Cells below the cutoff radius: an atom meets several images of its neighbours, and of itself."""
    atoms = tungsten() if case == "W spd" else primitive(1, amplitude=0.1)
    element, basis = case.split()
    calculator = NRLTB(element, basis, cutoff, kT=0.1, kpts=POINTS[points], threads=1)
    assert_derivatives(atoms, calculator)
    assert abs(calculator.results["forces"]).max() > 0.1


@pytest.mark.parametrize("kind", ["dimer", "molecule", "slab", "wire"])
def test_forces_with_open_boundaries(kind):
    kpts = {"slab": (2, 1, 1), "wire": (3, 1, 1)}.get(kind, (1, 1, 1))
    atoms = open_boundaries(kind)
    assert_derivatives(atoms, NRLTB("Si", kT=0.1, kpts=kpts, threads=1), stress=False)


@pytest.mark.parametrize("kind", ["dimer", "molecule", "slab", "wire"])
def test_open_boundaries_are_periodic_ones_far_apart(kind):
    atoms = open_boundaries(kind)
    wide = atoms.copy()
    wide.center(vacuum=8.0, axis=np.flatnonzero(~atoms.pbc))
    wide.pbc = True
    found, expected = solved(atoms, "Si"), solved(wide, "Si")
    for name in ("energy", "energies", "forces", "charges", "eigenvalues"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-11)


def test_each_component_of_forces_and_stress():
    atoms = primitive(1, amplitude=0.1)
    calculator = NRLTB("Si", kT=0.1, kpts=GENERAL, threads=1)
    forces, stress = calculator.get_forces(atoms), calculator.get_stress(atoms)
    for i, a in np.ndindex(len(atoms), 3):

        def move(moved, t, i=i, a=a):
            moved.positions[i, a] += t

        assert forces[i, a] == pytest.approx(-derivative(atoms, calculator, move), abs=1e-7)
    for k, (a, b) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
        strain = np.zeros((3, 3))
        strain[a, b] += 0.5
        strain[b, a] += 0.5

        def deform(moved, t, strain=strain):
            moved.set_cell(moved.cell.array @ (np.eye(3) + t * strain), scale_atoms=True)

        expected = derivative(atoms, calculator, deform) / atoms.get_volume()
        assert stress[k] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("kT", [1e-4, 0.1, 1.0])
@pytest.mark.parametrize("kpts", [(1, 1, 1), GENERAL])
@pytest.mark.parametrize("element", ["Si", "Al"])
def test_sums(element, kpts, kT):
    """Over atoms: the energy, no charge, no force."""
    atoms = primitive(2, amplitude=0.1) if element == "Si" else bulk("Al", cubic=True)
    atoms.rattle(0.05, seed=9)
    found = solved(atoms, element, kT=kT, kpts=kpts)
    assert found["energy"] == found["free_energy"]
    assert found["energies"].sum() == pytest.approx(found["energy"], abs=1e-10)
    assert found["charges"].sum() == pytest.approx(0, abs=1e-11)
    assert abs(found["charges"]).max() > 1e-4
    np.testing.assert_allclose(found["forces"].sum(axis=0), 0, atol=1e-12)
    assert found["entropy_term"] >= 0


def test_tiny_smearing_is_finite_and_the_limit():
    """kT = 1e-4 eV: occupations under- and overflow everywhere, in an insulator, a metal and a vacancy."""
    vacancy = silicon(2)
    del vacancy[0]
    for atoms, element in ((silicon(2), "Si"), (tungsten(), "W"), (vacancy, "Si")):
        small, smaller = (solved(atoms, element, kT=kT) for kT in (1e-4, 1e-6))
        for value in small.values():
            assert np.isfinite(value).all()
        assert small["energy"] == pytest.approx(smaller["energy"], abs=1e-3)
        np.testing.assert_allclose(small["forces"].sum(axis=0), 0, atol=1e-11)


@pytest.mark.parametrize("kT", [1e-3, 0.1, 2.0])
@pytest.mark.parametrize("name", ["Si_sp", "Si_spd", "Al_spd", "W_spd", "Cu_spd_99"])
def test_isolated_atom_in_closed_form(name, kT):
    """Nothing around, rho = 0: the constants of the on-site energies, filled."""
    p = find_parameters(name)
    levels = p.onsite_ok[:, 0] * RYDBERG

    def fractions(mu):
        return 1 / (1 + np.exp(np.clip((levels - mu) / kT, -600, 600)))

    mu = brentq(lambda mu: 2 * fractions(mu).sum() - p.electrons, -30, 40, xtol=1e-13)
    f = fractions(mu)
    entropy = -2 * sum(x * np.log(x) for y in f for x in (y, 1 - y) if 0 < x < 1)
    found = solved(Atoms(p.element), p, kT=kT)
    assert found["energy"] == pytest.approx(2 * f @ levels - kT * entropy, abs=1e-9)
    assert found["entropy_term"] == pytest.approx(kT * entropy, abs=1e-9)
    assert found["fermi_level"] == pytest.approx(mu, abs=1e-6)
    np.testing.assert_array_equal(found["forces"], 0)


def test_atoms_out_of_reach_are_alone():
    pair = Atoms("Si2", [[0, 0, 0], [4, 4, 4]])
    assert solved(pair, "Si")["energy"] == pytest.approx(2 * solved(pair[:1], "Si")["energy"], abs=1e-10)


@pytest.mark.parametrize("cutoff", ["cosine", "forceshift"])
def test_energy_is_smooth_where_an_atom_leaves(cutoff):
    """Across the cutoff radius of a dimer, steps of the energy vanish."""
    calculator = NRLTB("Si", cutoff=cutoff, threads=1)
    edge = calculator.cutoff
    inside, outside = (
        calculator.get_potential_energy(Atoms("Si2", [[0, 0, 0], [0, 0, edge + d]])) for d in (-1e-5, 1e-5)
    )
    assert inside == pytest.approx(outside, abs=1e-9)


@pytest.mark.parametrize("element", ["Si", "W"])
@pytest.mark.parametrize("kpts", [(1, 1, 1), (2, 2, 2)])
def test_rotation_translation_permutation(element, kpts):
    atoms = tungsten() if element == "W" else primitive(1, amplitude=0.1)
    atoms = atoms.repeat((2, 1, 1))
    atoms.rattle(0.05, seed=8)
    R = Rotation.random(random_state=0).as_matrix() @ np.diag([1, 1, -1])
    order = np.random.default_rng(0).permutation(len(atoms))
    other = atoms.copy()
    other.set_cell(atoms.cell.array @ R.T)
    other.positions = atoms.positions @ R.T + (0.3, -11.0, 7.0)
    other.positions += np.random.default_rng(0).integers(-3, 4, (len(atoms), 3)) @ other.cell.array
    other = other[order]
    found, expected = solved(other, element, kpts=kpts), solved(atoms, element, kpts=kpts)
    assert found["energy"] == pytest.approx(expected["energy"], abs=1e-10)
    np.testing.assert_allclose(found["eigenvalues"], expected["eigenvalues"], atol=1e-10)
    np.testing.assert_allclose(found["forces"], (expected["forces"] @ R.T)[order], atol=1e-10)
    for name in ("energies", "charges"):
        np.testing.assert_allclose(found[name], expected[name][order], atol=1e-10)
    voigt = [0, 5, 4, 5, 1, 3, 4, 3, 2]
    tensors = [x["stress"][voigt].reshape(3, 3) for x in (found, expected)]
    np.testing.assert_allclose(tensors[0], R @ tensors[1] @ R.T, atol=1e-11)


def test_another_cell_of_the_same_crystal():
    """The choice of cell vectors does not matter, even for cells that are long and skew."""
    atoms = primitive(1, amplitude=0.1).repeat((2, 1, 1))
    other = make_supercell(atoms, [[1, 0, 0], [3, 1, 0], [-2, 5, 1]])
    found, expected = solved(other, "Si"), solved(atoms, "Si")
    assert len(other) == len(atoms)
    assert found["energy"] == pytest.approx(expected["energy"], abs=1e-10)
    np.testing.assert_allclose(found["stress"], expected["stress"], atol=1e-11)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(duplicate):
    atoms = silicon(1, amplitude=0.05)
    original = NRLTB("Si", solver="symmetric", kT=0.02, kpts={"size": (2, 2, 2), "gamma": True}, threads=1)
    energy = original.get_potential_energy(atoms)
    other = duplicate(original)
    assert other.plan is None or other.plan == original.plan
    assert other.get_potential_energy(atoms) == energy
    assert repr(other) == repr(original)
    assert identity(other) == identity(original)


def test_identity_tells_settings_apart():
    own = replace(find_parameters("Si"), electrons=3.0)
    different = [
        NRLTB(),
        NRLTB(kT=0.02),
        NRLTB(kpts=(2, 2, 2)),
        NRLTB(kpts={"size": (2, 2, 2), "gamma": True}),
        NRLTB(kpts=GENERAL),
        NRLTB(basis="spd"),
        NRLTB(cutoff="original"),
        NRLTB("W"),
        NRLTB("W_spd_new"),
        NRLTB(own),
    ]
    assert len({identity(calculator) for calculator in different}) == len(different)
    assert identity(NRLTB("Si", "sp")) == identity(NRLTB("Si_sp")) == identity(NRLTB())
    assert identity(NRLTB(kpts=np.array(GENERAL))) == identity(NRLTB(kpts=GENERAL))
    assert identity(NRLTB(threads=1, skin=1.0)) == identity(NRLTB(threads=2))


def test_own_parameters():
    p = find_parameters("Si")
    shifted = replace(p, onsite_ok=np.add(p.onsite_ok, [0.1, 0, 0, 0]))
    alone = Atoms("Si")
    found, expected = solved(alone, shifted)["energy"], solved(alone, p)["energy"]
    assert found == pytest.approx(expected + 4 * 0.1 * RYDBERG, abs=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"element": "Xx"}, "no NRL parameters for Xx; there are Si_sp, Si_spd"),
        ({"element": "W", "basis": "sp"}, "no NRL parameters for W with basis 'sp'"),
        ({"cutoff": "sharp"}, "cutoff = 'sharp': expected one of 'cosine', 'original', 'forceshift'"),
        ({"solver": "fast"}, "solver = 'fast': expected one of 'auto', 'dense', 'symmetric'"),
        ({"eigensolver": "cuda"}, "eigensolver = 'cuda': expected 'lapack', 'torch'"),
        ({"kT": 0.0}, "kT = 0.0: expected a smearing in eV"),
        ({"kT": -0.1}, "kT = -0.1"),
        ({"kT": np.nan}, "kT = nan"),
        ({"kT": "hot"}, "kT = 'hot'"),
        ({"symprec": 0.0}, "symprec = 0.0: expected a distance in Å"),
        ({"max_memory": -1}, "max_memory = -1: expected a number of bytes"),
        ({"kpts": "many"}, r"kpts = 'many' is not understood .*expected \(n1, n2, n3\)"),
        ({"kpts": {"sizes": (2, 2, 2)}}, "is not understood"),
        ({"kpts": [[np.nan, 0, 0]]}, "gives no or infinite k-points"),
        ({"kpts": []}, "kpts"),
        ({"kpts": (0, 1, 1)}, "kpts"),
        ({"skin": -1}, "skin = -1"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        NRLTB(**options)


@pytest.mark.parametrize("solver", ["auto", "dense", "symmetric"])
def test_atoms_that_make_no_sense(solver):
    calculator = NRLTB("Si", solver=solver, threads=1)
    crowded, lost, twice = silicon(), silicon(), silicon()
    twice.positions[3] = twice.positions[5] + twice.cell.array[0]
    crowded.set_cell(crowded.cell.array * 0.35, scale_atoms=True)
    lost.positions[2, 1] = np.nan
    for atoms, error, message in (
        (Atoms("SiC", [[0, 0, 0], [2, 0, 0]]), UnknownElementError, "NRLTB knows Si, not C"),
        (Atoms(), ValueError, "empty"),
        (twice, CoincidentAtomsError, "distinct places"),
        (crowded, CloseAtomsError, r"atoms \d+ and \d+ .* 0\.8229 Å apart: below 1\.83 Å.*closest=0"),
        (lost, ValueError, "position of atom 2"),
    ):
        with pytest.raises(error, match=message):
            calculator.get_potential_energy(atoms)
        assert calculator.results == {}
    with pytest.raises(
        NonFiniteEnergyError, match=r"not positive definite.*closer together.*closest pair is at 0\.8"
    ):
        NRLTB("Si", solver=solver, threads=1, closest=0).get_potential_energy(crowded)
    good = silicon(1, amplitude=0.1)
    assert calculator.get_potential_energy(good) == solved(good, "Si", solver=solver)["energy"]


@pytest.mark.parametrize(
    ("name", "repeat"), [("Si_sp", 1), ("C_sp", 1), ("Al_spd", 2), ("W_spd", 2), ("Fe_spd_para", 2)]
)
def test_the_energy_rises_down_to_the_closest_distance(name, repeat):
    """And falls below: that is what the table says of an atom moved towards its neighbour."""
    calculator = NRLTB(name, threads=1, closest=0)
    atoms = bulk(calculator.elements[0], cubic=True).repeat(repeat)
    distances = atoms.get_all_distances(mic=True, vector=True)[0, 1:]
    j = int(np.argmin(np.linalg.norm(distances, axis=1)))
    vector, bond = distances[j], np.linalg.norm(distances[j])

    def energy(r):
        moved = atoms.copy()
        moved.positions[0] += vector * (1 - r / bond)
        return calculator.get_potential_energy(moved)

    closest = CLOSEST[name]
    outer = [energy(r) for r in (0.95 * bond, (0.95 * bond + closest) / 2, closest)]
    assert outer == sorted(outer)
    assert energy(closest - 0.035 * bond) < outer[-1]


def test_closest_is_a_distance():
    assert NRLTB("Si").closest == 1.83
    assert NRLTB(replace(find_parameters("Si"), name="mine")).closest == 0.0
    for senseless in (-1.0, np.nan):
        with pytest.raises(ValueError, match="closest = "):
            NRLTB("Si", closest=senseless)


@pytest.mark.parametrize(
    ("kpts", "pbc"), [((1, 1, 2), (True, True, False)), ((2, 2, 2), False), (GENERAL, False)]
)
def test_k_points_along_an_open_direction(kpts, pbc):
    atoms = silicon()
    atoms.pbc = pbc
    with pytest.raises(ValueError, match="along a direction that is not periodic"):
        solved(atoms, "Si", kpts=kpts)


def test_too_many_electrons():
    crowded = replace(find_parameters("Si"), electrons=9.0)
    with pytest.raises(ElectronCountError, match="18 electrons in levels that hold 0 to 16"):
        solved(primitive(), crowded)


@pytest.mark.parametrize("electrons", [0.0, 8.0])
def test_empty_and_full_shells(electrons):
    """No electrons: no energy. All levels full: the trace of S^-1 H, whatever kT."""
    atoms = primitive(1, amplitude=0.1)
    p = replace(find_parameters("Si"), electrons=electrons)
    found = solved(atoms, p, kT=0.05)
    H, S = NRLTB(p).hamiltonian(atoms)
    expected = 2 * np.trace(np.linalg.solve(S, H)) if electrons else 0.0
    assert found["energy"] == pytest.approx(expected, abs=1e-9)
    assert np.isfinite(found["forces"]).all()
    assert_derivatives(atoms, NRLTB(p, kT=0.05, threads=1))
