"""Our calculators keep every promise of the contract."""

import pytest

from ase_mlipgen.testing import check_calculator
from tests.testing.calculators import OURS, nrltb, silicon

FAST = ("EAM2D, sheet",)
"""All checks of these run by default, of the others those that take no second."""
SAME = ("LinearACE, order 1", "LinearACE, order 2", "EAM2D, bcc")
"""Nothing in them that the others have not: in the slow test only."""
SLOW_CHECKS = dict.fromkeys(
    ("continuity", "memory", "spawn", "energy_drift", "energy_fluctuation", "time_reversal"),
    "in the slow test",
)


@pytest.mark.parametrize("name", FAST)
def test_all(name):
    make, atoms, skip = OURS[name]
    assert check_calculator(make, atoms(), skip=skip).passed


@pytest.mark.parametrize("name", [name for name in OURS if name not in (*FAST, *SAME)])
def test_all_but_the_slow(name):
    make, atoms, skip = OURS[name]
    assert check_calculator(make, atoms(), skip={**SLOW_CHECKS, **skip}).passed


@pytest.mark.slow
@pytest.mark.parametrize("name", OURS)
def test_all_and_long(name):
    make, atoms, skip = OURS[name]
    assert check_calculator(make, atoms(), skip=skip, long=True).passed


def test_kpoints_in_a_skewed_cell():
    """A mesh through Gamma of equal sizes is the same for every choice of cell vectors."""
    report = check_calculator(
        lambda: nrltb({"size": (2, 2, 2), "gamma": True}), silicon(), checks=["P2", "P3", "P4", "P5", "P7"]
    )
    assert report.passed
