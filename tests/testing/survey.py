"""Random geometries by the thousand: ``python -m tests.testing.survey 1000 "EAM2D, sheet"``.

Without names all calculators are surveyed. A seed stands for a structure of the kind ``KINDS[seed % len(KINDS)]``.
"""

import sys
import time
from collections import defaultdict
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import cycle

from ase_mlipgen.calculators.base import NonFiniteEnergyError
from ase_mlipgen.calculators.nrltb import CloseAtomsError
from tests.testing.calculators import OURS
from tests.testing.equivalences import broken, examine
from tests.testing.geometries import KINDS, Range, random_geometry

RANGES = {
    "EAM2D": Range(("W",), 2.05, 2.727),
    "NRLTB": Range(("Si",), 2.1, 2.385, most=4),
    "LinearACE": Range(("Cu",), 1.92, 2.56),
    "LinearACE, two elements": Range(("Cu", "Ni"), 1.92, 2.56),
}
"""Three quarters of a bond; silicon keeps farther apart, where its parameters end at 1.83 Å."""
NAMES = tuple(name for name in OURS if name != "EAM2D, bcc")
"""The same calculator as for the sheet."""


@dataclass
class Survey:
    """What many structures gave: worst figures by unit, seeds that were refused by name, failures in words."""

    n_examined: int = 0
    worst: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    refused: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def limits_of(name):
    """Return what a calculator bears."""
    return RANGES.get(name) or RANGES[name.split(",")[0]]


def factory(name):
    """Return what makes calculators: copies of two in turn, since to make one takes longer than to use it."""
    two = cycle([OURS[name][0](), OURS[name][0]()])
    return lambda: deepcopy(next(two))


def survey(name, seeds, seconds=float("inf")):
    """Examine the structures of seeds with one of `OURS`, for no longer than so many seconds."""
    make, skip = factory(name), OURS[name][2]
    end, found = time.monotonic() + seconds, Survey()
    for seed in seeds:
        if time.monotonic() > end:
            break
        kind = KINDS[seed % len(KINDS)]
        add(
            found,
            make,
            random_geometry(seed, kind, limits_of(name)),
            seed,
            skip,
            f"{name}, seed {seed}, {kind}",
        )
    return found


def add(found, make, atoms, seed, skip, label):
    """Examine one structure and note what came of it."""
    try:
        if _is_refused(make, atoms):
            found.refused.append(seed)
            return
        measured = examine(make, atoms, seed=seed, skip=skip)
    except Exception as error:
        found.failures.append(f"{label}: {type(error).__name__}: {error}")
        return
    found.n_examined += 1
    found.failures += [f"{label}: {text}" for text in broken(measured)]
    for measurement in (m for findings in measured.values() for m in findings.measurements):
        found.worst[measurement.unit] = max(found.worst[measurement.unit], abs(measurement.figure))


def _is_refused(make, atoms):
    """Tell whether the structure as drawn is refused; that others which are the same are refused is a failure."""
    try:
        make().get_property("energy", atoms)
    except (CloseAtomsError, NonFiniteEnergyError):
        return True
    return False


if __name__ == "__main__":
    for calculator in sys.argv[2:] or NAMES:
        started = time.monotonic()
        result = survey(calculator, range(int(sys.argv[1])))
        figures = ", ".join(f"{value:.1e} {unit}" for unit, value in result.worst.items())
        print(
            f"{calculator}: {result.n_examined} examined, {len(result.refused)} refused, "
            f"{len(result.failures)} failures, worst {figures}; {time.monotonic() - started:.0f} s",
            *result.failures, sep="\n  ", flush=True,
        )  # fmt: skip
