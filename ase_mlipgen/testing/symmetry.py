"""Physics, first part: what must not change the energy, and how forces and stress follow."""

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress

from ase_mlipgen.testing.checks import ENERGY, FORCE, STRESS, Check, Findings, NotApplicable, check
from ase_mlipgen.testing.subject import Floats, Subject, Values

FAR = 1e4
"""Å, the longest translation."""


@check("P1", "permutation", "physics", "the order of the atoms does not matter",
       "sum over atoms and neighbours alike, whatever their index")  # fmt: skip
def permutation(subject: Subject, found: Findings) -> None:
    """Shuffle the atoms."""
    atoms, order = subject.rattled(), subject.rng("permutation").permutation(len(subject.atoms))
    before, after = subject.evaluate(atoms), subject.evaluate(atoms[order])
    compare(found, "shuffled", before, after, len(atoms), forces=_rows(before, order))


@check("P2", "translation", "physics", "a translation of all atoms, up to 1e4 Å, changes nothing",
       "use differences of positions only; look for atoms that are wrapped or binned wrongly")  # fmt: skip
def translation(subject: Subject, found: Findings) -> None:
    """Move all atoms by one vector."""
    atoms, rng = subject.rattled(), subject.rng("translation")
    before = subject.evaluate(atoms)
    for length in (0.1, 10.0, FAR):
        moved = atoms.copy()
        vector = rng.normal(size=3)
        moved.positions += length * vector / np.linalg.norm(vector)
        compare(found, f"moved by {length:g} Å", before, subject.evaluate(moved), len(atoms))


@check("P3", "rotation", "physics", "a rotation of atoms and cell rotates forces and stress, and keeps the energy",
       "look for a direction that is treated apart, or a stress in other than Voigt order")  # fmt: skip
def rotation(subject: Subject, found: Findings) -> None:
    """Rotate atoms and cell."""
    rng = subject.rng("rotation")
    for k in range(2):
        Q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        turn(subject, found, Q * np.sign(np.linalg.det(Q)), f"rotation {k + 1}")


@check("P4", "reflection", "physics", "a mirror image has mirrored forces and the same energy",
       "look for odd functions of the positions, and cells whose handedness matters")  # fmt: skip
def reflection(subject: Subject, found: Findings) -> None:
    """Mirror atoms and cell: the cell becomes left-handed."""
    turn(subject, found, np.diag([1.0, 1.0, -1.0]), "mirrored")


@check("P5", "skewed_cell", "physics", "another choice of cell vectors for the same crystal changes nothing",
       "search neighbours over as many images as the cell's heights ask for, not its edges")  # fmt: skip
def skewed_cell(subject: Subject, found: Findings) -> None:
    """Combine cell vectors by integers: the same lattice, sheared."""
    atoms, periodic = subject.rattled(), np.flatnonzero(subject.atoms.pbc)
    if len(periodic) < 2:
        raise NotApplicable("fewer than two periodic directions")
    before = subject.evaluate(atoms)
    for multiple in (1, -2):
        upper, lower = np.eye(3), np.eye(3)
        upper[periodic[0], periodic[1:]] = multiple
        lower[periodic[-1], periodic[0]] = 1
        skewed = atoms.copy()
        skewed.set_cell(upper @ lower @ atoms.cell.array)
        compare(found, f"sheared by {multiple} cells", before, subject.evaluate(skewed), len(atoms))


@check("P6", "supercell", "physics", "a supercell has as many times the energy and the same forces and stress",
       "count every periodic image within the cutoff, also in cells smaller than it")  # fmt: skip
def supercell(subject: Subject, found: Findings) -> None:
    """Repeat the cell."""
    atoms, periodic = subject.rattled(), np.flatnonzero(subject.atoms.pbc)
    if not len(periodic):
        raise NotApplicable("no periodic direction")
    before = subject.evaluate(atoms)
    for direction in periodic:
        repeats = np.ones(3, dtype=int)
        repeats[direction] = 2
        after = subject.evaluate(atoms.repeat(repeats))
        n = len(atoms)
        forces = None if before.forces is None else np.tile(before.forces, (2, 1))
        half = Values(after.energy / 2, after.forces, after.stress)
        compare(found, f"twice along {'abc'[direction]}", before, half, n, forces=forces)


@check("P7", "wrapping", "physics", "atoms may lie in any periodic image",
       "take the minimum image, or shift neighbours by the cells that their atoms are away")  # fmt: skip
def wrapping(subject: Subject, found: Findings) -> None:
    """Move atoms by whole cells, and back into the cell."""
    atoms = subject.rattled()
    if not atoms.pbc.any():
        raise NotApplicable("no periodic direction")
    before = subject.evaluate(atoms)
    cells_ic = subject.rng("wrapping").integers(-3, 4, (len(atoms), 3)) * atoms.pbc
    away = atoms.copy()
    away.positions += cells_ic @ atoms.cell.array
    wrapped = away.copy()
    wrapped.wrap()
    for what, moved in (("up to three cells away", away), ("wrapped", wrapped)):
        compare(found, what, before, subject.evaluate(moved), len(atoms))


CHECKS: tuple[Check, ...] = (permutation, translation, rotation, reflection, skewed_cell, supercell, wrapping)


def turn(subject: Subject, found: Findings, Q: Floats, what: str) -> None:
    """Compare with the atoms whose every vector v is Q v."""
    atoms = subject.rattled()
    before = subject.evaluate(atoms)
    turned = Atoms(atoms.numbers, positions=atoms.positions @ Q.T, cell=atoms.cell.array @ Q.T, pbc=atoms.pbc)
    forces = None if before.forces is None else before.forces @ Q.T
    stress = None
    if before.stress is not None:
        stress = full_3x3_to_voigt_6_stress(Q @ voigt_6_to_full_3x3_stress(before.stress) @ Q.T)
    compare(found, what, before, subject.evaluate(turned), len(atoms), forces=forces, stress=stress)


def _rows(values: Values, order: np.ndarray) -> Floats | None:
    return None if values.forces is None else values.forces[order]


def compare(
    found: Findings,
    what: str,
    before: Values,
    after: Values,
    n_atoms: int,
    *,
    forces: Floats | None = None,
    stress: Floats | None = None,
) -> None:
    """Note differences; forces and stress are what is expected, by default those of before."""
    found.measure(f"energy, {what}", abs(after.energy - before.energy) / n_atoms, ENERGY)
    expected = before.forces if forces is None else forces
    if expected is not None and after.forces is not None:
        found.measure(f"forces, {what}", np.abs(after.forces - expected).max(), FORCE)
    expected = before.stress if stress is None else stress
    if expected is not None and after.stress is not None:
        found.measure(f"stress, {what}", np.abs(after.stress - expected).max(), STRESS)
