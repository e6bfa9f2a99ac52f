"""LinearACE against ML-PACE's evaluators, from one set of coefficients: orders 1 to 4, one and two elements."""

import numpy as np
import pytest
from ase.build import bulk

from ase_mlipgen import ACEBasis, LinearACE
from tests.oracles import pace_oracle


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize(
    ("elements", "order", "degree", "envelope"),
    [
        (("Si",), 1, 12, {}),
        (("Si",), 2, 12, {"p": 3, "pcut": 3}),
        (("Si",), 3, 14, {"pin": 0}),
        (("Si",), 4, 14, {}),
        (("C", "Si"), 3, 8, {}),
        (("C", "Si"), 4, 6, {"pin": 3}),
    ],
)
def test_energies_and_forces(elements, order, degree, envelope, recursive, tmp_path):
    pace_oracle.available()
    atoms = bulk("Si", cubic=True) * (2, 2, 1)
    atoms.rattle(0.2, seed=1)
    atoms.symbols[::3] = elements[0]
    basis = ACEBasis(elements, order=order, degree=degree, cutoff=5.0, core=None, **envelope)
    coefficients = np.random.default_rng(0).normal(size=len(basis))
    atoms.calc = LinearACE(basis, coefficients)
    path = pace_oracle.write_yace(tmp_path / "model.yace", basis, coefficients)
    pace = pace_oracle.PACE(path, atoms, recursive=recursive)
    pace.compute()
    energies, forces = atoms.get_potential_energies(), atoms.get_forces()
    np.testing.assert_allclose(pace.energies, energies, rtol=0, atol=1e-12 * np.abs(energies).max())
    np.testing.assert_allclose(pace.forces, forces, rtol=0, atol=1e-12 * np.abs(forces).max())
