"""Potentials of pacemaker's format, written by python-ace, read by us: the same energies as ML-PACE's evaluators."""

import numpy as np
import pytest
from ase.build import bulk

from ase_mlipgen import LinearACE
from ase_mlipgen.export.contents import YaceError
from tests.oracles import pace_oracle


def write(path, family, core=(), exponent=1.0, coefficient=0.05):
    """Write a potential of two elements with random coefficients, orders 1 to 4."""
    pyace = pace_oracle.available()
    bond = {
        "radbase": family, "radparameters": [2.0], "rcut": 5.0, "dcut": 0.3, "NameOfCutoffFunction": "cos",
        "core-repulsion": [0.0, 5.0], **dict(core),
    }  # fmt: skip
    embedding = {"npot": "FinnisSinclairShiftedScaled", "fs_parameters": [1, exponent], "ndensity": 1}
    basis = pyace.ACEBBasisSet(
        pyace.create_multispecies_basis_config(
            {
                "deltaSplineBins": 0.001,
                "elements": ["Al", "Ni"],
                "embeddings": {"ALL": embedding},
                "bonds": {"ALL": bond, "AlNi": {**bond, "rcut": 4.6}},
                "functions": {"ALL": {"nradmax_by_orders": [6, 2, 2, 1], "lmax_by_orders": [0, 3, 2, 1]}},
            }
        )
    )
    basis.all_coeffs = (coefficient * np.random.default_rng(0).normal(size=len(basis.all_coeffs))).tolist()
    basis.to_ACECTildeBasisSet().save_yaml(str(path))
    return path


def cell():
    atoms = bulk("Al", cubic=True) * (2, 2, 1)
    atoms.rattle(0.15, seed=0)
    atoms.symbols[::3] = "Ni"
    atoms.positions[1] = atoms.positions[0] + [1.0, 0.6, 0.3]
    return atoms


DISTANCE = {"inner_cutoff_type": "distance", "r_in": 1.5, "delta_in": 0.3, "core-repulsion": [120.0, 1.2]}


@pytest.mark.parametrize("core", [{}, DISTANCE], ids=["no core", "core by distance"])
@pytest.mark.parametrize("family", ["ChebExpCos", "ChebPow", "ChebLinear", "SBessel"])
def test_energies_and_forces(family, core, tmp_path):
    path, atoms = write(tmp_path / "model.yace", family, core), cell()
    model = LinearACE.from_yace(path)
    again = model.export_lammps(tmp_path / "again.yace", [atoms]).potentials[0]
    atoms.calc = model
    energies, forces = atoms.get_potential_energies(), atoms.get_forces()
    for source, recursive in ((path, False), (path, True), (again, True)):
        pace = pace_oracle.PACE(source, atoms, recursive=recursive)
        pace.compute()
        np.testing.assert_allclose(pace.energies, energies, rtol=0, atol=1e-8)
        np.testing.assert_allclose(pace.forces, forces, rtol=0, atol=1e-8)
    assert np.abs(forces).max() > 0.1


@pytest.mark.parametrize(
    ("core", "exponent", "said"),
    [
        ({}, 0.5, "exponents of 1"),
        ({"inner_cutoff_type": "zbl", "r_in": 1.5, "delta_in": 0.3, "core-repulsion": [1.0, 1.0]}, 1.0, "not additive"),
        ({"inner_cutoff_type": "density", "core-repulsion": [100.0, 1.0]}, 1.0, "core of type 'density'"),
    ],
)  # fmt: skip
def test_what_is_not_linear_is_refused(core, exponent, said, tmp_path):
    path = write(tmp_path / "model.yace", "ChebExpCos", core, exponent)
    with pytest.raises(YaceError, match=said):
        LinearACE.from_yace(path)
