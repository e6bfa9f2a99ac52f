"""What to change first, from an error budget: one sentence a knob, the most useful first. Enter at `advise`.

What makes the budget itself meaningless comes first (no stable minimum, defects that were never trained, cores that
overlap), then what is not determined at all (the energy per bulk atom), then data that miss the displacements that
matter, then the knob that the largest term depends on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any, NamedTuple

from ase_mlipgen.defects import is_planar
from ase_mlipgen.theory.budget_data import Observed
from ase_mlipgen.theory.doubts import NarrowCellWarning, UndeterminedEnergyWarning, doubts

TOO_SMALL = 0.5
"""Samples that strain bonds less than this share of what the settling core does miss what the model is asked for."""

LEFT = 0.5
"""Å: a core of which an atom moves that far as its images are taken away is another one."""

OVERFITTED = 2.0
"""Ratio of test and training force errors from which on more samples help more than more functions."""

FEW_ROWS = 3.0
"""Observations a function, below which samples are few."""

EXACT_ENOUGH = 3e-5
"""Relative error of the force constants below which more functions gain little: labels are relaxed no better."""


class Advice(NamedTuple):
    """A knob ("size", "basis", "matching", "samples", "amplitude", "perfect cells", ...) and a sentence."""

    knob: str
    text: str


@dataclass(frozen=True)
class Facts:
    """What the rules look at.

    Attributes
    ----------
    result : TrainingResult
    observed : of each defect
    geometry_terms : Å, by name
    undetermined : whether the energy per bulk atom is not determined
    untrained : names of defects of the large cell that were not trained
    separation : Å, of the defects of the large cell
    """

    result: Any
    observed: Sequence[Observed]
    geometry_terms: Mapping[str, float]
    undetermined: bool
    untrained: Sequence[str]
    separation: float


def advise(facts: Facts) -> list[Advice]:
    """Return all advice that applies, the most useful first; never none."""
    seen: dict[str, Advice] = {}
    for advice in (*_meaningless(facts), *_missing(facts), *_largest(facts), *_remarks(facts)):
        seen.setdefault(advice.knob, advice)
    return list(seen.values())


def _meaningless(facts: Facts) -> Iterator[Advice]:
    failures = [o.failure for o in facts.observed if o.failure]
    if failures or facts.result.unstable:
        reason = (
            facts.result.unstable
            or f"the model has no minimum in a cell of several training cells: {failures[0]}"
        )
        yield Advice(
            "stability", f"no estimate holds: {reason}; take more samples, a larger size or a tighter rtol"
        )
    left = [found for found in facts.observed if found.largest_step > LEFT]
    if left:
        yield Advice(
            "minimum",
            f"in a larger cell the model's {left[0].defect} leaves the minimum of the training cell (an atom moves by "
            f"{left[0].largest_step:.2g} Å): there are no data around the new one; "
            + _wider(facts, "the cell is too small").text,
        )
    if facts.untrained:
        names = ", ".join(facts.untrained)
        yield Advice(
            "defects",
            f"never trained: {names}; nothing bounds the error there. Add it to the trainer's defects: "
            f"{_labels(facts, _size(facts), n_defects=len(facts.untrained))}",
        )
    width = max(o.width for o in facts.observed)
    if facts.separation < 0.5 * width:
        yield Advice(
            "separation",
            f"the defects are {facts.separation:.1f} Å apart, their cores overlap within the training cells "
            f"({width:.1f} Å wide): train a ready-made cell that holds both, or keep them further apart",
        )


def _missing(facts: Facts) -> Iterator[Advice]:
    result, settings = facts.result, facts.result.settings
    n_perfect = 0 if facts.undetermined else 1
    for category, text in doubts(_largest_cells(facts), result.calculator.basis.cutoff, n_perfect):
        if category is UndeterminedEnergyWarning:
            yield Advice("perfect cells", f"{text} (20 labels of a perfect training cell are enough)")
    needed = max(found.bond_change for found in facts.observed)
    per_amplitude = _bond_strain(settings["distribution"], facts.observed[0].dimension)
    if settings["amplitude"] * per_amplitude < TOO_SMALL * needed:
        better = min(max(4.0 * needed / per_amplitude, 0.01), 0.1)
        yield Advice(
            "amplitude",
            f"samples change bonds by {settings['amplitude'] * per_amplitude:.1e} Å, but bonds of the core change by "
            f"{needed:.1e} Å from the training cell to a larger one (root mean squares): the fit sees no "
            f"anharmonicity, and its errors look better than they are; take amplitude = {better:.1g} "
            f"({_labels(facts, _size(facts))})",
        )


def _bond_strain(distribution: str, dimension: int) -> float:
    """Return the root mean square change of a bond vector for samples of unit amplitude."""
    variance = 1.0 / 3.0 if distribution == "uniform" else 1.0
    return sqrt(2.0 * dimension * variance)


def _largest(facts: Facts) -> Iterator[Advice]:
    """Advise by the largest term of the geometry error."""
    if facts.result.fit.note:
        yield _basis(facts, facts.result.fit.note)
    narrow = [t for c, t in doubts(_largest_cells(facts), _cutoff(facts), 1) if c is NarrowCellWarning]
    if narrow:
        yield _wider(facts, narrow[0])
    ratio = facts.result.errors.force_rmse / max(facts.result.train_errors.force_rmse, 1e-300)
    few = facts.result.fit.n_rows < FEW_ROWS * facts.result.fit.n_functions
    if few or ratio > OVERFITTED:
        yield Advice(
            "samples",
            f"force errors are {ratio:.1f} times larger on test than on training samples, with "
            f"{facts.result.fit.n_rows / facts.result.fit.n_functions:.1f} observations a function: double n_train "
            f"({_labels(facts, _size(facts))} more)",
        )
    dominant = max(facts.geometry_terms, key=lambda name: facts.geometry_terms[name])
    unmatched = {"force fit": "forces", "force constants": "force_constants"}.get(dominant)
    if unmatched and unmatched not in facts.result.matched:
        yield Advice(
            "matching",
            f"the largest term is the {dominant}, which matching = 'exact' makes zero at the training cell's "
            "equilibrium for two labels a training cell",
        )
    if dominant == "cell size" and max(o.response for o in facts.observed) < EXACT_ENOUGH:
        yield _wider(facts, "the cell size, not the basis, limits the model")
    else:
        share = facts.geometry_terms[dominant]
        yield _basis(
            facts, f"the {dominant} is the largest term ({share:.1e} Å), and more functions cost no label"
        )


def _remarks(facts: Facts) -> Iterator[Advice]:
    fit = facts.result.fit
    width = max(o.width for o in facts.observed)
    if facts.separation < (1.0 - 1e-6) * width:
        yield Advice(
            "separation",
            f"the defects are {facts.separation:.1f} Å apart, less than the training cell is wide ({width:.1f} Å): "
            "the theory asks for at least that",
        )
    free = fit.n_functions - fit.constraint_rank
    if fit.rank < 0.5 * free:
        yield Advice(
            "rtol",
            f"{fit.rank} of {free} directions are kept at rtol = {fit.rtol:g}: more samples, or a tighter rtol "
            "where labels are exact, let the basis do more",
        )
    yield _wider(facts, "a larger cell lowers what the cell size and the far field leave")


def _basis(facts: Facts, reason: str) -> Advice:
    basis = facts.result.calculator.basis
    return Advice(
        "basis",
        f"{reason}: take degree {basis.degree + 2:g} instead of {basis.degree:g} ({len(basis)} functions); no label",
    )


def _wider(facts: Facts, reason: str) -> Advice:
    """Name the next size: at least one more, and wide enough for the cutoff."""
    old, width = _size(facts), min(o.width for o in facts.observed)
    # In the plane a size of L has cells (L - 1) r0 wide.
    planar = is_planar(facts.result.cells[0].perfect)
    steps = (old - 1) if planar else old
    wanted = ceil(2.0 * _cutoff(facts) / width * steps - 1e-9) + planar
    size = max(old + 1, wanted)
    return Advice("size", f"{reason}: take size = {size} instead of {old} ({_labels(facts, size)})")


def _labels(facts: Facts, size: int, n_defects: int | None = None) -> str:
    """Say what labels cost: how many, of how many atoms."""
    settings = facts.result.settings
    count = len(facts.result.by_defect) if n_defects is None else n_defects
    n = count * (settings["n_train"] + settings["n_test"]) + settings["n_perfect"]
    cell = max(facts.result.cells, key=lambda c: c.size)
    return f"{n} labels of {_n_atoms(cell, size)} atoms"


def _n_atoms(cell: Any, size: int) -> int:
    """Count the atoms of a training cell of another size."""
    extra = len(cell.unrelaxed) - len(cell.perfect)
    if is_planar(cell.perfect):
        sheet = [2 * (n - 1) * ceil((n - 1) / sqrt(3.0)) for n in (cell.size, size)]
        if sheet[0] == len(cell.perfect):
            return sheet[1] + extra
        return round(len(cell.perfect) * (size / cell.size) ** 2) + extra
    return round(len(cell.perfect) * (size / cell.size) ** 3) + extra


def _size(facts: Facts) -> int:
    return max(int(cell.size) for cell in facts.result.cells)


def _largest_cells(facts: Facts) -> list[Any]:
    return [cell for cell in facts.result.cells if cell.size == _size(facts)]


def _cutoff(facts: Facts) -> float:
    return float(facts.result.calculator.basis.cutoff)
