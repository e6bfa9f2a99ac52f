"""A calculator that keeps the contract, and mutants of it that each break one promise.

`MUTANTS` names for each check of the contract the mutants that it must catch.
"""

import multiprocessing
import os
import threading
import time

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_changes
from ase.data import atomic_numbers

from ase_mlipgen.calculators.base import Evaluation, PairCalculator

PARENT = os.getpid()
ready = False
"""Set by the test module only: a new interpreter does not have it."""


def crystal():
    """Three copper atoms and one of nickel on fcc sites, sheared a little."""
    a = 3.6
    cell = a * np.array([[1, 0.02, 0], [0, 1, 0.03], [0, 0, 1]])
    scaled = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    return Atoms("Cu3Ni", scaled_positions=scaled, cell=cell, pbc=True)


class Morse(PairCalculator):
    """Morse pairs, brought to zero at 5 Å with three derivatives; nickel binds more."""

    cutoff = 5.0
    elements = ("Cu", "Ni")

    def evaluate(self, numbers_i, pairs):
        d_pc = pairs.vectors()
        r_p = np.linalg.norm(d_pc, axis=1)
        e_p, slope_p = self.pair(r_p)
        strength = np.sqrt(numbers_i / 29)
        s_p = strength[pairs.centres()] * strength[pairs.j_p]
        g_pc = (s_p * slope_p / np.maximum(r_p, 1e-300))[:, None] * d_pc / 2
        energies_i = np.bincount(pairs.centres(), s_p * e_p / 2, minlength=len(numbers_i))
        return Evaluation.from_gradients(energies_i, g_pc, pairs)

    def pair(self, r):
        x = np.exp(-1.36 * (r - 2.87))
        u = np.maximum(1 - (r / self.cutoff) ** 2, 0)
        energy, slope = 0.34 * (x * x - 2 * x), 0.34 * -1.36 * (2 * x * x - 2 * x)
        return energy * u**4, slope * u**4 - energy * 8 * r / self.cutoff**2 * u**3

    def _results(self, atoms):
        return self.spoil(super()._results(atoms), atoms)

    def spoil(self, results, atoms):
        return results


class Permissive(Morse):
    """Gives a number where it should refuse."""

    def _results(self, atoms):
        try:
            return super()._results(atoms)
        except (ValueError, ArithmeticError):
            return {
                "energy": 1.0,
                "free_energy": 1.0,
                "forces": np.zeros((len(atoms), 3)),
                "stress": np.zeros(6),
            }


# Physics


class FirstAtomIsSpecial(Morse):
    def spoil(self, results, atoms):
        results["energy"] += (
            1e-7 * (atoms.numbers[0] == 29) * np.sin(atoms.positions[1, 0] - atoms.positions[0, 0])
        )
        return results


class PlaceMatters(Morse):
    def spoil(self, results, atoms):
        results["energy"] += 1e-8 * np.sin(atoms.positions[:, 2].mean())
        return results


class SinglePrecisionInside(Morse):
    def _results(self, atoms):
        rounded = atoms.copy()
        rounded.positions = atoms.positions.astype(np.float32)
        return super()._results(rounded)


class DirectionMatters(Morse):
    def spoil(self, results, atoms):
        results["forces"] = results["forces"] * [1, 1, 1 + 1e-6]
        return results


class HandednessMatters(Morse):
    def spoil(self, results, atoms):
        results["energy"] += 1e-7 * np.sign(np.linalg.det(atoms.cell.array))
        return results


class NearestImagesOnly(Morse):
    """Looks one cell far, whatever the cell: too short in skewed and in small ones."""

    def evaluate(self, numbers_i, pairs):
        cell = self.atoms.cell.array
        near = pairs.shifts @ np.linalg.inv(cell) if abs(np.linalg.det(cell)) > 0 else pairs.shifts
        keep = (np.abs(near) < 1.5).all(axis=1)[pairs.s_p]
        first_i = np.concatenate([[0], np.cumsum(np.add.reduceat(keep, pairs.first_i[:-1]))])
        return super().evaluate(
            numbers_i, pairs._replace(first_i=first_i, j_p=pairs.j_p[keep], s_p=pairs.s_p[keep])
        )


class PerCellConstant(Morse):
    def spoil(self, results, atoms):
        results["energy"] += 1e-7
        return results


