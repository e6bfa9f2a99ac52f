"""All checks in one call: `check_calculator`."""

from collections.abc import Iterable, Mapping
from typing import Any

from ase import Atoms

from ase_mlipgen.testing import (
    bad_structures,
    caching,
    continuity,
    copies,
    derivatives,
    dynamics,
    interface,
    memory,
    repeatability,
    surroundings,
    symmetry,
)
from ase_mlipgen.testing.checks import Check, run
from ase_mlipgen.testing.report import NOT_APPLICABLE, ContractError, Report, Row
from ase_mlipgen.testing.subject import Subject

ROOMS = (
    symmetry, derivatives, continuity, dynamics, interface, caching, copies, surroundings, memory, repeatability,
    bad_structures,
)  # fmt: skip
CHECKS: tuple[Check, ...] = tuple(one for room in ROOMS for one in room.CHECKS)
"""Every check, in the order in which they run."""


def check_calculator(
    calc_or_factory: Any,
    atoms: Atoms,
    *,
    checks: Iterable[str] | None = None,
    skip: Iterable[str] | Mapping[str, str] = (),
    raise_on_failure: bool = True,
    seed: int = 0,
    long: bool = False,
    loosen: Mapping[str, float] | None = None,
    rattle: float = 0.05,
    time_limit: float = 1.0,
) -> Report:
    """Check what a calculator owes to those who use it through ASE.

    Parameters
    ----------
    calc_or_factory : ase Calculator or callable
        A calculator, of which deep copies are examined, or a function or class that makes one without arguments.
    atoms : Atoms
        A small structure that the calculator is made for, periodic where it can be: 2 to 20 atoms. It is displaced at
        random; its constraints hold in dynamics only.
    checks : iterable of str, optional
        Names ("permutation"), numbers ("P1") or topics ("physics", "interface", "repeatability", "bad structures");
        by default all of `CHECKS`.
    skip : iterable of str, or mapping to reasons
        Likewise; these stand in the report as not applicable, with the reason.
    raise_on_failure : bool
        Raise if a promise is broken; else only report.
    seed : int
        Of displacements and directions. The same seed gives the same figures.
    long : bool
        4 ps of dynamics instead of 0.4, 10,000 calls instead of some hundreds where memory is watched.
    loosen : mapping of str to float, optional
        Factors on the tolerances of checks by name or number, such as {"forces": 1e3} for single precision.
    rattle : float
        Standard deviation of the displacements, Å.
    time_limit : float
        Seconds within which a senseless structure must be refused.

    Returns
    -------
    Report
        ``print(report)`` shows a table; ``report["forces"].worst`` is a figure; ``report.todict()`` goes into JSON.

    Raises
    ------
    ContractError
        A promise is broken; the text has each with its figure, its tolerance and a remedy, ``.report`` has all.
    TypeError
        No calculator, or one that can neither be made nor copied.
    ValueError
        Unknown names, fewer than two atoms, numbers out of range.
    """
    chosen = CHECKS if checks is None else _named(checks, "checks")
    reasons = dict(skip) if isinstance(skip, Mapping) else dict.fromkeys(_listed(skip), "skipped")
    skipped = {check.number: reason for name, reason in reasons.items() for check in _named([name], "skip")}
    factors = {
        check.number: _factor(name, x)
        for name, x in (loosen or {}).items()
        for check in _named([name], "loosen")
    }
    subject = Subject(calc_or_factory, atoms, seed=seed, rattle=rattle, long=long, time_limit=time_limit)
    rows = tuple(
        _not_run(check, skipped[check.number])
        if check.number in skipped
        else run(check, subject, factors.get(check.number, 1.0))
        for check in chosen
    )
    periodic = "".join("ft"[int(p)] for p in atoms.pbc)
    report = Report(subject.name, f"{atoms.symbols.formula} (pbc {periodic})", rows, seed)
    if raise_on_failure and not report.passed:
        raise ContractError(report)
    return report


def _listed(names: Iterable[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _named(names: Iterable[str], argument: str) -> tuple[Check, ...]:
    """Return the checks that go by names, numbers or topics, in their order."""
    wanted = _listed(names)
    for name in wanted:
        if not any(name in (check.number, check.name, check.topic) for check in CHECKS):
            known = ", ".join(f"{check.number} {check.name}" for check in CHECKS)
            raise ValueError(f"{argument}: no check {name!r}; expected a topic, or one of {known}")
    return tuple(check for check in CHECKS if {check.number, check.name, check.topic} & set(wanted))


def _factor(name: str, factor: float) -> float:
    if not factor > 0:
        raise ValueError(f"loosen[{name!r}] = {factor!r}: expected a positive factor on the tolerance")
    return float(factor)


def _not_run(check: Check, reason: str) -> Row:
    return Row(
        check.number,
        check.name,
        check.topic,
        check.promise,
        None,
        None,
        "",
        NOT_APPLICABLE,
        reason,
        check.remedy,
        0.0,
    )
