"""Interface, fifth part: memory does not grow with the number of calls."""

import gc
import os
import tracemalloc
from typing import Any

from ase import Atoms

from ase_mlipgen.testing.checks import Check, Findings, check
from ase_mlipgen.testing.subject import Floats, Subject

ROUNDS = 5


@check("I20", "memory", "interface", "memory does not grow with the number of calls",
       "keep no results or atoms of earlier calls; free what compiled code allocates")  # fmt: skip
def memory(subject: Subject, found: Findings) -> None:
    """Call with atoms that move, in rounds of 100 (long: 2,000), until one adds nothing; of a leak, all of them do.

    Python and NumPy keep what they free for later use; that fills up in the first rounds.
    """
    n_calls, allowed = (2_000 if subject.long else 100), 100.0
    calculator, atoms = subject.new(), subject.atoms.copy()
    noise = subject.rng("memory").normal(0, subject.rattle, (7, *atoms.positions.shape))
    traced, resident = [], []
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    try:
        # What was there before tracing began and is renewed under it would look like growth.
        _walk(subject, calculator, atoms, noise, 28)
        for k in range(ROUNDS):
            growth = _growth(subject, calculator, atoms, noise, n_calls)
            traced.append(growth[0])
            resident.append(growth[1])
            if growth[0] < allowed and growth[1] < 2e6 / n_calls and (k == ROUNDS - 1 or not subject.long):
                break
    finally:
        if not was_tracing:
            tracemalloc.stop()
    found.measure("Python objects and arrays", min(traced), (allowed, "bytes/call"))
    found.measure("resident memory", min(resident), (2e6 / n_calls, "bytes/call"))


CHECKS: tuple[Check, ...] = (memory,)


def resident_bytes() -> int:
    """Return the resident memory of this process where Linux tells it, else zero."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _growth(
    subject: Subject, calculator: Any, atoms: Atoms, noise: Floats, n_calls: int
) -> tuple[float, float]:
    """Return how many bytes a call adds, to what Python knows of and to the process."""
    gc.collect()
    before, resident = tracemalloc.get_traced_memory()[0], resident_bytes()
    _walk(subject, calculator, atoms, noise, n_calls)
    gc.collect()
    after, resident_after = tracemalloc.get_traced_memory()[0], resident_bytes()
    return max(0.0, (after - before) / n_calls), max(0.0, (resident_after - resident) / n_calls)


def _walk(subject: Subject, calculator: Any, atoms: Atoms, noise: Floats, n_calls: int) -> None:
    start = subject.atoms.positions
    for k in range(n_calls):
        atoms.positions = start + noise[k % len(noise)]
        subject.evaluate(atoms, calculator)
