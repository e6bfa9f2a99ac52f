"""A hundred thousand atoms in one call: finite, forces that sum to zero, less than 2 GB at the peak."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, resource, sys, time
import numpy as np
from ase.build import bulk
from ase_mlipgen import EAM2D, ACEBasis, LinearACE

if sys.argv[1] == "EAM2D":
    calculator, atoms = EAM2D(), bulk("W", cubic=True) * 37
else:
    basis = ACEBasis(["Si"], order=3, degree=14, cutoff=5.5)
    assert len(basis) == 383
    coefficients = 1e-3 * np.random.default_rng(0).normal(size=len(basis))
    calculator, atoms = LinearACE(basis, coefficients), bulk("Si", cubic=True) * 24
atoms.rattle(0.05, seed=0)
atoms.calc = calculator
begun = time.perf_counter()
energy, forces = atoms.get_potential_energy(), atoms.get_forces()
stress = atoms.get_stress()
seconds = time.perf_counter() - begun
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps({
    "n_atoms": len(atoms),
    "finite": bool(np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(stress).all()),
    "largest_force": float(np.abs(forces).max()),
    "sum_of_forces": float(np.abs(forces.sum(axis=0)).max()),
    "seconds": seconds,
    "peak": unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
}))
"""


@pytest.mark.parametrize("model", ["EAM2D", "LinearACE"])
def test_a_hundred_thousand_atoms(model):
    """Rattled bulk tungsten, and silicon with 383 functions; `pytest -s` shows the figures."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, model], capture_output=True, text=True, timeout=300, check=True
    )
    found = json.loads(run.stdout)
    print(
        f"\n{model}: {found['n_atoms']} atoms, {found['seconds']:.1f} s, peak {found['peak'] / 1e9:.2f} GB, "
        f"sum of forces {found['sum_of_forces']:.1e} eV/Å"
    )
    assert found["n_atoms"] > 100_000
    assert found["finite"]
    assert found["largest_force"] > 1e-3
    assert found["sum_of_forces"] < 1e-6
    assert found["peak"] < 2e9
