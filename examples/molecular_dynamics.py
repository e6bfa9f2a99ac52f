"""A trained potential as an ASE calculator: save, load, run molecular dynamics, watch energy and extrapolation."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ase import units
from ase.md.verlet import VelocityVerlet

from ase_mlipgen import (
    EAM2D,
    ACEBasis,
    DefectTrainer,
    ExtrapolationWatch,
    LinearACE,
    Vacancy,
    triangular_lattice,
)

crystal = triangular_lattice("W", 2.72711)
basis = ACEBasis(["W"], order=3, degree=12, cutoff=6.0)
result = DefectTrainer(crystal, Vacancy(), EAM2D(), basis, size=8, n_train=40, n_test=10, amplitude=0.1).run()

with TemporaryDirectory() as folder:
    path = result.calculator.save(Path(folder) / "W.json")
    atoms = result.cells[0].relaxed.copy()
    atoms.calc = LinearACE.load(path)

spread = np.sqrt(atoms.get_masses() * 300 * units.kB)[:, None] * [1, 1, 0]  # 300 K; the sheet stays flat
atoms.set_momenta(np.random.default_rng(0).normal(size=(len(atoms), 3)) * spread)
energies = []
dynamics = VelocityVerlet(atoms, timestep=1.0 * units.fs)
dynamics.attach(lambda: energies.append(atoms.get_total_energy()), interval=10)
watch = ExtrapolationWatch(atoms).attach(dynamics, interval=20)  # warns where atoms leave the training data
dynamics.run(200)
print(f"largest change of the total energy: {np.ptp(energies) / len(atoms):.2e} eV/atom in 0.2 ps")
print(watch)
