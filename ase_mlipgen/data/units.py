"""What units labels seem to have: the work of the forces against the differences of energies, and sizes of numbers.

Two frames of one cell that are near one another tell: E2 - E1 is the work -(F1 + F2)/2 . (x2 - x1) up to third order,
so that the ratio of both is 1 if energies (eV), forces (eV/Å) and positions (Å) belong together, and a known other
number if they are in other units. Enter at `energy_over_work`, `doubts_of`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from ase.data import covalent_radii

from ase_mlipgen.data.frames import Floats, Frame
from ase_mlipgen.data.keys import Keys
from ase_mlipgen.defects import minimum_image
from ase_mlipgen.neighbors import pairs

FARTHEST = 0.5
"""Å: frames with an atom further apart are not compared."""
MOST_PAIRS = 200
FARTHEST_APART = 5
"""Frames of a file that lie further apart are not compared."""
FEWEST_PAIRS = 3
CORRELATED = 0.95
BOHR, HARTREE = 0.529177210903, 27.211386245988
MEANINGS = {
    1.0 / HARTREE: "energies in Hartree, forces in eV/Å",
    2.0 / HARTREE: "energies in Rydberg, forces in eV/Å",
    1.0 / BOHR: "energies in Hartree and forces in Hartree/Bohr, or both in Rydberg, or forces in eV/Bohr",
    HARTREE / BOHR: "energies in eV, forces in Hartree/Bohr",
    0.5 * HARTREE / BOHR: "energies in eV, forces in Rydberg/Bohr",
    BOHR: "positions in Bohr, energies in eV and forces in eV/Å",
    2.0 / BOHR: "energies in Rydberg, forces in Hartree/Bohr",
}
"""What the energy's change over the work of the forces says, where it is not 1."""
GOOD, NEAR = 1.4, 1.2
"""Factors that the ratio may be off: random displacements leave some 15 %."""
HUGE_FORCE, HUGE_STRESS, WEAK_COHESION = 100.0, 1.0, 0.35
TOO_CLOSE, TOO_FAR = 0.5, 1.7
"""Nearest distances over sums of covalent radii: crystals have 0.8 to 1.3, noble gases more."""
NOBLE = (2, 10, 18, 36, 54, 86)


class Ratio(NamedTuple):
    """Energy differences over the work of forces: slope, correlation, and how many pairs of frames there were."""

    slope: float
    correlation: float
    n_pairs: int
    n_atoms: int | None


def energy_over_work(frames: Sequence[Frame], keys: Keys) -> Ratio | None:
    """Compare energies and forces of frames that are near one another.

    Returns
    -------
    Ratio or None
        None where fewer than three pairs of frames of one cell are within half an Å, or nothing changes.
    """
    works: list[float] = []
    changes: list[float] = []
    sizes: set[int] = set()
    for one, other in _neighbours(frames, keys):
        move = minimum_image(other.atoms.positions - one.atoms.positions, one.atoms)
        if not 1e-6 < np.abs(move).max() < FARTHEST:
            continue
        mean = 0.5 * (one.forces[keys.forces] + other.forces[keys.forces])
        works.append(-float(np.sum(mean * move)))
        changes.append(other.energies[keys.energy] - one.energies[keys.energy])
        sizes.add(len(one.atoms))
        if len(works) == MOST_PAIRS:
            break
    work, change = np.array(works), np.array(changes)
    squares = float(work @ work), float(change @ change)
    if len(works) < FEWEST_PAIRS or min(squares) == 0.0:
        return None
    product = float(work @ change)
    n_atoms = sizes.pop() if len(sizes) == 1 else None
    return Ratio(product / squares[0], product / float(np.sqrt(squares[0] * squares[1])), len(works), n_atoms)


def _neighbours(frames: Sequence[Frame], keys: Keys) -> Iterator[tuple[Frame, Frame]]:
    """Give pairs of frames of the same atoms in the same cell, consecutive ones first."""
    known: dict[bytes, list[Frame]] = {}
    for frame in frames:
        if keys.energy in frame.energies and keys.forces in frame.forces:
            atoms = frame.atoms
            key = atoms.numbers.tobytes() + np.round(atoms.cell.array, 6).tobytes() + atoms.pbc.tobytes()
            known.setdefault(key, []).append(frame)
    for gap in range(1, FARTHEST_APART + 1):
        for several in known.values():
            yield from zip(several, several[gap:], strict=False)


def doubts_of(frames: Sequence[Frame], keys: Keys) -> list[str]:
    """Say in sentences what looks like other units than eV and Å; empty where there is no clear sign."""
    ratio = energy_over_work(frames, keys)
    return [
        *([] if ratio is None else _of_ratio(ratio)),
        *_of_forces(frames, keys),
        *_of_stresses(frames, keys),
        *_of_distances(frames),
        *_of_cohesion(frames, keys),
    ]


