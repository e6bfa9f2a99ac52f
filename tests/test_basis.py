"""ACEBasis: the paper's counts, rows against the calculator, defaults, clear errors."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ase_mlipgen import ACEBasis, LinearACE, Vacancy, training_cell, triangular_lattice
from ase_mlipgen.basis import nearest_neighbor_distance

TABLE_2 = [
    (3, 10, 110), (3, 12, 211), (3, 14, 383), (3, 16, 668), (3, 18, 1119), (3, 20, 1809),
    (2, 10, 51), (4, 16, 1445), (4, 18, 2849),
]  # fmt: skip
OBSERVATIONS = [(4, 6800), (5, 14000), (6, 17600), (7, 28400), (8, 41600)]


@pytest.mark.parametrize(("order", "degree", "expected"), TABLE_2)
def test_length_is_table_2s(order, degree, expected):
    assert len(ACEBasis(["W"], order=order, degree=degree)) == expected


@pytest.mark.parametrize(("size", "expected"), OBSERVATIONS)
def test_number_of_observations_is_table_2s(size, expected):
    cell = training_cell(triangular_lattice("W", 2.72711), Vacancy(), size)
    assert 200 * (1 + 3 * len(cell)) == expected


def rattled(elements=("Si",)):
    atoms = bulk("Si", cubic=True).repeat((2, 1, 1))
    atoms.rattle(0.15, seed=3)
    atoms.symbols = np.array([elements[k % len(elements)] for k in range(len(atoms))])
    return atoms


@pytest.mark.parametrize(
    ("elements", "order", "degree"),
    [(("Si",), 3, 12), (("Si", "C"), 3, 7), (("Si",), 4, 9), (("C", "Si", "Ge"), 2, 6)],
)
def test_rows_times_coefficients_equal_the_evaluator(elements, order, degree):
    basis = ACEBasis(elements, order=order, degree=degree, cutoff=4.5)
    coefficients = np.random.default_rng(0).normal(size=len(basis)) / np.arange(1, len(basis) + 1)
    atoms = rattled(elements)
    atoms.calc = LinearACE(basis, coefficients)
    design, baseline = basis.design(atoms), basis.baseline(atoms)
    scale = np.abs(design.energy * coefficients).sum()
    assert design.energy @ coefficients + baseline.energy == pytest.approx(
        atoms.get_potential_energy(), abs=1e-12 * scale
    )
    forces = design.forces @ coefficients + baseline.forces
    scale = np.abs(design.forces * coefficients).sum(axis=-1).max()
    np.testing.assert_allclose(forces, atoms.get_forces(), rtol=0, atol=1e-12 * scale)
    stress = (design.virial @ coefficients + baseline.virial) / atoms.get_volume()
    np.testing.assert_allclose(stress, atoms.get_stress(), atol=1e-10 * max(1.0, np.abs(stress).max()))


def test_shapes_and_labels():
    basis = ACEBasis(["Si", "C"], order=2, degree=5, cutoff=4.0)
    design = basis.design(rattled(("Si", "C")))
    assert design.energy.shape == (len(basis),)
    assert design.forces.shape == (16, 3, len(basis))
    assert design.virial.shape == (6, len(basis))
    assert basis.elements == ("C", "Si")
    assert len(basis.function_labels) == len(basis.function_orders) == len(basis)
    assert set(basis.function_orders) == {1, 2}


def test_isolated_atom_has_no_functions_and_no_nan():
    design = ACEBasis(["W"], order=3, degree=8, cutoff=5.0).design(Atoms("W"))
    assert not design.energy.any()
    assert not design.forces.any()


def test_defaults_are_the_materials():
    assert nearest_neighbor_distance("W") == pytest.approx(3.16 * np.sqrt(3) / 2, rel=1e-3)
    assert nearest_neighbor_distance("Cu") == pytest.approx(3.61 / np.sqrt(2), rel=1e-3)
    assert nearest_neighbor_distance("Si") == pytest.approx(5.43 * np.sqrt(3) / 4, rel=1e-3)
    basis = ACEBasis(["W"])
    assert basis.r_in["W"] == pytest.approx(0.65 * basis.r0["W"])


def test_dictionary_round_trip():
    basis = ACEBasis(["Si", "C"], order=2, degree=5.5, cutoff=4.0, r0={"Si": 2.3, "C": 1.5}, pin=0, core=None)
    assert ACEBasis.from_dict(basis.todict()) == basis
    assert hash(ACEBasis.from_dict(basis.todict())) == hash(basis)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"elements": []}, "elements is empty"),
        ({"elements": ["Xx"]}, "unknown element 'Xx'"),
        ({"elements": ["W", "W"]}, "twice"),
        ({"elements": ["W"], "order": 0}, "order must be an integer from 1 to 6, got 0"),
        ({"elements": ["W"], "order": 2.5}, "order"),
        ({"elements": ["W"], "degree": 0}, "degree"),
        ({"elements": ["W"], "degree": float("nan")}, "degree"),
        ({"elements": ["W"], "cutoff": -1.0}, r"cutoff = -1\.0: expected a length in Å"),
        ({"elements": ["W"], "cutoff": float("inf")}, "cutoff"),
        ({"elements": ["W"], "r0": 0.0}, "r0 of W"),
        ({"elements": ["W", "C"], "r0": {"W": 2.7}}, "no value for C"),
        ({"elements": ["W"], "r_in": 9.0}, "r_in"),
        ({"elements": ["W"], "core": "lj"}, "core"),
    ],
)
def test_nonsense_is_named(arguments, said):
    with pytest.raises(ValueError, match=said):
        ACEBasis(**arguments)


def test_unknown_element_in_a_structure_is_named():
    with pytest.raises(ValueError, match=r"contains Si, but the basis knows only W"):
        ACEBasis(["W"], order=2, degree=5).design(bulk("Si"))


@pytest.fixture(scope="module")
def cells():
    """A basis, a cell so small that atoms see their own images, and the tangents of every coordinate."""
    basis = ACEBasis(["C", "Si"], order=3, degree=5.5, cutoff=5.0)
    atoms = bulk("Si") * (2, 1, 1)
    atoms.symbols[1] = "C"
    atoms.rattle(0.1, seed=3)
    motions = np.eye(3 * len(atoms)).reshape(-1, len(atoms), 3)
    tangents = np.array([basis.design_tangent(atoms, motion) for motion in motions])
    return basis, atoms, tangents.reshape(3 * len(atoms), 3 * len(atoms), len(basis))


def test_tangents_are_a_symmetric_hessian_of_every_function(cells):
    _, _, H = cells
    scale = np.abs(H).max(axis=(0, 1))
    assert np.all(np.abs(H - H.transpose(1, 0, 2)).max(axis=(0, 1)) <= 1e-12 * scale + 1e-16 * scale.max())


def test_tangents_obey_the_acoustic_sum_rule(cells):
    basis, atoms, H = cells
    scale = np.abs(H).max(axis=(0, 1))
    sums = H.reshape(len(atoms), 3, -1, len(basis)).sum(axis=0)
    assert np.all(np.abs(sums).max(axis=(0, 1)) <= 1e-12 * scale + 1e-16 * scale.max())
    assert not basis.design_tangent(atoms, np.ones((len(atoms), 3))).any()


def test_tangents_times_coefficients_against_the_calculators_forces(cells):
    """Second algorithm: extrapolated differences of LinearACE's forces."""
    basis, atoms, H = cells
    coefficients = np.random.default_rng(1).normal(size=len(basis))
    moved, step = atoms.copy(), np.zeros((len(atoms), 3))
    step[2, 1] = 1.0
    moved.calc = LinearACE(ACEBasis.from_dict({**basis.todict(), "core": None}), coefficients)

    def forces(h):
        moved.positions = atoms.positions + h * step
        return moved.get_forces()

    slopes = [(forces(h) - forces(-h)) / (2 * h) for h in (2.5e-4, 5e-4, 1e-3)]
    expected = (64 * slopes[0] - 20 * slopes[1] + slopes[2]) / 45
    found = H[3 * 2 + 1].reshape(len(atoms), 3, -1) @ coefficients
    np.testing.assert_allclose(found, expected, atol=1e-8 * np.abs(expected).max())


