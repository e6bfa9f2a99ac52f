"""Interface, third part: copies, pickles, threads and processes."""

import copy
import multiprocessing
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms

from ase_mlipgen.testing.checks import ENERGY, FORCE, Check, Findings, NotApplicable, check
from ase_mlipgen.testing.subject import Subject, Values
from ase_mlipgen.testing.worker import Answer, Forked, Fresh

START_LIMIT = 120.0
"""Seconds that a new process may take to import and to compute once."""


@check("I10", "copy", "interface", "copy.copy and copy.deepcopy give calculators that are right and independent",
       "share nothing that a calculation changes; results and buffers belong to one calculator")  # fmt: skip
def copies(subject: Subject, found: Findings) -> None:
    """Copy before and after use; use one and look at the other."""
    for what, duplicate in (("copy", copy.copy), ("deepcopy", copy.deepcopy)):
        _check_duplicate(subject, found, what, duplicate)


@check("I11", "pickle", "interface", "a calculator can be pickled, fresh and after use",
       "leave handles, locks and compiled functions out of the state, and make them anew")  # fmt: skip
def pickles(subject: Subject, found: Findings) -> None:
    """Pickle and compare."""
    _check_duplicate(subject, found, "pickle", lambda calculator: pickle.loads(pickle.dumps(calculator)))


@check("I12", "threads", "interface", "calculators of their own work in several threads at once",
       "keep no state in the module or the class")  # fmt: skip
def threads(subject: Subject, found: Findings) -> None:
    """Evaluate different structures in four threads, each with a calculator, many times."""
    structures = [subject.rattled(f"thread {k}") for k in range(4)]
    expected = [subject.evaluate(atoms) for atoms in structures]
    calculators = [subject.new() for _ in structures]

    def many(k: int) -> list[Values]:
        return [_moved(subject, structures[k], calculators[k]) for _ in range(5)]

    for results, right in zip(in_threads(many, len(structures)), expected, strict=True):
        if isinstance(results, Exception):
            raise results
        for values in results:
            _same(found, "one calculator a thread", right, values, len(subject.atoms))


@check("I13", "shared", "interface", "one calculator shared by threads is right, or raises",
       "guard calculate by a lock, or raise when a second thread enters; never mix two structures")  # fmt: skip
def shared(subject: Subject, found: Findings) -> None:
    """Call one calculator from four threads; a wrong answer is worse than none."""
    structures = [subject.rattled(f"thread {k}") for k in range(4)]
    expected = [subject.evaluate(atoms) for atoms in structures]
    calculator = subject.new()

    def energies_of(k: int) -> list[float | None]:
        return [_energy_or_none(calculator, structures[k]) for _ in range(25)]

    for results, right in zip(in_threads(energies_of, len(structures)), expected, strict=True):
        if isinstance(results, Exception):
            continue
        energies = np.array([energy for energy in results if energy is not None])
        worst = np.abs(energies - right.energy).max() if len(energies) else 0.0
        found.measure("energy of another thread's atoms", worst / len(subject.atoms), ENERGY)


@check("I14", "fork", "interface", "it works in forked processes, also after it was used",
       "start threads and device contexts after the fork, or make them anew in the child")  # fmt: skip
def fork(subject: Subject, found: Findings) -> None:
    """Fork after a calculation."""
    if "fork" not in multiprocessing.get_all_start_methods():
        raise NotApplicable("no fork on this platform")
    atoms, calculator = subject.rattled(), subject.new()
    expected = subject.evaluate(atoms, calculator)
    for what, make in (("fresh in the child", subject.new), ("used before the fork", lambda: calculator)):
        with Forked(make) as child:
            for k, structure in enumerate((atoms, subject.rattled("another"))):
                right = subject.evaluate(structure) if k else expected
                _check_answer(found, what, child.ask(structure, START_LIMIT), right, len(atoms))


@check("I15", "spawn", "interface", "it works in a new interpreter that gets it pickled",
       "make the calculator or the factory importable by name, without local functions in its state")  # fmt: skip
