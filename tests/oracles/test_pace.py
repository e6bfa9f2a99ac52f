"""Exported models in ML-PACE's evaluators: energies and forces on strained, compressed, open and mixed structures."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc100

from ase_mlipgen import ACEBasis, LinearACE
from tests.oracles import pace_oracle

EVALUATORS = {"products": (False, False), "recursive": (True, True), "unfolded": (True, False)}
RADIAL = {"p": 3, "pcut": 3, "pin": 0}


def structures(elements):
    rng = np.random.default_rng(1)

    def mixed(atoms, rattle):
        atoms.positions += rng.uniform(-rattle, rattle, atoms.positions.shape)
        atoms.symbols = [elements[k % len(elements)] for k in range(len(atoms))]
        return atoms

    strained = bulk("Si", cubic=True) * (2, 1, 1)
    strained.set_cell(strained.cell.array @ (np.eye(3) + rng.uniform(-0.1, 0.1, (3, 3))), scale_atoms=True)
    close = mixed(bulk("Si", cubic=True), 0.1)
    close.positions[1] = close.positions[0] + [0.9, 0.3, 0.2]  # below r_in, inside the core
    closer = Atoms([elements[0], elements[-1], elements[0]], [[0, 0, 0], [0.4, 0.1, 0], [2.3, 0, 0.5]])
    closer.center(vacuum=8.0)  # below r_i, where the core is exponential
    return {
        "strained": mixed(strained, 0.2),
        "random": mixed(Atoms("Si20", rng.uniform(0, 7.5, (20, 3)), cell=[7.5] * 3, pbc=True), 0.0),
        "surface": mixed(fcc100("Si", (2, 2, 3), a=4.4, vacuum=6.0, periodic=True), 0.1),
        "close": close,
        "closer": closer,
        "alone": Atoms(elements[:1], cell=[20.0] * 3, pbc=True),
    }  # fmt: skip


def summed(files, atoms, evaluator):
    """Return energies (n,) and forces of the sum of some files."""
    recursive, folded = EVALUATORS[evaluator]
    energies, forces = np.zeros(len(atoms)), np.zeros((len(atoms), 3))
    for path in files:
        pace = pace_oracle.PACE(path, atoms, recursive=recursive, folded=folded)
        pace.compute()
        energies, forces = energies + pace.energies, forces + pace.forces
    return energies, forces


@pytest.mark.parametrize(
    ("elements", "order", "degree", "others"),
    [
        (("Si",), 1, 12, {}),
        (("Si",), 2, 12, RADIAL),
        (("Si",), 3, 12, {}),
        (("Si",), 4, 12, {}),  # blocks of several invariants
        (("Si",), 5, 9, {"core": None}),
        (("C", "Si"), 3, 8, {}),  # cores of three lengths, in three files
        (("C", "Si"), 4, 6, {"pin": 3, "r0": 2.1}),
        (("W",), 1, 1, {}),  # one radial function, which ML-PACE would write out of bounds
    ],
)
def test_energies_and_forces(elements, order, degree, others, tmp_path):
    pace_oracle.available()
    basis = ACEBasis(elements, order=order, degree=degree, cutoff=5.0, **others)
    coefficients = 0.1 * np.random.default_rng(0).normal(size=len(basis))
    model = LinearACE(basis, coefficients, E0={elements[0]: -4.5})
    cells = structures(elements)
    if basis.pin == 0:  # no end inwards: polynomials of 1e18 eV, and no digit left
        cells = {name: atoms for name, atoms in cells.items() if name in ("strained", "surface", "alone")}
    written = model.export_lammps(tmp_path / "model.yace", list(cells.values()))
    lengths = {core.cutoff for core in basis.cores.values()}
    assert len(written.potentials) == max(len(lengths), 1)
    for name, atoms in cells.items():
        atoms.calc = model
        expected = atoms.get_potential_energy()
        for evaluator in EVALUATORS:
            energies, forces = summed(written.potentials, atoms, evaluator)
            assert abs(energies.sum() - expected) < 1e-9 * len(atoms) * max(1.0, abs(expected) * 1e-6), name
            scale = max(1.0, np.abs(forces).max() * 1e-6)
            np.testing.assert_allclose(forces, atoms.get_forces(), rtol=0, atol=1e-8 * scale, err_msg=name)
