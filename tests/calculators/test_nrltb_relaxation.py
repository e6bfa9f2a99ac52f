"""Relaxations by tight binding: the group survives the optimiser, and the command continues after kill -9."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read

from ase_mlipgen import NRLTB, Vacancy, simulation_cell
from ase_mlipgen.defects import relax

SILICON = bulk("Si", a=5.4264, cubic=True)


class Listening(NRLTB):
    """Notes the order of the group at every force call."""

    def _solve(self, *args):
        found = super()._solve(*args)
        self.orders = [*getattr(self, "orders", []), self.plan.order]
        return found


@pytest.fixture(scope="module")
def divacancy():
    """Two vacancies apart by half the cell: 48 operations, some of which swap the two."""
    return simulation_cell(SILICON, [Vacancy(), Vacancy()], 4, [2, 2, 2])


def test_relaxation_keeps_the_group(divacancy):
    calculator = Listening(kT=0.1)
    found = relax(divacancy, calculator, fmax=1e-3)
    assert found.converged
    assert set(calculator.orders) == {48}
    dense = found.atoms.copy()
    dense.calc = NRLTB(kT=0.1, solver="dense")
    assert np.abs(dense.get_forces()).max() < 1e-3
    assert dense.get_potential_energy() == pytest.approx(found.energy, abs=1e-9)


def test_levels_of_a_large_cell_come_from_its_blocks(divacancy):
    calculator = NRLTB(kT=0.1, max_memory=5e7)
    dos = calculator.get_dos(divacancy)
    assert calculator.plan.order == 48
    assert dos.get_weights().sum() == pytest.approx(2 * 4 * len(divacancy))
    with pytest.raises(MemoryError, match="one k-point of 510 atoms without symmetry"):
        calculator.get_dos(divacancy, projected=True)


def test_group_that_was_lost_for_one_call_is_found_again(divacancy):
    calculator = NRLTB(kT=0.1)
    there = divacancy.copy()
    calculator.get_potential_energy(divacancy)
    assert calculator.plan.order == 48
    there.positions[:, 0] += 0.01 * np.sin(2 * np.pi * there.get_scaled_positions()[:, 0])
    calculator.get_potential_energy(there)
    assert 1 < calculator.plan.order < 48
    there.positions[:] = divacancy.positions
    calculator.get_potential_energy(there)
    assert calculator.plan.order == 48


MAIN = [sys.executable, "-c", "from ase_mlipgen.cli import main; main()", "relax"]


def command(*arguments):
    return [*MAIN, "NRLTB:Si", "cell.extxyz", "--set", "kT=0.1", *arguments]


def test_command_continues_after_a_kill(divacancy, tmp_path):
    divacancy.write(tmp_path / "cell.extxyz")
    killed = subprocess.Popen(command("--fmax", "1e-4"), cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    checkpoint = tmp_path / "cell-relaxed.checkpoint.npz"
    deadline = time.monotonic() + 120
    while not checkpoint.is_file() and time.monotonic() < deadline and killed.poll() is None:
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    assert checkpoint.is_file()
    assert not (tmp_path / "cell-relaxed.extxyz").exists()
    again = subprocess.run(
        command("--fmax", "1e-4", "--json"), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "continuing at step" in again.stderr
    assert "symmetry group of order 48" in again.stderr
    said = json.loads(again.stdout)
    straight = relax(read(tmp_path / "cell.extxyz"), NRLTB(kT=0.1), fmax=1e-4)
    assert said["energy"] == pytest.approx(straight.energy, abs=1e-8)
    assert said["steps"] == straight.steps
    assert not checkpoint.exists()
