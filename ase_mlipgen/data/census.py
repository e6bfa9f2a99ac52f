"""A table of what files of labels hold: kinds of frames, keys, ranges, duplicates, and what is doubtful.

Enter at `take_census`; nothing is fitted, and nothing refused: what is ambiguous is among the problems.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ase_mlipgen.data.frames import Frame, places
from ase_mlipgen.data.keys import AmbiguousDataError, Keys, choose_keys
from ase_mlipgen.data.units import closest, doubts_of

Range = tuple[float, float] | None
WEIGHTS = ("weight", "sigma")


@dataclass(frozen=True)
class Kind:
    """The frames of one file and one group.

    Attributes
    ----------
    file, group : str
    n_frames, n_isolated, n_without_forces, n_duplicates : int
        Duplicates: frames whose elements, positions and cell are, bit by bit, those of a frame before.
    n_atoms : (smallest, largest)
    elements : tuple of str
    pbc : tuple of str
        Such as "TTT", "FFF".
    keys : dict of str to int
        Names of energies, forces and stresses, and how many frames have them.
    energy : (smallest, largest) or None, eV/atom
    largest_force : float or None, eV/Å
    closest_distance : float or None, Å
    volume : (smallest, largest) or None, Å^3/atom
        Of the frames that are periodic in three directions.
    """

    file: str
    group: str
    n_frames: int
    n_isolated: int
    n_without_forces: int
    n_duplicates: int
    n_atoms: tuple[int, int]
    elements: tuple[str, ...]
    pbc: tuple[str, ...]
    keys: dict[str, int]
    energy: Range
    largest_force: float | None
    closest_distance: float | None
    volume: Range


@dataclass(frozen=True)
class DataCensus:
    """What files hold.

    Attributes
    ----------
    kinds : tuple of Kind
        One a file and group, in the order of the files.
    keys : Keys or None
        Names of the labels; None where they are ambiguous.
    problems : tuple of str
        Why the files cannot be fitted as they are, and the line that settles it.
    warnings : tuple of str
        What is doubtful: units, duplicates that disagree, weights that are not used.
    """

    kinds: tuple[Kind, ...]
    keys: Keys | None
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    def todict(self) -> dict[str, Any]:
        """Return everything in a form that JSON can hold."""
        return asdict(self)


def take_census(frames: Sequence[Frame], **given: Any) -> DataCensus:
    """Count and judge frames.

    Parameters
    ----------
    frames : sequence of Frame
        From `read_frames`.
    **given
        What is known of the keys; see `choose_keys`.
    """
    keys, problems = None, []
    try:
        keys = choose_keys(frames, **given)
    except AmbiguousDataError as error:
        problems.append(str(error))
    seen: set[bytes] = set()
    names = dict.fromkeys((frame.file, frame.group) for frame in frames)
    kinds = [_kind([f for f in frames if (f.file, f.group) == name], keys, seen) for name in names]
    warnings = [*_disagreements(frames, keys), *_unused(frames)]
    if keys is not None:
        try:
            warnings += doubts_of(frames, keys)
        except ValueError as error:  # a stress that is none
            problems.append(str(error))
    return DataCensus(tuple(kinds), keys, tuple(problems), tuple(warnings))


def _kind(frames: Sequence[Frame], keys: Keys | None, seen: set[bytes]) -> Kind:
    names: Counter[str] = Counter()
    n_duplicates = 0
    for frame in frames:
        names.update([*frame.energies, *frame.forces, *frame.stresses])
        n_duplicates += frame.geometry in seen
        seen.add(frame.geometry)
    sizes = [len(frame.atoms) for frame in frames]
    distances = [d for frame in frames if np.isfinite(d := closest(frame)[0])]
    return Kind(
        file=frames[0].file,
        group=frames[0].group,
        n_frames=len(frames),
        n_isolated=sum(frame.is_isolated for frame in frames),
        n_without_forces=sum(not frame.forces for frame in frames),
        n_duplicates=n_duplicates,
        n_atoms=(min(sizes), max(sizes)),
        elements=tuple(sorted({s for frame in frames for s in frame.atoms.get_chemical_symbols()})),
        pbc=tuple(dict.fromkeys("".join("FT"[int(p)] for p in frame.atoms.pbc) for frame in frames)),
        keys=dict(names),
        energy=None if keys is None else _energies(frames, keys),
        largest_force=None if keys is None else _largest_force(frames, keys),
        closest_distance=min(distances, default=None),
        volume=_range(
            [f.atoms.get_volume() / len(f.atoms) for f in frames if f.atoms.pbc.all() and len(f.atoms)]
        ),
    )


def _range(values: Sequence[float]) -> Range:
    return (float(min(values)), float(max(values))) if values else None


def _energies(frames: Sequence[Frame], keys: Keys) -> Range:
    return _range([f.energies[keys.energy] / len(f.atoms) for f in frames if keys.energy in f.energies])


def _largest_force(frames: Sequence[Frame], keys: Keys) -> float | None:
    found = [f.forces[keys.forces] for f in frames if keys.forces in f.forces and len(f.atoms)]
    return max((float(np.linalg.norm(forces, axis=1).max()) for forces in found), default=None)


def _disagreements(frames: Sequence[Frame], keys: Keys | None) -> list[str]:
    """Say which frames are there twice, with other energies."""
    if keys is None:
        return []
    first: dict[bytes, Frame] = {}
    other: list[tuple[Frame, Frame, float]] = []
    for frame in frames:
        if (energy := frame.energies.get(keys.energy)) is None:
            continue
        before = first.setdefault(frame.geometry, frame)
        difference = abs(energy - before.energies[keys.energy])
        if difference > 1e-9 * max(1.0, abs(energy)):
            other.append((before, frame, difference))
    if not other:
        return []
    before, frame, difference = max(other, key=lambda entry: entry[2])
    return [
        f"{len(other)} frames are the same as one before but for the energy, by up to {difference:.3g} ({before.place} "
        f"and {frame.place}): labels of different settings?"
    ]


def _unused(frames: Sequence[Frame]) -> list[str]:
    """Say which weights in the files are not used."""
    found: dict[str, list[Frame]] = {}
    for frame in frames:
        for name in frame.values:
            if any(word in name.lower() for word in WEIGHTS):
                found.setdefault(name, []).append(frame)
    return [
        f'"{name}" of {len(several)} frames ({places(several, 1)}) is not used: give weights by group in [fit] weights'
        for name, several in found.items()
    ]
