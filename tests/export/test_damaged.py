"""Own files, truncated and altered: refused, or the same model; never another one."""

import re

import numpy as np
import pytest
from ase.build import bulk

from ase_mlipgen import ACEBasis, LinearACE
from ase_mlipgen.export import direct
from ase_mlipgen.export.contents import YaceError
from ase_mlipgen.export.models import read_model
from ase_mlipgen.export.reading import read
from tests.export import foreign


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    basis = ACEBasis(["C", "Si"], order=2, degree=5, cutoff=4.5)
    model = LinearACE(basis, np.random.default_rng(0).normal(size=len(basis)), E0={"C": -7.25})
    files = model.export_lammps(tmp_path_factory.mktemp("own") / "model.yace")
    return model, files.potentials


def altered(written, folder, text):
    _, potentials = written
    for path in potentials[1:]:
        (folder / path.name).write_bytes(path.read_bytes())
    path = folder / "model.yace"
    path.write_text(text)
    return path


def test_truncated_anywhere(written, tmp_path):
    text = written[1][0].read_text()
    ends = {int(end) for end in np.linspace(0, len(text) - 2, 15)}
    ends |= {match.start() for match in list(re.finditer("\n", text))[:-1]}
    for end in sorted(ends):
        with pytest.raises(YaceError, match=r"model\.yace"):
            LinearACE.from_yace(altered(written, tmp_path, text[:end]))


def test_any_number_altered(written, tmp_path):
    """Refused, or what the file now says is the model that was read."""
    model, potentials = written
    text, rng = potentials[0].read_text(), np.random.default_rng(1)
    numbers = list(re.finditer(r"(?<![\w.])-?\d+(\.\d+)?(e[-+]?\d+)?", text))
    n_refused, atoms = 0, bulk("Si", cubic=True)
    atoms.symbols[::2] = "C"
    atoms.rattle(0.2, seed=0)
    for k in rng.choice(len(numbers), 40, replace=False):
        at = numbers[k]
        new = repr(float(at[0]) * 1.5 + 0.25) if "." in at[0] else str(int(at[0]) + 1)
        path = altered(written, tmp_path, text[: at.start()] + new + text[at.end() :])
        try:
            back = LinearACE.from_yace(path)
        except YaceError:
            n_refused += 1
            continue
        assert np.array_equal(back.coefficients, model.coefficients)
        atoms.calc = back
        energies_i, forces = direct.evaluate(read(path), atoms)
        place = text[text.rfind("\n", 0, at.start()) + 1 : at.end()][-80:]
        np.testing.assert_allclose(atoms.get_potential_energies(), energies_i, rtol=1e-9, err_msg=place)
        np.testing.assert_allclose(atoms.get_forces(), forces, rtol=0, atol=1e-7, err_msg=place)
    assert n_refused > 25


def test_metadata_of_another_model(written, tmp_path):
    text = written[1][0].read_text()
    for old, new, said in [
        ("version: '1'", "version: '2'", "update ase-mlipgen"),
        ('"degree": 5', '"degree": 4', "not those of a model"),
        ('"order": 2', '"order": 1000000', "not those of a model"),
        ('"cutoff": 4.5', '"cutoff": 4.6', "of another model"),
        ('"core": "zbl"', '"core": null', "of another model"),
    ]:
        assert old in text
        with pytest.raises(YaceError, match=said):
            LinearACE.from_yace(altered(written, tmp_path, text.replace(old, new)))


def test_a_file_of_the_sum_is_missing(written, tmp_path):
    path = altered(written, tmp_path, written[1][0].read_text())
    (tmp_path / "model.core-2.yace").unlink()
    with pytest.raises(YaceError, match="the model needs all its files"):
        LinearACE.from_yace(path)
    path.write_text(path.read_text().replace("model.core-2.yace", "../model.core-2.yace"))
    with pytest.raises(YaceError, match="the model needs all its files"):
        LinearACE.from_yace(path)


@pytest.mark.parametrize("found", [foreign.entries(degree=4), foreign.pacemaker("SBessel", degree=4)])
def test_bytes_at_random(found, tmp_path):
    """Read or refused, without any other error."""
    path, rng = foreign.write(tmp_path / "model.yace", found), np.random.default_rng(2)
    content = path.read_bytes()
    for _ in range(40):
        altered, at = bytearray(content), int(rng.integers(len(content)))
        altered[at : at + int(rng.integers(3))] = bytes(
            rng.choice(list(b" ,:[]{}-#'\"\n&*!|>%@0e.~"), 2).tolist()
        )
        path.write_bytes(bytes(altered))
        try:
            read_model(path)
        except YaceError:
            continue
