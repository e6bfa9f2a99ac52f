"""Interface, fourth part: molecules, lone atoms, slabs, and every combination of periodic directions."""

import itertools

import numpy as np
from ase import Atoms

from ase_mlipgen.testing.checks import ENERGY, FORCE, Check, Findings, check
from ase_mlipgen.testing.subject import Subject

UNKNOWN_REACH = 30.0
"""Å of vacuum that separates images for a calculator that does not state its cutoff."""


@check("I16", "molecule", "interface", "atoms without a cell are evaluated, as in a wide box",
       "do not ask for a cell or its volume where nothing is periodic; leave out the stress there")  # fmt: skip
def molecule(subject: Subject, found: Findings) -> None:
    """Take the atoms as a molecule: no cell, a box, a wide periodic box."""
    atoms = _cluster(subject)
    before = subject.evaluate(atoms)
    size = np.ptp(atoms.positions, axis=0) + _vacuum(subject)
    for what, pbc in (("in a box", False), ("in a wide periodic box", True)):
        boxed = Atoms(atoms.numbers, positions=atoms.positions, cell=np.diag(size), pbc=pbc)
        after = subject.evaluate(boxed)
        found.measure(f"energy, {what}", abs(after.energy - before.energy) / len(atoms), ENERGY)
        if before.forces is not None and after.forces is not None:
            found.measure(f"forces, {what}", np.abs(after.forces - before.forces).max(), FORCE)


@check("I17", "lone_atom", "interface", "a lone atom has an energy and no force, wherever it is",
       "let lists of neighbours be empty")  # fmt: skip
def lone_atom(subject: Subject, found: Findings) -> None:
    """Evaluate one atom of each element at two places."""
    for number in np.unique(subject.atoms.numbers):
        values = [
            subject.evaluate(Atoms([number], positions=[place])) for place in ([0, 0, 0], [3.0, -70.0, 0.5])
        ]
        found.expect(all(np.isfinite(value.energy) for value in values), "the energy is not finite")
        found.measure("energy", abs(values[0].energy - values[1].energy), ENERGY)
        if values[0].forces is not None:
            found.measure("force", np.abs(values[0].forces).max(), (1e-12, "eV/Å"))


@check("I18", "vacuum", "interface", "how much vacuum a slab has does not matter, nor whether its cell repeats there",
       "look for numbers of bins or of images that come from the cell's length instead of the cutoff")  # fmt: skip
def vacuum(subject: Subject, found: Findings) -> None:
    """Open the last direction, and fill it with more and more vacuum."""
    compare_paddings(subject, found, (True, True, False), (1.0, 1.5, 3.3))


@check("I19", "periodic_directions", "interface", "every combination of periodic directions works",
       "search images along periodic directions only; a cell vector that does not repeat may be anything")  # fmt: skip
def periodic_directions(subject: Subject, found: Findings) -> None:
    """Compare each combination with a fully periodic cell that has vacuum instead."""
    for pbc in itertools.product((False, True), repeat=3):
        compare_paddings(subject, found, pbc, (1.0,))


CHECKS: tuple[Check, ...] = (molecule, lone_atom, vacuum, periodic_directions)


def _vacuum(subject: Subject) -> float:
    return (subject.cutoff + 2.0) if subject.cutoff else UNKNOWN_REACH


def _cluster(subject: Subject) -> Atoms:
    atoms = subject.rattled("molecule")
    return Atoms(atoms.numbers, positions=atoms.positions)


def compare_paddings(
    subject: Subject, found: Findings, pbc: tuple[bool, ...], factors: tuple[float, ...]
) -> None:
    """Compare atoms that are open along some directions with periodic ones that have vacuum there."""
    atoms = subject.rattled()
    if not subject.atoms.pbc.all():
        cell = _complete(subject, atoms)
        atoms.set_cell(cell)
    atoms.pbc = pbc
    before = subject.evaluate(atoms)
    open_directions = ~np.array(pbc)
    for factor in factors:
        padded = atoms.copy()
        cell = atoms.cell.array.copy()
        heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
        extent = np.ptp(atoms.get_scaled_positions(wrap=False), axis=0) * heights
        wanted = extent + _vacuum(subject) * factor
        cell[open_directions] *= (np.maximum(wanted, 0) / heights)[open_directions, None]
        padded.set_cell(cell)
        padded.pbc = True
        after = subject.evaluate(padded)
        name = "".join("ft"[periodic] for periodic in pbc)
        found.measure(f"energy, pbc {name}", abs(after.energy - before.energy) / len(atoms), ENERGY)
        if before.forces is not None and after.forces is not None:
            found.measure(f"forces, pbc {name}", np.abs(after.forces - before.forces).max(), FORCE)


def _complete(subject: Subject, atoms: Atoms) -> np.ndarray:
    """Return a cell with three vectors, wide where the atoms have none."""
    cell = atoms.cell.complete().array.copy()
    for k in np.flatnonzero(~subject.atoms.pbc):
        if np.linalg.norm(atoms.cell.array[k]) == 0:
            cell[k] *= float(np.ptp(atoms.positions @ cell[k] / np.linalg.norm(cell[k]))) + 3.0
    return cell
