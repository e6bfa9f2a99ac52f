"""Bad structures: what makes no sense is refused at once, in words that name the atom or the cell.

Each structure goes to a process of its own, so that a hang or a burst of memory costs the check and no more.
"""

import multiprocessing
import re
from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from ase_mlipgen.testing.checks import ENERGY, FORCE, Check, Findings, NotApplicable, check
from ase_mlipgen.testing.copies import START_LIMIT, payload
from ase_mlipgen.testing.subject import Subject
from ase_mlipgen.testing.worker import Answer, Forked, Fresh

FAMILY = {"ValueError", "CalculatorError", "CalculatorSetupError", "InputError"}
"""Exceptions that say: the input is wrong. ASE's own derive from CalculatorError."""
ACCIDENTS = {"LinAlgError", "UnicodeError", "ZeroDivisionError"}
ATOM, CELL = r"\batoms?\b.*\d|\batoms?\b.*\[|position", r"\bcell\b|\blattice\b|\bpbc\b|periodic"
ADVICE = "look at the input before anything is allocated; raise a ValueError that names the atom or the cell"


def _bad(
    number: str, name: str, promise: str, words: str, make: Callable[[Subject], dict[str, Atoms]]
) -> Check:
    """Return the check that structures are refused in words that match."""

    def function(subject: Subject, found: Findings) -> None:
        _check_refused(subject, found, make(subject), words)

    return Check(number, name, "bad structures", promise, ADVICE, function)


def _positions(subject: Subject, value: float) -> dict[str, Atoms]:
    last = subject.atoms.copy()
    last.positions[-1, 1] = value
    every = subject.atoms.copy()
    every.positions[:] = value
    return {"one coordinate": last, "all coordinates": every}


def _not_finite_cell(subject: Subject) -> dict[str, Atoms]:
    made = {}
    for what, value in (("NaN", np.nan), ("infinity", np.inf)):
        atoms = subject.atoms.copy()
        atoms.cell[0, 0] = value
        atoms.pbc = True
        made[what] = atoms
    return made


def _zero_vector(subject: Subject) -> dict[str, Atoms]:
    one, none = subject.atoms.copy(), subject.atoms.copy()
    one.cell[2] = 0
    none.cell[:] = 0
    one.pbc = none.pbc = True
    return {"one zero vector": one, "no cell": none}


def _singular(subject: Subject) -> dict[str, Atoms]:
    made = {}
    a = subject.bond * 1.5
    for what, epsilon in (("vectors equal to 1e-6 Å", 1e-6), ("dependent vectors", 0.0)):
        cell = [[a, 0, 0], [a, epsilon, 0], [0, 0, a]]
        made[what] = Atoms(subject.atoms.numbers[:1], positions=[[0.1, 0.2, 0.3]], cell=cell, pbc=True)
    return made


def _tiny(subject: Subject) -> dict[str, Atoms]:
    """Return cells in which an atom meets its own images at a thousandth of an ångström."""
    made, a = {}, subject.bond * 1.5
    for what, lengths in (("along all directions", [1e-3] * 3), ("along one", [1e-3, a, a])):
        made[what] = Atoms(subject.atoms.numbers[:1], positions=[[0, 0, 0]], cell=lengths, pbc=True)
    return made


def _far(subject: Subject) -> dict[str, Atoms]:
    one, every = subject.atoms.copy(), subject.atoms.copy()
    one.positions[0] = 1e12
    every.positions += 1e12
    return {"one atom": one, "all atoms": every}


def _coincident(subject: Subject) -> dict[str, Atoms]:
    same = subject.atoms.copy()
    same.positions[1] = same.positions[0]
    pair = Atoms(subject.atoms.numbers[:1].repeat(2), positions=np.ones((2, 3)))
    made = {"in the crystal": same, "two atoms alone": pair}
    if subject.atoms.pbc.any():
        image = subject.atoms.copy()
        image.positions[1] = image.positions[0] + image.cell.array[np.flatnonzero(image.pbc)[0]]
        made["an image"] = image
    return made


def _no_atoms(subject: Subject) -> dict[str, Atoms]:
    return {"empty": Atoms(cell=subject.atoms.cell, pbc=subject.atoms.pbc)}


