"""NRLTB's k-points, levels, bands and densities of states, with the tools of ASE."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.dft.bandgap import bandgap
from ase.dft.dos import DOS
from ase.dft.kpoints import monkhorst_pack
from ase.spectrum.doscollection import RawDOSCollection
from scipy.linalg import eigh

from ase_mlipgen.calculators.nrltb import NRLTB
from ase_mlipgen.tightbinding.parameters import find_parameters
from tests.tightbinding.structures import primitive, silicon

MESH = (2, 3, 1)


def molybdenum():
    atoms = bulk("Mo", a=3.15)
    atoms.set_cell(
        atoms.cell.array @ [[1.02, 0.03, 0.0], [0.0, 1.0, 0.0], [0.0, 0.01, 0.98]], scale_atoms=True
    )
    return atoms


def distorted(element):
    return primitive(1, amplitude=0.1) if element == "Si" else molybdenum()


def solved(atoms, *arguments, **options):
    """Return a copy of the atoms whose calculator has solved them."""
    atoms = atoms.copy()
    atoms.calc = NRLTB(*arguments, **{"threads": 1, **options})
    atoms.get_potential_energy()
    return atoms


def assert_same(found, expected, names=("energy", "energies", "charges", "forces", "stress", "fermi_level")):
    for name in names:
        np.testing.assert_allclose(
            found.calc.results[name], expected.calc.results[name], rtol=0, atol=1e-10, err_msg=name
        )


@pytest.mark.parametrize("size", [(2, 2, 2), (3, 3, 3), (4, 3, 2)])
@pytest.mark.parametrize("element", ["Si", "Mo"])
def test_supercell_at_gamma_is_a_mesh_about_gamma(element, size):
    atoms = distorted(element)
    found = solved(atoms, element, kpts={"size": size, "gamma": True})
    expected = solved(atoms.repeat(size), element, solver="dense")
    n = int(np.prod(size))
    per_cell = expected.get_potential_energy() / n
    assert found.get_potential_energy() == pytest.approx(per_cell, abs=1e-10 * len(atoms))
    np.testing.assert_allclose(np.tile(found.get_forces(), (n, 1)), expected.get_forces(), rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.get_stress(), expected.get_stress(), rtol=0, atol=1e-11)
    np.testing.assert_allclose(np.tile(found.get_charges(), n), expected.get_charges(), rtol=0, atol=1e-11)
    assert found.calc.get_fermi_level() == pytest.approx(expected.calc.get_fermi_level(), abs=1e-10)
    assert found.calc.get_band_gap() == pytest.approx(expected.calc.get_band_gap(), abs=1e-10)


def test_mesh_off_gamma_folds_too():
    """A supercell with its own k-point is the primitive cell at several."""
    atoms, k = distorted("Si"), np.array([0.3, -0.2, 0.1])
    images = np.array(list(np.ndindex(2, 1, 3)))
    found = solved(atoms, "Si", kpts=(images + k) / (2, 1, 3))
    expected = solved(atoms.repeat((2, 1, 3)), "Si", kpts=[k])
    assert 6 * found.get_potential_energy() == pytest.approx(expected.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(np.tile(found.get_forces(), (6, 1)), expected.get_forces(), rtol=0, atol=1e-10)


def test_skew_supercell():
    atoms = distorted("Si")
    M = [[1, 1, 0], [-1, 2, 0], [0, 1, 1]]  # three cells
    # Points m of the supercell's reciprocal lattice, m inv(M)^T in units of the primitive one's; three are distinct.
    points = np.array(list(np.ndindex(3, 3, 3))) @ np.linalg.inv(M).T
    _, distinct = np.unique(np.round(points % 1.0, 6) % 1.0, axis=0, return_index=True)
    assert len(distinct) == 3
    found = solved(atoms, "Si", kpts=points[distinct])
    expected = solved(make_supercell(atoms, M), "Si")
    assert 3 * found.get_potential_energy() == pytest.approx(expected.get_potential_energy(), abs=1e-9)


@pytest.mark.parametrize("solver", ["dense", "symmetric"])
@pytest.mark.parametrize("size", [(4, 4, 4), (3, 3, 2), (1, 2, 3)])
def test_reduced_mesh_is_the_full_list(size, solver):
    """Time reversal and symmetry against a list that names every point, twice, in another order."""
    for atoms in (bulk("Si", a=5.43), distorted("Si")):
        found = solved(atoms, "Si", kpts=size, solver=solver)
        points = monkhorst_pack(size)
        listed = solved(atoms, "Si", kpts=points, solver="dense")
        doubled = solved(
            atoms, "Si", kpts=np.concatenate([points[::-1], np.add(points, [1, 0, -2])]), solver=solver
        )
        assert_same(found, listed)
        assert_same(doubled, listed)
        assert found.calc.plan.n_kpoints <= len(points) // 2 + 1


def test_weights_are_those_of_the_points():
    """Energies of an insulator are means over k-points: 2/3 and 1/3 by naming a point twice."""
    atoms, a, b = distorted("Si"), [0.1, 0.2, 0.3], [0.4, 0.0, 0.1]
    one, other, both = (
        solved(atoms, "Si", kT=0.005, kpts=kpts).get_potential_energy() for kpts in ([a], [b], [a, b, a])
    )
    assert both == pytest.approx((2 * one + other) / 3, abs=1e-9)


@pytest.mark.parametrize(
    "kpts", [(1, 1, 1), {"size": MESH, "gamma": True}, {"density": 2.0}, [[0.1, 0.2, 0.3]]]
)
def test_levels_and_occupations(kpts):
    atoms = solved(distorted("Si"), "Si", kT=0.2, kpts=kpts)
    calculator, p = atoms.calc, find_parameters("Si")
    points, weights = calculator.get_ibz_k_points(), calculator.get_k_point_weights()
    assert len(points) == len(weights) == calculator.results["eigenvalues"].shape[1]
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert calculator.get_number_of_spins() == 1
    assert calculator.get_number_of_bands() == 8
    everything = atoms.get_properties(["energy", "forces", "stress", "eigenvalues", "charges"])
    assert (everything["nspins"], everything["nkpts"], everything["nbands"]) == (1, len(points), 8)
    electrons = band = 0.0
    for k, (point, weight) in enumerate(zip(points, weights, strict=True)):
        levels, filled = calculator.get_eigenvalues(k), calculator.get_occupation_numbers(k)
        H, S = NRLTB("Si").hamiltonian(atoms, point)
        np.testing.assert_allclose(levels, eigh(H, S, eigvals_only=True), rtol=0, atol=1e-10)
        fermi_dirac = 2 / (1 + np.exp((levels - calculator.get_fermi_level()) / 0.2))
        np.testing.assert_allclose(filled, fermi_dirac, rtol=0, atol=1e-10)
        electrons += weight * filled.sum()
        band += weight * levels @ filled
    assert electrons == pytest.approx(p.electrons * len(atoms), abs=1e-10)
    assert atoms.get_potential_energy() == pytest.approx(band - calculator.results["entropy_term"], abs=1e-10)


@pytest.mark.parametrize("solver", ["dense", "symmetric"])
def test_all_levels_of_a_degenerate_cell(solver):
    """At Gamma all levels of all irreps are listed, each as often as it is degenerate."""
    atoms = silicon(2)
    del atoms[0]
    solved_atoms = solved(atoms, "Si", solver=solver)
    levels = solved_atoms.calc.get_eigenvalues()
    H, S = NRLTB("Si").hamiltonian(atoms)
    np.testing.assert_allclose(levels, eigh(H, S, eigvals_only=True), rtol=0, atol=1e-10)
    assert solved_atoms.calc.get_occupation_numbers().sum() == pytest.approx(4 * 63, abs=1e-9)


@pytest.mark.parametrize("element", ["Si", "Mo"])
def test_hamiltonian(element):
    """Hermitian, periodic in reciprocal space up to phases, real where it can be; S has ones on its diagonal."""
    atoms, calculator = distorted(element), NRLTB(element)
    k = np.array([0.13, -0.4, 0.25])
    for M in calculator.hamiltonian(atoms, k):
        np.testing.assert_array_equal(M, M.conj().T)
        assert np.iscomplexobj(M)
    for M in calculator.hamiltonian(atoms, [0.5, 0.0, -0.5]):
        assert M.dtype == float
        np.testing.assert_array_equal(M, M.T)
    levels = [
        eigh(*calculator.hamiltonian(atoms, point), eigvals_only=True)
        for point in (k, -k, np.add(k, [1, -2, 0]))
    ]
    np.testing.assert_allclose(levels[1], levels[0], rtol=0, atol=1e-10)
    np.testing.assert_allclose(levels[2], levels[0], rtol=0, atol=1e-10)
    assert np.linalg.eigvalsh(calculator.hamiltonian(atoms, k)[1]).min() > 0


def test_hamiltonian_of_a_lone_atom():
    H, S = NRLTB("W").hamiltonian(Atoms("W"))
    np.testing.assert_allclose(S, np.eye(9), rtol=0, atol=1e-15)
    np.testing.assert_array_equal(H, np.diag(np.diag(H)))


def test_band_gap_by_ase():
    """Silicon's indirect gap: between k-points of a mesh, and directly."""
    atoms = solved(bulk("Si", a=5.43), "Si", kpts={"size": (6, 6, 6), "gamma": True}, kT=0.01)
    indirect, _, _ = bandgap(atoms.calc)
    direct, _, _ = bandgap(atoms.calc, direct=True)
    assert indirect == pytest.approx(atoms.calc.get_band_gap(), abs=1e-10)
    assert 0.5 < indirect < 1.3 < direct
    metal = solved(bulk("Al"), "Al", kpts=(4, 4, 4))
    assert metal.calc.get_band_gap() == pytest.approx(0, abs=1e-12)
    assert bandgap(metal.calc)[0] == pytest.approx(0, abs=1e-12)


