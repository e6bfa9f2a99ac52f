"""Pictures of refinement and predictors: the plotted points are the data, the factor is that of the data."""

from types import SimpleNamespace

import numpy as np
import pytest

from ase_mlipgen.refinement import Round
from ase_mlipgen.report.refinement import factor_of_90, predictor_figure, refinement_figure


def made(geometry, verdict="ok"):
    return SimpleNamespace(
        geometry_error=geometry,
        relaxation_energy_error=-0.1 * geometry,
        formation_energy_error=0.2 * geometry,
        has_numbers=verdict == "ok",
    )


def round_of(number, certificate):
    model = SimpleNamespace(calculator=SimpleNamespace(basis=[0] * (100 + number)))
    return Round(number, model, certificate)


def test_rounds_and_truths_are_drawn_and_a_diverged_round_left_out():
    rounds = [round_of(0, made(1e-2)), round_of(1, made(1e-4)), round_of(2, made(np.nan, "diverged"))]
    left, right = refinement_figure(rounds, 1e-3, [made(2e-2), made(3e-4), made(1.0)]).axes
    certified, true, target = left.lines
    np.testing.assert_allclose(certified.get_xydata(), [[0, 1e-2], [1, 1e-4]])
    np.testing.assert_allclose(true.get_ydata(), [2e-2, 3e-4])
    np.testing.assert_allclose(target.get_ydata(), 1e-3)
    np.testing.assert_allclose(right.lines[0].get_ydata(), [1e-3, 1e-5])
    assert [label.get_text() for label in left.get_xticklabels()] == ["0\n100", "1\n101"]
    assert len(refinement_figure(rounds, 1e-3).axes[0].lines) == 2


def test_factor_of_90_of_known_ratios():
    true = np.geomspace(1e-5, 1.0, 101)
    ratios = np.where(np.arange(101) < 11, 5.0, 2.0)
    assert factor_of_90(ratios * true, true) == pytest.approx(5.0)
    assert factor_of_90(true / 2.0, true) == pytest.approx(2.0)


def test_predictors_of_another_unit_get_the_best_constant_and_those_of_the_same_none():
    true = np.geomspace(1e-4, 1e-1, 40)
    shown = {"force RMSE (eV/Å)": 7.0 * true, "certified error (Å)": 3.0 * true}
    forces, certified = predictor_figure(shown, true, ["L = 5", "L = 6"] * 20, "true error (Å)").axes
    assert "90 % within a factor 1" in forces.get_title(loc="left")
    assert "90 % within a factor 3" in certified.get_title(loc="left")
    np.testing.assert_allclose(forces.lines[0].get_xydata(), np.column_stack([7.0 * true, true])[::2])
    line = certified.lines[-1].get_xydata()
    np.testing.assert_allclose(line[:, 0], line[:, 1])
