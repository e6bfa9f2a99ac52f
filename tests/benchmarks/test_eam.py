"""EAM2D on the planar tungsten sheet, every atom 0.05 Å off its place: LAMMPS and matscipy beside it.

All evaluate the same 6 Å potential and give energy, forces and virial. LAMMPS and matscipy read it from the setfl file
that EAM2D writes; "analytic" is EAM2D without a file, "tables" EAM2D reading that file. Ours is timed as the evaluation
of a kept list, and as a step of ASE, `atoms.get_forces()` with all atoms moved 0.01 Å and the list checked and kept. A
step of LAMMPS checks and keeps its list too; matscipy builds one in each call (timed on the small sheet, it costs as
much an atom on the large one).
"""

from itertools import cycle

import numpy as np
import pytest
from matscipy.calculators.eam import EAM

from ase_mlipgen.calculators.eam2d import EAM2D
from tests.benchmarks import apart
from tests.benchmarks.models import moves_in_plane, sheet
from tests.benchmarks.races import Record, at_least, at_most
from tests.oracles import lammps_oracle

GROUP = "EAM2D, planar tungsten, list kept, one thread"
THREADS = "EAM2D against threads, planar tungsten, list kept"
MILLION = "EAM2D, a million atoms of the sheet, list built, one thread"
SIZES = {"1,000 atoms": (25, 20), "32,400 atoms": (180, 90), "160,000 atoms": (400, 200)}
# Of energies and forces in eV and eV/Å: a spline read twice, and a function beside its spline of 10,001 points.
TOLERANCES = {"tables": 1e-8, "analytic": 1e-6}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("eam") / "W.eam.alloy"
    EAM2D().write_setfl(path)
    return str(path)


def step(calculator, atoms):
    """Return a call of ASE with all atoms moved, there and back."""
    atoms = atoms.copy()
    atoms.calc = calculator
    places = cycle([atoms.positions + moves_in_plane(atoms, 0.01), atoms.positions.copy()])

    def call():
        atoms.positions = next(places)
        return atoms.get_forces()

    return call


class Lammps:
    """LAMMPS with the atoms at rest: a step of no motion gives energy, forces and virial, the list checked."""

    def __init__(self, atoms, path):
        self.lmp, self.prism = lammps_oracle.start(
            atoms, ["W"], ["pair_style eam/alloy", f"pair_coeff * * {path} W"]
        )
        self.lmp.commands_list(["thermo 1", "neigh_modify every 1 delay 0 check yes", "run 0"])

    def compute(self):
        self.lmp.command("run 1 pre no post no")
        return self.lmp.get_thermo("pe")

    def forces(self):
        return self.prism.vector_to_ase(np.array(self.lmp.gather_atoms("f", 1, 3)).reshape(-1, 3))


def same_function(atoms, calculator, energies, forces, tolerance):
    """Hold energies an atom and forces of peers to ours."""
    found = calculator.evaluate(*calculator._inputs(atoms))
    for theirs in energies:
        assert abs(theirs - found.energies_i.sum()) < tolerance * len(atoms)
    for theirs in forces:
        np.testing.assert_allclose(theirs, found.forces, rtol=0, atol=tolerance)


def evaluation(calculator, atoms):
    inputs = calculator._inputs(atoms)
    return lambda: calculator.evaluate(*inputs)


@pytest.mark.parametrize("way", [evaluation, step])
@pytest.mark.parametrize("form", ["analytic", "tables"])
@pytest.mark.parametrize("size", ["1,000 atoms", "32,400 atoms"])
def test_beside_lammps(race, size, form, way, path, request):
    atoms = sheet(SIZES[size])
    calculator = EAM2D(None if form == "analytic" else path, threads=1)
    lammps = Lammps(atoms, path)
    request.addfinalizer(lammps.lmp.close)
    peers, energies, forces = {"LAMMPS": lammps.compute}, [lammps.compute()], [lammps.forces()]
    if size == "1,000 atoms":
        matscipy, at_rest = EAM(path), atoms.copy()
        at_rest.calc = matscipy
        energies.append(at_rest.get_potential_energy())
        forces.append(at_rest.get_forces())
        peers["matscipy, list built each call"] = step(matscipy, atoms)
    same_function(atoms, calculator, energies, forces, TOLERANCES[form])
    case = f"{size}, {form}{', a step through ASE' if way is step else ''}"
    bar = at_least(1, "LAMMPS") if len(atoms) > 10_000 else None  # below, ASE's own checks are most of a step
    race(GROUP, case, way(calculator, atoms), peers, units=len(atoms), bar=bar, seconds=2)


@pytest.mark.parametrize(("size", "bar"), [("32,400 atoms", None), ("160,000 atoms", 1.7)])
def test_two_threads(race, size, bar):
    atoms = sheet(SIZES[size])
    two, one = EAM2D(threads=2), EAM2D(threads=1)
    inputs = one._inputs(atoms)
    for found, expected in zip(two.evaluate(*inputs), one.evaluate(*inputs), strict=True):
        np.testing.assert_array_equal(found, expected)  # every bit
    race(
        THREADS,
        f"{size}, 2 threads",
        lambda: two.evaluate(*inputs),
        {"one thread": lambda: one.evaluate(*inputs)},
        units=len(atoms),
        bar=at_least(bar, "one thread") if bar else None,
    )


@pytest.mark.slow
def test_million_atoms(measuring, keep):
    """In a process of its own, so that the peak is its own (see `million_sheet`)."""
    found = apart.run("million_sheet")
    parts = {"list": found["list"], "energy and forces": found["evaluation"]}
    total = sum(parts.values())
    keep(Record(MILLION, f"{found['atoms']} atoms", "s", total, parts=parts, bar=at_most(30)))
    keep(Record(MILLION, "peak memory", "GB", found["peak"], bar=at_most(4)))
