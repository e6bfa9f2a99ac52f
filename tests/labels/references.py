"""Calculators that fail, count and crash, at module level so that worker processes can import them."""

import ctypes
import os
import signal
import time
from typing import ClassVar

import numpy as np
from ase.calculators.calculator import CalculationFailed, Calculator, SCFError, all_changes
from ase.calculators.emt import EMT

from ase_mlipgen.threads import available_threads


class Refused(RuntimeError):
    """Cannot be unpickled: its arguments are not those of RuntimeError."""

    def __init__(self, a, b):
        super().__init__(f"{a} refused {b}")


class Spring(Calculator):
    """E = k/2 sum |r|^2, F = -k r; with smearing: free energy and energy differ by 1 eV."""

    implemented_properties: ClassVar = ["energy", "free_energy", "forces", "stress"]
    default_parameters: ClassVar = {"k": 1.0, "potential": ""}

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        k = self.parameters.k
        free = 0.5 * k * np.sum(atoms.positions**2)
        self.results = {
            "energy": free + 1.0,
            "free_energy": free,
            "forces": -k * atoms.positions,
            "stress": np.zeros(6),
        }


class Broken(Spring):
    """A spring that breaks where the first atom is beyond x = 100 Å."""

    default_parameters: ClassVar = {"k": 1.0, "potential": "", "how": "raise"}

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if atoms.positions[0, 0] <= 100.0:
            return
        match self.parameters.how:
            case "raise":
                raise Refused("spring", "to stretch")
            case "nan":
                self.results["forces"][1, 2] = np.nan
            case "shape":
                self.results["forces"] = np.zeros((len(atoms) + 1, 3))
            case "die":
                os._exit(3)


def emt():
    return EMT()


def spring(k, file=""):
    return Spring(k=k, potential=str(file))


def broken(how):
    return Broken(how=how)


def springs(**settings):
    return Spring(k=len(settings))


class Unruly(Calculator):
    """A spring of two atoms that misbehaves as its first atom's x says, and tells a file of each call.

    Parameters
    ----------
    log : file to which every call appends the atom's y, or ""
    pause : s a label
    """

    implemented_properties: ClassVar = ["energy", "forces"]
    default_parameters: ClassVar = {"log": "", "pause": 0.0}

    def label_identity(self):
        return "unruly"

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        x, y = atoms.positions[0, :2]
        if self.parameters.log:
            with open(self.parameters.log, "a", encoding="ascii") as file:
                file.write(f"{float(y)!r}\n")
        time.sleep(self.parameters.pause)
        match int(x):
            case 1:
                time.sleep(600)
            case 2:
                ctypes.string_at(0)
            case 3:
                os.kill(os.getpid(), signal.SIGKILL)
            case 4:
                raise SCFError("no luck")
            case 5:
                raise RuntimeError("SCF did not converge in 60 steps")
            case 6:
                raise CalculationFailed("exit code 7")
        self.results = {"energy": 0.5 * np.sum(atoms.positions**2), "forces": -atoms.positions}
        if int(x) == 7:
            self.results["forces"] = self.results["forces"] * np.nan
        if int(x) == 8:
            self.results["forces"] = np.zeros((3, 3))
        if int(x) == 9:
            self.converged = False


def unruly(log="", pause=0.0):
    return Unruly(log=str(log), pause=pause)


class Threads(Calculator):
    """Its energy is the number of cores that it may use."""

    implemented_properties: ClassVar = ["energy", "forces"]

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": float(available_threads()), "forces": np.zeros((len(atoms), 3))}


def absent():
    raise ImportError("no such code here")
