"""docs/tight_binding.md says what the code does: its tables, its picture, and silicon as published."""

import re

import pytest
from ase.build import bulk

from ase_mlipgen.calculators.nrltb import CUTOFFS, NRLTB
from ase_mlipgen.tightbinding.parameters import parameter_sets
from docs import tight_binding as page

TEXT = page.PAGE.read_text(encoding="utf-8")


def test_parameter_table_is_that_of_the_data_file():
    assert page.parameter_table() in TEXT
    assert [line.split(" | ")[0] for line in page.parameter_table().splitlines()[2:]] == [
        f"| {name}" for name in parameter_sets()
    ]


def test_silicon_comes_out_as_published():
    """Bernstein et al. on 6 x 6 x 6 k-points, where elastic constants are within 0.3 GPa of their limit."""
    found = page.crystal(mesh=6)
    expected = {name: float(value) for name, value in page.EXPECTED.items()}
    assert found.pop("a0, Å") == pytest.approx(expected.pop("a0, Å"), abs=1e-4)
    assert found.pop("gap, eV") == pytest.approx(expected.pop("gap, eV"), abs=0.005)
    assert found == pytest.approx(expected, abs=0.5)


def test_the_page_has_these_numbers():
    (row,) = re.findall(r"\| a0, Å \| (\S+) \| (\S+) \|", TEXT)
    assert row == ("5.4264", "5.4264")
    for name in ("C11", "C12", "C44"):
        (here, expected) = re.findall(rf"\| {name}, GPa \| (\S+) \| (\S+) \|", TEXT)[0]
        assert float(here) == pytest.approx(float(expected), abs=0.5)
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", TEXT):
        assert (page.PAGE.parent / picture).is_file()


def test_cutoffs_are_as_described():
    for name in CUTOFFS:
        assert f'cutoff="{name}"' in TEXT
    assert page.band_gap(5.4264, cutoff="forceshift") < 0.0
    atoms = bulk("Si", a=5.4264, cubic=True) * 2
    atoms.rattle(0.1, seed=0)
    energies = [NRLTB("Si", cutoff=name).get_potential_energy(atoms) for name in ("cosine", "original")]
    assert 0 < abs(energies[0] - energies[1]) / 64 < 2e-6


def test_program_of_the_page_runs(monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)
    exec(compile(code, "tight_binding.md", "exec"), {})
    pyplot.close("all")