def test_density_of_states_by_ase():
    atoms = solved(distorted("Si"), "Si", kpts={"size": (3, 3, 3), "gamma": True})
    dos = DOS(atoms.calc, width=0.1, window=(-30, 60), npts=3000)
    energies, values = dos.get_energies(), dos.get_dos()
    assert np.trapezoid(values, energies) == pytest.approx(2 * 8, rel=1e-6)
    below = np.trapezoid(np.where(energies < 0, values, 0), energies)
    assert below == pytest.approx(8, rel=0.02)


@pytest.mark.parametrize("element", ["Si", "Mo"])
def test_bands_are_levels_along_the_path(element):
    atoms = solved(bulk(element), element, kpts=(2, 2, 2))
    path = {"Si": "GXWKGL", "Mo": "GHNGP"}[element]
    bands = atoms.calc.get_band_structure(atoms, path, npoints=15)
    n = 2 * 4 if element == "Si" else 9
    assert bands.energies.shape == (1, 15, n)
    assert bands.reference == atoms.calc.get_fermi_level()
    for k, levels in zip(bands.path.kpts, bands.energies[0], strict=True):
        H, S = atoms.calc.hamiltonian(atoms, k)
        np.testing.assert_allclose(levels, eigh(H, S, eigvals_only=True), rtol=0, atol=1e-10)
    standard = atoms.calc.get_band_structure(atoms, npoints=8)
    again = atoms.calc.get_band_structure(atoms, standard.path)
    np.testing.assert_array_equal(again.energies, standard.energies)


