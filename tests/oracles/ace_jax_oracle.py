"""ace-jax's compiled CPU kernel: its own model of the same order, degree and cutoff as ours, random coefficients.

The kernel (C++ that ace-jax compiles with the machine's compiler on first use) takes positions and a neighbour matrix
as LAMMPS gives it, with atoms outside the cell as ghosts, and gives site energies and forces, not the virial. It runs
in one thread. Radial functions differ from ours, so energies are compared with ace-jax's own ASE calculator.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest

from ase_mlipgen.neighbors import pairs


class Ghosts(NamedTuple):
    """Atoms of the cell first, then images; neighbours in columns, (most neighbours, atoms), -1 where there is none."""

    positions: np.ndarray
    owner_g: np.ndarray
    neighbors: np.ndarray
    num_neighbors: np.ndarray


def with_ghosts(atoms, cutoff):
    """List the neighbours of atoms of one cell as places in an array of atoms and periodic images."""
    found = pairs(atoms, cutoff)
    n, n_shifts = len(atoms), len(found.shifts)
    home = np.flatnonzero(~found.shifts.any(axis=1))
    outside = ~np.isin(found.s_p, home)
    images, place = np.unique(found.j_p[outside] * n_shifts + found.s_p[outside], return_inverse=True)
    owner, shift = images // n_shifts, images % n_shifts
    index_p = found.j_p.astype(np.int32)
    index_p[outside] = n + place
    counts = np.diff(found.first_i)
    column = np.arange(len(index_p)) - np.repeat(found.first_i[:-1], counts)
    neighbors = np.full((counts.max(), n), -1, np.int32)
    neighbors[column, found.centres()] = index_p
    positions = np.concatenate([atoms.positions, atoms.positions[owner] + found.shifts[shift]])
    return Ghosts(positions, np.concatenate([np.arange(n), owner]), neighbors, counts.astype(np.int32))


def random_model(element, order, degree, cutoff, rng):
    """Return ace-jax's model and its description; (n, l) with n + 1.5 l <= degree, as ours."""
    pytest.importorskip("ace_jax", reason="ace-jax is not installed: pip install '.[bench]'")
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    from ace_jax.basis.model import build_model
    from ace_jax.eval.model import fold_readout

    model, meta = build_model([element], order, degree, wL=1.5, rcut=cutoff, with_gamma=False).eval_pair()
    weights = jnp.asarray(rng.normal(size=model.WB.shape))
    return fold_readout(dataclasses.replace(model, WB=weights, folded=False)), meta


class Kernel:
    """The kernel bound to one structure of one element, neighbour list made once: `compute` is energies and forces."""

    def __init__(self, model, meta, atoms):
        import jax
        import jax.numpy as jnp
        from ace_jax.eval import ffi
        from ace_jax.eval.model import lean

        try:
            ffi.register(ffi.library())
        except ffi.FFIUnavailable as error:
            pytest.skip(f"ace-jax's kernel does not compile here: {error}")
        self.ghosts = with_ghosts(atoms, meta["rcut"])
        energies, forces = ffi.lammps_fns(lean(model, radial_table=True), 1, [0], meta["rcut"])
        graph = Ghosts(*map(jnp.asarray, self.ghosts))
        species = jnp.zeros(len(graph.positions), jnp.int32)
        self.arguments = (graph.positions, species, graph)
        self.of_energies, self.of_forces = jax.jit(energies), jax.jit(forces)

    def compute(self):
        """Run the kernel once; it computes both energies and forces whichever is asked for."""
        return self.of_forces(*self.arguments).block_until_ready()

    @property
    def energies(self):
        return np.asarray(self.of_energies(*self.arguments))[: self.ghosts.neighbors.shape[1]]

    @property
    def forces(self):
        found = np.zeros((self.ghosts.neighbors.shape[1], 3))
        np.add.at(found, self.ghosts.owner_g, np.asarray(self.compute()))
        return found
