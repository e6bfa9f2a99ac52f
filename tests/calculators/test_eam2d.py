"""EAM2D against LAMMPS, matscipy's EAM and known energies of the tungsten sheet."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.constraints import FixCartesian
from ase.optimize import FIRE2
from ase.units import GPa
from matscipy.calculators.eam import EAM
from matscipy.elasticity import fit_elastic_constants
from scipy.optimize import minimize_scalar

from ase_mlipgen.calculators.base import UnknownElementError
from ase_mlipgen.calculators.eam2d import EAM2D, EAMFileError
from ase_mlipgen.eam.analytic import TUNGSTEN, Zhou
from ase_mlipgen.eam.setfl import write
from tests.eam.synthetic import tables
from tests.oracles import lammps_oracle

R0, E0 = 2.7271057, -6.3380221463


def sheet(n, r0=R0):
    """Rhombic n x n cell of the triangular lattice."""
    cell = [[r0, 0, 0], [r0 / 2, r0 * np.sqrt(3) / 2, 0], [0, 0, 20]]
    return Atoms("W", cell=cell, pbc=(True, True, False)).repeat((n, n, 1))


def rattled_sheet():
    atoms = sheet(6)
    atoms.rattle(0.05, seed=1)
    return atoms


def rattled_bcc():
    atoms = bulk("W", a=3.165).repeat(3)
    atoms.rattle(0.05, seed=1)
    return atoms


def alloy():
    atoms = bulk("Cu", "fcc", a=3.7, cubic=True).repeat((2, 2, 1))
    atoms.symbols[::3] = "Fe"
    atoms.rattle(0.1, seed=2)
    return atoms


STRUCTURES = {"sheet": rattled_sheet, "bcc": rattled_bcc}


@pytest.fixture(scope="module")
def tungsten_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("eam") / "W.eam.alloy"
    EAM2D().write_setfl(path)
    return str(path)


def alloy_file(folder, kind):
    path = str(folder / f"FeCu.{kind.replace('/', '.')}")
    write(path, tables(10001, 10001, symmetric=kind == "eam/alloy"), [26, 29], [55.845, 63.546], kind)
    return path


def assert_same(atoms, calculator, energy, forces, stress=None):
    atoms = atoms.copy()
    atoms.calc = calculator
    assert atoms.get_potential_energy() / len(atoms) == pytest.approx(energy / len(atoms), abs=1e-8)
    np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-6)
    if stress is not None:
        np.testing.assert_allclose(atoms.get_stress(), stress, atol=1e-8)


@pytest.mark.parametrize("name", STRUCTURES)
def test_tungsten_equals_lammps(name, tungsten_file):
    atoms = STRUCTURES[name]()
    expected = lammps_oracle.evaluate(
        atoms, ["W"], ["pair_style eam/alloy", f"pair_coeff * * {tungsten_file} W"]
    )
    assert_same(atoms, EAM2D(), *expected)
    assert_same(atoms, EAM2D(tungsten_file), *expected)


@pytest.mark.parametrize("kind", ["eam/alloy", "eam/fs"])
def test_two_elements_equal_lammps_and_matscipy(kind, tmp_path):
    """Densities differ between all ordered pairs in eam/fs: an exchange of indices would show."""
    path, atoms = alloy_file(tmp_path, kind), alloy()
    commands = [f"pair_style {kind}", f"pair_coeff * * {path} Fe Cu"]
    assert_same(atoms, EAM2D(path), *lammps_oracle.evaluate(atoms, ["Fe", "Cu"], commands))
    other = EAM(path, kind=kind)
    assert_same(atoms, EAM2D(path), other.get_potential_energy(atoms), other.get_forces(atoms))


@pytest.mark.parametrize("name", STRUCTURES)
def test_tungsten_equals_matscipy(name, tungsten_file):
    atoms = STRUCTURES[name]()
    atoms.calc = EAM(tungsten_file)
    expected = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    assert_same(atoms, EAM2D(tungsten_file), *expected)
    assert_same(atoms, EAM2D(), *expected)
    H, H_matscipy = EAM2D(tungsten_file).get_hessian(atoms, "dense"), atoms.calc.get_hessian(atoms).toarray()
    np.testing.assert_allclose(H, H_matscipy, atol=1e-6 * abs(H).max())


@pytest.mark.parametrize("name", ["sheet", "bcc", "alloy", "primitive"])
def test_hessian_is_the_derivative_of_forces(name, tmp_path):
    """1e-6 relative to the largest entry, fourth-order differences; symmetric; zero sums over atoms."""
    primitive = bulk("W", a=3.165).repeat((2, 1, 1))
    primitive.rattle(0.1, seed=5)
    atoms = {**STRUCTURES, "alloy": alloy, "primitive": lambda: primitive}[name]()
    atoms.calc = EAM2D(alloy_file(tmp_path, "eam/fs")) if name == "alloy" else EAM2D()
    H = atoms.calc.get_property("hessian", atoms)
    assert abs(H - H.T).max() == 0.0
    dense = H.toarray()
    np.testing.assert_allclose(dense.reshape(-1, len(atoms), 3).sum(axis=1), 0, atol=1e-12 * abs(dense).max())
    positions, h = atoms.positions.copy(), 1e-3
    for k in range(0, 3 * len(atoms), 1 + len(atoms) // 3):
        step = np.zeros(3 * len(atoms))
        step[k] = h
        row = np.zeros(3 * len(atoms))
        for factor, weight in ((1, -8), (-1, 8), (2, 1), (-2, -1)):
            atoms.positions = positions + factor * step.reshape(-1, 3)
            row += weight * atoms.get_forces().ravel() / (12 * h)
        np.testing.assert_allclose(dense[k], row, atol=1e-6 * abs(dense).max())


@pytest.mark.parametrize("name", ["sheet", "bcc", "alloy"])
def test_hessian_product_is_the_change_of_forces(name, tmp_path):
    """Fourth-order differences along one direction."""
    atoms = {**STRUCTURES, "alloy": alloy}[name]()
    atoms.calc = EAM2D(alloy_file(tmp_path, "eam/fs")) if name == "alloy" else EAM2D()
    v, positions, h = np.random.default_rng(0).normal(size=(len(atoms), 3)), atoms.positions.copy(), 1e-3
    found = atoms.calc.hessian_product(atoms, v)
    change = np.zeros_like(v)
    for factor, weight in ((1, -8), (-1, 8), (2, 1), (-2, -1)):
        atoms.positions = positions + factor * h * v
        change += weight * atoms.get_forces() / (12 * h)
    np.testing.assert_allclose(found, change, atol=1e-6 * abs(change).max())


def test_threads_do_not_influence_results():
    atoms = sheet(80)
    atoms.rattle(0.05, seed=1)
    results = []
    for threads in (1, 2, 3):
        atoms.calc = EAM2D(threads=threads)
        results.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()))
    for found in results[1:]:
        for mine, expected in zip(found, results[0], strict=True):
            np.testing.assert_array_equal(mine, expected)


def test_lattice_constant_and_energy_of_the_sheet():
    def energy(r0):
        return EAM2D().get_potential_energy(sheet(1, r0))

    found = minimize_scalar(energy, bracket=(2.6, 2.7, 2.8), tol=1e-10)
    assert found.x == pytest.approx(2.72711, abs=1e-5)
    assert found.fun == pytest.approx(-6.33802, abs=1e-5)


def test_in_plane_phonons_are_stable():
    """All wave vectors that fit into 8 x 8 cells, from the supercell's Hessian: two zeros, all else positive."""
    H = EAM2D().get_hessian(sheet(8), "dense").reshape(64, 3, 64, 3)[:, :2, :, :2].reshape(128, 128)
    eigenvalues = np.linalg.eigvalsh(H)
    np.testing.assert_allclose(eigenvalues[:2], 0, atol=1e-6)
    assert eigenvalues[2] > 0.1