def test_bands_leave_results_alone():
    atoms = solved(distorted("Si"), "Si", kpts=(2, 2, 2))
    before = {name: np.copy(value) for name, value in atoms.calc.results.items()}
    atoms.calc.get_band_structure(atoms, "GX", npoints=4)
    atoms.calc.get_dos(atoms, kpts=(3, 3, 3), projected=True)
    atoms.calc.hamiltonian(atoms, [0.1, 0.2, 0.3])
    for name, value in before.items():
        np.testing.assert_array_equal(atoms.calc.results[name], value)
    assert not atoms.calc.calculation_required(atoms, ["energy", "forces"])


@pytest.mark.parametrize("element", ["Si", "Mo"])
def test_density_of_states(element):
    """Two states a level; parts of s, p and d sum to the whole, and the filled ones to the electrons."""
    mesh = {"size": MESH, "gamma": True}
    atoms = solved(distorted(element), element, kpts=mesh)
    n = find_parameters(element).n_orbitals * len(atoms)
    whole, reduced = atoms.calc.get_dos(atoms, kpts=mesh), atoms.calc.get_dos(atoms)
    assert len(reduced.get_energies()) < len(whole.get_energies())
    np.testing.assert_allclose(
        reduced.sample_grid(200, -20, 40, width=0.5).get_weights(),
        whole.sample_grid(200, -20, 40, width=0.5).get_weights(),
        atol=1e-9,
    )
    assert whole.get_weights().sum() == pytest.approx(2 * n, abs=1e-10)
    parts = atoms.calc.get_dos(atoms, projected=True)
    assert isinstance(parts, RawDOSCollection)
    assert [part.info["orbital"] for part in parts] == (["s", "p"] if element == "Si" else ["s", "p", "d"])
    for part in parts:
        np.testing.assert_allclose(part.get_energies(), whole.get_energies(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(sum(part.get_weights() for part in parts), whole.get_weights(), atol=1e-12)
    f = 1 / (1 + np.exp((whole.get_energies() - atoms.calc.get_fermi_level()) / 0.1))
    electrons = find_parameters(element).electrons * len(atoms)
    assert f @ whole.get_weights() == pytest.approx(electrons, abs=1e-9)
    finer = atoms.calc.get_dos(atoms, kpts=(3, 3, 3))
    assert len(finer.get_energies()) == 27 * n
    assert finer.sample_grid(100, width=0.5).get_weights().shape == (100,)


def test_mulliken_populations_are_sums_of_projections():
    """Charges by levels and their parts: an independent sum over k-points of c* S c."""
    atoms = solved(distorted("Si"), "Si", kT=0.2, kpts={"size": MESH, "gamma": True})
    populations = np.zeros(2)
    calculator = atoms.calc
    points, weights = calculator.get_ibz_k_points(), calculator.get_k_point_weights()
    for k, (point, weight) in enumerate(zip(points, weights, strict=True)):
        H, S = calculator.hamiltonian(atoms, point)
        _, C = eigh(H, S)
        mulliken = np.real(C.conj() * (S @ C)).reshape(2, 4, -1).sum(axis=1)
        populations += weight * mulliken @ calculator.get_occupation_numbers(k)
    np.testing.assert_allclose(4 - populations, atoms.get_charges(), rtol=0, atol=1e-10)
