"""What ASE and matscipy users do with a calculator, for each calculator of conftest."""

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from operator import methodcaller

import numpy as np
import pytest
from ase import units
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.constraints import FixCartesian
from ase.db import connect
from ase.filters import FrechetCellFilter
from ase.io import read, write
from ase.md.verlet import VelocityVerlet
from ase.optimize import FIRE2, LBFGS
from ase.optimize.precon import PreconLBFGS
from ase.phonons import Phonons
from matscipy.numerical import numerical_hessian


def freeze_open_directions(atoms):
    """Keep a sheet flat."""
    atoms.set_constraint(FixCartesian(range(len(atoms)), mask=~atoms.pbc) if not atoms.pbc.all() else None)


def test_forces_and_stress_are_derivatives(rattled):
    np.testing.assert_allclose(rattled.get_forces(), calculate_numerical_forces(rattled, eps=1e-4), atol=2e-6)
    np.testing.assert_allclose(rattled.get_stress(), calculate_numerical_stress(rattled), atol=1e-7)
    np.testing.assert_allclose(rattled.get_forces().sum(axis=0), 0, atol=1e-12)


def test_all_properties_at_once(rattled):
    found = rattled.get_properties(["energy", "free_energy", "energies", "forces", "stress"])
    assert found["energy"] == found["free_energy"] == rattled.get_potential_energy(force_consistent=True)
    assert found["energies"].sum() == pytest.approx(found["energy"], abs=1e-10)
    assert found["forces"].shape == (len(rattled), 3)
    assert found["stress"].shape == (6,)


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [(FIRE2, {}), (LBFGS, {}), (PreconLBFGS, {"precon": None})],
    ids=lambda x: str(x),
)
def test_relaxation_returns_to_the_crystal(rattled, crystal, optimizer, options):
    freeze_open_directions(rattled)
    assert optimizer(rattled, logfile=None, **options).run(fmax=1e-4, steps=500)
    per_atom = crystal.get_potential_energy() / len(crystal)
    assert rattled.get_potential_energy() / len(rattled) == pytest.approx(per_atom, abs=1e-6)


def test_cell_relaxation_finds_the_minimum(crystal):
    before = crystal.get_potential_energy()
    crystal.set_cell(crystal.cell * [1.01, 0.99, 1.0], scale_atoms=True)
    mask = np.outer(crystal.pbc, crystal.pbc)
    cell_filter = FrechetCellFilter(crystal, mask=mask)
    assert LBFGS(cell_filter, logfile=None).run(fmax=1e-4, steps=200)
    assert crystal.get_potential_energy() <= before + 1e-6
    np.testing.assert_allclose(crystal.get_stress(voigt=False)[mask], 0, atol=1e-4)


def test_energy_is_conserved(case):
    make, build = case
    cell = build()
    atoms = cell.repeat(np.where(cell.pbc, 2, 1))
    atoms.calc = make()
    freeze_open_directions(atoms)
    width = np.sqrt(600 * units.kB * atoms.get_masses())[:, None]
    momenta = np.random.default_rng(1).normal(size=(len(atoms), 3)) * width
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    energies = []
    dynamics = VelocityVerlet(atoms, 1.0 * units.fs)
    dynamics.attach(lambda: energies.append(atoms.get_total_energy() / len(atoms)), interval=10)
    dynamics.run(2000)
    times = np.linspace(0, 1, len(energies))
    drift = np.polyfit(times, energies, 1)[0]
    assert abs(drift) < 1e-5
    assert atoms.get_temperature() > 50


def test_phonons_agree_with_second_differences(crystal, tmp_path):
    repeats = np.where(crystal.pbc, 3, 1)
    calculator = crystal.calc
    phonons = Phonons(crystal, calculator, supercell=tuple(repeats), delta=1e-3, name=tmp_path / "phonon")
    phonons.run()
    phonons.read(acoustic=True)
    q = np.where(crystal.pbc, 1 / 3, 0.0)
    big = crystal.repeat(repeats)
    big.calc = calculator
    H = np.asarray(numerical_hessian(big, d=1e-4).todense()).reshape(-1, 3 * len(crystal), len(big) * 3)[0]
    images = np.array(list(np.ndindex(*repeats)))
    blocks = H.reshape(3 * len(crystal), -1, 3 * len(crystal))
    D = np.einsum("m,amb->ab", np.exp(2j * np.pi * images @ q), blocks)
    D /= np.sqrt(np.outer(*[np.repeat(crystal.get_masses(), 3)] * 2))
    expected = np.linalg.eigvalsh(D)
    hbar = units._hbar * 1e10 / np.sqrt(units._e * units._amu)
    frequencies = phonons.band_structure([q], verbose=False)[0] / hbar
    signed = np.sort(frequencies * np.abs(frequencies))  # ASE lists imaginary frequencies as negative
    np.testing.assert_allclose(signed, expected, atol=1e-4)


