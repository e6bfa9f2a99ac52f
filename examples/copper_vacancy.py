"""A vacancy in fcc copper, labelled by ASE's EMT: train on 3^3 cells, predict the formation energy on 6^3 cells."""

from ase.build import bulk
from ase.calculators.emt import EMT

from ase_mlipgen import ACEBasis, DefectTrainer, Vacancy, simulation_cell
from ase_mlipgen.theory import compare

crystal = bulk("Cu", cubic=True, a=3.58982559)  # the minimum of EMT
basis = ACEBasis(["Cu"], order=3, degree=12, cutoff=5.0)
result = DefectTrainer(crystal, Vacancy(), EMT, basis, size=3, n_train=30, n_test=10, n_perfect=5).run()
print(result)

large = simulation_cell(crystal, [Vacancy()], size=6, separation=3)
perfect = simulation_cell(crystal, [], size=6, separation=3)
found = compare(EMT(), result.calculator, large, perfect)
print(f"formation energy: EMT {found.formation_energy_reference:.5f} eV")
print(f"error of the model: {1e3 * found.formation_energy_error:+.4f} meV")
