"""Physics, third part: energy and forces without jumps where neighbours come and go, and at short distance.

A jump is found with energies and forces alone: where the middle of an interval is not what the cubic through its ends
says, the half that misfits more is halved again, until a smooth function would fit and a jump does not.
"""

from collections.abc import Callable, Iterator

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculatorError

from ase_mlipgen.testing.checks import Check, Findings, NotApplicable, check
from ase_mlipgen.testing.subject import Floats, Subject, nearest

ENERGY_JUMP, FORCE_JUMP = 1e-7, 1e-6
UNKNOWN_REACH = 12.0
"""Å, how far a calculator is searched that does not state its cutoff."""
N_GRID, N_CANDIDATES, NARROWEST = 160, 6, 1e-9

Path = Callable[[float], tuple[float, float]]


@check("P11", "continuity", "physics", "energy and forces are continuous where neighbours come and go",
       "bring every function to zero at its cutoff with zero slope, and every piece to the next")  # fmt: skip
def continuity(subject: Subject, found: Findings) -> None:
    """Stretch pairs, and take an atom away from a cluster."""
    if "forces" not in subject.properties:
        raise NotApplicable("forces are not in implemented_properties")
    far = (subject.cutoff or UNKNOWN_REACH) + 0.3
    for what, path, start in _paths(subject):
        energy, force, where = largest_jump(path, np.linspace(start, far, N_GRID), subject.cutoff)
        found.measure(f"energy, {what} near {where:.4f} Å", energy, (ENERGY_JUMP, "eV"))
        found.measure(f"force, {what} near {where:.4f} Å", force, (FORCE_JUMP, "eV/Å"))


@check("P12", "collision", "physics", "two atoms that approach to a hundredth of a bond repel, or are refused by name",
       "add a repulsive core, or raise a ValueError that names the atoms and their distance")  # fmt: skip
def collision(subject: Subject, found: Findings) -> None:
    """Press two atoms together, alone and in the crystal: once the energy rises it does not fall again."""
    bond = subject.bond
    distances = np.geomspace(0.8, 0.01, 80) * bond
    for what, at in (("pair", _pair(subject, *nearest(subject.atoms)[:2])), ("in the crystal", _pressed(subject))):
        energies = []
        for r in distances:
            try:
                energies.append(at(float(r))[0])
            except Exception as error:
                found.expect(is_named(error), f"{what} at {r / bond:.3f} of a bond: {describe(error)}")
                break
        fall, k = _fall(np.array(energies))
        where = f"{what}, at {distances[k] / bond:.3f} of a bond" if fall > 0 else what
        found.measure(f"fall of the energy, {where}", fall, (1e-9, "eV"))


CHECKS: tuple[Check, ...] = (continuity, collision)


def largest_jump(path: Path, grid: Floats, cutoff: float | None) -> tuple[float, float, float]:
    """Return the largest jumps of energy (eV) and force (eV/Å) along a path, and where the latter is (Å)."""
    ends = [path(x) for x in grid]
    middles = [path(x) for x in (grid[1:] + grid[:-1]) / 2]
    scores = np.array([
        _misfit(grid[k], ends[k], grid[k + 1], ends[k + 1], middles[k]) for k in range(len(middles))
    ])  # fmt: skip
    best = (0.0, 0.0, float(grid[-1]))
    for k in _candidates(grid, scores, cutoff):
        jump = _descend(path, (grid[k], ends[k]), (grid[k + 1], ends[k + 1]), middles[k])
        if max(jump[0] / ENERGY_JUMP, jump[1] / FORCE_JUMP) > max(best[0] / ENERGY_JUMP, best[1] / FORCE_JUMP):
            best = jump
    return best


def is_named(error: Exception) -> bool:
    """Tell whether an exception is meant for the caller: of its own family, with a text."""
    accidents = (ZeroDivisionError, FloatingPointError, OverflowError, np.linalg.LinAlgError)
    family = isinstance(error, ValueError | ArithmeticError | CalculatorError) and not isinstance(error, accidents)
    return family and bool(str(error).strip())


def describe(error: Exception) -> str:
    """Return an exception in one line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:120] if text else '(no text)'}"


def _paths(subject: Subject) -> Iterator[tuple[str, Path, float]]:
    """Yield pairs of each two elements, and an atom that leaves a cluster; from 0.7 of a bond outward."""
    first = {int(z): i for i, z in reversed(list(enumerate(subject.atoms.numbers)))}
    start = 0.7 * subject.bond
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


def _misfit(
    a: float, at_a: tuple[float, float], b: float, at_b: tuple[float, float], middle: tuple[float, float]
) -> float:
    """Return how far the middle is from the cubic through energies and forces at the ends, in tolerances."""
    h = b - a
    energy = (at_a[0] + at_b[0]) / 2 - h * (at_a[1] - at_b[1]) / 8
    force = (at_a[1] + at_b[1]) / 2
    return max(abs(middle[0] - energy) / ENERGY_JUMP, abs(middle[1] - force) / FORCE_JUMP)


def _candidates(grid: Floats, scores: Floats, cutoff: float | None) -> list[int]:
    """Return intervals that misfit more than those around them, and those at the stated cutoff."""
    around = np.array([np.median(scores[max(0, k - 3) : k + 4]) for k in range(len(scores))])
    chosen = set(np.argsort(-scores / (around + 0.01), kind="stable")[:N_CANDIDATES].tolist())
    if cutoff is not None:
        k = int(np.searchsorted(grid, cutoff)) - 1
        chosen |= {n for n in (k - 1, k, k + 1) if 0 <= n < len(scores)}
    return sorted(chosen)


def _descend(
    path: Path, left: tuple[float, tuple[float, float]], right: tuple[float, tuple[float, float]], middle: tuple[float, float]
) -> tuple[float, float, float]:  # fmt: skip
    """Halve towards a jump; return its height in energy and force, and its place."""
    while right[0] - left[0] > NARROWEST:
        m = (left[0] + right[0]) / 2
        centre = (m, middle)
        low, high = path((left[0] + m) / 2), path((m + right[0]) / 2)
        misfit_low, misfit_high = _misfit(*left, *centre, low), _misfit(*centre, *right, high)
        if max(misfit_low, misfit_high) < 0.1:
            return 0.0, 0.0, m
        left, right, middle = (left, centre, low) if misfit_low > misfit_high else (centre, right, high)
    (a, at_a), (b, at_b) = left, right
    return abs(at_b[0] - at_a[0] + (b - a) * (at_a[1] + at_b[1]) / 2), abs(at_b[1] - at_a[1]), a


def _fall(energies: Floats) -> tuple[float, int]:
    """Return how far the energy falls after it began to rise, and where; inward, distances shrink."""
    if len(energies) == 0:
        return 0.0, 0
    if not np.isfinite(energies).all():
        return float("inf"), int(np.flatnonzero(~np.isfinite(energies))[0])
    rises = np.flatnonzero(np.diff(energies) > 0)
    if len(rises) == 0:
        return float(energies[0] - energies[-1]), len(energies) - 1
    after = energies[rises[0] :]
    falls = np.maximum.accumulate(after) - after
    k = int(np.argmax(falls))
    return float(falls[k]), int(rises[0]) + k
