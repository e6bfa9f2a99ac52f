"""Phonons of silicon: what a matching condition on force constants promises, and what a fit without it gives."""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from ase import units
from ase.build import bulk
from ase.phonons import Phonons
from matscipy.calculators.manybody import Manybody
from matscipy.calculators.manybody.explicit_forms import Kumagai
from matscipy.calculators.manybody.explicit_forms.kumagai import Kumagai_Comp_Mat_Sci_39_Si

from ase_mlipgen import ACEBasis, DefectTrainer, Vacancy
from ase_mlipgen.report.style import GREY, MODEL, REFERENCE, SETTINGS

THZ = units._hplanck / units._e * 1e12  # eV
A = 5.4289  # Å, the lattice constant of the reference
reference = partial(Manybody, **Kumagai(Kumagai_Comp_Mat_Sci_39_Si))

crystal = bulk("Si", cubic=True, a=A)
basis = ACEBasis(["Si"], order=3, degree=12, cutoff=4.0)
# Force constants reach twice the cutoff. In the cell of three lattice constants no two images fold into one number.
trainer = DefectTrainer(crystal, Vacancy(), reference, basis, size=3, n_train=15, n_test=5, n_perfect=3)
matched = trainer.run()
plain = trainer.refitted(None, 1e-6).run()
models = {"reference": reference(), "without matching": plain.calculator, "matched": matched.calculator}

primitive = bulk("Si", a=A)
path = primitive.cell.bandpath("GXWKGLUX", npoints=120)
bands = {}
for name, calculator in models.items():
    phonons = Phonons(primitive, calculator, supercell=(5, 5, 5), delta=1e-3, name=f"phonons {name}")
    phonons.run()
    phonons.read(acoustic=True)
    phonons.clean()
    bands[name] = phonons.band_structure(path.kpts, verbose=False) / THZ

for name in ("without matching", "matched"):
    error = np.sqrt(np.mean((bands[name] - bands["reference"]) ** 2))
    print(f"{name}: rms error of the frequencies {error:.1e} THz of {bands['reference'].max():.2f} THz")

plt.rcParams.update(SETTINGS)
figure, (axes, below) = plt.subplots(
    2, sharex=True, height_ratios=[3, 1], figsize=(5, 4.5), layout="constrained"
)
x, ticks, labels = path.get_linear_kpoint_axis()
for name, style in zip(models, ((REFERENCE, "-", 2.5), (GREY, ":", 1.2), (MODEL, "--", 1.2)), strict=True):
    lines = axes.plot(x, bands[name], color=style[0], linestyle=style[1], linewidth=style[2])
    lines[0].set_label(name)
    if name != "reference":
        below.semilogy(x, np.abs(bands[name] - bands["reference"]).max(axis=1), color=style[0])
axes.set(ylabel="frequency (THz)", ylim=(0, None))
below.set(ylabel="largest error (THz)", xlim=(x[0], x[-1]))
below.set_xticks(ticks, [label.replace("G", "Γ") for label in labels])
axes.legend(loc="lower left")
figure.savefig("silicon_phonons.png", dpi=150)
