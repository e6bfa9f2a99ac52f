"""Small calculators for relaxations: one with a minimum, some without."""

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from ase_mlipgen.neighbors import pairs


class PairModel(Calculator):
    """E = 1/2 sum of phi(r) over pairs within a cutoff; counts its evaluations."""

    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012

    def __init__(self, phi, dphi, cutoff):
        super().__init__()
        self.phi, self.dphi, self.cutoff, self.calls = phi, dphi, cutoff, 0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        found = pairs(self.atoms, self.cutoff)
        d_pc = found.vectors()
        r = np.linalg.norm(d_pc, axis=1)
        pull = (self.dphi(r) / r)[:, None] * d_pc
        forces = np.stack([np.bincount(found.centres(), pull[:, c], len(atoms)) for c in range(3)], axis=1)
        energy = 0.5 * float(np.sum(self.phi(r)))
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}


def morse(depth=0.5, r0=2.7, a=1.4, cutoff=6.0):
    """Morse pairs, switched off by (1 - r^2/cutoff^2)^3."""

    def pieces(r):
        x, s = np.exp(-a * (r - r0)), 1.0 - (r / cutoff) ** 2
        return depth * (x * x - 2 * x), 2 * depth * a * (x - x * x), s**3, -6.0 * r / cutoff**2 * s**2

    def phi(r):
        f, _, s, _ = pieces(r)
        return f * s

    def dphi(r):
        f, df, s, ds = pieces(r)
        return df * s + f * ds

    return PairModel(phi, dphi, cutoff)


def attractive(power=6, strength=200.0):
    """-strength / r^power: no minimum, the atoms fall into one another."""
    return PairModel(lambda r: -strength * r**-power, lambda r: power * strength * r ** (-power - 1.0), 6.0)
