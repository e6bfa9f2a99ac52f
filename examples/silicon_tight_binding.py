"""Electrons as the reference: silicon by NRL tight binding, a potential for its vacancy, bands, density of states."""

from functools import partial

import matplotlib.pyplot as plt
from ase.build import bulk

from ase_mlipgen import ACEBasis, DefectTrainer, Vacancy, simulation_cell
from ase_mlipgen.calculators.nrltb import NRLTB
from ase_mlipgen.theory import compare

A = 5.4264  # Å, the lattice constant of these parameters
# kT in eV; 2 x 2 x 2 k-points in both cells below, which are too small for several threads.
reference = partial(NRLTB, "Si", kT=0.1, kpts={"density": 3.0}, threads=1)

crystal = bulk("Si", cubic=True, a=A)
basis = ACEBasis(["Si"], order=3, degree=14, cutoff=5.4)
result = DefectTrainer(crystal, Vacancy(), reference, basis, size=2, n_train=25, n_test=5, n_perfect=3).run()
print(result)

large = simulation_cell(crystal, [Vacancy()], size=3, separation=3)
perfect = simulation_cell(crystal, [], size=3, separation=3)
found = compare(reference(), result.calculator, large, perfect)
print(found)
print(f"formation energy: tight binding {found.formation_energy_reference:.3f} eV")
print(
    f"error of the model: {found.formation_energy_error:+.3f} eV"
)  # the electrons' own effect of the cell's size

primitive = bulk("Si", a=A)
electrons = NRLTB("Si", kT=0.025, kpts={"size": (8, 8, 8), "gamma": True})
bands = electrons.get_band_structure(primitive, "LGXUG", npoints=150)
states = electrons.get_dos(primitive, kpts=(16, 16, 16))
print(f"gap: {electrons.get_band_gap(primitive):.2f} eV")

figure, (left, right) = plt.subplots(1, 2, sharey=True, width_ratios=[3, 1], layout="constrained")
bands.plot(ax=left, emin=-8, emax=14)
spectrum = states.sample_grid(npts=1000, width=0.1)
right.plot(spectrum.get_weights(), spectrum.get_energies())
right.set_xlabel("states an eV")
figure.savefig("silicon.png", dpi=150)
