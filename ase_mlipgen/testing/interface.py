"""Interface, first part: properties as ASE defines them, and calls that ASE and its users make."""

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError, all_changes
from ase.outputs import all_outputs

from ase_mlipgen.testing.checks import ENERGY, Check, Findings, NotApplicable, check
from ase_mlipgen.testing.subject import Subject, has_volume

SHAPES: dict[str, tuple[str | int, ...]] = {
    "energy": (), "free_energy": (), "energies": ("n",), "forces": ("n", 3), "stress": (6,), "stresses": ("n", 6),
    "dipole": (3,), "charges": ("n",), "magmom": (), "magmoms": ("n",),
}  # fmt: skip
"""Shapes of ASE's properties; n is the number of atoms."""


@check("I1", "properties", "interface", "every implemented property comes, in ASE's shape, finite, in double precision",
       "name in implemented_properties what is computed and nothing else; energy is a number")  # fmt: skip
def properties(subject: Subject, found: Findings) -> None:
    """Ask fresh calculators for one property each, as the first call."""
    atoms = subject.rattled()
    found.expect("energy" in subject.properties, "energy is not in implemented_properties")
    for name in subject.properties:
        if name in ("stress", "stresses") and not has_volume(atoms):
            continue
        try:
            value = subject.new().get_property(name, atoms)
        except ArithmeticError as error:
            # Further properties, such as elastic constants, may not exist where the atoms are not at rest.
            found.expect(name not in SHAPES and bool(str(error)), f"{name} raised {type(error).__name__}")
            continue
        except Exception as error:  # noqa: BLE001, RUF100  a property that cannot be had is the finding
            found.expect(False, f"{name} raised {type(error).__name__}: {str(error)[:100]}")
            continue
        found.expect(value is not None, f"{name} is None")
        if value is not None and name in SHAPES:
            _check_value(found, name, value, len(atoms))


@check("I2", "unknown_properties", "interface", "a property that is not implemented raises PropertyNotImplementedError",
       "leave get_property to ase.calculators.calculator.Calculator, or raise that error")  # fmt: skip
def unknown_properties(subject: Subject, found: Findings) -> None:
    """Ask for what is not offered, and for what does not exist."""
    atoms = subject.rattled()
    others = [name for name in SHAPES if name not in subject.properties]
    for name in [*others, "no_such_property"]:
        try:
            value = subject.new().get_property(name, atoms)
        except PropertyNotImplementedError:
            continue
        except Exception as error:  # noqa: BLE001, RUF100  the wrong exception is the finding
            found.expect(False, f"{name} raised {type(error).__name__}")
            continue
        found.expect(False, f"{name} gave {np.shape(value)} of {type(value).__name__}")


@check("I3", "explicit_calls", "interface", "calculate with properties, get_properties and ASE's getters agree",
       "fill results in calculate, whatever property was asked for first")  # fmt: skip
def explicit_calls(subject: Subject, found: Findings) -> None:
    """Call in the ways that ASE and other programs do."""
    atoms = subject.rattled()
    expected = subject.evaluate(atoms)
    names = [name for name in ("energy", "forces", "stress") if _has(subject, name, atoms)]
    for asked in ([name] for name in names):
        calculator = subject.new()
        calculator.calculate(atoms, asked, list(all_changes))
        found.expect(
            asked[0] in calculator.results, f"calculate(atoms, {asked}) left no {asked[0]} in results"
        )
    attached = atoms.copy()
    attached.calc = subject.new()
    ways: dict[str, Any] = {"energy": attached.get_potential_energy()}
    if "forces" in names:
        ways["forces"] = attached.get_forces(apply_constraint=False)
    if "stress" in names:
        ways["stress"] = attached.get_stress(apply_constraint=False)
    for name, value in ways.items():
        found.measure(f"Atoms' {name}", np.abs(value - getattr(expected, name)).max(), (1e-10, ""))
    attached.calc = subject.new()
    exported = attached.get_properties(names)
    for name in names:
        found.measure(
            f"get_properties, {name}", np.abs(exported[name] - getattr(expected, name)).max(), (1e-10, "")
        )


@check("I4", "atoms_untouched", "interface", "the Atoms that are evaluated stay as they are, bit by bit",
       "work on copies: never wrap, sort or annotate the caller's atoms")  # fmt: skip
def atoms_untouched(subject: Subject, found: Findings) -> None:
    """Compare every array before and after, with arrays that cannot be written."""
    atoms = subject.rattled()
    if atoms.pbc.any():
        atoms.positions[0] += 2 * atoms.cell.array[np.flatnonzero(atoms.pbc)[0]]
    atoms.info["remark"] = "mine"
    before, calculator = atoms.copy(), subject.new()
    subject.evaluate(atoms, calculator)
    found.expect(set(atoms.arrays) == set(before.arrays), f"arrays are now {sorted(atoms.arrays)}")
    for name in before.arrays:
        found.expect(np.array_equal(atoms.arrays.get(name), before.arrays[name]), f"{name} changed")
    found.expect(np.array_equal(atoms.cell.array, before.cell.array), "the cell changed")
    found.expect(np.array_equal(atoms.pbc, before.pbc), "pbc changed")
    found.expect(atoms.info == before.info, "info changed")
    found.expect(atoms.calc is None, "a calculator was attached")
    for name in ("positions", "numbers"):
        atoms.arrays[name].flags.writeable = False
    try:
        subject.evaluate(atoms)
    except ValueError as error:
        found.expect("read-only" not in str(error), "arrays that cannot be written were written to")


@check("I5", "charges_and_magmoms", "interface", "initial charges and magnetic moments do not change the energy",
       "ignore them, and say so: ignored_changes = {'initial_charges', 'initial_magmoms'}")  # fmt: skip
def charges_and_magmoms(subject: Subject, found: Findings) -> None:
    """Set both."""
    if {"magmom", "magmoms"} & set(subject.properties):
        raise NotApplicable("the calculator has magnetic moments")
    atoms, calculator = subject.rattled(), subject.new()
    before = calculator.get_property("energy", atoms)
    atoms.set_initial_charges(np.linspace(-1, 1, len(atoms)))
    atoms.set_initial_magnetic_moments(np.linspace(2, 3, len(atoms)))
    for what, other in (("same calculator", calculator), ("fresh one", subject.new())):
        found.measure(what, abs(other.get_property("energy", atoms) - before) / len(atoms), ENERGY)


CHECKS: tuple[Check, ...] = (
    properties,
    unknown_properties,
    explicit_calls,
    atoms_untouched,
    charges_and_magmoms,
)


def _has(subject: Subject, name: str, atoms: Atoms) -> bool:
    return name in subject.properties and (name != "stress" or has_volume(atoms))


def _check_value(found: Findings, name: str, value: Any, n_atoms: int) -> None:
    expected = tuple(n_atoms if size == "n" else size for size in SHAPES[name])
    found.expect(np.shape(value) == expected, f"{name} has shape {np.shape(value)}, expected {expected}")
    array = np.asarray(value)
    is_double = array.dtype == np.float64 and (expected == () or isinstance(value, np.ndarray))
    found.expect(is_double, f"{name} is {type(value).__name__} of {array.dtype}, expected float64")
    if is_double:
        found.expect(bool(np.isfinite(array).all()), f"{name} is not finite")
    assert name in all_outputs
