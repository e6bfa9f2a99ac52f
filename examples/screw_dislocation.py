"""A screw dislocation in bcc tungsten, by reference and by a model that has seen vacancies only.

matscipy builds the dislocation from elastic constants. Matching the force constants in a cell that is as wide as they
reach hands these to the model exactly, and with them the far field. The core is extrapolated from wide displacements
and stresses, and compared: energies, positions, and the differential displacements that show its shape.
"""

import matplotlib.pyplot as plt
import numpy as np
from ase import units
from ase.build import bulk
from matscipy.dislocation import BCCScrew111Dislocation
from matscipy.elasticity import Voigt_6x6_to_cubic, full_3x3x3x3_to_Voigt_6x6
from matscipy.neighbours import neighbour_list

from ase_mlipgen import EAM2D, ACEBasis, DefectTrainer, Vacancy
from ase_mlipgen.defects import relax
from ase_mlipgen.report.style import GREY, MODEL, REFERENCE, SETTINGS

A = 3.164849145  # Å, the lattice constant of the reference
crystal = bulk("W", a=A)
basis = ACEBasis(["W"], order=3, degree=14, cutoff=6.0)
# Nine cells: 12 Å to the nearest point midway to an image, as far as force constants reach.
options = {"n_perfect": 15, "amplitude": 0.2, "observations": ("energy", "forces", "stress")}
trainer = DefectTrainer(crystal, Vacancy(), EAM2D(), basis, 9, 5, 5, uncertainty=False, **options)
models = {"reference": EAM2D(), "model": trainer.run().calculator}

for name, calculator in models.items():
    C = full_3x3x3x3_to_Voigt_6x6(calculator.get_elastic_constants(crystal) / units.GPa)
    constants = Voigt_6x6_to_cubic(C)
    print(f"{name}: C11, C12, C44 = {constants[0]:.4f}, {constants[1]:.4f}, {constants[2]:.4f} GPa")
screw = BCCScrew111Dislocation(A, *constants, symbol="W")
perfect, start = screw.build_cylinder(25.0, fix_width=8.0, method="adsl", verbose=False)
perfect.pbc = start.pbc = (False, False, True)
relaxed = {name: relax(start, calculator, fmax=1e-4) for name, calculator in models.items()}
centre = np.array(start.info["core_positions"][0])[:2]
near = np.linalg.norm(perfect.positions[:, :2] - centre, axis=1) < 12.0
for name, found in relaxed.items():
    sites = models[name].get_property("energies", found.atoms) - models[name].get_potential_energy(crystal)
    energy = found.energy - found.initial_energy
    print(f"{name}: {sites[near].sum():.3f} eV within 12 Å a Burgers vector, by relaxation {energy:.4f} eV")
moved = relaxed["model"].atoms.positions - relaxed["reference"].atoms.positions
print(f"error of the positions: largest {np.linalg.norm(moved, axis=1).max():.4f} Å")

plt.rcParams.update(SETTINGS)
figure, panels = plt.subplots(1, 2, sharey=True, figsize=(6.5, 3.7), layout="constrained")
i, j, D = neighbour_list("ijD", perfect, 0.95 * A)
b, across = np.linalg.norm(screw.burgers), np.linalg.norm(D[:, :2], axis=1)
for axes, (name, found), color in zip(panels, relaxed.items(), (REFERENCE, MODEL), strict=True):
    u = found.atoms.positions[:, 2] - perfect.positions[:, 2]
    step = (u[j] - u[i] + b / 2) % b - b / 2  # the differential displacement: b/3 joins two atoms
    show = (step > 0.02 * b) & (across > 0.1)
    arrows = D[show, :2] * (3 * step[show] / b)[:, None]
    tails = perfect.positions[i[show], :2] - centre + D[show, :2] / 2 - arrows / 2
    axes.quiver(*tails.T, *arrows.T, color=color, angles="xy", scale_units="xy", scale=1, width=0.008)
    axes.scatter(*(perfect.positions[:, :2] - centre).T, s=12, color=GREY)
    axes.set(xlim=(-8, 8), ylim=(-8, 8), aspect="equal", title=name, xlabel=r"$[11\bar{2}]$ (Å)")
panels[0].set_ylabel(r"$[\bar{1}10]$ (Å)")
figure.savefig("screw_dislocation.png", dpi=150)