def _of_ratio(ratio: Ratio) -> Iterator[str]:
    if abs(ratio.correlation) < CORRELATED or 1.0 / GOOD < ratio.slope < GOOD:
        return
    if ratio.slope < 0.0:
        meaning = "forces of the wrong sign (gradients)"
    else:
        known = dict(MEANINGS)
        if ratio.n_atoms is not None:
            known[1.0 / ratio.n_atoms] = "energies for each atom"
        near = {abs(np.log(ratio.slope / x)): text for x, text in known.items()}
        meaning = ", or ".join(near[x] for x in sorted(near) if x < np.log(NEAR))
    yield (
        f"between frames near one another ({ratio.n_pairs} pairs) energies change by {ratio.slope:.4g} times the work "
        f"of the forces, where 1 is expected: {meaning or 'energies and forces do not belong together'}? Expected are "
        "eV, eV/Å, Å and total energies"
    )


def _of_forces(frames: Sequence[Frame], keys: Keys) -> Iterator[str]:
    largest, where = 0.0, ""
    for frame in frames:
        if keys.forces in frame.forces and len(frame.atoms):
            force = float(np.linalg.norm(frame.forces[keys.forces], axis=1).max())
            if force > largest:
                largest, where = force, frame.place
    if largest > HUGE_FORCE:
        yield f"the largest force is {largest:.3g} ({where}); as eV/Å that is an atom far from any equilibrium"


def _of_stresses(frames: Sequence[Frame], keys: Keys) -> Iterator[str]:
    if keys.stress is None:
        return
    largest = max(
        (float(np.abs(s).max()) for f in frames if (s := keys.stress_of(f)) is not None), default=0.0
    )
    if largest > HUGE_STRESS:
        yield (
            f"the largest stress is {largest:.3g} eV/Å^3, {largest * 160.2:.0f} GPa: is it in GPa or kbar, or a "
            "virial? Set stress_unit in [data]"
        )


def _of_distances(frames: Sequence[Frame]) -> Iterator[str]:
    found = [(*closest(frame), frame) for frame in frames if len(frame.atoms) > 1]
    found = [entry for entry in found if np.isfinite(entry[0])]
    if not found:
        return
    distance, ratio, frame = min(found, key=lambda entry: entry[1])
    if ratio < TOO_CLOSE:
        yield (
            f"two atoms are {distance:.3f} Å apart ({frame.place}), {ratio:.2f} of the sum of their covalent radii: "
            "positions in nm, or a broken frame?"
        )
    if ratio > TOO_FAR and not np.isin(frame.atoms.numbers, NOBLE).any():
        yield (
            f"no two atoms of any frame are closer than {distance:.2f} Å, {ratio:.2f} times the sum of their covalent "
            "radii: positions in Bohr?"
        )


def closest(frame: Frame, reach: float = 6.0) -> tuple[float, float]:
    """Smallest distance of two atoms, Å, and smallest distance over the sum of covalent radii; inf beyond `reach`."""
    try:
        found = pairs(frame.atoms, reach)
    except ValueError as error:
        raise ValueError(f"{frame.place}: {error}") from error
    distance = np.linalg.norm(found.vectors(), axis=1)
    if len(distance) == 0:
        return float("inf"), float("inf")
    numbers = frame.atoms.numbers
    radii: Floats = covalent_radii[numbers[found.centres()]] + covalent_radii[numbers[found.j_p]]
    return float(distance.min()), float((distance / radii).min())


def _of_cohesion(frames: Sequence[Frame], keys: Keys) -> Iterator[str]:
    """Compare energies with those of isolated atoms, where the files have all of them."""
    alone = isolated_energies(frames, keys)
    bound = []
    for frame in frames:
        symbols = frame.atoms.get_chemical_symbols()
        if len(symbols) > 1 and set(symbols) <= set(alone) and keys.energy in frame.energies:
            apart = sum(alone[symbol] for symbol in symbols)
            bound.append((apart - frame.energies[keys.energy]) / len(symbols))
    if not bound or any(number in NOBLE for frame in frames for number in frame.atoms.numbers):
        return
    strongest = max(bound)
    if strongest < WEAK_COHESION:
        yield (
            f"no frame is bound by more than {strongest:.3f} an atom against the isolated atoms: energies in Hartree "
            "or Rydberg, energies for each atom, or isolated atoms of other settings?"
        )


def isolated_energies(frames: Sequence[Frame], keys: Keys) -> Mapping[str, float]:
    """Energies of isolated atoms by element, the first of each."""
    found: dict[str, float] = {}
    for frame in frames:
        if frame.is_isolated and keys.energy in frame.energies:
            found.setdefault(frame.atoms.get_chemical_symbols()[0], frame.energies[keys.energy])
    return found
