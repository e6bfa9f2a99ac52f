"""ML-PACE's own evaluators (python-ace) on `.yace` files."""

import numpy as np
import pytest


def available():
    """Skip the calling test if python-ace is not installed."""
    return pytest.importorskip("pyace", reason="python-ace is not installed: pip install '.[oracles]'")


class PACE:
    """A `.yace` file evaluated on one structure, neighbour list made once: `compute` is energies and forces."""

    def __init__(self, path, atoms, *, recursive=True, folded=None):
        from pyace import PyACECalculator

        fold = recursive if folded is None else folded
        self.calculator = PyACECalculator(str(path), recursive_evaluator=recursive, recursive=fold)
        self.environment = self.calculator.get_atomic_env(atoms)

    def compute(self):
        self.calculator.ace.compute(self.environment, compute_projections=False)

    @property
    def energies(self):
        return np.array(self.calculator.ace.energies)

    @property
    def forces(self):
        return np.array(self.calculator.ace.forces)
