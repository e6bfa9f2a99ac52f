"""Physics, third part: energy and forces without jumps where neighbours come and go, and at short distance."""

from collections.abc import Iterator

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculatorError

from ase_mlipgen.testing.checks import Check, Findings, NotApplicable, check
from ase_mlipgen.testing.jumps import ENERGY_JUMP, FORCE_JUMP, Path, largest_jump
from ase_mlipgen.testing.subject import Floats, Subject, nearest

UNKNOWN_REACH = 12.0
"""Å, how far a calculator is searched that does not state its cutoff."""


@check("P11", "continuity", "physics", "energy and forces are continuous where neighbours come and go",
       "bring every function to zero at its cutoff with zero slope, and every piece to the next")  # fmt: skip
def continuity(subject: Subject, found: Findings) -> None:
    """Stretch pairs, and take an atom away from a cluster."""
    if "forces" not in subject.properties:
        raise NotApplicable("forces are not in implemented_properties")
    far = (subject.cutoff or UNKNOWN_REACH) + 0.3
    for what, path, start in _paths(subject):
        energy, force, where = largest_jump(path, start, far)
        place = what if where is None else f"{what} at {where:.5f} Å"
        found.measure(f"energy, {place}", energy, (ENERGY_JUMP, "eV"))
        found.measure(f"force, {place}", force, (FORCE_JUMP, "eV/Å"))


@check("P12", "collision", "physics", "two atoms that approach to a hundredth of a bond repel, or are refused by name",
       "add a repulsive core, or raise a ValueError that names the atoms and their distance")  # fmt: skip
def collision(subject: Subject, found: Findings) -> None:
    """Press two atoms together, in the crystal from its bond on, and alone: once it rises the energy does not fall.

    A pair alone may bind at a shorter distance than the crystal: it begins at 0.8 of the bond.
    """
    i, j, bond, _ = nearest(subject.atoms)
    for what, at, start in (("in the crystal", _pressed(subject), 1.0), ("pair", _pair(subject, i, j), 0.8)):
        distances = np.concatenate([np.linspace(start, 0.5, 60), np.geomspace(0.5, 0.01, 41)[1:]]) * bond
        energies, refused = [], False
        for r in distances:
            try:
                energies.append(at(float(r))[0])
            except Exception as error:
                found.expect(is_named(error), f"{what} at {r / bond:.3f} of a bond: {describe(error)}")
                refused = True
                break
        fall, k = _fall(np.array(energies), refused)
        where = f"{what}, at {distances[k] / bond:.3f} of a bond" if fall > 0 else what
        found.measure(f"fall of the energy, {where}", fall, (1e-9, "eV"))


CHECKS: tuple[Check, ...] = (continuity, collision)


def is_named(error: Exception) -> bool:
    """Tell whether an exception is meant for the caller: of its own family, with a text."""
    accidents = (ZeroDivisionError, FloatingPointError, OverflowError, np.linalg.LinAlgError)
    family = isinstance(error, ValueError | ArithmeticError | CalculatorError) and not isinstance(
        error, accidents
    )
    return family and bool(str(error).strip())


def describe(error: Exception) -> str:
    """Return an exception in one line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:120] if text else '(no text)'}"


def _paths(subject: Subject) -> Iterator[tuple[str, Path, float]]:
    """Yield pairs of each two elements, and an atom that leaves a cluster; from 0.85 of a bond outward."""
    first = {int(z): i for i, z in reversed(list(enumerate(subject.atoms.numbers)))}
    start = 0.85 * subject.bond
    for a, i in first.items():
        for b, j in first.items():
            if a <= b:
                symbols = subject.atoms.symbols
                yield f"{symbols[i]}-{symbols[j]} pair", _pair(subject, i, j), start
    yield "atom leaving a cluster", _leaving(subject), start


def _pair(subject: Subject, i: int, j: int) -> Path:
    calculator, numbers = subject.new(), subject.atoms.numbers[[i, j]]
    direction = np.array([0.48, 0.6, 0.64])
    has_forces = "forces" in subject.properties

    def at(r: float) -> tuple[float, float]:
        atoms = Atoms(numbers, positions=[np.zeros(3), r * direction])
        energy = float(calculator.get_property("energy", atoms))
        return energy, float(calculator.get_property("forces", atoms)[1] @ direction) if has_forces else 0.0

    return at


def _leaving(subject: Subject) -> Path:
    """Return the path of an atom away from the atoms without their periodicity."""
    calculator, atoms = subject.new(), subject.rattled("cluster")
    atoms.pbc = False
    centre = atoms.positions.mean(axis=0)
    outermost = int(np.argmax(np.linalg.norm(atoms.positions - centre, axis=1)))
    direction = atoms.positions[outermost] - centre
    direction /= np.linalg.norm(direction)
    origin = atoms.positions[outermost].copy()
    atoms += Atoms(atoms.numbers[:1], positions=[origin])

    def at(r: float) -> tuple[float, float]:
        moved = atoms.copy()
        moved.positions[-1] = origin + r * direction
        energy = float(calculator.get_property("energy", moved))
        return energy, float(calculator.get_property("forces", moved)[-1] @ direction)

    return at


def _pressed(subject: Subject) -> Path:
    """Return the path of an atom of the crystal onto its nearest neighbour."""
    calculator, atoms = subject.new(), subject.atoms.copy()
    if len(atoms) < 9 and atoms.pbc.any():
        atoms = atoms.repeat(np.where(atoms.pbc, 2, 1))
    i, _, distance, vector = nearest(atoms)

    def at(r: float) -> tuple[float, float]:
        moved = atoms.copy()
        moved.positions[i] += vector * (1 - r / distance)
        return float(calculator.get_property("energy", moved)), 0.0

    return at


def _fall(energies: Floats, refused: bool) -> tuple[float, int]:
    """Return how far the energy falls after it began to rise, and where; inward, distances shrink.

    Atoms that are refused while they still attract may have been about to bind.
    """
    if len(energies) == 0:
        return 0.0, 0
    if not np.isfinite(energies).all():
        return float("inf"), int(np.flatnonzero(~np.isfinite(energies))[0])
    rises = np.flatnonzero(np.diff(energies) > 0)
    if len(rises) == 0:
        return (0.0, 0) if refused else (float(energies[0] - energies[-1]), len(energies) - 1)
    after = energies[rises[0] :]
    falls = np.maximum.accumulate(after) - after
    k = int(np.argmax(falls))
    return float(falls[k]), int(rises[0]) + k
