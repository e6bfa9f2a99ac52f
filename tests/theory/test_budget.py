"""Error budgets: their pieces against other ways to compute them; whether the first advice lowers the true error."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.calculators.linear_ace import LinearACE
from ase_mlipgen.defects import (
    Interstitial,
    Substitution,
    Vacancy,
    minimum_image,
    nearest_distances,
    simulation_cell,
    training_cell,
    triangular_lattice,
)
from ase_mlipgen.labels import LabelStore
from ase_mlipgen.result import TrainingResult
from ase_mlipgen.theory.budget_data import observe
from ase_mlipgen.theory.compare import compare
from ase_mlipgen.theory.decay import tail
from ase_mlipgen.theory.embedding import embed
from ase_mlipgen.theory.far_forces import far_forces
from ase_mlipgen.theory.force_constants import force_constants
from ase_mlipgen.trainer import DefectTrainer

SHEET = triangular_lattice("W", 2.72711)
HOLLOW = Interstitial((0.5, 1.0 / 6.0))
QUIET = "ignore::ase_mlipgen.theory.doubts.TrainingWarning"


def train(store=None, **changes):
    settings = {
        "size": 6,
        "degree": 10,
        "n_train": 40,
        "n_test": 10,
        "n_perfect": 6,
        "defects": [Vacancy()],
    } | changes
    basis = ACEBasis(["W"], order=3, degree=settings.pop("degree"), cutoff=6.0)
    return DefectTrainer(
        SHEET, settings.pop("defects"), EAM2D, basis, store=store, progress=False, uncertainty=False,
        on_unstable="warn", **settings,
    ).run()  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return LabelStore(tmp_path_factory.mktemp("labels"))


@pytest.fixture(scope="module")
def plain(store):
    return train(store, matching=None)


@pytest.mark.parametrize("defect", [Vacancy(), HOLLOW, Substitution("Mo")])
def test_a_defect_in_a_larger_cell_is_the_training_cells(defect):
    small, perfect = training_cell(SHEET, defect, 5), training_cell(SHEET, None, 5)
    large = embed(small, perfect, 3)
    host = training_cell(SHEET, None, 5).repeat((3, 3, 1))
    assert len(large.atoms) == len(host) + len(small) - len(perfect)
    assert sorted(large.atoms.numbers) == sorted([*host.numbers[len(perfect) :], *small.numbers])
    # Everything within half the cell's width of the core is as in the training cell, the rest the host's lattice.
    centre = np.array(small.info["defect_centres"][0])
    around = [
        np.sort(np.linalg.norm(minimum_image(a.positions - centre, a), axis=1)) for a in (small, large.atoms)
    ]
    near = int(np.sum(around[0] < 4.7))
    np.testing.assert_allclose(around[0][:near], around[1][:near], atol=1e-9)
    far = np.linalg.norm(minimum_image(large.atoms.positions - centre, large.atoms), axis=1) > 5.5
    np.testing.assert_allclose(nearest_distances(large.atoms)[far], 2.72711, atol=1e-9)
    inside = large.index_i[large.middle_i]
    assert sorted(inside) == list(range(len(small)))


def whole_hessian_difference(model, reference, large, u):
    difference = model.get_hessian(large, format="sparse") - reference.get_hessian(large, format="sparse")
    return (difference @ u.ravel()).reshape(-1, 3)


def test_forces_of_wrong_force_constants_are_those_of_the_whole_hessians(plain):
    """A cell wide enough that folding is unique: the sparse Hessians of the large cell are the other way."""
    model, perfect = plain.calculator, training_cell(SHEET, None, 11)
    large, sites = perfect.repeat((2, 2, 1)), np.tile(np.arange(len(perfect)), 4)
    u = np.random.default_rng(0).normal(0.0, 0.01, (len(large), 3))
    u[:, 2] = 0.0
    both = [force_constants(perfect, calculator) for calculator in (model, EAM2D())]
    found = far_forces(perfect, *both, large, u, sites, np.arange(len(large)) > 9)
    wanted = whole_hessian_difference(model, EAM2D(), large, u)
    np.testing.assert_allclose(found[10:, :2], wanted[10:, :2], atol=1e-9)
    assert not found[:10].any()


def test_far_forces_with_two_sublattices_around_a_vacancy():
    """In three dimensions, two elements; pair functions only, so that a cell of three is wide enough."""
    crystal = bulk("NiAl", "cesiumchloride", a=2.9)
    basis = ACEBasis(["Al", "Ni"], order=1, degree=6, cutoff=3.5)
    rng = np.random.default_rng(1)
    model, reference = (LinearACE(basis, rng.normal(size=len(basis))) for _ in range(2))
    perfect = training_cell(crystal, None, 3)
    large = embed(training_cell(crystal, Vacancy(), 3), perfect, 2)
    assert len(large.atoms) == 8 * 54 - 1
    assert np.array_equal(large.atoms.numbers, perfect.numbers[large.site_i])
    u = rng.normal(0.0, 0.01, (len(large.atoms), 3))
    centre = np.array(large.atoms.info["defect_centres"][0])
    far = np.linalg.norm(minimum_image(large.atoms.positions - centre, large.atoms), axis=1) > 3.6
    both = [force_constants(perfect, calculator) for calculator in (model, reference)]
    found = far_forces(perfect, *both, large.atoms, u, large.site_i, far)
    wanted = whole_hessian_difference(model, reference, large.atoms, u)
    np.testing.assert_allclose(found[far], wanted[far], atol=1e-9 * np.abs(wanted).max())


@pytest.mark.parametrize(("d", "density"), [(2, 0.155), (3, 0.06)])
def test_what_is_beyond_a_cell_is_the_sum_over_sites(d, density):
    radius, spacing = 20.0, density ** (-1.0 / d)
    axis = np.arange(-24.0 if d == 3 else -220.0, 25.0 if d == 3 else 221.0) * spacing
    r = np.sqrt(sum(x**2 for x in np.meshgrid(*[axis] * d)))
    edge = axis.max()
    summed = np.sum((2.0 * r[(r > radius) & (r < edge)] ** -d) ** 2)
    assert summed == pytest.approx(tail(2.0, radius, d, density) - tail(2.0, edge, d, density), rel=0.03)


def test_formation_energy_error_of_the_training_cell_is_found_from_the_samples(plain):
    (cell,) = plain.cells
    found = observe(plain.calculator, cell, [*plain.test, *plain.train])
    true = 0.0
    for sign, calculator in ((1.0, plain.calculator), (-1.0, EAM2D())):
        energies = []
        for atoms in (cell.relaxed, cell.perfect):
            probe = atoms.copy()
            probe.calc = calculator
            energies.append(probe.get_potential_energy())
        true += sign * (energies[0] - len(cell.relaxed) / len(cell.perfect) * energies[1])
    assert found.formation == pytest.approx(true, abs=0.3 * plain.errors.eps_E_rmse)


def test_a_perfect_surrogate_has_no_error(plain):
    (cell,) = plain.cells
    constants = force_constants(cell.perfect, EAM2D())
    found = observe(EAM2D(), cell, [*plain.test, *plain.train], constants)
    # The relaxed cell has forces up to fmax, which count as errors of a surrogate without any.
    assert max(found.self_error, found.far_force) < 1e-8
    assert found.response < 1e-4
    assert abs(found.formation) < 1e-6
    assert 0.05 < found.release < 0.5


def test_intervals_hold_the_truth_terms_add_up_and_json_is_complete(plain, store):
    matched = train(store)
    for result in (plain, matched):
        budget = result.budget(20, 2, separation=8)
        truth = true_errors(result)
        assert budget.geometry_interval[0] <= truth.geometry_error <= budget.geometry_interval[1]
        assert budget.energy_interval[0] <= abs(truth.formation_energy_error) <= budget.energy_interval[1]
        assert math.hypot(*budget.geometry_terms.values()) == pytest.approx(budget.geometry)
        assert math.hypot(*budget.energy_terms.values()) == pytest.approx(budget.energy)
        assert budget.geometry_terms[budget.dominant] == max(budget.geometry_terms.values())
        assert json.loads(budget.to_json())["geometry"] == budget.geometry
        assert all(sentence in str(budget) for sentence in budget.advice)
    assert set(budget.terms) == {f"geometry: {name}" for name in budget.geometry_terms} | {
        f"energy: {name}" for name in budget.energy_terms
    }


def test_more_defects_more_error_and_a_loaded_result_says_the_same(plain, tmp_path):
    one, four = plain.budget(60, 1), plain.budget(60, 4, separation=20)
    assert four.geometry == pytest.approx(2.0 * one.geometry, rel=0.05)
    assert four.energy == pytest.approx(4.0 * one.energy, rel=0.05)
    loaded = TrainingResult.load(plain.save(tmp_path / "run"))
    assert loaded.budget(60, 1) == one


def true_errors(result):
    large, perfect = (simulation_cell(SHEET, d, 20, 8) for d in ([Vacancy()] * 2, []))
    return compare(EAM2D(), result.calculator, large, perfect, fmax=2e-5)


def settled(large, cells):
    """Move the atoms near each core as in its relaxed training cell: unrelaxed interstitials are far from any data."""
    start = large.copy()
    for name, centre in zip(large.info["defect_names"], large.info["defect_centres"], strict=True):
        (cell,) = [cell for cell in cells if cell.defect == name]
        here = minimum_image(large.positions - np.array(centre), large)
        there = minimum_image(
            cell.unrelaxed.positions - np.array(cell.unrelaxed.info["defect_centres"][0]), cell.unrelaxed
        )
        for i in np.flatnonzero(np.linalg.norm(here, axis=1) < 6.0):
            away = np.linalg.norm(there - here[i], axis=1)
            assert away.min() < 1e-6
            start.positions[i] += (cell.relaxed.positions - cell.unrelaxed.positions)[np.argmin(away)]
    return start


@pytest.mark.filterwarnings(QUIET)
@pytest.mark.parametrize(
    ("knob", "poor", "better"),
    [
        ("size", {"size": 4}, {"size": 6}),
        ("basis", {"size": 7, "degree": 8}, {"size": 7, "degree": 10}),
        ("amplitude", {"matching": None, "amplitude": 0.001}, {"matching": None, "amplitude": 0.04}),
    ],
)
def test_the_first_advice_lowers_the_geometry_error(knob, poor, better, store):
    result = train(store, **poor)
    budget = result.budget(20, 2, separation=8)
    assert budget.knobs[0] == knob
    name = "degree" if knob == "basis" else knob
    assert f"{name} = {better[name]}" in budget.advice[0].replace("degree ", "degree = ")
    before, after = true_errors(result), true_errors(train(store, **better))
    assert after.geometry_error < 0.7 * before.geometry_error


@pytest.mark.filterwarnings(QUIET)
def test_missing_perfect_cells_are_the_first_advice_and_they_help(plain, store):
    result = train(store, matching=None, n_perfect=0)
    budget = result.budget(20, 2)
    assert budget.knobs[0] == "perfect cells"
    assert budget.energy_interval[1] == math.inf
    assert math.isfinite(budget.geometry)
    assert json.loads(budget.to_json())["energy"] is None
    before, after = true_errors(result), true_errors(plain)
    assert abs(after.formation_energy_error) < 0.1 * abs(before.formation_energy_error)


def test_a_missing_interstitial_is_the_first_advice_and_training_it_helps(store):
    result = train(store, size=7)
    both = [Vacancy(), HOLLOW]
    budget = result.budget(20, defects=both, separation=8)
    assert budget.knobs[0] == "defects"
    assert "interstitial" in budget.advice[0]
    assert budget.geometry_interval[1] == budget.energy_interval[1] == math.inf
    better = train(store, size=7, degree=12, defects=both)
    assert "defects" not in better.budget(20, defects=both, separation=8).knobs
    large, perfect = (simulation_cell(SHEET, d, 20, 8) for d in (both, []))
    start = settled(large, better.cells)
    before, after = (compare(EAM2D(), r.calculator, start, perfect, fmax=2e-5) for r in (result, better))
    assert after.failure is None
    assert before.failure is not None or after.geometry_error < 0.5 * before.geometry_error


def test_a_core_that_leaves_its_minimum_has_no_bound(plain, monkeypatch):
    from ase_mlipgen.theory import budget as room

    seen = room._observed(plain, "vacancy")
    monkeypatch.setattr(room, "_observed", lambda *_: replace(seen, largest_step=1.0))
    budget = plain.budget(30, 2)
    assert budget.knobs[0] == "minimum"
    assert "size = 7" in budget.advice[0]
    assert budget.geometry_interval[1] == math.inf


def test_overlap_instability_and_narrow_cells_leave_no_bound(plain):
    close = plain.budget(30, 2, separation=2)
    assert close.knobs[0] == "separation"
    assert close.geometry_interval[1] == math.inf
    unstable = replace(plain, unstable="the surrogate is not stable on the cell").budget(30)
    assert unstable.knobs[0] == "stability"
    assert unstable.geometry_interval[1] == math.inf
    assert "separation" in plain.budget(30, 2, separation=4.9).knobs[1:]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"size": 0}, "size = 0"),
        ({"n_defects": 0}, "n_defects = 0"),
        ({"separation": -1.0}, "separation = -1.0"),
        ({"defects": []}, "defects is empty"),
    ],
)
def test_nonsense_is_named(plain, arguments, said):
    with pytest.raises(ValueError, match=said):
        plain.budget(**arguments)