def test_elastic_constants_of_bcc_tungsten():
    """matscipy's fit to stresses; the values that Zhou's parameters were fitted to, GPa."""
    atoms = bulk("W", a=3.165, cubic=True)
    atoms.calc = EAM2D()
    C, _ = fit_elastic_constants(atoms, symmetry="cubic", verbose=False, graphics=False)
    np.testing.assert_allclose([C[0, 0] / GPa, C[0, 1] / GPa, C[3, 3] / GPa], [523, 203, 160], rtol=0.03)


def vacancy():
    atoms = sheet(24)
    del atoms[300]
    return atoms


def hollow():
    atoms = sheet(24)
    centre = np.array([R0 / 2, R0 * np.sqrt(3) / 6, 0])
    atoms += Atoms("W", positions=[atoms[300].position + centre])
    return atoms


def dumbbell():
    atoms = sheet(24)
    half = np.array([0.4 * R0, 0, 0])
    atoms += Atoms("W", positions=[atoms[300].position - half])
    atoms.positions[300] += half
    return atoms


@pytest.mark.parametrize(("defect", "expected"), [(vacancy, 3.126), (hollow, 5.834), (dumbbell, 6.163)])
def test_formation_energies_of_relaxed_defects(defect, expected):
    """Values of an independent code, in the 24 x 24 cell."""
    atoms = defect()
    atoms.calc = EAM2D()
    atoms.set_constraint(FixCartesian(range(len(atoms)), mask=(False, False, True)))
    assert FIRE2(atoms, logfile=None).run(fmax=1e-3, steps=1500)
    assert atoms.get_potential_energy() - E0 * len(atoms) == pytest.approx(expected, abs=1.5e-3)


