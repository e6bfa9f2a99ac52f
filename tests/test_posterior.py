"""Uncertainties of a model: the committee's spread is the standard deviation, files keep them, tests are covered."""

from dataclasses import replace

import numpy as np
import pytest

from ase_mlipgen import EAM2D, ACEBasis, DefectTrainer, LinearACE, TrainingResult, Vacancy, triangular_lattice
from ase_mlipgen.defects import displaced
from ase_mlipgen.fit import rows
from ase_mlipgen.fit.weights import Weights
from ase_mlipgen.posterior import Posterior, PosteriorError
from ase_mlipgen.theory.uncertainty import calibration, inflation

SHEET = triangular_lattice("W", 2.72711)


@pytest.fixture(scope="module")
def result():
    basis = ACEBasis(["W"], order=3, degree=8, cutoff=4.0)
    trainer = DefectTrainer(
        SHEET,
        Vacancy(),
        EAM2D(),
        basis,
        5,
        40,
        30,
        n_perfect=4,
        matching=None,
        progress=False,
        weights={"energy": 30},
    )
    return trainer.run()


def probe(result, amplitude=0.05):
    return displaced(result.cells[0].relaxed, amplitude, np.random.default_rng(11))


def test_a_committee_spreads_as_the_standard_deviations(result):
    """Monte Carlo: 2000 members, 5 % of a standard deviation each way is 3 sigma."""
    atoms = probe(result)
    found = result.calculator.get_uncertainty(atoms)
    members = result.calculator.posterior.sample(result.calculator.coefficients, 2000, seed=1)
    design = result.calculator.basis.design(atoms)
    assert np.std(members @ design.energy) == pytest.approx(found.energy_std, rel=0.06)
    forces = np.std(np.einsum("iak,mk->mia", design.forces, members), axis=0)
    assert found.forces_std.shape == (len(atoms), 3)
    assert not found.forces_std[:, 2].any()  # no force leaves the plane, certainly
    np.testing.assert_allclose(forces[:, :2], found.forces_std[:, :2], rtol=0.1)


def test_members_are_calculators_around_the_model(result):
    atoms = probe(result)
    few = result.committee(3, seed=4)
    again = result.committee(3, seed=4)
    assert all(isinstance(member, LinearACE) for member in few)
    for one, other in zip(few, again, strict=True):
        np.testing.assert_array_equal(one.coefficients, other.coefficients)
    energies = [member.get_potential_energy(atoms) for member in (*few, result.calculator)]
    spread = result.calculator.get_uncertainty(atoms).energy_std
    assert 0.0 < np.ptp(energies) < 12 * spread
    with pytest.raises(ValueError, match="at least one"):
        result.committee(0)


def test_held_out_errors_are_covered(result):
    """By construction in the mean; here atom by atom, on cells that did not set the scale."""
    held_out = result.test[20:]
    predicted, actual = [], []
    for cell in held_out:
        atoms = cell.atoms.copy()
        atoms.calc = result.calculator
        predicted.append(np.linalg.norm(result.calculator.get_uncertainty(atoms).forces_std, axis=1))
        actual.append(np.linalg.norm(atoms.get_forces() - cell.forces, axis=1))
    found = calibration(np.concatenate(predicted), np.concatenate(actual), 5)
    assert found.coverage > 0.9
    np.testing.assert_allclose(found.actual / found.predicted, 1.0, atol=0.5)
    assert result.calculator.posterior.inflation > 1.0


def test_further_from_the_data_is_less_certain(result):
    near, far = (result.calculator.get_uncertainty(probe(result, a)) for a in (0.03, 0.3))
    assert far.energy_std > 10 * near.energy_std
    assert far.grade_i.max() > 10 * near.grade_i.max()
    train = np.concatenate(
        [result.calculator.get_uncertainty(cell.atoms).grade_i for cell in result.train[:44]]
    )
    assert train.max() == pytest.approx(1.0, rel=1e-6)


