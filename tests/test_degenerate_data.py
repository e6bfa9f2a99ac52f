"""Data that determine little, or contradict one another: a finite fit, the same each time, that says its rank."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from threadpoolctl import threadpool_limits

from ase_mlipgen import EAM2D, ACEBasis, DataTrainer, DefectTrainer, Vacancy, triangular_lattice
from ase_mlipgen.data import DataSet
from ase_mlipgen.fit import rows
from ase_mlipgen.fit.weights import Weights
from ase_mlipgen.labels import LabelledCell
from ase_mlipgen.threads import allow_threads

SHEET = triangular_lattice("W", 2.72711)
SMALL = ACEBasis(["W"], order=2, degree=6, cutoff=4.0)
LARGE = ACEBasis(["W"], order=3, degree=12, cutoff=4.0)
TWO_ELEMENTS = ACEBasis(["W", "Mo"], order=2, degree=6, cutoff=4.0)
FITS = [
    {"matching": None},
    {"matching": "exact"},
    {"matching": ("energies",), "weights": "theory"},
    {"matching": "exact", "weights": "theory"},
]
pytestmark = [
    pytest.mark.filterwarnings("ignore::ase_mlipgen.census.TrainingWarning"),
    pytest.mark.filterwarnings("ignore::ase_mlipgen.theory.stability.InstabilityWarning"),
]


def trainer(tampered=None, **changes):
    arguments = {
        "n_train": 3,
        "n_test": 2,
        "n_perfect": 2,
        "on_unstable": "warn",
        "progress": False,
        **changes,
    }
    basis = arguments.pop("basis", SMALL)
    found = DefectTrainer(SHEET, arguments.pop("defects", Vacancy()), EAM2D(), basis, 4, **arguments)
    if tampered is not None:
        train, test = found.label()
        found._kept["label"] = (tampered(train), test)
    return found


def twice(train):
    """Every label once more, the energy 1 eV above."""
    return [*train, *(replace(cell, energy=cell.energy + 1.0) for cell in train)]


def contradictory(train):
    """The same cells under both names; those of the second with an energy above, and forces turned around."""
    own = [cell for cell in train if cell.defect == "vacancy-1"]
    other = [replace(c, defect="vacancy-2", energy=c.energy + 1.0, forces=-c.forces) for c in own]
    return [*own, *other, *(cell for cell in train if not cell.defect)]


CASES = {
    "all samples identical, zero amplitude": {"amplitude": 0.0},
    "one sample": {"n_train": 1, "n_test": 0, "n_perfect": 0},
    "fewer rows than functions": {"n_train": 1, "n_perfect": 1, "basis": LARGE},
    "labels twice with different energies": {"tampered": twice},
    "two defects that contradict one another": {"defects": [Vacancy(), Vacancy()], "tampered": contradictory},
    "an element that never occurs": {"basis": TWO_ELEMENTS},
}


@pytest.mark.parametrize("fit", FITS, ids=lambda fit: f"{fit['matching']}, {fit.get('weights', 'numbers')}")
@pytest.mark.parametrize("case", CASES)
def test_a_finite_fit_the_same_each_time(case, fit):
    """And it says its rank, which is at most that of the rows, by singular values."""
    one, other = (trainer(**CASES[case], **fit) for _ in range(2))
    found, again = one.run(), other.run()
    model = found.calculator
    assert np.isfinite(model.coefficients).all()
    np.testing.assert_array_equal(model.coefficients, again.calculator.coefficients)
    np.testing.assert_array_equal(model.posterior.root, again.calculator.posterior.root)
    assert f"rank {found.fit.rank}" in str(found)
    # Fitted and matched directions; 1e-9 of the largest is far below the tolerance.
    n_known = found.fit.rank + found.fit.constraint_rank
    assert n_known <= len(model.basis)
    if found.fit.constraint_rank == 0:
        assert 0 < n_known <= rank_of(one, 1e-9)
    cell = found.cells[0].relaxed.copy()
    cell.rattle(0.02, seed=1)
    cell.positions[:, 2] = 0.0
    assert np.isfinite(model.get_forces(cell)).all()
    assert np.isfinite(np.concatenate([np.ravel(part) for part in model.get_uncertainty(cell)])).all()


def rank_of(trainer, tolerance):
    blocks = [rows(trainer.basis, cell, Weights(), trainer.one_body()) for cell in trainer._fitted()]
    A = np.concatenate([block.A for block in blocks])
    norms = np.linalg.norm(A, axis=0)
    singular = np.linalg.svd(A / np.where(norms > 1e-12 * norms.max(), norms, np.inf), compute_uv=False)
    return int(np.sum(singular > tolerance * singular[0]))


def test_what_the_data_do_not_show_has_no_coefficient():
    """Functions of an element that never occurs, at its centre or as its neighbour."""
    found = trainer(basis=TWO_ELEMENTS, matching=None).run()
    alone = trainer(basis=SMALL, matching=None).run()
    silent = np.array(["Mo" in label for label in TWO_ELEMENTS.function_labels])
    assert 0 < silent.sum() < len(silent)
    assert not found.calculator.coefficients[silent].any()
    assert found.fit.rank == alone.fit.rank


def test_labels_that_contradict_are_met_in_the_middle():
    """Two energies of one structure, 1 eV apart: least squares takes their mean, and the residual is their distance."""
    crystal = bulk("Cu", cubic=True) * 2
    crystal.rattle(0.05, seed=0)
    probe = crystal.copy()
    probe.calc = EMT()
    energy, forces = probe.get_potential_energy(), probe.get_forces()
    cells = [
        LabelledCell(crystal, energy + e, forces, config_type="defect", defect="bulk") for e in (-0.5, 0.5)
    ]
    data = DataSet(train=cells, test=[])
    basis = ACEBasis(["Cu"], order=3, degree=11, cutoff=4.5)
    fit = DataTrainer(
        data, basis, matching=None, weights={"energy": 1e4, "forces": 1.0}, E0={"Cu": 0.0}, progress=False
    )
    found = fit.run()
    probe.calc = found.calculator
    assert probe.get_potential_energy() == pytest.approx(energy, abs=2e-3)
    assert found.fit.residual_norm == pytest.approx(100.0 * np.sqrt(0.5), rel=1e-3)
    assert found.fit.rank <= rank_of(fit, 1e-9)


def test_threads_and_workers_do_not_change_a_bit():
    """1, 2 and 4 threads of the kernels and of BLAS; labels made here and by processes."""
    results = []
    try:
        for threads, executor in ((1, "serial"), (2, "processes:2"), (4, "serial")):
            allow_threads(threads)
            with threadpool_limits(threads, user_api="blas"):
                found = trainer(
                    basis=LARGE, n_train=6, seed=3, executor=executor, fit_executor=threads == 2
                ).run()
                results.append((found, found.calculator.get_uncertainty(found.test[0].atoms)))
    finally:
        allow_threads(None)
    (first, uncertainty), *others = results
    for found, other in others:
        np.testing.assert_array_equal(found.calculator.coefficients, first.calculator.coefficients)
        np.testing.assert_array_equal(found.calculator.posterior.root, first.calculator.posterior.root)
        assert found.errors == first.errors
        assert found.calculator.posterior.inflation == first.calculator.posterior.inflation
        for one, same in zip(uncertainty, other, strict=True):
            np.testing.assert_array_equal(one, same)
    assert trainer(basis=LARGE, n_train=6, seed=4).run().errors != first.errors
