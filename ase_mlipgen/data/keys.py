"""Under which names energies, forces and stresses are: found where the files leave no choice, else asked for.

Enter at `choose_keys`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np

from ase_mlipgen.data.frames import Floats, Frame, places

Unit = Literal["eV/A^3", "GPa", "kbar", "eV"]
Positive = Literal["tension", "compression"]
PER_CUBIC_ANGSTROM = {"eV/A^3": 1.0, "GPa": 1.0 / 160.21766208, "kbar": 1.0 / 1602.1766208}
SAME = 1e-9
"""Relative difference up to which two numbers are the same."""


class AmbiguousDataError(ValueError):
    """The files allow two readings, or lack what is asked for; the message names the line that settles it."""


@dataclass(frozen=True)
class Keys:
    """Names of the labels in the files.

    Attributes
    ----------
    energy, forces : str
    stress : str or None
        None where stresses are not read.
    unit : "eV/A^3", "GPa", "kbar" or "eV"
        Of the stress; "eV" is a virial, stress times volume.
    positive : "tension" or "compression"
        What a positive number means. ASE's stress is positive in tension, virials mostly in compression.
    """

    energy: str
    forces: str
    stress: str | None = None
    unit: Unit = "eV/A^3"
    positive: Positive = "tension"

    def stress_of(self, frame: Frame) -> Floats | None:
        """Stress of a frame, (6,), eV/Å^3, Voigt xx yy zz yz xz xy, tension positive; None without.

        Raises
        ------
        ValueError
            Nine numbers that are not symmetric.
        """
        if self.stress is None or self.stress not in frame.values:
            return None
        flat = np.ravel(np.asarray(frame.values[self.stress], dtype=float))
        if flat.size == 9:
            full = flat.reshape(3, 3)
            if np.abs(full - full.T).max() > 1e-4 * max(1e-6, np.abs(full).max()):
                raise ValueError(f"{frame.place}: {self.stress} is not symmetric, so no stress: {flat}")
            full = 0.5 * (full + full.T)
            flat = full[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        factor = 1.0 / frame.atoms.get_volume() if self.unit == "eV" else PER_CUBIC_ANGSTROM[self.unit]
        return np.asarray(flat * (factor if self.positive == "tension" else -factor))


def choose_keys(
    frames: Sequence[Frame],
    energy: str | None = None,
    forces: str | None = None,
    stress: str | None = None,
    *,
    stress_unit: Unit | None = None,
    stress_positive: Positive | None = None,
    want_stress: bool = False,
) -> Keys:
    """Return the names of the labels: those given, else the only ones that are there.

    Parameters
    ----------
    frames : sequence of Frame
    energy, forces, stress : str, optional
        Names in the files; ``energy``, ``free_energy``, ``forces`` and ``stress`` are those of ASE's calculator.
    stress_unit, stress_positive : optional
        Needed for everything but a ``stress`` in ASE's convention.
    want_stress : bool
        Whether stresses are read at all.

    Raises
    ------
    AmbiguousDataError
        Two energies or forces that differ, names that only part of the frames have, a virial of unknown sign.
    """
    found = Keys(
        _choose("energy", frames, energy, lambda frame: frame.energies),
        _choose("forces", frames, forces, lambda frame: frame.forces, everywhere=False),
    )
    if not want_stress:
        return found
    return _with_stress(frames, found, stress, stress_unit, stress_positive)


def _choose(
    kind: str,
    frames: Sequence[Frame],
    given: str | None,
    candidates: Callable[[Frame], Mapping[str, Any]],
    everywhere: bool = True,
) -> str:
    found = [candidates(frame) for frame in frames]
    names = list(dict.fromkeys(name for one in found for name in one))
    if given is not None:
        _check_given(kind, given, frames, found, everywhere)
        return given
    if not names:
        raise AmbiguousDataError(
            f"no {kind} found in {places(frames)}: the frames have {_listed(_names(frames)) or 'nothing'}; name the "
            f'key in [data]: {kind} = "..."'
        )
    with_any = [(frame, one) for frame, one in zip(frames, found, strict=True) if one or everywhere]
    _refuse_differences(kind, names, with_any)
    complete = [name for name in names if all(name in one for _, one in with_any)]
    if not complete:
        raise AmbiguousDataError(_scattered(kind, names, with_any))
    return min(complete, key=lambda name: (not name.startswith("REF_"), complete.index(name)))


def _check_given(
    kind: str,
    given: str,
    frames: Sequence[Frame],
    found: Sequence[Mapping[str, Any]],
    everywhere: bool,
) -> None:
    """Refuse a name that no frame has, and an energy that some lack."""
    lacking = [frame for frame in frames if given not in (frame.values if everywhere else frame.arrays)]
    if len(lacking) == len(frames) or (everywhere and lacking):
        others = list(dict.fromkeys(name for one in found for name in one))
        raise AmbiguousDataError(
            f'{kind} = "{given}": {len(lacking)} of {len(frames)} frames have no such key ({places(lacking)}); there '
            f"are {_listed(others) or 'no others'}"
        )


def _refuse_differences(
    kind: str, names: Sequence[str], found: Sequence[tuple[Frame, Mapping[str, Any]]]
) -> None:
    for one, other in combinations(names, 2):
        pairs = [(frame, x[one], x[other]) for frame, x in found if one in x and other in x]
        differing = [(f, a, b) for f, a, b in pairs if not np.allclose(a, b, rtol=SAME, atol=SAME)]
        if differing:
            raise AmbiguousDataError(_differing(kind, one, other, differing, len(pairs)))


def _differing(kind: str, one: str, other: str, found: Sequence[tuple[Frame, Any, Any]], n: int) -> str:
    frame, a, b = max(found, key=lambda entry: float(np.abs(np.subtract(entry[1], entry[2])).max()))
    largest = float(np.abs(np.subtract(a, b)).max())
    values = f": {a:.6f} and {b:.6f}" if kind == "energy" else ""
    said = (
        f'there are two {kind} keys that differ, "{one}" and "{other}": in {len(found)} of {n} frames, by up to '
        f"{largest:.3g} ({frame.place}{values}). {_reason(kind, one, other, found)}"
    )
    first, second = sorted((one, other), key=lambda name: not name.startswith("REF_"))
    return f'{said}Say which, in [data]: {kind} = "{first}", or {kind} = "{second}"'


def _reason(kind: str, one: str, other: str, found: Sequence[tuple[Frame, Any, Any]]) -> str:
    """Say what the difference looks like, if it looks like something."""
    if kind != "energy":
        return ""
    if "free_energy" in (one, other):
        return (
            "With smeared occupations the forces are the gradient of the free energy (ASE: free_energy), not of the "
            "energy extrapolated to no smearing. "
        )
    a = np.array([entry[1] for entry in found], dtype=float)
    b = np.array([entry[2] for entry in found], dtype=float)
    n_atoms = np.array([len(entry[0].atoms) for entry in found], dtype=float)
    for small, large, unit in ((a, b, one), (b, a, other)):
        for name, factor in (("Hartree", 27.211386), ("Rydberg", 13.605693)):
            if np.allclose(large, factor * small, rtol=1e-4):
                return f'"{unit}" looks like the same in {name}. '
        if np.allclose(large, n_atoms * small, rtol=1e-6):
            return f'"{unit}" looks like the same for each atom. '
    return ""


def _scattered(kind: str, names: Sequence[str], found: Sequence[tuple[Frame, Mapping[str, Any]]]) -> str:
    """Say that no name is in all frames."""
    parts = []
    for name in names:
        lacking = [frame for frame, x in found if name not in x]
        parts.append(f'"{name}" is not in {places(lacking, 1)}')
    none = [frame for frame, x in found if not x]
    if len(names) == 1 and none:
        return (
            f'{len(none)} of {len(found)} frames have no {kind}: the others have "{names[0]}" ({places(none)}); '
            "leave these frames out, or label them"
        )
    return (
        f"no {kind} key is in all frames: {'; '.join(parts)}. Rename the keys to one in the files, or fit the files "
        f'of one key only, with {kind} = "{names[0]}" in [data]'
    )


def _with_stress(
    frames: Sequence[Frame], keys: Keys, given: str | None, unit: Unit | None, positive: Positive | None
) -> Keys:
    names = list(dict.fromkeys(name for frame in frames for name in frame.stresses))
    if given is None:
        if len(names) != 1:
            raise AmbiguousDataError(_which_stress(frames, names))
        given = names[0]
    elif given not in names:
        raise AmbiguousDataError(f'stress = "{given}": no frame has it; there are {_listed(names) or "none"}')
    if "virial" in given.lower() and (unit is None or positive is None):
        raise AmbiguousDataError(
            f'"{given}" is a virial, of which files do not say sign and unit: add to [data] stress = "{given}", '
            'stress_unit = "eV" and stress_positive = "compression" (stress = -virial / volume, as most fitting codes '
            'write it) or stress_positive = "tension"'
        )
    six = [frame for frame in frames if np.size(frame.values.get(given, ())) == 6]
    if six and given != "stress" and not given.startswith("REF_") and unit is None:
        raise AmbiguousDataError(
            f'"{given}" has six numbers ({places(six, 1)}): say in [data] which stress_unit and stress_positive it '
            'has, such as stress_unit = "eV/A^3", stress_positive = "tension"; the order is xx, yy, zz, yz, xz, xy'
        )
    return Keys(keys.energy, keys.forces, given, unit or "eV/A^3", positive or "tension")


def _which_stress(frames: Sequence[Frame], names: Sequence[str]) -> str:
    if not names:
        return (
            "stress is among the observations, and no frame has a stress; leave it out of [fit] observations"
        )
    lines = " or ".join(
        f'stress = "{name}"'
        + (', stress_unit = "eV", stress_positive = "compression"' if "virial" in name.lower() else "")
        for name in names
    )
    return f"there are several stress keys, {_listed(names)}{_relation(frames, names)}. Say which, in [data]: {lines}"


def _relation(frames: Sequence[Frame], names: Sequence[str]) -> str:
    """Say which sign a virial has, where a stress beside it tells."""
    for stress in (name for name in names if "stress" in name.lower()):
        for virial in (name for name in names if "virial" in name.lower()):
            both = [f for f in frames if stress in f.stresses and virial in f.stresses]
            for sign, word in ((-1.0, "compression"), (1.0, "tension")):
                if both and all(_agree(frame, stress, virial, sign) for frame in both):
                    return f' ("{virial}" is {sign:+.0f} times volume times "{stress}": positive in {word})'
    return ""


def _agree(frame: Frame, stress: str, virial: str, sign: float) -> bool:
    keys = Keys("", "", stress), Keys("", "", virial, "eV", "tension")
    theirs, ours = (key.stress_of(frame) for key in keys)
    return theirs is not None and ours is not None and np.allclose(ours, sign * theirs, rtol=1e-4, atol=1e-9)


def _names(frames: Sequence[Frame]) -> list[str]:
    return list(dict.fromkeys(name for f in frames for name in (*f.values, *f.arrays)))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
