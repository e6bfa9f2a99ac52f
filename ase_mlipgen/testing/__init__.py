"""The contract of an ASE calculator, as checks for anyone's calculator.

Enter at `check_calculator`: it takes a calculator, or a function that makes one, and a small structure, and
tells promise by promise how well physics, ASE's interface, repeatability and refusals of senseless input are
kept. The room imports NumPy and ASE only. On the command line:
``python -m ase_mlipgen.testing "ase.calculators.emt:EMT" --element Cu``.
"""

from ase_mlipgen.testing.contract import CHECKS, check_calculator
from ase_mlipgen.testing.report import ContractError, Report, Row

__all__ = ["CHECKS", "ContractError", "Report", "Row", "check_calculator"]
