"""Figures show the data: what is plotted is compared with the arrays that it should be."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from ase_mlipgen.calculators.linear_ace import LinearACE
from ase_mlipgen.defects import Substitution, training_cell
from ase_mlipgen.report import figures
from ase_mlipgen.report.budget import budget_figure
from ase_mlipgen.report.cell import magnification, slab
from ase_mlipgen.report.data import binned, predict
from ase_mlipgen.report.write import _judged, all_figures, as_png
from ase_mlipgen.result import TrainingCell


@pytest.fixture(scope="module")
def predictions(result):
    return predict(result.calculator, result.test, result.cells)


def test_predictions_give_the_trainers_errors(result, predictions):
    """The trainer computed the same RMSEs by another way."""
    assert [p.defect for p in predictions] == ["vacancy", "interstitial"]
    for found in predictions:
        errors = result.by_defect[found.defect]
        energy = np.sqrt(np.mean((found.energy_model - found.energy_reference) ** 2))
        force = np.sqrt(np.mean((found.forces_model - found.forces_reference) ** 2))
        np.testing.assert_allclose([energy, force], [errors.energy_rmse, errors.force_rmse], rtol=1e-9)


def test_arrows_are_the_displacements(result):
    cell = result.cells[0]
    axes = figures.cells_figure([cell]).axes[0]
    (arrows,) = [c for c in axes.collections if hasattr(c, "U")]
    view = slab(cell)
    moved = (cell.relaxed.positions - cell.unrelaxed.positions)[:, :2]
    np.testing.assert_allclose(np.column_stack([arrows.U, arrows.V]), view.scale * moved, atol=1e-9)
    discs, rings = axes.collections[:2]
    assert len(discs.get_offsets()) == len(rings.get_offsets()) == len(cell.unrelaxed)
    np.testing.assert_allclose(discs.get_offsets() - rings.get_offsets(), moved, atol=1e-9)
    assert f"× {view.scale:g}" in axes.get_title(loc="left")


def test_slab_of_a_three_dimensional_cell_is_the_layer_of_the_core():
    perfect = bulk("Cu", cubic=True)
    start = training_cell(perfect, Substitution("Ni"), 3)
    relaxed = start.copy()
    relaxed.positions[0, 0] += 0.01
    view = slab(TrainingCell("ni", "ni", 3, start, relaxed, training_cell(perfect, None, 3), 1, 0.0))
    height = start.info["defect_centres"][0][2]
    in_layer = np.abs(start.positions[:, 2] - height) < 0.1
    assert len(view.before_ic) == in_layer.sum() == 18
    assert view.foreign_i.sum() == 1
    assert view.thickness < 3.615


@given(longest=st.floats(1e-3, 1e3), largest=st.floats(1e-9, 1e6))
def test_magnification_is_round_and_fits(longest, largest):
    scale = magnification(longest, largest)
    assert scale == 1 or scale * largest <= longest * (1 + 1e-6)
    assert scale == 1 or scale * largest > 0.49 * longest
    digit = scale / 10.0 ** np.floor(np.log10(scale) + 1e-9)
    assert np.isclose(digit, [1, 2, 3, 4, 5, 6, 8]).any()


def test_parity_points_are_the_data(predictions):
    energy, force, energy_error, force_error = figures.parity_figure(predictions).axes
    for k, found in enumerate(predictions):
        x, y = force.lines[k].get_data()
        np.testing.assert_array_equal(x, found.forces_reference[:, :2].ravel())
        np.testing.assert_array_equal(y, found.forces_model[:, :2].ravel())
        np.testing.assert_allclose(force_error.lines[k].get_ydata(), y - x)
        shown = 1e-3 * (energy.lines[k].get_ydata() - energy.lines[k].get_xdata())
        np.testing.assert_allclose(shown, found.energy_model - found.energy_reference, atol=1e-12)
        np.testing.assert_allclose(1e-3 * energy_error.lines[k].get_ydata(), shown, atol=1e-12)
    assert "RMSE" in energy.get_title(loc="left")
    assert force_error.get_xlabel() == "reference (eV/Å)"


def test_distance_plot_has_every_atom_of_the_test_set(result, predictions):
    axes = figures.distance_figure(predictions).axes[0]
    n_shown = sum(len(line.get_xdata()) for line in axes.lines[::2])
    assert n_shown == sum(len(cell.atoms) for cell in result.test)
    nearest = min(p.distance[p.distance > 0.1].min() for p in predictions)
    assert 1.0 < nearest < 2.8


def test_decay_shows_both_models_and_the_slope(comparison):
    axes = figures.decay_figure(comparison, 2).axes[0]
    points = [line for line in axes.lines if line.get_linestyle() == "None"]
    for line, strain in zip(
        points, (comparison.strain_reference_i, comparison.strain_surrogate_i), strict=False
    ):
        np.testing.assert_array_equal(line.get_xdata(), comparison.core_distance_i)
        np.testing.assert_array_equal(line.get_ydata(), strain)
    (guide,) = [line for line in axes.lines if line.get_linestyle() == ":"]
    x, y = guide.get_data()
    np.testing.assert_allclose(np.diff(np.log(y)) / np.diff(np.log(x)), -2.0)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_calibration_shows_predictions_errors_and_the_floor(result, comparison):
    """On the large cell the model's forces where the reference is at rest are its errors."""
    judged = _judged(result, comparison)
    found = judged["large cell, reference at rest"]
    atoms = comparison.reference.atoms.copy()
    atoms.calc = result.calculator
    np.testing.assert_allclose(found.actual, np.linalg.norm(atoms.get_forces(), axis=1))
    std = result.calculator.get_uncertainty(atoms).forces_std
    np.testing.assert_allclose(found.predicted, np.linalg.norm(std, axis=1))
    assert found.floor == comparison.reference.fmax
    left, right = figures.calibration_figure(judged).axes
    for k, values in enumerate(judged.values()):
        points = left.lines[2 * k]
        np.testing.assert_array_equal(points.get_xdata(), values.predicted[values.predicted > 0])
    assert left.get_xlabel() == "predicted standard deviation (eV/Å)"
    assert right.get_ylabel() == "force error of an atom (eV/Å)"
    tests = judged["test set"]
    assert tests.coverage == np.mean(tests.actual <= 2 * tests.predicted)