def test_design_of_parts_and_without_the_virial(cells):
    basis, atoms, _ = cells
    whole, first, rest = (
        basis.design(atoms),
        basis.design(atoms, part=slice(1)),
        basis.design(atoms, part=slice(1, None)),
    )
    np.testing.assert_allclose(np.concatenate([first.forces, rest.forces]), whole.forces, atol=1e-12)
    np.testing.assert_allclose(first.energy + rest.energy, whole.energy, atol=1e-12)
    np.testing.assert_allclose(first.virial + rest.virial, whole.virial, atol=1e-11)
    lean = basis.design(atoms, virial=False)
    np.testing.assert_array_equal(lean.forces, whole.forces)
    assert lean.virial.shape == (0, len(basis))


def test_a_motion_of_the_wrong_shape_is_named(cells):
    basis, atoms, _ = cells
    with pytest.raises(ValueError, match=r"velocity_ic has shape \(3,\); expected \(4, 3\)"):
        basis.design_tangent(atoms, np.zeros(3))


@pytest.mark.parametrize("repeat", [1, 2], ids=["atoms see their own images", "two elements"])
def test_site_rows_are_those_of_single_atoms(repeat):
    """They add up to the energy row, and times coefficients they are the calculator's site energies."""
    atoms = bulk("Cu", cubic=True) * repeat
    atoms.rattle(0.1, seed=0)
    atoms.symbols[1] = "Ag"
    basis = ACEBasis(["Ag", "Cu"], order=3, degree=7, cutoff=4.5)
    rows = basis.site_rows(atoms)
    np.testing.assert_allclose(rows.sum(axis=0), basis.design(atoms).energy, rtol=1e-10, atol=1e-10)
    model = LinearACE(basis, np.random.default_rng(0).normal(size=len(basis)))
    energies = model.get_property("energies", atoms)
    expected = energies - LinearACE(basis, np.zeros(len(basis))).get_property("energies", atoms)
    np.testing.assert_allclose(rows @ model.coefficients, expected, atol=1e-9 * np.abs(energies).max())
