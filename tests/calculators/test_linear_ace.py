"""LinearACE: invariances (hypothesis), derivatives (finite differences), model files."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ase_mlipgen import ACEBasis, LinearACE
from ase_mlipgen.ace.core import zbl
from ase_mlipgen.calculators.linear_ace import ModelFileError


def model(elements=("Si",), order=3, degree=10, cutoff=4.5, size=1.0, **kwargs):
    """A smooth random potential of a few eV an atom."""
    basis = ACEBasis(elements, order=order, degree=degree, cutoff=cutoff)
    atoms = crystal(elements)
    scale = np.sqrt(np.mean(basis.design(atoms).forces ** 2, axis=(0, 1))) + 1e-2
    coefficients = size * np.random.default_rng(5).normal(size=len(basis)) / scale / np.sqrt(len(basis))
    return LinearACE(basis, coefficients, {elements[0]: -2.0}, **kwargs)


def crystal(elements=("Si",), repeat=(1, 1, 1), rattle=0.12):
    atoms = bulk("Si", cubic=True).repeat(repeat)
    atoms.rattle(rattle, seed=2)
    atoms.symbols = np.array([elements[k % len(elements)] for k in range(len(atoms))])
    return atoms


def computed(atoms, calculator):
    copy = atoms.copy()
    copy.calc = calculator
    return copy.get_potential_energy(), copy.get_forces(), copy.get_stress()


MODELS = {
    "si": model(),
    "sic": model(("Si", "C"), degree=7),
    "order4": model(order=4, degree=9),
    "order1": model(order=1),
}
ELEMENTS = {"si": ("Si",), "sic": ("Si", "C"), "order4": ("Si",), "order1": ("Si",)}


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), shift=st.floats(-50, 50), reflect=st.booleans())
def test_rotation_reflection_permutation_translation(name, seed, shift, reflect):
    atoms, rng = crystal(ELEMENTS[name]), np.random.default_rng(seed)
    energy, forces, _ = computed(atoms, MODELS[name])
    move = Rotation.random(rng=rng).as_matrix() * (-1 if reflect else 1)
    order = rng.permutation(len(atoms))
    moved = atoms[order]
    moved.set_cell(atoms.cell.array @ move.T)
    moved.positions = atoms.positions[order] @ move.T + shift
    again, turned, _ = computed(moved, MODELS[name])
    assert again == pytest.approx(energy, abs=1e-10)
    np.testing.assert_allclose(turned, forces[order] @ move.T, atol=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_supercell(name):
    atoms = crystal(ELEMENTS[name])
    energy, forces, stress = computed(atoms, MODELS[name])
    again, repeated, same = computed(atoms.repeat((2, 1, 2)), MODELS[name])
    assert again == pytest.approx(4 * energy, rel=1e-12)
    np.testing.assert_allclose(repeated, np.tile(forces, (4, 1)), atol=1e-10)
    np.testing.assert_allclose(same, stress, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_forces_and_stress_against_finite_differences(name):
    atoms = crystal(ELEMENTS[name])
    atoms.calc = MODELS[name]
    exact, stress = atoms.get_forces(), atoms.get_stress()
    coarse, fine = (calculate_numerical_forces(atoms, eps=h, iatoms=range(3)) for h in (4e-4, 2e-4))
    numerical = (4 * fine - coarse) / 3
    np.testing.assert_allclose(exact[:3], numerical, atol=1e-7)
    np.testing.assert_allclose(stress, calculate_numerical_stress(atoms, eps=1e-5), atol=1e-7)


def test_molecule_slab_and_isolated_atom():
    calculator = MODELS["si"]
    single = Atoms("Si", calculator=calculator)
    assert single.get_potential_energy() == -2.0
    assert not single.get_forces().any()
    pair = Atoms("Si2", [[0, 0, 0], [0, 0, 2.4]], calculator=calculator)
    assert np.abs(pair.get_forces().sum(axis=0)).max() < 1e-12
    slab = bulk("Si", cubic=True)
    slab.center(vacuum=8.0, axis=2)
    slab.pbc = (True, True, False)
    slab.calc = calculator
    assert slab.get_forces().shape == (8, 3)


def test_the_core_is_the_published_repulsion_at_short_distance():
    """Below r_in only the core is left: ZBL times its switch, (1 - (r / r_c)^2)^4."""
    calculator = MODELS["si"]
    r_c = calculator.basis.r0["Si"]
    for r in (0.55, 0.8, 1.2):
        pair = Atoms("Si2", [[0, 0, 0], [0, 0, r]], calculator=calculator)
        expected = zbl(r, 14, 14)[0] * (1 - (r / r_c) ** 2) ** 4
        assert pair.get_potential_energy() + 4.0 == pytest.approx(expected, rel=1e-9)


def test_threads_do_not_change_a_bit():
    atoms = crystal(repeat=(4, 4, 4))
    one, two, three = (model(threads=n) for n in (1, 2, 3))
    first = computed(atoms, one)
    for other in (two, three):
        again = computed(atoms, other)
        assert again[0] == first[0]
        np.testing.assert_array_equal(again[1], first[1])


def test_model_file_round_trip_is_exact(tmp_path):
    calculator = model(("Si", "C"), degree=6, metadata={"remark": "kept"})
    path = calculator.save(tmp_path / "m.json")
    again = LinearACE.load(path)
    np.testing.assert_array_equal(again.coefficients, calculator.coefficients)
    assert again.metadata == {"remark": "kept"}
    assert again.E0 == calculator.E0
    first, second = (computed(crystal(("Si", "C")), c) for c in (calculator, again))
    assert first[0] == second[0]
    np.testing.assert_array_equal(first[1], second[1])
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]


def spoilt(text, how):
    content = json.loads(text)
    if how == "truncated":
        return text[: len(text) // 2]
    if how == "empty":
        return ""
    if how == "foreign":
        return json.dumps({"a": 1})
    if how == "list":
        return "[1, 2]"
    if how == "deep":
        return "[" * 200_000
    if how == "long number":
        return "9" * 10_000
    if how == "version":
        return json.dumps({**content, "version": 99})
    content["coefficients"][0] += 1.0
    return json.dumps(content)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("truncated", "not a complete JSON file"),
        ("empty", "not a complete JSON file"),
        ("deep", "not a complete JSON file"),
        ("long number", "not a complete JSON file"),
        ("foreign", "is not a ase_mlipgen.LinearACE file"),
        ("list", "is not a ase_mlipgen.LinearACE file"),
        ("version", "format version 99"),
        ("altered", "checksum"),
    ],
)
def test_bad_model_files_are_refused_with_a_sentence(tmp_path, how, said):
    path = model(degree=5).save(tmp_path / "m.json")
    path.write_text(spoilt(path.read_text(), how))
    with pytest.raises(ModelFileError, match=said):
        LinearACE.load(path)


def test_missing_file_and_wrong_suffix(tmp_path):
    with pytest.raises(FileNotFoundError):
        LinearACE.load(tmp_path / "none.json")
    with pytest.raises(ValueError, match=r"ends in \.json"):
        MODELS["si"].save(tmp_path / "m.pkl")


@pytest.mark.parametrize(
    ("coefficients", "E0", "said"),
    [
        (np.zeros(3), None, "needs that many coefficients"),
        (None, {"C": 0.0}, "E0 names C"),
        (None, {"Si": np.nan}, "E0 of Si"),
    ],
)
def test_bad_arguments(coefficients, E0, said):
    basis = ACEBasis(["Si"], order=2, degree=5)
    with pytest.raises(ValueError, match=said):
        LinearACE(basis, np.zeros(len(basis)) if coefficients is None else coefficients, E0)


def test_coefficients_must_be_finite():
    basis = ACEBasis(["Si"], order=2, degree=5)
    with pytest.raises(ValueError, match="NaN or infinity"):
        LinearACE(basis, np.full(len(basis), np.nan))


def test_unknown_element_and_empty_atoms():
    with pytest.raises(ValueError, match="W"):
        computed(bulk("W"), MODELS["si"])
    with pytest.raises(ValueError, match="empty"):
        Atoms(calculator=MODELS["si"]).get_potential_energy()
