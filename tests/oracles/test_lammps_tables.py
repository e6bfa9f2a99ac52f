"""Exported embedded-atom tables in LAMMPS: energies, forces, and the input as it was written."""

import re

import numpy as np
import pytest
from ase.build import bulk

from ase_mlipgen import EAM2D
from ase_mlipgen.defects import triangular_lattice
from ase_mlipgen.eam import setfl
from tests.eam import synthetic
from tests.oracles.lammps_oracle import evaluate, import_lammps


def structures():
    strained = bulk("W", cubic=True) * (3, 3, 3)
    strained.set_cell(
        strained.cell.array @ np.array([[1.03, 0.02, 0], [0, 0.98, 0], [0, 0.01, 1]]), scale_atoms=True
    )
    strained.rattle(0.08, seed=0)
    sheet = triangular_lattice("W", 2.72711).repeat((6, 6, 1))
    sheet.rattle(0.05, seed=1)
    return {"strained": strained, "sheet": sheet}  # fmt: skip


def agree(model, path, style, atoms):
    commands = [f"pair_style {style}", f"pair_coeff * * {path} {' '.join(model.elements)}"]
    energy, forces, _ = evaluate(atoms, list(model.elements), commands)
    atoms.calc = model
    assert abs(energy - atoms.get_potential_energy()) < 1e-7 * len(atoms)
    np.testing.assert_allclose(forces, atoms.get_forces(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", structures())
def test_analytic_tungsten(name, tmp_path):
    import_lammps()
    model, atoms = EAM2D(), structures()[name]
    written = model.export_lammps(tmp_path / "W.eam.alloy", [atoms])
    assert written.energy_deviation < 1e-9
    assert written.force_deviation < 1e-8
    atoms.cell[2, 2] = atoms.cell[2, 2] or 30.0
    agree(model, written.potentials[0], "eam/alloy", atoms)


@pytest.mark.parametrize(("symmetric", "kind"), [(True, "eam/alloy"), (False, "eam/fs")])
def test_tables_of_a_file(symmetric, kind, tmp_path):
    import_lammps()
    setfl.write(tmp_path / "given", synthetic.tables(4001, 4001, symmetric), [26, 29], [55.8, 63.5], kind)
    model, atoms = EAM2D(tmp_path / "given"), bulk("Fe", cubic=True) * (3, 3, 2)
    atoms.rattle(0.1, seed=2)
    atoms.symbols[::3] = "Cu"
    assert model.setfl_kind == kind
    path = tmp_path / f"FeCu.{kind.replace('/', '.')}"
    written = model.export_lammps(path, [atoms])
    assert written.energy_deviation == 0.0
    agree(model, path, kind, atoms)
    with pytest.raises(ValueError, match=r"end in \.eam"):
        model.export_lammps(tmp_path / "FeCu.setfl")


@pytest.mark.parametrize("name", structures())
def test_the_input_runs_as_it_was_written(name, tmp_path, monkeypatch):
    lammps, atoms = import_lammps(), structures()[name]
    EAM2D().export_lammps(tmp_path / "W.eam.alloy", [atoms])
    monkeypatch.chdir(tmp_path)
    running = lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
    try:
        running.file("in.W")
        energy = running.get_thermo("pe")
    finally:
        running.close()
    atoms.calc = EAM2D()
    assert abs(energy - atoms.get_potential_energy()) < 1e-7 * len(atoms)
    [said] = re.findall(r"by ase_mlipgen: (\S+) eV", (tmp_path / "in.W").read_text())
    assert abs(float(said) - energy) < 1e-6
