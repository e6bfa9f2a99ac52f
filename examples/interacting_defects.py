"""Two vacancies near one another: their binding energy against distance, and where single defects no longer teach it.

A model that is trained on one vacancy knows the far field of a pair, which is the sum of two, but no site that sees
both. Its error falls by orders of magnitude once the cores do not share a neighbourhood. Where they do, the pair is
a defect of its own: a small cell with it is all that is missing.
"""

import matplotlib.pyplot as plt
import numpy as np

from ase_mlipgen import EAM2D, ACEBasis, DefectTrainer, Vacancy, simulation_cell, triangular_lattice
from ase_mlipgen.report.style import GREY, MODEL, REFERENCE, SETTINGS
from ase_mlipgen.theory import compare

R0, SIZE, FAR = 2.72711, 30, 15
DISTANCES = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, FAR]
crystal = triangular_lattice("W", R0)
basis = ACEBasis(["W"], order=3, degree=14, cutoff=6.0)
perfect = simulation_cell(crystal, [], SIZE, SIZE)


def pair(distance, size=SIZE):
    return simulation_cell(crystal, [Vacancy(), Vacancy()], size, 1, translations=[[0, 0], [distance, 0]])


pairs = [pair(1, 8), pair(2, 8)]
energies = {}
for name, defects in (("one vacancy", [Vacancy()]), ("pairs too", [Vacancy(), *pairs])):
    model = DefectTrainer(crystal, defects, EAM2D(), basis, 8, n_train=40, n_test=10).run().calculator
    found = [compare(EAM2D(), model, pair(d), perfect, fmax=1e-7) for d in DISTANCES]
    energies["reference"] = np.array([c.formation_energy_reference for c in found])
    energies[name] = np.array([c.formation_energy_surrogate for c in found])
# Of a pair as far apart as the cell allows, so that the size of the cell, the same for all, drops out.
binding = {name: E[-1] - E[:-1] for name, E in energies.items()}

trained = ("one vacancy", "pairs too")
error = {name: binding[name] - binding["reference"] for name in trained}
for k, d in enumerate(DISTANCES[:-1]):
    errors = ", ".join(f"{1e3 * error[name][k]:+.4f} meV ({name})" for name in trained)
    print(f"{d:2d} r0: binding energy {1e3 * binding['reference'][k]:8.3f} meV; error {errors}")

plt.rcParams.update(SETTINGS)
figure, axes = plt.subplots(figsize=(4.5, 3.2), layout="constrained")
x = DISTANCES[:-1]
axes.semilogy(x, np.abs(binding["reference"]), "o-", color=REFERENCE, label="|binding energy|")
for name, color in zip(trained, (GREY, MODEL), strict=True):
    axes.semilogy(x, np.abs(error[name]), "x--", color=color, label=f"|error|, {name}")
axes.axvline(2 * basis.cutoff / R0, color="0.8", zorder=0)
axes.set(xlabel="distance (r0; grey: twice the cutoff)", ylabel="energy (eV)")
axes.legend()
figure.savefig("interacting_defects.png", dpi=150)