def test_database_and_extxyz_round_trip(rattled, tmp_path):
    energy, forces, stress = rattled.get_potential_energy(), rattled.get_forces(), rattled.get_stress()
    with connect(tmp_path / "a.db") as database:
        database.write(rattled)
    write(tmp_path / "a.xyz", rattled)
    for again in (connect(tmp_path / "a.db").get_atoms(1), read(tmp_path / "a.xyz")):
        assert again.get_potential_energy() == pytest.approx(energy, abs=1e-7)
        np.testing.assert_allclose(again.get_forces(), forces, atol=1e-7)
        np.testing.assert_allclose(again.get_stress(), stress, atol=1e-7)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(rattled, duplicate):
    energy, forces = rattled.get_potential_energy(), rattled.get_forces()
    other = rattled.copy()
    other.calc = duplicate(rattled.calc)
    assert other.get_potential_energy() == energy
    other.positions[0, 0] += 0.1
    assert other.get_potential_energy() != energy
    np.testing.assert_array_equal(rattled.get_forces(), forces)
    assert rattled.calc.results["energy"] == energy


def test_results_are_never_overwritten(rattled):
    results = rattled.get_properties(["energies", "forces", "stress"])
    held = {name: rattled.calc.results[name] for name in ("energies", "forces", "stress")}
    before = {name: value.copy() for name, value in held.items()}
    rattled.positions[0, 0] += 0.05
    assert not np.allclose(rattled.get_forces(), before["forces"], atol=1e-6)
    for name, value in held.items():
        np.testing.assert_array_equal(value, before[name])
        np.testing.assert_array_equal(results[name], before[name])
    rattled.get_forces()[:] = 7.0
    assert abs(rattled.get_forces()).max() < 7.0


def test_results_do_not_depend_on_the_list_and_its_past(rattled, make):
    """Bitwise: after a walk with a kept list, and with lists of their own."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        rattled.positions += rng.normal(0, 0.02, rattled.positions.shape) * rattled.pbc
        rattled.get_forces()
    fresh = rattled.copy()
    for skin in (0.0, 0.3, 1.1):
        fresh.calc = copy.deepcopy(make())
        fresh.calc.neighbors.skin = skin
        assert fresh.get_potential_energy() == rattled.get_potential_energy()
        np.testing.assert_array_equal(fresh.get_forces(), rattled.get_forces())
        np.testing.assert_array_equal(fresh.get_stress(), rattled.get_stress())


def displaced(atoms, n=6):
    """Return copies of atoms, each displaced differently and with a calculator of its own."""
    cells = []
    for seed in range(n):
        cell = atoms.copy()
        cell.positions += np.random.default_rng(seed).normal(0, 0.03, cell.positions.shape)
        cell.calc = copy.deepcopy(atoms.calc)
        cells.append(cell)
    return cells


def test_threads(rattled):
    cells = displaced(rattled, 8)
    expected = [cell.get_forces() for cell in copy.deepcopy(cells)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(methodcaller("get_forces"), cells))
    np.testing.assert_array_equal(found, expected)


@pytest.fixture(scope="module", params=["fork", "spawn"])
def processes(request):
    if request.param not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {request.param} on this platform")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(request.param)) as pool:
        yield pool


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_processes(rattled, processes):
    cells = displaced(rattled, 3)
    found = list(processes.map(methodcaller("get_forces"), cells))
    np.testing.assert_array_equal(found, [cell.get_forces() for cell in cells])


def test_hessian_where_there_is_one(rattled):
    if "hessian" not in rattled.calc.implemented_properties:
        with pytest.raises(PropertyNotImplementedError):
            rattled.calc.get_property("hessian", rattled)
        return
    H = rattled.calc.get_property("hessian", rattled).toarray()
    np.testing.assert_allclose(H, numerical_hessian(rattled, d=1e-4).todense(), atol=2e-6 * abs(H).max())