def test_a_model_without_a_posterior_has_no_calibration(result):
    without = replace(result, calculator=LinearACE(result.calculator.basis, result.calculator.coefficients))
    assert "calibration" not in [name for name, _, _ in all_figures(without, None)]


def test_bars_end_at_the_errors():
    entries = {"a": -2e-3, "b": 3e-7, "not known": float("nan"), "zero": 0.0}
    axes = figures.energies_figure(entries).axes[0]
    np.testing.assert_allclose([bar.get_x() + bar.get_width() for bar in axes.patches], [2e-3, 3e-7])
    assert [text.get_text() for text in axes.texts] == ["2 meV", "300 neV"]
    assert figures.energies_figure({}).axes[0].texts[0].get_text() == "no energy errors to show"


def test_coefficients_by_order(result):
    model = result.calculator
    axes = figures.coefficients_figure(model.coefficients, model.basis.function_orders).axes[0]
    shown = np.sort(np.concatenate([line.get_ydata() for line in axes.lines]))
    sizes = np.sort(np.abs(model.coefficients))
    np.testing.assert_array_equal(shown, sizes[sizes > 0])


def test_binned_means_keep_the_sum_of_squares():
    """In bins of equal filling the mean of squares is that of the whole."""
    x, y = np.repeat(np.arange(1.0, 5.0), 25), np.random.default_rng(0).normal(size=100)
    centre, mean = binned(x, y, 4)
    np.testing.assert_allclose(centre, [1, 2, 3, 4])
    np.testing.assert_allclose(np.mean(mean**2), np.mean(y**2))
    assert len(binned(np.array([np.nan]), np.array([1.0]))[0]) == 0


def test_bars_of_a_budget_are_shares_that_fill_them(result):
    budget = result.budget(20, 1)
    figure = budget_figure(budget)
    for axes, terms, total in zip(
        figure.axes,
        (budget.geometry_terms, budget.energy_terms),
        (budget.geometry, budget.energy),
        strict=True,
    ):
        widths = sorted(bar.get_width() for bar in axes.patches if bar.get_width() > 0)
        np.testing.assert_allclose(
            widths, sorted((v / total) ** 2 for v in terms.values() if v > 0), rtol=1e-9
        )
        assert sum(widths) == pytest.approx(1.0)
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {
        *budget.geometry_terms,
        *budget.energy_terms,
    }
    open_ended = budget_figure(replace(budget, energy=np.inf, energy_interval=(0.0, np.inf)))
    assert "not determined" in open_ended.axes[1].get_title(loc="left")
    assert as_png(open_ended).startswith(b"\x89PNG")


def test_every_figure_is_a_png_with_ink_and_no_setting_is_left_changed(result, comparison):
    before = dict(mpl.rcParams)
    names = []
    for name, caption, figure in all_figures(result, comparison):
        names.append(name)
        assert caption
        for axes in figure.axes:
            assert axes.has_data() or axes.texts
        assert as_png(figure).startswith(b"\x89PNG")
    assert names == [
        "summary",
        "cells",
        "parity",
        "distance",
        "decay",
        "energies",
        "calibration",
        "coefficients",
    ]
    assert dict(mpl.rcParams) == before
