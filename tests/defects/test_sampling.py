"""Displaced copies: bounds, moments, planes, reproducibility."""

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_mlipgen.defects import Vacancy, displaced, training_cell, training_samples, triangular_lattice

SHEET = training_cell(triangular_lattice("W", 2.7), Vacancy(), 5)
PERFECT = training_cell(triangular_lattice("W", 2.7), None, 5)
COPPER = bulk("Cu", cubic=True) * 8


@given(amplitude=st.floats(0.0, 0.5), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_uniform_moves_stay_within_the_amplitude_and_in_the_plane(amplitude, seed):
    moves = displaced(SHEET, amplitude, np.random.default_rng(seed)).positions - SHEET.positions
    assert np.abs(moves).max() <= amplitude + 1e-12
    assert not moves[:, 2].any()
    again = displaced(SHEET, amplitude, np.random.default_rng(seed)).positions - SHEET.positions
    assert np.array_equal(moves, again)


@pytest.mark.parametrize(("distribution", "deviation"), [("uniform", 0.05 / np.sqrt(3)), ("normal", 0.05)])
def test_the_standard_deviation_is_that_of_the_distribution(distribution, deviation):
    moves = displaced(COPPER, 0.05, np.random.default_rng(1), distribution).positions - COPPER.positions
    assert moves.std(axis=0) == pytest.approx([deviation] * 3, rel=0.05)
    assert moves.mean(axis=0) == pytest.approx(0.0, abs=4 * deviation / np.sqrt(len(COPPER)))


def test_samples_are_counted_named_and_told_apart():
    samples = training_samples(
        SHEET, np.random.default_rng(0), 7, 3, perfect=PERFECT, n_perfect=4, defect="vacancy"
    )
    assert [a.info["config_type"] for a in samples.train] == ["defect"] * 7 + ["perfect"] * 4
    assert [a.info["defect"] for a in samples.train] == ["vacancy"] * 7 + [""] * 4
    assert [a.info["defect"] for a in samples.test] == ["vacancy"] * 3
    assert np.array_equal(samples.train[7].positions, PERFECT.positions)
    assert np.abs(samples.train[8].positions - PERFECT.positions).max() > 0.01
    cells = [*samples.train[:7], *samples.test]
    assert len({a.positions.tobytes() for a in cells}) == 10
    assert all("config_type" not in a.info for a in (SHEET, PERFECT))


def test_samples_depend_on_the_generator_alone():
    first, second = (
        training_samples(SHEET, np.random.default_rng(5), 2, 1, perfect=PERFECT) for _ in range(2)
    )
    for a, b in zip([*first.train, *first.test], [*second.train, *second.test], strict=True):
        assert np.array_equal(a.positions, b.positions)


def test_no_perfect_cells_where_there_is_no_host():
    assert len(training_samples(SHEET, np.random.default_rng(0), 2, 1).train) == 2


def test_nonsense_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="amplitude"):
        displaced(SHEET, -0.1, rng)
    with pytest.raises(ValueError, match="distribution"):
        displaced(SHEET, 0.1, rng, "cauchy")
    with pytest.raises(ValueError, match="n_test"):
        training_samples(SHEET, rng, 1, -1)
