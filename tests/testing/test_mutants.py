"""Every check catches the mutants that break its promise, and lets a calculator pass that keeps all."""

import pytest

from ase_mlipgen.testing import CHECKS, ContractError, check_calculator
from tests.testing import mutants

mutants.ready = True
CAUGHT = [(name, mutant) for name, some in mutants.MUTANTS.items() for mutant in some]


def test_a_calculator_that_keeps_the_contract_passes():
    report = check_calculator(mutants.Morse, mutants.crystal())
    assert report.passed
    assert {row.verdict for row in report.rows} == {"passed"} | {"not applicable"}
    assert [row.name for row in report.rows if row.verdict == "not applicable"] == ["settings"]


@pytest.mark.parametrize(("name", "mutant"), CAUGHT, ids=lambda x: getattr(x, "__name__", x))
def test_caught(name, mutant):
    with pytest.raises(ContractError, match=name) as caught:
        check_calculator(mutant, mutants.crystal(), checks=[name])
    (row,) = caught.value.report.failed
    assert row.name == name
    assert row.remedy in str(caught.value)


def test_every_check_has_a_mutant():
    assert set(mutants.MUTANTS) == {check.name for check in CHECKS}
    assert len({mutant for _, mutant in CAUGHT}) > 50
