"""File-based calculators of three kinds around a little program, a spring; and codes that may be installed here."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, FileIOCalculator, all_changes
from ase.calculators.genericfileio import BaseProfile, CalculatorTemplate, GenericFileIOCalculator

SILICON = "Si.pz-vbc.UPF"
PROGRAM = """
import sys, time
name = sys.argv[1]
text = open(name).read()
x = [[float(word) for word in line.split()] for line in text.splitlines()]
print("spring begins")
sys.stdout.flush()
time.sleep(0.02)
if x[0][0] > 1000:
    time.sleep(60)
if x[0][0] > 100:
    print("convergence NOT achieved after 2 iterations: stopping")
    print("goodbye")
    sys.exit(2)
# Whoever else writes into this folder is found out.
assert text == open(name).read(), "somebody else writes here"
with open("forces", "w") as file:
    file.writelines(" ".join(repr(-c) for c in row) + chr(10) for row in x)
print("done")
"""


def run(directory, command):
    path = Path(directory)
    (path / "spring.py").write_text(PROGRAM)
    code = os.system(f"cd {path} && {command} > out.txt 2> err.txt")
    if code:
        raise RuntimeError(f"spring ended with {code >> 8}")


def results(directory):
    forces = np.loadtxt(Path(directory) / "forces", ndmin=2)
    energy = 0.5 * float(np.sum(forces**2))
    return {"energy": energy + 1.0, "free_energy": energy, "forces": forces}


class SpringProfile(BaseProfile):
    """Says its version and where its tables are."""

    said = "1.5"

    def __init__(self, command, tables=""):
        super().__init__(command)
        self.tables = tables

    def get_calculator_command(self, inputfile):
        return ["spring.py", inputfile]

    def version(self):
        return self.said


class SpringTemplate(CalculatorTemplate):
    def __init__(self):
        super().__init__("spring", ["energy", "free_energy", "forces"])

    def write_input(self, profile, directory, atoms, parameters, properties):
        parameters["defaults"] = "written"  # as templates of ASE do
        np.savetxt(directory / "in.txt", atoms.positions, fmt="%.17g")

    def execute(self, directory, profile):
        run(directory, f"{profile.command} -S -E spring.py in.txt")

    def read_results(self, directory):
        return results(directory)

    def load_profile(self, cfg):
        raise NotImplementedError


class NewSpring(GenericFileIOCalculator):
    def __init__(self, directory=".", tables="", command=sys.executable, **parameters):
        profile = SpringProfile(command, tables)
        super().__init__(
            template=SpringTemplate(), profile=profile, directory=directory, parameters=parameters
        )


class OldSpring(FileIOCalculator):
    name = "spring"
    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012

    def __init__(self, **keywords):
        super().__init__(command=f"{sys.executable} -S -E spring.py in.txt", **keywords)

    def write_input(self, atoms, properties=None, system_changes=None):
        super().write_input(atoms, properties, system_changes)
        np.savetxt(Path(self.directory) / "in.txt", atoms.positions, fmt="%.17g")

    def execute(self):
        run(self.directory, self.command)

    def read_results(self):
        self.results = results(self.directory)


class CommandSpring(Calculator):
    """As Vasp: of neither kind, with a command and a directory."""

    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012
    command = f"{sys.executable} -S -E spring.py in.txt"

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        np.savetxt(Path(self.directory) / "in.txt", atoms.positions, fmt="%.17g")
        run(self.directory, self.command)
        self.results = results(self.directory)


def need_quantum_espresso():
    """Skip the calling test without pw.x, or without the pseudopotential of silicon."""
    from examples.references.quantum_espresso import pseudo_dir

    if shutil.which("pw.x") is None:
        pytest.skip("pw.x is not on the PATH: install Quantum ESPRESSO")
    try:
        pseudo_dir([SILICON])
    except FileNotFoundError as error:
        pytest.skip(str(error))