class ForceError(Morse):
    def spoil(self, results, atoms):
        results["forces"][-1, 1] += 1e-5
        return results


class WrongVoigtOrder(Morse):
    def spoil(self, results, atoms):
        if "stress" in results:
            results["stress"] = results["stress"][[0, 1, 2, 5, 4, 3]]
        return results


class WrongSignOfStress(Morse):
    def spoil(self, results, atoms):
        if "stress" in results:
            results["stress"] = -results["stress"]
        return results


class StressIsVirial(Morse):
    def spoil(self, results, atoms):
        if "stress" in results:
            results["stress"] = results["stress"] * atoms.get_volume()
        return results


class NetForce(Morse):
    def spoil(self, results, atoms):
        results["forces"] = results["forces"] + 1e-9
        return results


class EnergiesDoNotSum(Morse):
    def spoil(self, results, atoms):
        results["energies"] = results["energies"] + 1e-8
        return results


class NoFreeEnergy(Morse):
    implemented_properties = ["energy", "forces", "stress", "energies"]  # noqa: RUF012


class JumpAtCutoff(Morse):
    def pair(self, r):
        energy, slope = super().pair(r)
        return energy + 1e-6 * (r < self.cutoff), slope


class KinkAtCutoff(Morse):
    def pair(self, r):
        energy, slope = super().pair(r)
        inside = r < self.cutoff
        return energy + 1e-5 * (r - self.cutoff) * inside, slope + 1e-5 * inside


class JumpInside(Morse):
    """At 3.7 Å, where nothing is said to be."""

    def pair(self, r):
        energy, slope = super().pair(r)
        return energy + 1e-6 * (r < 3.7123456), slope


class Hole(Morse):
    def pair(self, r):
        energy, slope = super().pair(r)
        well = -2000 * np.exp(-((r / 0.5) ** 2))
        return energy + well, slope - 2 * r / 0.25 * well


class CurlInForces(Morse):
    def spoil(self, results, atoms):
        x, y = (atoms.positions - crystal().positions)[:, :2].T
        results["forces"] = results["forces"] + 0.05 * np.stack([-y, x, np.zeros_like(x)], axis=1)
        return results


class RoundedEnergy(Morse):
    def spoil(self, results, atoms):
        results["energy"] = round(results["energy"], 4)
        return results


class Friction(Morse):
    def spoil(self, results, atoms):
        last = getattr(self, "last", atoms.positions)
        if last.shape == atoms.positions.shape:
            results["forces"] = results["forces"] - 1e-2 * (atoms.positions - last)
        self.last = atoms.positions.copy()
        return results


# Interface


class FarImagesForgotten(Morse):
    def evaluate(self, numbers_i, pairs):
        near = np.abs(pairs.shifts).max(axis=1) < 15
        keep = near[pairs.s_p]
        first_i = np.concatenate([[0], np.cumsum(np.add.reduceat(keep, pairs.first_i[:-1]))])
        return super().evaluate(
            numbers_i, pairs._replace(first_i=first_i, j_p=pairs.j_p[keep], s_p=pairs.s_p[keep])
        )


class ClaimsDipole(Morse):
    implemented_properties = [*Morse.implemented_properties, "dipole"]  # noqa: RUF012


class SingleForces(Morse):
    def spoil(self, results, atoms):
        results["forces"] = results["forces"].astype(np.float32)
        return results


class EnergyIsAnArray(Morse):
    def spoil(self, results, atoms):
        results["energy"] = np.array([results["energy"]])
        return results

    def get_potential_energy(self, atoms=None, force_consistent=False):
        return float(super().get_potential_energy(atoms, force_consistent)[0])


class UnknownIsZero(Morse):
    def get_property(self, name, atoms=None, allow_calculation=True):
        if name not in self.implemented_properties:
            return 0.0
        return super().get_property(name, atoms, allow_calculation)


class OnlyEnergyAtFirst(Morse):
    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        if system_changes:
            self.results.pop("forces")


class WrapsTheAtoms(Morse):
    def get_property(self, name, atoms=None, allow_calculation=True):
        if atoms is not None and atoms.pbc.any():
            atoms.wrap()
        return super().get_property(name, atoms, allow_calculation)


class ChargesMatter(Morse):
    ignored_changes = frozenset()

    def spoil(self, results, atoms):
        results["energy"] += 1e-3 * (atoms.get_initial_charges() ** 2).sum()
        return results


