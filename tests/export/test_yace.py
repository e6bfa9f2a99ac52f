"""Files of ML-PACE, written and read back: the same coefficients, numbers that every reader takes for the same."""

import pickle
import re
from copy import deepcopy

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk

from ase_mlipgen import ACEBasis, LinearACE
from ase_mlipgen.export import direct, lammps
from ase_mlipgen.export.imported import ImportedBasis
from ase_mlipgen.export.reading import read

CASES = {
    "order 1": (["Si"], {"order": 1, "degree": 8}),
    "order 3": (["Si"], {"order": 3, "degree": 9}),
    "blocks of several invariants": (["Si"], {"order": 4, "degree": 12}),
    "order 5": (["W"], {"order": 5, "degree": 9, "core": None}),
    "one length of the core": (["C", "Si"], {"order": 3, "degree": 6, "r0": 2.1}),
    "three lengths of the core": (["C", "Si"], {"order": 2, "degree": 6, "p": 3, "pin": 0}),
}


def model_of(elements, parameters):
    basis = ACEBasis(elements, cutoff=5.0, **parameters)
    rng = np.random.default_rng(2)
    values = rng.normal(size=len(basis)) * 10.0 ** rng.uniform(-9, 1, len(basis))
    return LinearACE(basis, values, E0={s: -1.5 * k - 1e-7 for k, s in enumerate(elements, 1)})


def cell(elements):
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.2, seed=0)
    atoms.symbols = [elements[k % len(elements)] for k in range(len(atoms))]
    return atoms


def without_metadata(path):
    """Rewrite a file as a foreign program would have written it."""
    text = re.sub(r"(?m)^metadata:\n(  .*\n)+", "", path.read_text())
    assert "metadata" not in text
    path.write_text(text)
    return path


def by_block(model):
    """Return {(centre element, block, number): coefficient}."""
    basis, found = model.basis, {}
    labels = {}
    for label, value in zip(basis.function_labels, model.coefficients, strict=True):
        labels[label] = labels.get(label, -1) + 1
        found[label, labels[label]] = value
    return found


@pytest.fixture(scope="module", params=CASES)
def written(request, tmp_path_factory):
    """A model and its exported file."""
    model = model_of(*CASES[request.param])
    path = tmp_path_factory.mktemp("yace") / "model.yace"
    return model, model.export_lammps(path, [cell(model.elements)])


def test_some_blocks_have_several_invariants():
    elements, parameters = CASES["blocks of several invariants"]
    basis = ACEBasis(elements, cutoff=5.0, **parameters)
    assert len(basis) > len(basis.blocks)


