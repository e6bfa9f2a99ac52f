"""What the tool says: tables, JSON, errors, selections; and its command line."""

import json
import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from ase_mlipgen.testing import CHECKS, ContractError, check_calculator
from ase_mlipgen.testing.__main__ import main
from tests.testing import mutants

QUICK = ["permutation", "translation", "sums", "pickle"]


def test_report_is_a_table_and_json():
    report = check_calculator(mutants.Morse, mutants.crystal(), checks=QUICK, skip={"P10": "not today"})
    assert report.passed
    lines = str(report).splitlines()
    assert lines[0] == "Morse, Cu3Ni (pbc ttt), seed 0"
    assert lines[-1] == "3 passed, 0 failed, 1 not applicable"
    assert len({lines[k].index("passed") for k in (2, 3, 5)}) == 1
    again = json.loads(json.dumps(report.todict(), allow_nan=False))
    assert [row["name"] for row in again["rows"]] == ["permutation", "translation", "sums", "pickle"]
    assert report["P10"].note == "not today"
    assert report["translation"].worst <= report["translation"].tolerance
    with pytest.raises(KeyError, match="no check 'P99'"):
        report["P99"]


def test_error_names_figure_tolerance_and_remedy():
    with pytest.raises(ContractError) as caught:
        check_calculator(mutants.ForceError, mutants.crystal(), checks=["P8", "stress"])
    assert [row.name for row in caught.value.report.failed] == ["forces"]
    text = str(caught.value)
    assert "P8 forces" in text
    assert "1e-05 eV/Å, allowed 1e-06" in text
    assert "Remedy: differentiate every term" in text


def test_the_stress_check_names_the_mistake():
    for mutant, mistake in ((mutants.WrongVoigtOrder, "xy, xz, yz"), (mutants.WrongSignOfStress, "sign")):
        report = check_calculator(mutant, mutants.crystal(), checks=["stress"], raise_on_failure=False)
        assert mistake in report["stress"].note


def test_same_seed_same_figures():
    first, second = (
        check_calculator(
            mutants.Morse(), mutants.crystal(), checks=["physics"], skip=["continuity"], seed=3
        ).todict()
        for _ in range(2)
    )
    for row in (*first["rows"], *second["rows"]):
        del row["seconds"]
    assert first == second


def test_loosened_tolerance():
    arguments = (mutants.ForceError, mutants.crystal())
    assert check_calculator(*arguments, checks=["forces"], loosen={"P8": 100}).passed
    assert not check_calculator(
        *arguments, checks=["forces"], loosen={"P8": 2}, raise_on_failure=False
    ).passed


def test_numbers_are_unique_and_in_order():
    numbers = [check.number for check in CHECKS]
    assert len(set(numbers)) == len(numbers) == len({check.name for check in CHECKS})
    for letter in "PIRB":
        mine = [number for number in numbers if number[0] == letter]
        assert mine == [f"{letter}{k + 1}" for k in range(len(mine))]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((mutants.Morse, Atoms("Cu")), {}, ValueError, "at least two atoms"),
        ((3, bulk("Cu", cubic=True)), {}, TypeError, "3 is no calculator"),
        ((dict, bulk("Cu", cubic=True)), {}, TypeError, "expected an ASE calculator"),
        ((EMT, bulk("Cu", cubic=True)), {"checks": ["physic"]}, ValueError, "no check 'physic'"),
        ((EMT, bulk("Cu", cubic=True)), {"skip": {"P77": ""}}, ValueError, "P1 permutation"),
        ((EMT, bulk("Cu", cubic=True)), {"loosen": {"P1": -1.0}}, ValueError, "positive factor"),
        ((EMT, bulk("Cu", cubic=True)), {"rattle": np.nan}, ValueError, "rattle = nan"),
    ],
)
def test_refusals(arguments, options, error, message):
    with pytest.raises(error, match=message):
        check_calculator(*arguments, **options)


def test_a_calculator_that_cannot_be_copied():
    class Stuck(LennardJones):
        def __deepcopy__(self, memo):
            raise RuntimeError("no")

    with pytest.raises(TypeError, match="give a function that makes a calculator"):
        check_calculator(Stuck(), bulk("Cu", cubic=True))
    assert check_calculator(Stuck, bulk("Cu", cubic=True), checks=["permutation"]).passed


def test_local_factories_cannot_be_sent():
    class Local(mutants.Morse):
        pass

    row = check_calculator(Local, mutants.crystal(), checks=["spawn"])["spawn"]
    assert row.verdict == "not applicable"
    assert "cannot be sent" in row.note or "neither factory nor calculator" in row.note


def test_command_line_passes(capsys, tmp_path):
    arguments = [
        "ase.calculators.lj:LennardJones",
        "--element",
        "Cu",
        "--set",
        "sigma=2.3",
        "--set",
        "rc=6.0",
    ]
    for check in QUICK:
        arguments += ["--checks", check]
    assert main([*arguments, "--json", str(tmp_path / "a.json")]) == 0
    assert "LennardJones, Cu2" in capsys.readouterr().out
    assert json.loads((tmp_path / "a.json").read_text())["passed"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ase.calculators.emt", "--element", "Cu"], "expected module:name"),
        (["ase.calculators.emt:EMT"], "--element, such as Cu, or --structure"),
        (["no.such.module:EMT", "--element", "Cu"], "No module named"),
        (["ase.calculators.emt:EMT", "--element", "Cu", "--checks", "nonsense"], "no check 'nonsense'"),
    ],
)
def test_command_line_refuses(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_command_line_fails(tmp_path):
    program = tmp_path / "mine.py"
    program.write_text(
        "from ase.calculators.emt import EMT\n\n\nclass Twice(EMT):\n"
        "    def calculate(self, *args, **kwargs):\n        super().calculate(*args, **kwargs)\n"
        "        self.results['energy'] *= 1 + 1e-6\n        self.results['free_energy'] *= 1 + 1e-3\n"
    )
    command = [sys.executable, "-m", "ase_mlipgen.testing", f"{program}:Twice", "--element", "Cu"]
    run = subprocess.run([*command, "--checks", "forces"], capture_output=True, text=True, check=False)
    assert run.returncode == 4, run.stderr
    assert "P8   forces" in run.stdout.replace("P8  ", "P8   ")
    assert "Remedy" in run.stderr


def test_bad_structures_where_a_fork_does_not_work():
    """As with a device that belongs to the parent: a new interpreter takes the fork's place."""
    report = check_calculator(
        mutants.NotAfterFork, mutants.crystal(), checks=["nan_positions", "unknown_element"]
    )
    assert [row.verdict for row in report.rows] == ["passed", "passed"]
