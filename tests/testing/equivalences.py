"""Thirteen ways to say the same structure otherwise, of which a calculator must not take notice.

Enter at `examine`. Most are promises of the contract, asked of one structure as it is; the calculator is one and the
same throughout, so that lists that it keeps are tried as well.
"""

import copy

import numpy as np

from ase_mlipgen.testing.checks import Check, Findings, NotApplicable
from ase_mlipgen.testing.repeatability import after_others, bitwise
from ase_mlipgen.testing.subject import Subject
from ase_mlipgen.testing.surroundings import compare_paddings
from ase_mlipgen.testing.symmetry import (
    compare,
    permutation,
    reflection,
    rotation,
    supercell,
    translation,
    turn,
    wrapping,
)

FARTHEST = 30
"""Cells."""


class Structure(Subject):
    """A structure as it is, of one atom or more, and one calculator for it."""

    def __init__(self, make, atoms, seed):
        self.new, self.atoms, self.seed, self.long = make, atoms, seed, False
        self.calculator = make()
        self.properties = tuple(self.calculator.implemented_properties)
        self.cutoff = self.calculator.cutoff

    def rattled(self, name="rattled"):
        return self.atoms.copy()

    def evaluate(self, atoms, calculator=None):
        calculator = self.calculator if calculator is None else calculator
        calculator.reset()  # ASE keeps results while positions differ by no more than 1e-15 Å; lists stay
        return super().evaluate(atoms, calculator)


class Scaled(Findings):
    """Findings whose tolerances, but for energies, are multiples of the largest force where it is above 1 eV/Å."""

    def __init__(self, largest_force):
        super().__init__()
        self.scale = max(1.0, largest_force)

    def measure(self, what, figure, allowed):
        scale = 1.0 if what.startswith("energy") else self.scale
        super().measure(what, figure, (allowed[0] * scale, allowed[1]))


def inversion(subject, found):
    """Turn all vectors round."""
    turn(subject, found, -np.eye(3), "inverted")


def skewed_cell(subject, found):
    """Combine cell vectors at random; those that do not repeat may take any others with them."""
    atoms, rng = subject.atoms.copy(), subject.rng("skewed_cell")
    periodic = np.flatnonzero(atoms.pbc)
    has_vector = np.flatnonzero(np.linalg.norm(atoms.cell.array, axis=1))
    if not len(periodic) or len(has_vector) < 2:
        raise NotApplicable("no two vectors")
    before, vectors = subject.evaluate(atoms), atoms.cell.array.copy()
    for _ in range(3):
        i, j = rng.choice(has_vector), rng.choice(periodic)
        vectors[i] += (i != j) * rng.integers(-2, 3) * vectors[j]
    atoms.set_cell(vectors)
    compare(found, "other vectors", before, subject.evaluate(atoms), len(atoms))


def unwrapped(subject, found):
    """Move each atom by many cells of its own."""
    atoms = subject.atoms.copy()
    if not atoms.pbc.any():
        raise NotApplicable("no periodic direction")
    before = subject.evaluate(atoms)
    cells_ic = subject.rng("unwrapped").integers(-FARTHEST, FARTHEST + 1, (len(atoms), 3)) * atoms.pbc
    atoms.positions += cells_ic @ atoms.cell.array
    compare(found, f"up to {FARTHEST} cells away", before, subject.evaluate(atoms), len(atoms))


def vacuum(subject, found):
    """Compare with a periodic cell that is wide where the atoms are open, and with a wider one."""
    if subject.atoms.pbc.all():
        raise NotApplicable("no open direction")
    compare_paddings(subject, found, tuple(subject.atoms.pbc.tolist()), (1.0, 2.7))


def copies(subject, found):
    """Compare bits with those of copies and of a new instance."""
    expected = subject.evaluate(subject.atoms)
    made = {"copy": copy.copy, "deep copy": copy.deepcopy, "new instance": lambda _: subject.new()}
    for what, function in made.items():
        bitwise(found, what, expected, subject.evaluate(subject.atoms, function(subject.calculator)))


def threads(subject, found):
    """Compare bits on one, two and three threads."""
    if not hasattr(subject.calculator, "threads"):
        raise NotApplicable("no threads")
    expected, calculator = subject.evaluate(subject.atoms), subject.new()
    for n in (1, 2, 3):
        calculator.threads = n
        bitwise(found, f"{n} threads", expected, subject.evaluate(subject.atoms, calculator))


CONTRACT = (permutation, translation, rotation, reflection, supercell, wrapping, after_others)
OWN = (inversion, skewed_cell, unwrapped, vacuum, copies, threads)
EQUIVALENCES = {
    check.name if isinstance(check, Check) else check.__name__: getattr(check, "function", check)
    for check in (*CONTRACT, *OWN)
}


def examine(make, atoms, *, seed=0, skip=()):
    """Return what was measured by equivalence; those that do not apply, or are to be skipped, are left out.

    Parameters
    ----------
    make : callable
        Makes a calculator.
    atoms : Atoms
    seed : int
    skip : container of str

    Raises
    ------
    Whatever the calculator raises.
    """
    subject, measured = Structure(make, atoms, seed), {}
    forces = subject.evaluate(atoms).forces
    for name, function in EQUIVALENCES.items():
        found = Scaled(np.abs(forces).max())
        try:
            if name not in skip:
                function(subject, found)
                measured[name] = found
        except NotApplicable:
            continue
    return measured


def broken(measured):
    """Return in words what is beyond its tolerance."""
    return [
        f"{name}: {m.what}: {m.figure:.2e} {m.unit}, allowed {m.tolerance:.2e}"
        for name, found in measured.items()
        for m in found.measurements
        if m.ratio > 1
    ] + [f"{name}: {problem}" for name, found in measured.items() for problem in found.problems]