def test_isolated_atom_and_dimer_beyond_the_cutoff():
    for atoms in (Atoms("W"), Atoms("W2", positions=[[0, 0, 0], [6.0, 0, 0]])):
        atoms.calc = EAM2D()
        assert atoms.get_potential_energy() == pytest.approx(0.0, abs=1e-12)
        assert not atoms.get_forces().any()
        assert atoms.calc.get_hessian(atoms).nnz == 0


def test_a_file_written_from_a_file_is_the_same(tungsten_file, tmp_path):
    EAM2D(tungsten_file).write_setfl(tmp_path / "again")
    first, again = EAM2D(tungsten_file), EAM2D(tmp_path / "again")
    np.testing.assert_array_equal(first.functions.F_ak, again.functions.F_ak)
    np.testing.assert_array_equal(first.functions.rphi_abk, again.functions.rphi_abk)
    atoms = rattled_sheet()
    assert first.get_potential_energy(atoms) == again.get_potential_energy(atoms)


def test_parameters_tell_potentials_apart(tungsten_file, tmp_path):
    EAM2D(tungsten_file).write_setfl(tmp_path / "other", kind="eam/fs")
    seen = [EAM2D().todict(), EAM2D(tungsten_file).todict(), EAM2D(tmp_path / "other").todict()]
    assert seen[0]["F_e"] == TUNGSTEN.F_e
    assert seen[1]["sha256"] != seen[2]["sha256"]
    assert repr(EAM2D()) == "EAM2D(analytic: W, cutoff 6 Å)"
    assert "W.eam.alloy" in repr(EAM2D(tungsten_file))


def test_own_parameters():
    weaker = EAM2D(Zhou(**{**EAM2D().parameters, "cutoff": 5.5, "switch_on": 4.5}))
    assert weaker.cutoff == 5.5
    assert weaker.get_potential_energy(sheet(1)) != pytest.approx(E0, abs=1e-7)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a complete"),
        ("nothing\nof\nthe\nsort\n", "not a complete"),
        ("#\n#\n#\n1 Qq\n4 0.1 4 0.1 0.3\n74 183 0 bcc\n" + "0.0\n" * 12, "chemical elements, not Qq"),
        (
            "#\n#\n#\n1 W\n4 0.1 4 0.1 0.3\n74 183 0 bcc\n" + "0.0\n" * 11,
            "line 17: is the last of 15 values; expected 16",
        ),
        (
            "#\n#\n#\n1 W\n4 0.1 4 0.1 0.3\n74 183 0 bcc\n" + "0.0\n" * 11 + "NaN\n",
            "line 18: pair term .* found 'NaN'",
        ),
        ("#\n#\n#\n1 W\n4 -0.1 4 0.1 0.3\n74 183 0 bcc\n" + "0.0\n" * 12, "line 5: drho = -0.1"),
        (b"\x89PNG\r\n\xff\xfe\x00", "not a complete"),
    ],
)
def test_files_that_are_none(tmp_path, content, message):
    path = tmp_path / "W.eam.fs"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(EAMFileError, match=message):
        EAM2D(path)


def test_refusals(tmp_path):
    with pytest.raises(FileNotFoundError, match="no potential file"):
        EAM2D(tmp_path / "absent.eam.fs")
    with pytest.raises(FileNotFoundError, match="no potential file"):
        EAM2D(tmp_path)
    with pytest.raises(TypeError, match="potential = 5"):
        EAM2D(5)
    with pytest.raises(UnknownElementError, match="EAM2D knows W, not Cu"):
        EAM2D().get_potential_energy(bulk("Cu"))
