"""Physics, second part: forces and stress as derivatives of the energy, and sums."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ase import Atoms

from ase_mlipgen.testing.checks import ENERGY, Check, Findings, NotApplicable, check
from ase_mlipgen.testing.subject import Floats, Subject, has_volume

STEPS = (5e-3, 5e-4, 5e-5)
"""Å, or strain: the widest of three differences, which are extrapolated to none. The wide one has the least noise;
where a second derivative jumps on its way, as it may, a narrow one sees none of it."""
MANY_COORDINATES = 36
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def nearest_derivative(at: Callable[[float], float], stated: float, tolerance: float) -> float:
    """Return the derivative at 0 by the first of `STEPS` that agrees with what is stated, or the nearest of all."""
    found: list[float] = []
    for step in STEPS:
        found.append(extrapolated(at, step))
        if abs(found[-1] - stated) <= tolerance:
            break
    return min(found, key=lambda slope: abs(slope - stated))


def extrapolated(at: Callable[[float], float], step: float) -> float:
    """Return the derivative at 0: central differences over step, step/2 and step/4, extrapolated (Richardson)."""
    d = [(at(h) - at(-h)) / (2 * h) for h in (step, step / 2, step / 4)]
    first, second = (4 * d[1] - d[0]) / 3, (4 * d[2] - d[1]) / 3
    return (16 * second - first) / 15


@check("P8", "forces", "physics", "forces are minus the derivatives of the energy (the free energy, if there is one)",
       "differentiate every term, in double precision; smeared electrons' forces belong to free_energy")  # fmt: skip
def forces(subject: Subject, found: Findings) -> None:
    """Take differences along coordinates, or some of them and random directions."""
    _needs(subject, "forces")
    calculator, atoms = subject.new(), subject.rattled()
    stated = calculator.get_property("forces", atoms)
    name = _differentiated(subject)
    for what, u_ic in _directions(subject, len(atoms)):

        def along(t: float, u_ic: Floats = u_ic) -> float:
            moved = atoms.copy()
            moved.positions += t * u_ic
            return float(calculator.get_property(name, moved))

        slope = -float(np.sum(stated * u_ic))
        found.measure(what, abs(nearest_derivative(along, slope, 1e-7) - slope), (1e-6, "eV/Å"))


@check("P9", "stress", "physics", "stress is the derivative of the energy by strain, over the volume, tension positive",
       "Voigt order is xx, yy, zz, yz, xz, xy, shear not doubled, in eV/Å^3, positive if stretched")  # fmt: skip
def stress(subject: Subject, found: Findings) -> None:
    """Strain the cell as given, and sheared."""
    _needs(subject, "stress")
    if not has_volume(subject.atoms):
        raise NotApplicable("the cell has no volume")
    calculator, name = subject.new(), _differentiated(subject)
    for what, atoms in (("as given", subject.rattled()), ("sheared", _sheared(subject))):
        stated = calculator.get_property("stress", atoms)
        measured = np.array([
            _strain_derivative(calculator, name, atoms, ab, value) for ab, value in zip(VOIGT, stated, strict=True)
        ])  # fmt: skip
        error = np.abs(stated - measured)
        k = int(np.argmax(error))
        labels = ("xx", "yy", "zz", "yz", "xz", "xy")
        found.measure(f"{labels[k]}, {what}{_hint(stated, measured)}", error[k], (1e-7, "eV/Å^3"))


@check("P10", "sums", "physics", "forces sum to zero, energies to the energy, and free_energy is there",
       "give each pair's force to both atoms; fill free_energy: ASE's optimisers ask for it")  # fmt: skip
def sums(subject: Subject, found: Findings) -> None:
    """Sum what is there; every calculator with an energy owes a free energy."""
    calculator, atoms = subject.new(), subject.rattled()
    if "forces" in subject.properties:
        total = np.abs(calculator.get_property("forces", atoms).sum(axis=0)).max()
        found.measure("sum of forces", total, (1e-10, "eV/Å"))
    if "energies" in subject.properties:
        energy = calculator.get_property("energy", atoms)
        rest = calculator.get_property("energies", atoms).sum() - energy
        found.measure("sum of energies", abs(rest) / len(atoms), ENERGY)
    found.expect("free_energy" in subject.properties, "free_energy is not in implemented_properties")


CHECKS: tuple[Check, ...] = (forces, stress, sums)


def _needs(subject: Subject, name: str) -> None:
    if name not in subject.properties:
        raise NotApplicable(f"{name} is not in implemented_properties")


def _differentiated(subject: Subject) -> str:
    return "free_energy" if "free_energy" in subject.properties else "energy"


def _directions(subject: Subject, n_atoms: int) -> Iterator[tuple[str, Floats]]:
    """Yield unit displacements: every coordinate, or some and some random ones of all atoms."""
    rng = subject.rng("directions")
    chosen = np.arange(3 * n_atoms)
    if len(chosen) > MANY_COORDINATES:
        chosen = np.sort(rng.choice(chosen, MANY_COORDINATES - 6, replace=False))
        for k in range(6):
            u_ic = rng.normal(size=(n_atoms, 3))
            yield f"random direction {k + 1}", u_ic / np.linalg.norm(u_ic)
    for k in chosen.tolist():
        u_ic = np.zeros((n_atoms, 3))
        u_ic.flat[k] = 1
        yield f"atom {k // 3}, {'xyz'[k % 3]}", u_ic


def _sheared(subject: Subject) -> Atoms:
    """Return the atoms with a cell that is strained and sheared by some percent."""
    atoms = subject.rattled()
    strain = subject.rng("sheared").uniform(-0.03, 0.03, (3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return atoms


def _strain_derivative(calculator: Any, name: str, atoms: Atoms, ab: tuple[int, int], stated: float) -> float:
    """Return the derivative of the energy by a component of strain, over the volume."""
    volume = abs(np.linalg.det(atoms.cell.array))

    def strained(t: float) -> float:
        E = np.eye(3)
        E[ab] += t / 2
        E[ab[::-1]] += t / 2
        moved = atoms.copy()
        moved.set_cell(atoms.cell.array @ E, scale_atoms=True)
        return float(calculator.get_property(name, moved)) / volume

    return nearest_derivative(strained, stated, 1e-8)


def _hint(stated: Floats, measured: Floats) -> str:
    """Name a common mistake if it explains the numbers."""
    size = np.abs(measured).max()
    mistakes = {
        "order xx, yy, zz, xy, xz, yz": measured[[0, 1, 2, 5, 4, 3]],
        "order xx, yy, zz, xy, yz, xz": measured[[0, 1, 2, 5, 3, 4]],
        "the sign is reversed": -measured,
        "shear is doubled": measured * [1, 1, 1, 2, 2, 2],
    }
    if np.abs(stated - measured).max() < 1e-5 * size:
        return ""
    for what, values in mistakes.items():
        if np.abs(stated - values).max() < 1e-5 * size:
            return f": {what}"
    return ""