def test_the_posterior_is_that_of_the_weighted_rows(result):
    """Brute force: all rows stacked; along their well-determined directions, sigma^2 (A'A)^-1."""
    model, E0 = result.calculator, result.calculator.E0
    blocks = [rows(model.basis, cell, Weights(energy=30), E0) for cell in result.train]
    A, b = (np.concatenate([getattr(block, name) for block in blocks]) for name in "Ab")
    loud = A.any(axis=1)
    sigma = np.linalg.norm(A @ model.coefficients - b) / np.sqrt(loud.sum() - result.fit.rank)
    assert model.posterior.sigma == pytest.approx(sigma, rel=1e-6)
    norms = np.linalg.norm(A, axis=0)
    norms[norms < 1e-10 * norms.max()] = norms.max()
    _, singular, directions = np.linalg.svd(A / norms, full_matrices=False)
    for k in range(5):
        std = np.linalg.norm((directions[k] * norms) @ model.posterior.root)
        assert std == pytest.approx(sigma / singular[k], rel=1e-3)


def test_files_keep_it_and_only_its_own_model(result, tmp_path):
    atoms, model = probe(result), result.calculator
    path = model.save(tmp_path / "w.json")
    assert (tmp_path / "w.posterior.npz").is_file()
    again = LinearACE.load(path)
    for before, after in zip(model.get_uncertainty(atoms), again.get_uncertainty(atoms), strict=True):
        np.testing.assert_array_equal(before, after)
    assert again.posterior.tau == model.posterior.tau
    other = LinearACE(model.basis, 2.0 * model.coefficients)
    kept = (tmp_path / "w.posterior.npz").read_bytes()
    other.save(path)
    assert not (tmp_path / "w.posterior.npz").exists()
    with pytest.raises(PosteriorError, match="no posterior"):
        LinearACE.load(path).get_uncertainty(atoms)
    (tmp_path / "w.posterior.npz").write_bytes(kept)
    with pytest.raises(PosteriorError, match="another model"):
        LinearACE.load(path)
    (tmp_path / "w.posterior.npz").write_bytes(kept[:100])
    with pytest.raises(PosteriorError, match="damaged"):
        LinearACE.load(path)


def test_a_result_keeps_it(result, tmp_path):
    result.save(tmp_path)
    again = TrainingResult.load(tmp_path)
    for one, other in zip(result.committee(2), again.committee(2), strict=True):
        np.testing.assert_array_equal(one.coefficients, other.coefficients)


def test_inflation_is_the_ratio_of_errors(result):
    plain = replace(result.calculator.posterior, inflation=1.0)
    held_out = result.test[:20]
    assert inflation(plain, result.calculator, held_out) == pytest.approx(
        result.calculator.posterior.inflation
    )
    assert inflation(plain, result.calculator, []) == 1.0
    assert inflation(replace(plain, root=0.5 * plain.root), result.calculator, held_out) == pytest.approx(
        2.0 * result.calculator.posterior.inflation
    )


def test_calibration_of_known_errors():
    rng = np.random.default_rng(0)
    predicted = rng.uniform(0.5, 2.0, 20_000)
    found = calibration(predicted, np.abs(predicted * rng.normal(size=20_000)))
    np.testing.assert_allclose(found.actual, found.predicted, rtol=0.06)
    assert found.coverage == pytest.approx(0.9545, abs=0.005)
    with pytest.raises(ValueError, match="as many"):
        calibration(np.ones(3), np.ones(2))


def test_a_posterior_can_be_left_out():
    basis = ACEBasis(["W"], order=2, degree=6, cutoff=4.0)
    result = DefectTrainer(
        SHEET, Vacancy(), EAM2D(), basis, 5, 10, 0, n_perfect=2, matching=None, progress=False, uncertainty=False,
        on_unstable="warn",
    ).run()  # fmt: skip
    assert result.calculator.posterior is None
    assert isinstance(Posterior(np.eye(2), np.eye(2), 1.0, 1.0).sample([0.0, 0.0], 2), np.ndarray)