def spawn(subject: Subject, found: Findings) -> None:
    """Send the factory if it pickles, else a calculator."""
    data = payload(subject)
    atoms = subject.rattled()
    with Fresh(data) as child:
        _check_answer(
            found, "new interpreter", child.ask(atoms, START_LIMIT), subject.evaluate(atoms), len(atoms)
        )


CHECKS: tuple[Check, ...] = (copies, pickles, threads, shared, fork, spawn)


def in_threads(job: Callable[[int], Any], n: int) -> list[Any]:
    """Run job(0) to job(n - 1) at once in a thread each; return their results or exceptions."""
    results: list[Any] = [None] * n
    barrier = threading.Barrier(n)

    def work(k: int) -> None:
        barrier.wait()
        try:
            results[k] = job(k)
        except Exception as error:  # noqa: BLE001, RUF100  handed to who asked
            results[k] = error

    workers = [threading.Thread(target=work, args=(k,)) for k in range(n)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return results


def _check_duplicate(subject: Subject, found: Findings, what: str, duplicate: Callable[[Any], Any]) -> None:
    atoms, other_atoms = subject.rattled(), subject.rattled("another")
    expected, other = subject.evaluate(atoms), subject.evaluate(other_atoms)
    used = subject.new()
    subject.evaluate(atoms, used)
    for state, original in (("fresh", subject.new()), ("used", used)):
        twin = duplicate(original)
        before = dict(original.results)
        _same(found, f"{what} of a {state} one", expected, subject.evaluate(atoms, twin), len(atoms))
        _same(
            found,
            f"{what} of a {state} one, other atoms",
            other,
            subject.evaluate(other_atoms, twin),
            len(atoms),
        )
        same = original.results.keys() == before.keys() and original.results.get("energy") == before.get(
            "energy"
        )
        found.expect(same, f"using a {what} of a {state} one changed the original's results")
        _same(found, f"original after a {what}", expected, subject.evaluate(atoms, original), len(atoms))


def _same(found: Findings, what: str, right: Values, values: Values, n_atoms: int) -> None:
    found.measure(f"energy, {what}", abs(values.energy - right.energy) / n_atoms, ENERGY)
    if right.forces is not None and values.forces is not None:
        found.measure(f"forces, {what}", np.abs(values.forces - right.forces).max(), FORCE)


def _check_answer(found: Findings, what: str, answer: Answer, right: Values, n_atoms: int) -> None:
    if answer.energy is None:
        found.expect(False, f"{what}: {answer.missing or f'{answer.error}: {answer.text[:120]}'}")
        return
    found.measure(f"energy, {what}", abs(answer.energy - right.energy) / n_atoms, ENERGY)
    if right.forces is not None:
        found.measure(f"forces, {what}", np.abs(answer.forces - right.forces).max(), FORCE)


def _moved(subject: Subject, atoms: Atoms, calculator: Any) -> Values:
    """Evaluate after a detour, so that nothing is answered from the cache."""
    detour = atoms.copy()
    detour.positions += 0.01
    subject.evaluate(detour, calculator)
    return subject.evaluate(atoms, calculator)


def _energy_or_none(calculator: Any, atoms: Atoms) -> float | None:
    try:
        return float(calculator.get_property("energy", atoms))
    except Exception:  # noqa: BLE001, RUF100  to raise is allowed
        return None


def payload(subject: Subject) -> bytes:
    """Return the factory or a calculator, pickled for an interpreter that does not have the caller's main program."""
    reasons = []
    for given in (subject.given, subject.new()):
        if given is None:
            continue
        try:
            data = pickle.dumps(given)
        except Exception as error:  # noqa: BLE001, RUF100  the reason is told
            reasons.append(f"{type(error).__name__}: {error}")
            continue
        if b"__main__" not in data:
            return data
        reasons.append("it is defined in the main program")
    raise NotApplicable(f"neither factory nor calculator can be sent ({'; '.join(reasons)[:150]})")