EMPTY = r"empty|\batoms?\b"
REFUSALS: tuple[Check, ...] = (
    _bad("B1", "nan_positions", "a position that is NaN is refused", ATOM, lambda s: _positions(s, np.nan)),
    _bad("B2", "infinite_positions", "an infinite position is refused", ATOM, lambda s: _positions(s, np.inf)),
    _bad("B3", "nan_cell", "a cell that is not finite is refused", CELL, _not_finite_cell),
    _bad("B4", "zero_cell_vector", "a zero vector along a periodic direction is refused", CELL, _zero_vector),
    _bad("B5", "singular_cell", "a cell without volume, or nearly so, is refused", CELL, _singular),
    _bad("B6", "tiny_cell", "a periodic cell of 1e-3 Å is refused before memory is gone", CELL, _tiny),
    _bad("B7", "no_atoms", "an empty Atoms is refused", EMPTY, _no_atoms),
    _bad("B9", "far_positions", "coordinates of 1e12 Å, which resolve no bond, are refused", ATOM, _far),
    _bad("B10", "coincident", "two atoms in one place are refused", ATOM, _coincident),
)  # fmt: skip


@check("B8", "unknown_element", "bad structures", "an element without parameters is refused",
       "look at the atomic numbers first; raise a ValueError that names the element and the known ones")  # fmt: skip
def unknown_element(subject: Subject, found: Findings) -> None:
    """Exchange an element; a calculator that takes all elements for the same is let off."""
    known = {*getattr(subject.new(), "elements", ()), *subject.atoms.symbols}
    symbol = next(s for s in ("Og", "Rn", "Fr", "Po") if s not in known)
    foreign = subject.atoms.copy()
    foreign.symbols[0] = symbol
    with _worker(subject) as worker:
        first = worker.ask(subject.atoms, START_LIMIT)
        answer = worker.ask(foreign, subject.time_limit)
    if answer.energy is not None and answer.energy == first.energy:
        raise NotApplicable("all elements are the same to this calculator")
    _judge(found, symbol, answer, rf"\b{symbol}\b|\b{chemical_symbols.index(symbol)}\b|element|species")


@check("B11", "recovery", "bad structures", "after a refusal the calculator is as good as new",
       "change nothing before the input was looked at, and forget results when it is refused")  # fmt: skip
def recovery(subject: Subject, found: Findings) -> None:
    """Evaluate good atoms after bad ones."""
    with _worker(subject) as worker:
        first = worker.ask(subject.rattled(), START_LIMIT)
        for what, atoms in {
            **_positions(subject, np.nan),
            **_coincident(subject),
            **_zero_vector(subject),
        }.items():
            if worker.ask(atoms, subject.time_limit).missing:
                raise NotApplicable(f"{what}: it hangs or dies")
            again = worker.ask(subject.rattled(), START_LIMIT)
            if again.energy is None or first.energy is None:
                found.expect(False, f"after {what}: {again.error}: {again.text[:80]}")
                continue
            found.measure(f"after {what}", abs(again.energy - first.energy) / len(subject.atoms), ENERGY)
            if first.forces is not None:
                found.measure(f"forces after {what}", np.abs(again.forces - first.forces).max(), FORCE)


CHECKS: tuple[Check, ...] = (*REFUSALS[:7], unknown_element, *REFUSALS[7:], recovery)


def _worker(subject: Subject) -> Forked | Fresh:
    """Return a process that evaluates the good atoms: a forked one, or where that fails (devices) a new one."""
    reasons = []
    if "fork" in multiprocessing.get_all_start_methods():
        forked = Forked(subject.new)
        answer = forked.ask(subject.atoms, START_LIMIT)
        if answer.energy is not None:
            return forked
        forked.close()
        reasons.append(f"forked: {answer.missing or answer.text[:80]}")
    fresh = Fresh(payload(subject))
    answer = fresh.ask(subject.atoms, START_LIMIT)
    if answer.energy is not None:
        return fresh
    fresh.close()
    reasons.append(f"new: {answer.missing or answer.text[:80]}")
    raise NotApplicable(
        f"no process evaluates the good atoms, so that nothing would stop a hang ({'; '.join(reasons)})"
    )


def _check_refused(subject: Subject, found: Findings, structures: dict[str, Atoms], words: str) -> None:
    with _worker(subject) as worker:
        for what, atoms in structures.items():
            warm = worker.ask(subject.atoms, START_LIMIT)
            found.expect(
                warm.energy is not None, f"the good atoms failed too: {warm.missing or warm.text[:80]}"
            )
            _judge(found, what, worker.ask(atoms, subject.time_limit), words)


def _judge(found: Findings, what: str, answer: Answer, words: str) -> None:
    if answer.missing:
        found.expect(False, f"{what}: {answer.missing}")
    elif answer.error is None:
        found.expect(False, f"{what}: gave {answer.energy} eV")
    elif not FAMILY & set(answer.family) or ACCIDENTS & set(answer.family):
        found.expect(False, f"{what}: {answer.error}, not a ValueError: {answer.text[:80]!r}")
    else:
        found.expect(
            bool(re.search(words, answer.text, re.I | re.S)),
            f"{what}: the text names nothing: {answer.text[:80]!r}",
        )
