"""A small basis with analytic rows, and cells that it describes exactly or not."""

from typing import NamedTuple

import numpy as np
from ase import Atoms

from ase_mlipgen.labels import LabelledCell


class Rows(NamedTuple):
    energy: np.ndarray
    forces: np.ndarray
    virial: np.ndarray


class PowerBasis:
    """Functions B_k = sum_i (cos(k x_i) + sin(k y_i)) of the positions, and a baseline sum_i |r_i|^2."""

    elements = ("W",)

    def __init__(self, n_functions, repeat=1):
        self.k = np.tile(np.arange(1, n_functions + 1, dtype=float), repeat)
        self.k[n_functions:] *= -1  # cos is even and sin odd: near copies, but independent

    def __len__(self):
        return len(self.k)

    def design(self, atoms, virial=True, part=None):
        if part is not None:
            own = self.design(atoms[part])
            return own._replace(virial=own.virial[: 6 if virial else 0])
        x, y, _ = atoms.positions.T
        forces = np.zeros((len(atoms), 3, len(self)))
        forces[:, 0] = self.k * np.sin(np.outer(x, self.k))
        forces[:, 1] = -self.k * np.cos(np.outer(y, self.k))
        virial = np.einsum("iak,ib->abk", -forces, atoms.positions)
        return Rows(
            (np.cos(np.outer(x, self.k)) + np.sin(np.outer(y, self.k))).sum(axis=0),
            forces,
            virial[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
        )

    def baseline(self, atoms):
        r = atoms.positions
        virial = 2 * np.einsum("ia,ib->ab", r, r)
        return Rows(np.sum(r**2), -2 * r, virial[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]])


def cell_of(basis, coefficients, n_atoms=4, seed=0, noise=0.0, E0=0.0, stress=True, defect="vacancy"):
    """A cell whose labels are those of `basis` with `coefficients`, plus noise."""
    rng = np.random.default_rng(seed)
    atoms = Atoms("W" * n_atoms, rng.uniform(0, 2, size=(n_atoms, 3)), cell=[2, 3, 4], pbc=True)
    design, baseline = basis.design(atoms), basis.baseline(atoms)
    energy, forces, virial = (d @ coefficients + b for d, b in zip(design, baseline, strict=True))
    return LabelledCell(
        atoms,
        energy + n_atoms * E0 + noise * rng.normal(),
        forces + noise * rng.normal(size=forces.shape),
        virial / atoms.get_volume() if stress else None,
        "defect" if defect else "perfect",
        defect,
    )


def cells_of(basis, n_cells=12, noise=0.1, **options):
    coefficients = np.random.default_rng(99).normal(size=len(basis))
    return [cell_of(basis, coefficients, 3 + i % 4, i, noise, **options) for i in range(n_cells)]
