"""Second derivatives of LinearACE: against differences of forces, and what they must satisfy exactly."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError

from ase_mlipgen import ACEBasis, LinearACE
from ase_mlipgen.ace import second_derivatives
from ase_mlipgen.neighbors import CoincidentAtomsError
from ase_mlipgen.theory.force_constants import force_constants

STEP = 2e-4


def model(elements, order, degree, cutoff, **kwargs):
    """A smooth random potential of a few eV an atom."""
    basis = ACEBasis(elements, order=order, degree=degree, cutoff=cutoff)
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.12, seed=2)
    atoms.symbols = [elements[k % len(elements)] for k in range(len(atoms))]
    scale = np.sqrt(np.mean(basis.design(atoms).forces ** 2, axis=(0, 1))) + 1e-2
    coefficients = np.random.default_rng(5).normal(size=len(basis)) / scale / np.sqrt(len(basis))
    return LinearACE(basis, coefficients, {elements[0]: -2.0}, **kwargs)


def keep_off_the_ends(atoms, calculator):
    """Rattle until no distance is near an end of the envelope or of the core, where second derivatives jump."""
    rng, basis = np.random.default_rng(0), calculator.basis
    ends = [basis.cutoff, *(radial.r_in for radial in basis.radial_bases.values())]
    ends += [core.r_i for core in basis.cores.values()]
    start, planar = atoms.positions.copy(), not atoms.pbc[2]
    for _ in range(1000):
        r = np.linalg.norm(calculator.neighbors.pairs(atoms).vectors(), axis=1)
        if np.abs(np.subtract.outer(r, ends)).min(initial=1.0) > 3 * STEP:
            return
        moves = rng.normal(0, 0.02, start.shape)
        atoms.positions = start + moves * [1, 1, not planar]
    raise AssertionError("no such positions found")


def silicon():
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.12, seed=2)
    return atoms


def carbide():
    atoms = bulk("Si", cubic=True) * (2, 1, 1)
    atoms.symbols = ["Si", "C"] * 8
    atoms.rattle(0.12, seed=2)
    return atoms


def sheet():
    a, h = 2.7271057, np.sqrt(3) * 2.7271057
    atoms = Atoms(
        "W2", positions=[[0, 0, 0], [a / 2, h / 2, 0]], cell=[a, h, 20.0], pbc=(True, True, False)
    ) * (5, 3, 1)
    del atoms[[3, 17]]
    atoms.positions[:, :2] += np.random.default_rng(1).normal(0, 0.06, (len(atoms), 2))
    return atoms


def squeezed():
    """Many distances below r_in = 1.53 Å, where only the core is left, some down to 1 Å."""
    atoms = bulk("Si", cubic=True)
    atoms.set_cell(atoms.cell * 0.62, scale_atoms=True)
    atoms.rattle(0.12, seed=4)
    return atoms


def tiny():
    """Smaller than the cutoff: several images of a neighbour, and each atom its own neighbour."""
    atoms = bulk("Si")
    atoms.rattle(0.1, seed=1)
    return atoms


def molecule():
    return Atoms("SiC2", positions=[[0.1, 0, 0], [2.3, 0.3, 0.2], [0.4, 2.2, 1.1]])


# name -> (atoms, model)
CASES = {
    "crystal": (silicon, (("Si",), 3, 10, 4.5)),
    "two elements": (carbide, (("Si", "C"), 3, 7, 4.5)),
    "sheet": (sheet, (("W",), 3, 10, 6.0)),
    "below r_in": (squeezed, (("Si",), 3, 8, 3.5)),
    "tiny cell": (tiny, (("Si",), 3, 8, 5.5)),
    "molecule": (molecule, (("Si", "C"), 3, 7, 4.5)),
    "order 1": (silicon, (("Si",), 1, 10, 4.5)),
    "order 2": (carbide, (("Si", "C"), 2, 8, 4.0)),
    "order 4": (carbide, (("Si", "C"), 4, 6, 4.0)),
}


@pytest.fixture(params=CASES)
def atoms(request):
    make, size = CASES[request.param]
    found = make()
    found.calc = model(*size)
    keep_off_the_ends(found, found.calc)
    return found


def displacements(atoms, n):
    return np.random.default_rng(7).normal(size=(n, len(atoms), 3))


def difference(atoms, v_ic):
    """Minus the derivative of the forces along v: central differences over two steps, extrapolated."""
    moved, slopes = atoms.copy(), []
    moved.calc = atoms.calc
    for h in (STEP, STEP / 2):
        forces = []
        for signed in (h, -h):
            moved.positions = atoms.positions + signed * v_ic / np.linalg.norm(v_ic, axis=1).max()
            forces.append(moved.get_forces())
        slopes.append((forces[1] - forces[0]) / (2 * h))
    return (4 * slopes[1] - slopes[0]) / 3 * np.linalg.norm(v_ic, axis=1).max()


def test_against_differences_of_forces(atoms):
    v_vic = displacements(atoms, 2)
    H, found = atoms.calc.get_hessian(atoms), atoms.calc.hessian_product(atoms, v_vic)
    for v_ic, H_v in zip(v_vic, found, strict=True):
        expected = difference(atoms, v_ic)
        tolerance = 1e-8 * np.abs(expected).max()
        np.testing.assert_allclose(H_v, expected, rtol=0, atol=tolerance)
        np.testing.assert_allclose((H @ v_ic.ravel()).reshape(-1, 3), expected, rtol=0, atol=tolerance)


def test_product_is_the_matrix_times_displacements(atoms):
    v_vic = displacements(atoms, 3)
    H = atoms.calc.get_hessian(atoms, format="dense")
    found = atoms.calc.hessian_product(atoms, v_vic)
    np.testing.assert_allclose(
        found.reshape(3, -1), v_vic.reshape(3, -1) @ H, rtol=0, atol=1e-13 * np.abs(found).max()
    )


def test_symmetric_to_the_last_bit_and_blind_to_translations(atoms):
    H = atoms.calc.get_hessian(atoms)
    assert (H != H.T).nnz == 0
    assert H.has_sorted_indices
    uniform = np.tile(np.eye(3), (len(atoms), 1))
    assert np.abs(H @ uniform).max() < 1e-12 * np.abs(H).max()
    moved = atoms.calc.hessian_product(atoms, np.tile(np.eye(3)[:, None, :], (1, len(atoms), 1)))
    assert not moved.any()


def test_rotations_turn_the_forces():
    """F(R x) = R F(x) of a free molecule: -H (w x r) = w x F, to first order."""
    atoms = molecule()
    atoms.calc = model(*CASES["molecule"][1])
    forces = atoms.get_forces()
    assert np.abs(forces).max() > 1e-2
    for axis in np.eye(3):
        found = atoms.calc.hessian_product(atoms, np.cross(axis, atoms.positions))
        np.testing.assert_allclose(found, -np.cross(axis, forces), rtol=0, atol=1e-12 * np.abs(found).max())


def test_property_formats_and_masses():
    atoms = carbide()
    atoms.calc = model(*CASES["two elements"][1])
    H = atoms.calc.get_property("hessian", atoms)
    dense = atoms.calc.get_hessian(atoms, format="dense")
    assert H.shape == (3 * len(atoms), 3 * len(atoms))
    np.testing.assert_array_equal(H.toarray(), dense)
    root = np.sqrt(np.repeat(atoms.get_masses(), 3))
    expected = dense / np.outer(root, root)
    by_mass = atoms.calc.get_hessian(atoms, divide_by_masses=True).toarray()
    np.testing.assert_allclose(by_mass, expected, rtol=1e-14, atol=0)
    np.testing.assert_allclose(
        atoms.calc.get_property("dynamical_matrix", atoms).toarray(), expected, rtol=1e-14
    )


def test_a_supercell_folds_into_the_cell():
    """Displacements with the period of the cell: H of the supercell folded is H of the cell, self-images included."""
    atoms = tiny()
    atoms.calc = model(*CASES["tiny cell"][1])
    big = atoms * (3, 2, 2)
    H, n = atoms.calc.get_hessian(big, format="dense"), 3 * len(atoms)
    folded = H[:n].reshape(n, 12, n).sum(axis=1)
    expected = atoms.calc.get_hessian(atoms, format="dense")
    np.testing.assert_allclose(folded, expected, rtol=0, atol=1e-12 * np.abs(H).max())


def test_a_perfect_crystal_has_three_soft_modes_and_the_force_constants_of_differences():
    """The cutoff is not at a shell of neighbours (4.50 Å), where second derivatives jump."""
    atoms = bulk("Si", cubic=True)
    atoms.calc = model(("Si",), 3, 10, 4.2)
    eigenvalues = np.sort(np.abs(np.linalg.eigvalsh(atoms.calc.get_hessian(atoms, format="dense"))))
    assert eigenvalues[2] < 1e-11 * eigenvalues[-1]
    assert eigenvalues[3] > 1e-4 * eigenvalues[-1]
    found, taken, expected = (
        force_constants(atoms, atoms.calc, analytic=way).columns_sanb for way in (None, True, False)
    )
    np.testing.assert_array_equal(found, taken)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["two elements", "sheet"])
def test_threads_and_blocks_do_not_change_a_bit(name, monkeypatch):
    make, size = CASES[name]
    atoms = make()
    v_vic = displacements(atoms, 3)
    first = model(*size, threads=1)
    expected = first.get_hessian(atoms), first.hessian_product(atoms, v_vic)
    monkeypatch.setattr(second_derivatives, "BLOCK", 5)
    monkeypatch.setattr(second_derivatives, "VECTORS", 2)
    monkeypatch.setattr(second_derivatives, "BLOCK_BYTES", 1)
    for threads in (1, 2, 5):
        calculator = model(*size, threads=threads)
        H = calculator.get_hessian(atoms)
        np.testing.assert_array_equal(H.indices, expected[0].indices)
        np.testing.assert_array_equal(H.data, expected[0].data)
        np.testing.assert_allclose(
            calculator.hessian_product(atoms, v_vic),
            expected[1],
            rtol=0,
            atol=1e-13 * np.abs(expected[1]).max(),
        )
        if threads == 1:
            in_blocks = calculator.hessian_product(atoms, v_vic)
        np.testing.assert_array_equal(calculator.hessian_product(atoms, v_vic), in_blocks)


def test_shapes_of_displacements_and_many_of_them():
    atoms = silicon()
    calculator = model(*CASES["crystal"][1])
    v_vic = displacements(atoms, 2 * second_derivatives.VECTORS + 3)
    found = calculator.hessian_product(atoms, v_vic)
    assert found.shape == v_vic.shape
    for v_ic, H_v in zip(v_vic, found, strict=True):
        np.testing.assert_array_equal(calculator.hessian_product(atoms, v_ic), H_v)
    np.testing.assert_array_equal(calculator.hessian_product(atoms, v_vic[3].tolist()), found[3])
    assert calculator.hessian_product(atoms, v_vic[:0]).shape == (0, len(atoms), 3)


def test_a_kept_neighbour_list_serves():
    atoms = silicon()
    calculator = model(*CASES["crystal"][1], skin=1.0)
    calculator.get_hessian(atoms)
    atoms.positions += np.random.default_rng(0).uniform(-0.2, 0.2, atoms.positions.shape)
    fresh, v_ic = model(*CASES["crystal"][1], skin=0.0), displacements(atoms, 1)[0]
    assert abs(calculator.get_hessian(atoms) - fresh.get_hessian(atoms)).max() == 0.0
    np.testing.assert_array_equal(calculator.hessian_product(atoms, v_ic), fresh.hessian_product(atoms, v_ic))
    assert calculator.neighbors.n_builds == 1


def test_atoms_out_of_reach_and_no_core():
    calculator = model(*CASES["crystal"][1])
    single = Atoms("Si")
    assert calculator.get_hessian(single).shape == (3, 3)
    assert calculator.get_hessian(single).nnz == 0
    assert not calculator.hessian_product(single, np.ones((1, 3))).any()
    basis = ACEBasis(["Si"], order=2, degree=6, cutoff=4.5, core=None)
    bare = LinearACE(basis, np.random.default_rng(0).normal(size=len(basis)))
    pair = Atoms("Si2", positions=[[0, 0, 0], [0, 0, 1.0]])
    assert bare.get_hessian(pair).nnz == 0
    pair.positions[1] = [0.3, 0.1, 2.4]
    v_ic = displacements(pair, 1)[0]
    pair.calc = bare
    np.testing.assert_allclose(bare.hessian_product(pair, v_ic), difference(pair, v_ic), rtol=1e-7)


@pytest.mark.parametrize(
    ("v", "said"),
    [
        (np.zeros((7, 3)), r"v has shape \(7, 3\): expected \(8, 3\)"),
        (np.zeros(24), r"shape \(24,\)"),
        (np.zeros((1, 1, 8, 3)), r"shape \(1, 1, 8, 3\)"),
        (np.full((8, 3), np.nan), "NaN or infinity"),
    ],
)
def test_bad_displacements(v, said):
    with pytest.raises(ValueError, match=said):
        model(*CASES["crystal"][1]).hessian_product(silicon(), v)


def test_coincident_atoms_are_an_error():
    calculator, atoms = model(*CASES["crystal"][1], skin=4.0), silicon()
    calculator.neighbors.pairs(atoms)
    atoms.positions[1] = atoms.positions[0] = (atoms.positions[0] + atoms.positions[1]) / 2
    for compute in (calculator.get_hessian, lambda atoms: calculator.hessian_product(atoms, np.ones((8, 3)))):
        with pytest.raises(CoincidentAtomsError):
            compute(atoms)
    assert calculator.neighbors.n_builds == 1


def test_order_five_refuses_with_the_remedy():
    basis, atoms = ACEBasis(["Si"], order=5, degree=6, cutoff=4.5), silicon()
    calculator = LinearACE(basis, np.zeros(len(basis)))
    assert "hessian" not in calculator.implemented_properties
    for compute in (calculator.get_hessian, lambda atoms: calculator.hessian_product(atoms, np.ones((8, 3)))):
        with pytest.raises(PropertyNotImplementedError, match="order 4 or less"):
            compute(atoms)
    with pytest.raises(PropertyNotImplementedError):
        calculator.get_property("hessian", atoms)
