"""Interface, fifth part: memory does not grow with the number of calls."""

import gc
import os
import tracemalloc

from ase import Atoms

from ase_mlipgen.testing.checks import Check, Findings, NotApplicable, check
from ase_mlipgen.testing.subject import Subject


@check("I20", "memory", "interface", "memory does not grow with the number of calls",
       "keep no results or atoms of earlier calls; free what compiled code allocates")  # fmt: skip
def memory(subject: Subject, found: Findings) -> None:
    """Call 300 times (long: 10,000), after as many as a tenth to warm up, with atoms that move."""
    n_calls = 10_000 if subject.long else 300
    calculator, atoms = subject.new(), subject.atoms.copy()
    rng = subject.rng("memory")
    noise = rng.normal(0, subject.rattle, (7, *atoms.positions.shape))
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    try:
        # What was there before tracing began and is renewed under it would look like growth.
        _walk(subject, calculator, atoms, noise, max(28, n_calls // 10))
        gc.collect()
        before, resident = tracemalloc.get_traced_memory()[0], resident_bytes()
        _walk(subject, calculator, atoms, noise, n_calls)
        gc.collect()
        after, resident_after = tracemalloc.get_traced_memory()[0], resident_bytes()
    finally:
        if not was_tracing:
            tracemalloc.stop()
    found.measure("Python objects and arrays", max(0, after - before) / n_calls, (50.0 + 15_000 / n_calls, "bytes/call"))
    if resident is None or resident_after is None:
        raise NotApplicable("this platform does not tell a process's memory")
    found.measure("resident memory", max(0, resident_after - resident) / n_calls, (6e6 / n_calls, "bytes/call"))


CHECKS: tuple[Check, ...] = (memory,)


def resident_bytes() -> int | None:
    """Return the resident memory of this process where Linux tells it."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def _walk(subject: Subject, calculator: object, atoms: Atoms, noise, n_calls: int) -> None:  # type: ignore[no-untyped-def]
    start = atoms.positions.copy()
    for k in range(n_calls):
        atoms.positions = start + noise[k % len(noise)]
        subject.evaluate(atoms, calculator)
