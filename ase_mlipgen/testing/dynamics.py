"""Physics, fourth part: molecular dynamics that conserves energy and can be turned back.

Velocity Verlet conserves, to fourth order in the time step, the energy plus a correction of second order (Hairer,
Lubich and Wanner, Acta Numerica 12, 399 (2003)): H - dt^2/12 v.dF/dt - dt^2/24 F.a. Its drift shows in a fraction of
the time that the plain energy's fluctuations would ask for.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from ase import Atoms, units

from ase_mlipgen.testing.checks import Check, Findings, NotApplicable, check
from ase_mlipgen.testing.subject import Floats, Subject

TEMPERATURE = 150.0
"""K, at the start; half of it stays in motion."""


class Trajectory(NamedTuple):
    """Energies an atom along a run (eV), the corrected ones, and the last positions (Å)."""

    energies_t: Floats
    corrected_t: Floats
    positions: Floats
    velocities: Floats


@check("P13", "energy_drift", "physics", "dynamics at constant energy has no drift",
       "forces must be the exact derivatives of a smooth energy: look at forces and continuity first")  # fmt: skip
def energy_drift(subject: Subject, found: Findings) -> None:
    """Run 4 ps (long) or 0.4 ps and compare the halves' means; once more with half the time step if they differ.

    Jumps of second derivatives, which are no fault, make steps of energy that vanish with the time step; a drift stays.
    """
    dt, atoms, velocities = _start(subject)
    picoseconds, allowed = (4.0 if subject.long else 0.4), (1e-6, "eV/atom/ps")
    drifts: list[float] = []
    for k in (1, 2, 4):
        n_steps = int(np.ceil(k * picoseconds * 1e3 * units.fs / dt))
        run = _verlet(subject, atoms.positions, velocities, dt / k, n_steps)
        half = len(run.corrected_t) // 2
        change = run.corrected_t[half:].mean() - run.corrected_t[:half].mean()
        drifts.append(abs(change) / (picoseconds / 2))
        if drifts[-1] <= allowed[0]:
            break
    found.measure(f"over {picoseconds:g} ps", min(drifts), allowed)


@check("P14", "energy_fluctuation", "physics", "the energy's fluctuation falls with the square of the time step",
       "noise in the forces, or a neighbour list that is renewed too late, leaves a floor")  # fmt: skip
def energy_fluctuation(subject: Subject, found: Findings) -> None:
    """Halve the time step."""
    dt, atoms, velocities = _start(subject)
    n_steps = 60
    sizes = []
    for k in (1, 2, 4):
        run = _verlet(subject, atoms.positions, velocities, dt / k, n_steps * k)
        sizes.append(np.ptp(run.energies_t[::k]))
    if sizes[0] < 1e-11:
        raise NotApplicable("the atoms do not move enough: no fluctuation to measure")
    for k, what in ((0, "once"), (1, "twice")):
        found.measure(
            f"order of the time step, less 2, halved {what}", np.log2(sizes[k] / sizes[k + 1]) - 2, (0.15, "")
        )


@check("P15", "time_reversal", "physics", "dynamics turned back returns to its beginning",
       "forces may depend on the positions only, not on what was computed before")  # fmt: skip
def time_reversal(subject: Subject, found: Findings) -> None:
    """Run, reverse the velocities, run as long."""
    dt, atoms, velocities = _start(subject)
    there = _verlet(subject, atoms.positions, velocities, dt, 60)
    back = _verlet(subject, there.positions, -there.velocities, dt, 60)
    found.measure("way back", np.abs(back.positions - atoms.positions).max(), (1e-8, "Å"))


CHECKS: tuple[Check, ...] = (energy_drift, energy_fluctuation, time_reversal)


def _start(subject: Subject) -> tuple[float, Atoms, Floats]:
    """Return a time step of a sixtieth of the fastest period, atoms, and velocities; constraints hold."""
    if "forces" not in subject.properties:
        raise NotApplicable("forces are not in implemented_properties")
    atoms = subject.constrained.copy()
    masses = atoms.get_masses()[:, None]
    rng = subject.rng("velocities")
    moving = subject.constrained.copy()
    moving.set_momenta(rng.normal(size=(len(atoms), 3)) * np.sqrt(masses * units.kB * TEMPERATURE))
    free_ic = moving.get_momenta() != 0
    velocities = moving.get_momenta() / masses
    velocities = np.where(free_ic, velocities - (velocities * masses).sum(axis=0) / masses.sum(), 0.0)
    return 2 * np.pi / _fastest(subject, atoms, free_ic) / 60, atoms, velocities


def _fastest(subject: Subject, atoms: Atoms, free_ic: npt.NDArray[np.bool_]) -> float:
    """Return the largest angular frequency, by power iteration on differences of forces, ASE's unit."""
    calculator, root = subject.new(), np.sqrt(atoms.get_masses()[:, None])
    v_ic = subject.rng("frequency").normal(size=(len(atoms), 3)) * free_ic
    square = 0.0
    for _ in range(8):
        step = 1e-3 * v_ic / np.linalg.norm(v_ic) / root
        step *= 1e-3 / np.abs(step).max()
        up, down = atoms.copy(), atoms.copy()
        up.positions += step
        down.positions -= step
        change = calculator.get_property("forces", down) - calculator.get_property("forces", up)
        v_ic = change / 2 / root * free_ic
        square = max(square, float(np.linalg.norm(v_ic) / np.linalg.norm(step * root)))
        if not np.linalg.norm(v_ic) > 0:
            break
    slowest = 2 * np.pi / (500 * units.fs)
    return max(float(np.sqrt(square)) * 1.1, slowest)


def _verlet(subject: Subject, positions: Floats, velocities: Floats, dt: float, n_steps: int) -> Trajectory:
    calculator, atoms = subject.new(), subject.constrained.copy()
    atoms.positions = positions
    atoms.calc = calculator
    masses, v = atoms.get_masses()[:, None], velocities.copy()
    fixed_ic = velocities == 0

    def forces() -> Floats:
        return np.where(fixed_ic, 0.0, calculator.get_property("forces", atoms))

    F_tic, v_tic, E_t = [forces()], [v], [float(calculator.get_property("energy", atoms))]
    for _ in range(n_steps):
        v = v + dt / 2 * F_tic[-1] / masses
        atoms.positions += dt * v
        F_tic.append(forces())
        v = v + dt / 2 * F_tic[-1] / masses
        v_tic.append(v)
        E_t.append(float(calculator.get_property("energy", atoms)))
    F, v_all = np.array(F_tic), np.array(v_tic)
    total = np.array(E_t) + (masses * v_all**2).sum(axis=(1, 2)) / 2
    rate = (F[2:] - F[:-2]) / (2 * dt)
    inner = slice(1, -1)
    correction = -(v_all[inner] * rate).sum(axis=(1, 2)) / 12 - (F[inner] ** 2 / masses).sum(axis=(1, 2)) / 24
    n = len(atoms)
    return Trajectory(total / n, (total[inner] + dt**2 * correction) / n, atoms.positions.copy(), v)
