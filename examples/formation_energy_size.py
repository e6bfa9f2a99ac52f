"""How large a cell must be: the formation energy of a vacancy against size, by reference and model, extrapolated.

The image interaction of a point defect falls off with the volume of the cell, so that a line in 1/N meets the infinite
crystal at 1/N = 0. The model is trained on the smallest cell; whether it costs labels of large ones is then a question
of what it gets wrong beyond that, and that is printed.
"""

import matplotlib.pyplot as plt
import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT

from ase_mlipgen import ACEBasis, DefectTrainer, Vacancy, simulation_cell
from ase_mlipgen.report.style import MODEL, REFERENCE, SETTINGS
from ase_mlipgen.theory import compare

SIZES = (2, 3, 4, 5, 6)
TRAINED = 3

crystal = bulk("Cu", cubic=True, a=3.58982559)  # the minimum of EMT
basis = ACEBasis(["Cu"], order=3, degree=12, cutoff=5.0)
result = DefectTrainer(crystal, Vacancy(), EMT, basis, TRAINED, n_train=30, n_test=10, n_perfect=5).run()

atoms, found = [], []
for size in SIZES:
    cell, perfect = (simulation_cell(crystal, defects, size, size) for defects in ([Vacancy()], []))
    found.append(compare(EMT(), result.calculator, cell, perfect, fmax=1e-5))
    atoms.append(len(perfect))
    print(
        f"{len(perfect):4d} sites: reference {found[-1].formation_energy_reference:.6f} eV, "
        f"error of the model {1e3 * found[-1].formation_energy_error:+.4f} meV"
    )

inverse = 1 / np.array(atoms)
energies = {
    "reference": np.array([c.formation_energy_reference for c in found]),
    "model": np.array([c.formation_energy_surrogate for c in found]),
}
plt.rcParams.update(SETTINGS)
figure, (axes, below) = plt.subplots(2, sharex=True, figsize=(4.5, 4.5), layout="constrained")
for (name, E), color, marker in zip(energies.items(), (REFERENCE, MODEL), ("o", "x"), strict=True):
    slope, limit = np.polyfit(inverse[-3:], E[-3:], 1)
    print(f"{name}: {limit:.5f} eV in the infinite crystal, from the largest three")
    axes.plot(inverse, E, marker, color=color, label=name)
    axes.plot([0, inverse[-3]], [limit, limit + slope * inverse[-3]], color=color, linewidth=0.8)
axes.set(ylabel="formation energy (eV)")
axes.legend()
below.semilogy(inverse, 1e3 * abs(energies["model"] - energies["reference"]), "o-", color=MODEL)
below.axvline(inverse[SIZES.index(TRAINED)], color="0.8", zorder=0)
below.set(xlabel="1 / number of sites (grey: the training cell)", ylabel="error (meV)", xlim=(0, None))
figure.savefig("formation_energy_size.png", dpi=150)