class AlwaysAgain(Morse):
    def check_state(self, atoms, tol=1e-15):
        return list(all_changes)


def forgetful(*forgotten):
    class Forgets(Morse):
        def check_state(self, atoms, tol=1e-15):
            return [change for change in super().check_state(atoms, tol) if change not in forgotten]

    return Forgets


StaleCell, ForgetsPbc, StaleNumbers = forgetful("cell"), forgetful("pbc"), forgetful("numbers")


class CoarseChanges(Morse):
    def check_state(self, atoms, tol=1e-15):
        return super().check_state(atoms, 1e-4)


class SetLeavesResults(Morse):
    discard_results_on_any_change = False

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parameters["scale"] = 1.0

    def set(self, **kwargs):
        self.parameters.update(kwargs)
        return kwargs

    def spoil(self, results, atoms):
        results["energy"] *= self.parameters["scale"]
        return results


class SharedArray(Morse):
    def spoil(self, results, atoms):
        if getattr(self, "buffer", np.zeros(0)).shape != results["forces"].shape:
            self.buffer = np.empty_like(results["forces"])
        self.buffer[:] = results["forces"]
        results["forces"] = self.buffer
        return results


class CacheIsReturned(Morse):
    def get_property(self, name, atoms=None, allow_calculation=True):
        super().get_property(name, atoms, allow_calculation)
        return self.results[name]


class CopyIsItself(Morse):
    def __copy__(self):
        other = Morse.__new__(type(self))
        other.__dict__ = self.__dict__
        return other


class NotPickledAfterUse(Morse):
    def spoil(self, results, atoms):
        self.handle = lambda: atoms
        return results


class StateInTheClass(Morse):
    def _results(self, atoms):
        type(self).current = atoms
        time.sleep(2e-4)
        return super()._results(type(self).current)


