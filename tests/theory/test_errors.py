"""Errors over labelled cells against their definitions, computed in the plainest way."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from ase_mlipgen import ACEBasis, LinearACE, Vacancy, training_cell
from ase_mlipgen.defects import displaced
from ase_mlipgen.fit import LinearFit
from ase_mlipgen.fit.one_body import average_E0
from ase_mlipgen.labels import label
from ase_mlipgen.result import TrainingCell
from ase_mlipgen.theory.errors import DEFINITIONS, Errors, measure
from ase_mlipgen.theory.norms import bonds, laplacian

COPPER = bulk("Cu", cubic=True, a=3.59)
FIT = LinearFit(np.zeros(1), 3, 5, 70, 1e-6, "column", 0.0, np.ones(1))


@pytest.fixture(scope="module")
def case():
    start, perfect = training_cell(COPPER, Vacancy(), 2), training_cell(COPPER, None, 2)
    rng = np.random.default_rng(0)
    samples = [displaced(start, 0.05, rng) for _ in range(3)]
    labelled = label([(s, "defect", "vacancy") for s in samples], EMT())
    basis = ACEBasis(["Cu"], order=2, degree=6, cutoff=4.0)
    model = LinearACE(basis, 1e-2 * rng.normal(size=len(basis)))
    cells = [TrainingCell("vacancy, L = 2", "vacancy", 2, start, start, perfect, 0, 0.0)]
    return model, labelled, cells


def test_definitions(case):
    model, labelled, cells = case
    found = measure(model, labelled, cells, FIT, 0.25)
    dE, dF, dual = [], [], []
    inverse = np.linalg.pinv(laplacian(bonds(cells[0].unrelaxed)).toarray())
    for cell in labelled:
        atoms = cell.atoms.copy()
        atoms.calc = model
        dE.append(cell.energy - atoms.get_potential_energy())
        dF.append(cell.forces - atoms.get_forces())
        dual.append(np.sqrt(np.einsum("ia,ij,ja->", dF[-1], inverse, dF[-1])))
    assert found.energy_rmse == pytest.approx(np.sqrt(np.mean(np.square(dE))) / 31)
    assert found.force_rmse == pytest.approx(np.sqrt(np.mean(np.square(dF))))
    assert found.eps_E == pytest.approx(np.abs(dE).max())
    assert found.eps_F == pytest.approx(max(dual), rel=1e-9)
    assert found.eps_F_rmse == pytest.approx(np.sqrt(np.mean(np.square(dual))), rel=1e-9)
    assert found.force_constants_percent == 0.25
    assert (found.n_cells, found.n_functions, found.n_rows, found.rank) == (3, 5, 70, 3)
    nearest = min(np.sort(cell.atoms.get_all_distances(mic=True), axis=1)[:, 1].min() for cell in labelled)
    assert found.closest_distance == pytest.approx(nearest)


def test_no_cells_no_numbers(case):
    model, _, cells = case
    found = measure(model, [], cells, FIT, 0.25)
    assert np.isnan(found.energy_rmse)
    assert np.isnan(found.eps_F)
    assert found.n_cells == 0


def test_every_definition_is_an_error():
    assert set(DEFINITIONS) <= set(Errors.__dataclass_fields__)


def test_average_E0_recovers_additive_energies():
    """Closed form: energies that are sums over atoms."""

    class Additive:
        def __init__(self, symbols):
            self.atoms = COPPER.copy()[: len(symbols)]
            self.atoms.symbols = symbols
            self.energy = sum({"Cu": -3.7, "Ag": -2.5}[s] for s in symbols)

    cells = [Additive(["Cu"] * 4), Additive(["Cu", "Cu", "Ag", "Cu"]), Additive(["Ag", "Cu"])]
    found = average_E0(cells, ("Cu", "Ag", "Au"))
    assert found == pytest.approx({"Cu": -3.7, "Ag": -2.5, "Au": 0.0}, abs=1e-12)
