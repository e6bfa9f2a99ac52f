"""From a poor model to a certified one: predict the error on a large cell from a few labels, and refine to a target."""

from ase_mlipgen import EAM2D, ACEBasis, DefectTrainer, Vacancy, simulation_cell, triangular_lattice
from ase_mlipgen.refinement import refinement
from ase_mlipgen.theory import compare

TARGET = 1e-5  # Å, of the geometry error ||D(u_ref - u_sur)||

crystal = triangular_lattice("W", 2.72711)
basis = ACEBasis(["W"], order=3, degree=10, cutoff=6.0)  # 110 functions
trainer = DefectTrainer(
    crystal, Vacancy(), EAM2D(), basis, size=6, n_train=30, n_test=10, matching=None, rtol=1e-4, fmax=1e-7
)
result = trainer.run()
print(f"force error on the test samples: {1e3 * result.errors.force_rmse:.1f} meV/Å")

sheet, perfect = (simulation_cell(crystal, d, size=36, separation=12) for d in ([Vacancy(), Vacancy()], []))
for found in refinement(result, sheet, TARGET):
    certificate = found.certificate
    # A user has no reference here: this is the truth that the certificate is held against.
    true = compare(EAM2D(), found.result.calculator, sheet, perfect, fmax=1e-7)
    print(f"round {found.number}, {len(found.result.calculator.basis)} functions, {certificate.verdict}")
    print(
        f"  geometry error:         certified {certificate.geometry_error:.1e}, true {true.geometry_error:.1e} Å"
    )
    print(
        f"  formation energy error: certified {certificate.formation_energy_error:+.1e}, "
        f"true {true.formation_energy_error:+.1e} eV"
    )
found.result.calculator.save("W_certified.json")
