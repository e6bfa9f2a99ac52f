"""Interface, second part: results are kept while nothing changed, renewed when something did, and are the caller's."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ase import Atoms

from ase_mlipgen.testing.checks import ENERGY, Check, Findings, NotApplicable, check
from ase_mlipgen.testing.subject import Subject


class Counter:
    """Counts calls of ``calculate``."""

    def __init__(self, calculator: Any) -> None:
        self.n, self._calculate = 0, calculator.calculate
        calculator.calculate = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Count, and calculate."""
        self.n += 1
        return self._calculate(*args, **kwargs)


@check("I6", "caching", "interface", "what was computed for the same atoms is not computed again",
       "leave get_property and check_state to ASE, and fill all results in one calculate")  # fmt: skip
def caching(subject: Subject, found: Findings) -> None:
    """Count calls of calculate."""
    atoms, calculator = subject.rattled(), subject.new()
    count = Counter(calculator)
    subject.evaluate(atoms, calculator)
    first = count.n
    subject.evaluate(atoms, calculator)
    subject.evaluate(atoms.copy(), calculator)
    found.expect(0 < first <= 3, f"energy, forces and stress took {first} calls")
    found.expect(count.n == first, f"asked again for the same atoms, it calculated {count.n - first} times")


@check("I7", "changes", "interface", "every change of positions, cell, pbc or numbers is seen, also if made in place",
       "compare with a copy of the atoms, not with the object; keep nothing that a change makes wrong")  # fmt: skip
def changes(subject: Subject, found: Findings) -> None:
    """Change one thing at a time and compare with a fresh calculator."""
    calculator = subject.new()
    for what, change in _changes(subject):
        atoms = subject.rattled()
        subject.evaluate(atoms, calculator)
        change(atoms)
        expected, seen = subject.evaluate(atoms), subject.evaluate(atoms, calculator)
        found.measure(f"energy after {what}", abs(seen.energy - expected.energy) / len(atoms), ENERGY)
        if seen.forces is not None and expected.forces is not None:
            found.measure(f"forces after {what}", np.abs(seen.forces - expected.forces).max(), (1e-8, "eV/Å"))
        if seen.stress is not None and expected.stress is not None:
            found.measure(
                f"stress after {what}", np.abs(seen.stress - expected.stress).max(), (1e-9, "eV/Å^3")
            )


@check("I8", "settings", "interface", "after set() with a new value nothing old is returned",
       "set discard_results_on_any_change = True, or refuse parameters that are fixed")  # fmt: skip
def settings(subject: Subject, found: Findings) -> None:
    """Change each number among the parameters, after a calculation and before one."""
    atoms = subject.rattled()
    names = [name for name, value in _parameters(subject.new()).items() if _is_number(value)]
    if not names:
        raise NotApplicable("no numbers among the parameters")
    for name in names:
        used, fresh = subject.new(), subject.new()
        old = used.get_property("energy", atoms)
        try:
            for calculator in (used, fresh):
                calculator.set(**{name: _parameters(calculator)[name] * 0.999})
            expected = fresh.get_property("energy", atoms)
            seen = used.get_property("energy", atoms)
        except Exception:  # noqa: BLE001, PERF203, RUF100  to refuse is right
            continue
        is_old = seen == old and abs(seen - expected) > 1e-12 * max(1.0, abs(expected))
        found.expect(not is_old, f"after set({name}=...) the old energy is returned")


@check("I9", "own_arrays", "interface", "results that were returned are never overwritten, nor do they reach the cache",
       "return fresh arrays: never a buffer that the next call uses again")  # fmt: skip
def own_arrays(subject: Subject, found: Findings) -> None:
    """Hold results over later calls, and write into what was returned."""
    atoms, calculator = subject.rattled(), subject.new()
    names = [name for name in ("forces", "stress", "energies") if name in subject.properties]
    first = subject.evaluate(atoms, calculator)
    for name in names:
        if name in calculator.results:
            calculator.get_property(name, atoms)
    held = {name: value for name, value in calculator.results.items() if isinstance(value, np.ndarray)}
    kept = {name: value.copy() for name, value in held.items()}
    for k in range(3):
        subject.evaluate(subject.rattled(f"other {k}"), calculator)
    for name, value in held.items():
        found.expect(
            np.array_equal(value, kept[name], equal_nan=True),
            f"results['{name}'] was overwritten by a later call",
        )
    again = subject.evaluate(atoms, calculator)
    for name in ("forces", "stress"):
        value, before = getattr(again, name), getattr(first, name)
        if value is not None and value.flags.writeable:
            value[...] = 77.0
            after = calculator.get_property(name, atoms)
            found.expect(
                np.abs(after - before).max() < 1e-6, f"writing into {name} changed what is returned next"
            )


CHECKS: tuple[Check, ...] = (caching, changes, settings, own_arrays)


def _changes(subject: Subject) -> Iterator[tuple[str, Callable[[Atoms], None]]]:
    """Yield changes in place and by ASE's methods; of the numbers where there are several elements."""
    yield (
        "an atom moved by 0.01 Å in place",
        lambda atoms: atoms.positions.__setitem__((0, 0), atoms.positions[0, 0] + 0.01),
    )
    yield (
        "an atom moved by 1e-6 Å",
        lambda atoms: atoms.positions.__setitem__((0, 1), atoms.positions[0, 1] + 1e-6),
    )
    yield (
        "all atoms moved by 0.2 Å",
        lambda atoms: atoms.set_positions(
            atoms.positions + subject.rng("moved").uniform(-0.2, 0.2, atoms.positions.shape)
        ),
    )
    periodic = np.flatnonzero(subject.atoms.pbc)
    if len(periodic):
        a = int(periodic[0])
        yield (
            "the cell strained with the atoms",
            lambda atoms: atoms.set_cell(atoms.cell * 1.01, scale_atoms=True),
        )
        yield (
            "the cell strained alone, in place",
            lambda atoms: atoms.cell.__setitem__((a, a), atoms.cell[a, a] * 1.02),
        )
        yield "pbc switched off", lambda atoms: atoms.set_pbc(False)
        yield "one pbc switched off in place", lambda atoms: atoms.pbc.__setitem__(a, False)
    if len(set(subject.atoms.numbers.tolist())) > 1:
        yield "elements exchanged", lambda atoms: atoms.set_atomic_numbers(atoms.numbers[::-1].copy())
    yield "an atom removed", lambda atoms: atoms.__delitem__(0)


def _parameters(calculator: Any) -> dict[str, Any]:
    return dict(getattr(calculator, "parameters", None) or {})


def _is_number(value: Any) -> bool:
    return isinstance(value, float) and np.isfinite(value) and value != 0