class NoTurns(Morse):
    """What a calculator without a lock does, only more often."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        time.sleep(1e-4)
        super().calculate(atoms, properties, system_changes)
        time.sleep(1e-4)

    def get_property(self, name, atoms=None, allow_calculation=True):
        return super(PairCalculator, self).get_property(name, atoms, allow_calculation)


class FailsAfterFork(Morse):
    def _results(self, atoms):
        if os.getpid() != PARENT:
            raise RuntimeError("the device belongs to another process")
        return super()._results(atoms)


class NotAfterFork(Morse):
    """No mutant: it keeps what it can where processes cannot be forked."""

    def _results(self, atoms):
        if multiprocessing.parent_process() is not None:
            raise RuntimeError("the device belongs to another process")
        return super()._results(atoms)


class OnlyInThisInterpreter(Morse):
    def _results(self, atoms):
        if not ready:
            raise RuntimeError("not prepared")
        return super()._results(atoms)


class NeedsAVolume(Morse):
    def spoil(self, results, atoms):
        results["density"] = len(atoms) / atoms.get_volume()
        return results


class NeedsANeighbour(Morse):
    def evaluate(self, numbers_i, pairs):
        pairs.j_p[0]
        return super().evaluate(numbers_i, pairs)


class VacuumMatters(Morse):
    def spoil(self, results, atoms):
        results["energy"] += 1e-9 * atoms.cell.array[2, 2]
        return results


class PeriodicAnyway(Morse):
    def _results(self, atoms):
        if abs(np.linalg.det(atoms.cell.array)) > 0:
            atoms = atoms.copy()
            atoms.pbc = True
        return super()._results(atoms)


class Leak(Morse):
    kept = []  # noqa: RUF012

    def spoil(self, results, atoms):
        self.kept.append(results["forces"].copy())
        return results


# Repeatability


class Noise(Morse):
    def spoil(self, results, atoms):
        results["energy"] += 1e-9 * np.random.default_rng().normal()
        return results


class InstancesDiffer(Morse):
    n_made = 0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        InstancesDiffer.n_made += 1
        self.number = InstancesDiffer.n_made

    def spoil(self, results, atoms):
        results["energy"] += 1e-13 * self.number
        return results


class RemembersLarger(Morse):
    def spoil(self, results, atoms):
        self.largest = max(getattr(self, "largest", 0), len(atoms))
        results["energy"] += 1e-13 * self.largest
        return results


class CompanyMatters(Morse):
    def spoil(self, results, atoms):
        results["energy"] += 1e-13 * (threading.current_thread() is not threading.main_thread())
        return results


class ProcessMatters(Morse):
    def spoil(self, results, atoms):
        results["energy"] += 1e-13 * (os.getpid() != PARENT)
        return results


# Bad structures


class NaNLetThrough(Morse):
    def _results(self, atoms):
        if np.isnan(atoms.positions).any():
            return {"energy": np.nan, "free_energy": np.nan, "forces": np.full((len(atoms), 3), np.nan)}
        return super()._results(atoms)


class SaysNothing(Morse):
    def _results(self, atoms):
        try:
            return super()._results(atoms)
        except ValueError:
            raise ValueError("bad input") from None


class NotAValueError(Morse):
    def _results(self, atoms):
        try:
            return super()._results(atoms)
        except ValueError as error:
            raise IndexError(str(error)) from None


class Hangs(Morse):
    def _results(self, atoms):
        try:
            return super()._results(atoms)
        except ValueError:
            time.sleep(30)
            raise


class BurstsOfMemory(Morse):
    def _results(self, atoms):
        try:
            return super()._results(atoms)
        except ValueError:
            return {"energy": float(np.ones(1 << 40)[0])}


class Dies(Morse):
    def _results(self, atoms):
        try:
            return super()._results(atoms)
        except ValueError:
            os._exit(9)


class TakesAnyElement(Morse):
    def _inputs(self, atoms):
        known = atoms.copy()
        known.numbers[~np.isin(known.numbers, (28, 29))] = atomic_numbers["Ni"]
        return super()._inputs(known)


class BrokenByBadInput(Morse):
    broken = False

    def _results(self, atoms):
        if self.broken:
            raise RuntimeError("broken by an earlier structure")
        try:
            return super()._results(atoms)
        except ValueError:
            self.broken = True
            raise


MUTANTS = {
    "permutation": [FirstAtomIsSpecial],
    "translation": [PlaceMatters, SinglePrecisionInside],
    "rotation": [DirectionMatters],
    "reflection": [HandednessMatters],
    "skewed_cell": [NearestImagesOnly],
    "supercell": [PerCellConstant],
    "wrapping": [NearestImagesOnly],
    "forces": [ForceError, SinglePrecisionInside, CurlInForces],
    "stress": [WrongVoigtOrder, WrongSignOfStress, StressIsVirial],
    "sums": [NetForce, EnergiesDoNotSum, NoFreeEnergy],
    "continuity": [JumpAtCutoff, KinkAtCutoff, JumpInside],
    "collision": [Hole],
    "energy_drift": [CurlInForces],
    "energy_fluctuation": [RoundedEnergy],
    "time_reversal": [Friction],
    "properties": [ClaimsDipole, SingleForces, EnergyIsAnArray],
    "unknown_properties": [UnknownIsZero],
    "explicit_calls": [OnlyEnergyAtFirst],
    "atoms_untouched": [WrapsTheAtoms],
    "charges_and_magmoms": [ChargesMatter],
    "caching": [AlwaysAgain],
    "changes": [StaleCell, ForgetsPbc, StaleNumbers, CoarseChanges],
    "settings": [SetLeavesResults],
    "own_arrays": [SharedArray, CacheIsReturned],
    "copy": [CopyIsItself],
    "pickle": [NotPickledAfterUse],
    "threads": [StateInTheClass],
    "shared": [NoTurns],
    "fork": [FailsAfterFork],
    "spawn": [OnlyInThisInterpreter],
    "molecule": [NeedsAVolume],
    "lone_atom": [NeedsANeighbour],
    "vacuum": [VacuumMatters],
    "periodic_directions": [PeriodicAnyway],
    "memory": [Leak],
    "same_again": [Noise],
    "new_instance": [InstancesDiffer],
    "after_others": [RemembersLarger],
    "beside_others": [CompanyMatters],
    "in_processes": [ProcessMatters],
    "nan_positions": [NaNLetThrough, Permissive],
    "infinite_positions": [SaysNothing],
    "nan_cell": [Dies],
    "zero_cell_vector": [NotAValueError],
    "singular_cell": [Permissive],
    "tiny_cell": [Hangs, BurstsOfMemory],
    "no_atoms": [Permissive],
    "unknown_element": [TakesAnyElement, NotAValueError],
    "far_positions": [Permissive],
    "coincident": [Permissive],
    "recovery": [BrokenByBadInput],
}