def test_what_was_written_is_read_to_the_last_bit(written, tmp_path):
    model, files = written
    back = LinearACE.from_yace(files.potentials[0])
    assert back.basis == model.basis
    assert np.array_equal(back.coefficients, model.coefficients)
    assert back.E0 == model.E0
    again = back.export_lammps(tmp_path / "model.yace", [cell(model.elements)])
    for one, other in zip(files.potentials, again.potentials, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_coefficients_come_back_without_the_metadata(written, tmp_path):
    model, files = written
    for path in files.potentials:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    back = LinearACE.from_yace(without_metadata(tmp_path / "model.yace"))
    assert isinstance(back.basis, ImportedBasis)
    expected, found = by_block(model), by_block(back)
    assert set(found) == set(expected)
    largest = np.abs(model.coefficients).max()
    for name, value in expected.items():
        assert abs(found[name] - value) < 1e-12 * largest, name
    atoms = cell(model.elements)
    atoms.calc = model
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    stress = atoms.get_stress()
    atoms.calc = back
    assert abs(atoms.get_potential_energy() - energy) < 1e-11 * max(1.0, abs(energy))
    np.testing.assert_allclose(
        atoms.get_forces(), forces, rtol=0, atol=1e-11 * max(1.0, np.abs(forces).max())
    )
    np.testing.assert_allclose(
        atoms.get_stress(), stress, rtol=0, atol=1e-11 * max(1.0, np.abs(stress).max())
    )
    if model.basis.order < 5:
        assert abs(back.get_hessian(atoms) - model.get_hessian(atoms)).max() < 1e-9 * np.abs(forces).max()


def test_an_imported_model_is_saved_copied_and_exported(written, tmp_path):
    model, files = written
    for path in files.potentials:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    back = LinearACE.from_yace(without_metadata(tmp_path / "model.yace"))
    atoms = cell(model.elements)
    back.save(tmp_path / "model.json")
    again = back.export_lammps(tmp_path / "again.yace", [atoms])
    assert again.energy_deviation < 1e-10
    others = [LinearACE.load(tmp_path / "model.json"), pickle.loads(pickle.dumps(back)), deepcopy(back)]
    atoms.calc = back
    energy = atoms.get_potential_energy()
    for other in others:
        atoms.calc = other
        assert atoms.get_potential_energy() == energy
    atoms.calc = LinearACE.from_yace(again.potentials[0])
    assert abs(atoms.get_potential_energy() - energy) < 1e-11 * max(1.0, abs(energy))


def test_every_yaml_reader_finds_numbers(written):
    _, files = written
    for path in files.potentials:
        text = path.read_text()
        numbers = re.findall(r"(?<![\w'\"{.:])-?\d[\d.]*e[-+]?\d+", re.sub(r"'.*?'", "", text))
        assert numbers or "order" not in text
        assert all("." in number for number in numbers)
        texts = [t for t in re.findall(r"'(.*?)'", text) if re.fullmatch(r"[\d.e+-]+", t)]
        assert texts in ([], ["1"])  # the version in the metadata


def test_a_model_of_1119_functions_is_half_a_megabyte(tmp_path):
    basis = ACEBasis(["Si"], order=3, degree=18, cutoff=5.5)
    assert len(basis) == 1119
    model = LinearACE(basis, np.random.default_rng(0).normal(size=1119))
    assert model.export_lammps(tmp_path / "Si.yace").n_bytes < 500_000


def test_the_brute_force_evaluator_is_independent_and_right(written):
    """Its forces are the slopes of its energies, by differences."""
    model, files = written
    contents, atoms = read(files.potentials[0]), cell(model.elements)
    step = 1e-5
    for k, c in ((0, 0), (3, 2)):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[k, c] += sign * step
            energies.append(direct.evaluate(contents, moved)[0].sum())
        slope = (energies[0] - energies[1]) / (2 * step)
        forces = direct.evaluate(contents, atoms)[1]
        assert abs(slope + forces[k, c]) < 1e-6 * max(1.0, np.abs(forces).max())


def test_the_input_names_all_files_in_the_order_of_the_types(tmp_path):
    model = model_of(*CASES["three lengths of the core"])
    files = model.export_lammps(tmp_path / "SiC.yace")
    text = files.input.read_text()
    assert files.input.name == "in.SiC"
    assert [path.name for path in files.potentials] == ["SiC.yace", "SiC.core-2.yace", "SiC.core-3.yace"]
    assert "pair_style hybrid/overlay pace pace pace\n" in text
    assert "pair_coeff * * pace 2 SiC.core-2.yace C Si\n" in text
    assert "pace/kk" in text
    assert "mpirun" in text
    assert "units metal" in text
    one = model_of(["Si"], {"order": 2, "degree": 6}).export_lammps(tmp_path / "Si.yace")
    assert "pair_style pace\npair_coeff * * Si.yace Si\n" in one.input.read_text()


def test_an_element_that_yaml_takes_for_a_truth_value(tmp_path):
    model = model_of(["No", "Y"], {"order": 2, "degree": 5, "core": None})
    path = model.export_lammps(tmp_path / "NoY.yace").potentials[0]
    text = without_metadata(path).read_text()
    assert LinearACE.from_yace(path).elements == model.elements
    path.write_text(text.replace("'No'", "No").replace("'Y'", "Y"))
    assert LinearACE.from_yace(path).elements == model.elements


def test_a_deviation_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(lammps, "TOLERANCE", -1.0)
    with pytest.raises(lammps.ExportError, match="not kept"):
        model_of(["Si"], {"order": 2, "degree": 6}).export_lammps(tmp_path / "Si.yace")
    assert list(tmp_path.iterdir()) == []


def test_refused_names_and_structures(tmp_path):
    model = model_of(["Si"], {"order": 2, "degree": 6})
    with pytest.raises(ValueError, match=r"ends in \.yace"):
        model.export_lammps(tmp_path / "Si.yaml")
    with pytest.raises(ValueError, match="structures is empty"):
        model.export_lammps(tmp_path / "Si.yace", [])
    with pytest.raises(ValueError, match="knows Si, not W"):
        model.export_lammps(tmp_path / "Si.yace", [bulk("W")])
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_plain_yaml(tmp_path):
    path = model_of(["Si"], {"order": 2, "degree": 6}).export_lammps(tmp_path / "Si.yace").potentials[0]
    top = [line.split(":")[0] for line in path.read_text().splitlines() if re.match(r"\w", line)]
    assert top[-1] == "functions"  # a truncated file has too few of them for its metadata
    assert yaml.safe_load(path.read_text().split("bonds:")[0])["lmax"] >= 1


def test_planar_atoms_run_in_lammps_with_fixed_faces(tmp_path):
    atoms = Atoms("Si2", [[0, 0, 0], [2.2, 0, 0]], cell=[8, 8, 0], pbc=[True, True, False])
    files = model_of(["Si"], {"order": 2, "degree": 6}).export_lammps(tmp_path / "Si.yace", [atoms])
    assert "boundary p p f\n" in files.input.read_text()
