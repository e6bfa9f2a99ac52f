"""Speed of EAM2D on the planar tungsten sheet, one thread, neighbour list kept: LAMMPS and matscipy beside it.

Run with `pytest tests/benchmarks --benchmark-enable`. All codes evaluate the same 6 Å potential, LAMMPS, matscipy and
"tables" from the same file; all give energy, forces and virial; matscipy lists its neighbours each time. "calculator"
is a call of ASE with atoms moved, "kernel" the evaluation of a list of pairs alone.
"""

import statistics
import time

import numpy as np
import pytest
from matscipy.calculators.eam import EAM

from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.defects.lattices import triangular_lattice
from tests.oracles import lammps_oracle

SIZES = {1000: (25, 20), 32400: (180, 90)}
CODES = [
    "lammps",
    "analytic, calculator",
    "analytic, kernel",
    "tables, calculator",
    "tables, kernel",
    "matscipy",
]
PROPERTIES = ["energy", "forces", "stress"]


def sheet(n):
    atoms = triangular_lattice("W", 2.72711, SIZES[n])
    atoms.positions += np.random.default_rng(0).normal(0, 0.05, atoms.positions.shape) * atoms.pbc
    return atoms


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("eam") / "W.eam.alloy"
    EAM2D().write_setfl(path)
    return str(path)


def calls(calculator, atoms):
    """Return a function that evaluates atoms moved a little, as a relaxation does."""

    def call():
        atoms.positions[0, 0] += 1e-9
        calculator.calculate(atoms, PROPERTIES, ["positions"])
        return calculator.results["energy"]

    return call


def lammps_steps(lmp):
    """Return a function that makes one step of no motion: energy, forces, virial, list checked."""

    def step():
        lmp.command("run 1 pre no post no")
        return lmp.get_thermo("pe")

    lmp.commands_list(["thermo 1", "neigh_modify every 1 delay 0 check yes", "run 0"])
    return step


def runner(code, atoms, path, request):
    """Return what is timed; it returns the energy."""
    if code == "lammps":
        lmp, _ = lammps_oracle.start(atoms, ["W"], ["pair_style eam/alloy", f"pair_coeff * * {path} W"])
        request.addfinalizer(lmp.close)
        return lammps_steps(lmp)
    if code == "matscipy":
        return calls(EAM(path), atoms)
    calculator = EAM2D(None if code.startswith("analytic") else path, threads=1)
    if code.endswith("calculator"):
        return calls(calculator, atoms)
    inputs = calculator._inputs(atoms)
    return lambda: calculator.evaluate(*inputs).energies_i.sum()


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("code", CODES)
def test_sheet(benchmark, n, code, path, request):
    atoms = sheet(n)
    expected = EAM2D(path).get_potential_energy(atoms)
    benchmark.group = f"{n} atoms"
    assert benchmark(runner(code, atoms, path, request)) == pytest.approx(expected, abs=1e-7 * n)


def median_times(functions, rounds=30):
    """Return median times, the functions called in turn."""
    seconds = [[] for _ in functions]
    for _ in range(rounds):
        for function, taken in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]


@pytest.mark.parametrize("code", ["analytic, calculator", "tables, calculator"])
def test_no_slower_than_lammps(code, path, request):
    atoms = sheet(32400)
    theirs, ours = (runner(name, atoms.copy(), path, request) for name in ("lammps", code))
    lammps, mine = median_times([theirs, ours])
    print(f"\n{code}: {1e3 * mine:.2f} ms, LAMMPS {1e3 * lammps:.2f} ms, ratio {mine / lammps:.2f}")
    assert mine <= lammps


def test_million_atoms():
    """Energy and forces, list built, in less than 30 s (the memory: watch the process)."""
    atoms = triangular_lattice("W", 2.72711, (1000, 500))
    atoms.calc = EAM2D()
    start = time.perf_counter()
    atoms.get_forces()
    assert time.perf_counter() - start < 30
