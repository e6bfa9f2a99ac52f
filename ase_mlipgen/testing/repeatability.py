"""Repeatability: the same structure gives the same bits, whoever computes it, when, and beside what."""

import multiprocessing

import numpy as np

from ase_mlipgen.testing.checks import Check, Findings, NotApplicable, check
from ase_mlipgen.testing.copies import START_LIMIT, in_threads
from ase_mlipgen.testing.subject import Subject, Values
from ase_mlipgen.testing.worker import Forked

BITS = (0.0, "eV, eV/Å")


@check("R1", "same_again", "repeatability", "the same structure twice gives the same bits",
       "sum in a fixed order; seed what is random")  # fmt: skip
def same_again(subject: Subject, found: Findings) -> None:
    """Evaluate, evaluate another, evaluate again."""
    atoms, calculator = subject.rattled(), subject.new()
    first = subject.evaluate(atoms, calculator)
    for k in range(3):
        if hasattr(calculator, "reset"):
            calculator.reset()
        bitwise(found, f"run {k + 2}", first, subject.evaluate(atoms, calculator))


@check("R2", "new_instance", "repeatability", "a new calculator gives the same bits",
       "nothing may depend on addresses, hashes or the order in which a dictionary was filled")  # fmt: skip
def new_instance(subject: Subject, found: Findings) -> None:
    """Compare fresh calculators."""
    atoms = subject.rattled()
    first = subject.evaluate(atoms)
    for _ in range(2):
        bitwise(found, "new calculator", first, subject.evaluate(atoms))


@check("R3", "after_others", "repeatability", "what was computed before does not change a bit",
       "sort neighbours, so that a list that is kept sums in the order of one made afresh")  # fmt: skip
def after_others(subject: Subject, found: Findings) -> None:
    """Evaluate after near, far, larger and smaller structures."""
    atoms, calculator = subject.rattled(), subject.new()
    expected = subject.evaluate(atoms)
    near = atoms.copy()
    near.positions += subject.rng("near").normal(0, 0.01, near.positions.shape)
    larger = atoms.repeat(np.where(atoms.pbc, 2, 1))
    others = {"near": near, "far": subject.rattled("far"), "larger": larger, "smaller": atoms[:1]}
    for what, other in others.items():
        subject.evaluate(other, calculator)
        bitwise(found, f"after a {what} one", expected, subject.evaluate(atoms, calculator))


@check("R4", "beside_others", "repeatability", "in 1, 2 and 4 threads at once the bits are the same",
       "no shared buffers; sums of threads' parts in a fixed order")  # fmt: skip
def beside_others(subject: Subject, found: Findings) -> None:
    """Evaluate one structure in several threads, and with as many threads inside where that can be set."""
    atoms = subject.rattled()
    expected = subject.evaluate(atoms)
    for n in (1, 2, 4):
        calculators = [subject.new() for _ in range(n)]
        for values in in_threads(lambda k, made=calculators: subject.evaluate(atoms, made[k]), n):  # type: ignore[misc]
            if isinstance(values, Exception):
                raise values
            bitwise(found, f"{n} at once", expected, values)
    if isinstance(getattr(subject.new(), "threads", ""), int | None):
        for n in (1, 2, 4):
            calculator = subject.new()
            calculator.threads = n
            bitwise(found, f"{n} threads inside", expected, subject.evaluate(atoms, calculator))


@check("R5", "in_processes", "repeatability", "in another process the bits are the same",
       "nothing may depend on the process: addresses, hashes, threads of a library")  # fmt: skip
def in_processes(subject: Subject, found: Findings) -> None:
    """Evaluate in two forked processes."""
    if "fork" not in multiprocessing.get_all_start_methods():
        raise NotApplicable("no fork on this platform")
    atoms = subject.rattled()
    expected = subject.evaluate(atoms)
    for _ in range(2):
        with Forked(subject.new) as child:
            answer = child.ask(atoms, START_LIMIT)
        if answer.energy is None:
            found.expect(False, answer.missing or f"{answer.error}: {answer.text[:120]}")
            continue
        bitwise(found, "another process", expected, Values(answer.energy, answer.forces, None))


CHECKS: tuple[Check, ...] = (same_again, new_instance, after_others, beside_others, in_processes)


def bitwise(found: Findings, what: str, right: Values, values: Values) -> None:
    """Note differences, of which none are allowed."""
    found.measure(f"energy, {what}", abs(values.energy - right.energy), BITS)
    for name in ("forces", "stress"):
        a, b = getattr(right, name), getattr(values, name)
        if a is not None and b is not None:
            found.measure(f"{name}, {what}", np.abs(a - b).max(), BITS)
