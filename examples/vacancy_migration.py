"""How a vacancy moves: the barrier along the minimum energy path, by reference and model.

A model that has seen vacancies at rest extrapolates at the saddle point. With the saddle among the defects, as a cell
with an atom halfway between two empty sites, it is matched there too. Symmetry keeps the relaxation on the ridge as
long as fmax is not too small; that the saddle is not stable is no error here: on_unstable="warn".
"""

from copy import deepcopy

import matplotlib.pyplot as plt
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.mep import NEB
from ase.optimize import FIRE
from ase.utils.forcecurve import fit_images

from ase_mlipgen import ACEBasis, DefectTrainer, Vacancy
from ase_mlipgen.defects import relax
from ase_mlipgen.report.style import GREY, MODEL, REFERENCE, SETTINGS

SIZE, N_IMAGES = 3, 5
crystal = bulk("Cu", cubic=True, a=3.58982559)  # the minimum of EMT
basis = ACEBasis(["Cu"], order=3, degree=12, cutoff=5.0)

start = crystal * SIZE
neighbour = int(start.get_distances(0, range(1, len(start)), mic=True).argmin()) + 1
vector = start.get_distance(0, neighbour, mic=True, vector=True)
saddle = start.copy()
saddle.positions[neighbour] -= vector / 2
del saddle[0]
start, end = start[1:], start[1:]
end.positions[neighbour - 1] -= vector

options = {"n_train": 20, "n_test": 10, "n_perfect": 3, "fmax": 1e-3, "on_unstable": "warn"}
models = {"reference": EMT()}
for name, defects in (("trained at rest", [Vacancy()]), ("and at the saddle", [Vacancy(), saddle])):
    trainer = DefectTrainer(crystal, defects, EMT, basis, SIZE, uncertainty=False, **options)
    models[name] = trainer.run().calculator

plt.rcParams.update(SETTINGS)
figure, axes = plt.subplots(figsize=(4.5, 3), layout="constrained")
barriers = {}
for (name, calculator), style in zip(models.items(), (REFERENCE, GREY, MODEL), strict=True):
    ends = [relax(atoms, calculator, fmax=1e-4).atoms for atoms in (start, end)]
    images = [ends[0].copy() for _ in range(N_IMAGES - 1)] + [ends[1]]
    path = NEB(images, climb=True, method="improvedtangent")
    path.interpolate(mic=True)
    for image in images:
        image.calc = deepcopy(calculator)  # each keeps its own list of neighbours
    FIRE(path, logfile=None).run(fmax=0.02, steps=200)
    fit = fit_images(images)
    barriers[name] = fit.energies.max()
    label, width = f"{name}: {barriers[name]:.3f} eV", 1.4 if len(barriers) > 1 else 4
    axes.plot(fit.fit_path, fit.fit_energies, color=style, label=label, linewidth=width)
    error = 1e3 * (barriers[name] - barriers["reference"])
    print(f"{name}: barrier {barriers[name]:.4f} eV, error {error:+.2f} meV")
axes.set(xlabel="path (Å)", ylabel="energy (eV)")
axes.legend(loc="lower center")
figure.savefig("vacancy_migration.png", dpi=150)
