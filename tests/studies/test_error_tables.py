"""Slopes, tables and pictures of studies of errors, of records that are made up: closed forms come out."""

import numpy as np
import pytest
from scipy.stats import linregress, t

from ase_mlipgen.report.studies import figure_of
from ase_mlipgen.studies.error_tables import sizes_table, slopes_table
from ase_mlipgen.studies.errors import Record
from ase_mlipgen.studies.slopes import slope_over_seeds

CONDITIONS = ("energies", "forces", "force_constants")
NAN = float("nan")


def record(
    sweep="tolerance", size=6, seed=0, rtol=1e-4, matching=(), force=1e-3, n=2, functions=383, **errors
):
    errors = {
        "geometry": 0.5 * force,
        "relaxation": -force,
        "formation": force**1.5,
        "excess": force**2,
    } | errors
    return Record(
        case="sheet", size=size, seed=seed, order=3, degree=14, weights="fixed", matching=matching, rtol=rtol,
        sweep=sweep, matched=matching, n_functions=functions, rank=functions, energy_rmse=1e-3, force_rmse=force,
        eps_E=1e-3, eps_F=4.0 * force**0.5, eps_FC_hom=0.1, eps_FC_hom_percent=1.0, cell=n - 2, n_defects=n,
        fit_time=0.0, **errors,
    )  # fmt: skip


def test_slope_over_seeds_is_the_mean_with_students_interval():
    x = np.array([1e-3, 1e-2, 1e-1, 1.0])
    y = np.concatenate([5.0 * x**power for power in (1.0, 2.0, 3.0)])
    found = slope_over_seeds([*x, *x, *x], -y, np.repeat([0, 1, 2], 4))
    assert found.mean == pytest.approx(2.0)
    assert found.half_width == pytest.approx(t.ppf(0.975, 2) / np.sqrt(3.0))
    assert found.n == 3


def test_slope_of_one_seed_is_that_of_a_regression_and_has_no_interval():
    rng = np.random.default_rng(0)
    x, noise = np.logspace(-4, -1, 9), rng.normal(size=9)
    y = x**1.3 * np.exp(0.2 * noise)
    found = slope_over_seeds([*x, 1.0, 2.0], [*y, NAN, 0.0], [7] * 11)
    assert found.mean == pytest.approx(linregress(np.log(x), np.log(y)).slope)
    assert np.isnan(found.half_width)
    assert str(found) == f"{found.mean:.2f}"


def test_groups_have_factors_of_their_own():
    x = np.array([1e-3, 1e-2, 1e-1])
    found = slope_over_seeds([*x, *10 * x], [*x**2, *30 * x**2], [0] * 6, [2] * 3 + [3] * 3)
    assert found.mean == pytest.approx(2.0)
    assert slope_over_seeds([*x, *10 * x], [*x**2, *30 * x**2], [0] * 6).mean != pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    ("x", "y"), [([1.0, 2.0], [1.0, 2.0]), ([1.0, 1.01, 1.02], [1.0, 2.0, 3.0]), ([1, 2, 3], [NAN] * 3)]
)
def test_slope_of_too_little_is_none(x, y):
    assert slope_over_seeds(x, y, [0] * len(x)) is None


def cells_of(table):
    head, rows = table
    assert all(len(row) == len(head) for row in rows)
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_slopes_table_has_the_exponents_counts_and_decades():
    records = [
        record(size=size, seed=seed, force=force, rtol=force)
        for size in (7, 6) for seed in (0, 1) for force in (1e-5, 1e-4, 1e-3, 1e-2)
    ]  # fmt: skip
    records += [record(force=1.0, rtol=1.0, geometry=NAN, relaxation=NAN, formation=NAN, excess=NAN)]
    first, second = cells_of(slopes_table(records))
    assert (first["of"], second["of"]) == ("L = 6", "L = 7")
    assert (first["rows"], first["no minimum"], second["no minimum"]) == ("9", "1", "0")
    for name, slope in {
        "geometry": 1,
        "over eps_F": 2,
        "relaxation": 1,
        "formation": 1.5,
        "excess": 2,
        "over geometry": 2,
    }.items():
        assert second[name] == f"{slope:.2f} ± 0.00", name
    assert second["decades"] == "3.0"


def test_fits_that_could_not_match_are_not_among_matched_ones():
    records = [record(seed=s, force=f, matching=CONDITIONS) for s in (0, 1) for f in (1e-4, 1e-3, 1e-2)]
    (row,) = cells_of(
        slopes_table([*records, Record(**{**vars(records[0]), "matched": (), "geometry": 9.0})])
    )
    assert (row["fit"], row["rows"], row["geometry"]) == ("exact", "6", "1.00 ± 0.00")


def sized(matching, power):
    return [
        record("size", L, seed, matching=matching, functions=functions, geometry=(1 + seed) * L**power,
               relaxation=-(L**-2.0), formation=L**-2.0, excess=L ** (2 * power))
        for L in (4, 5, 6, 8, 12) for seed in (0, 1, 2) for functions in (110, 383)
    ]  # fmt: skip


def test_sizes_table_has_medians_slopes_and_the_rates_of_table_1():
    off = [record("size", 4, 9, matching=CONDITIONS, functions=383, geometry=NAN)]
    rows = cells_of(sizes_table(sized((), -1.0) + sized(CONDITIONS, -3.0) + off))
    assert len(rows) == 16
    (found,) = (r for r in rows if (r["error"], r["fit"], r["functions"]) == ("geometry, Å", "exact", "383"))
    assert found["L = 5"] == f"{2 * 5**-3.0:.1e}"
    assert (found["slope"], found["Table 1"], found["no minimum"]) == ("-3.00 ± 0.00", "-3", "1")
    (found,) = (r for r in rows if (r["error"], r["fit"], r["functions"]) == ("geometry, Å", "plain", "110"))
    assert (found["slope"], found["Table 1"], found["no minimum"]) == ("-1.00 ± 0.00", "-", "0")


def test_picture_has_medians_and_measured_slopes():
    records = [
        record(size=L, seed=s, force=f * (1 + s), rtol=f)
        for L in (6, 8)
        for s in (0, 1, 2)
        for f in (1e-5, 1e-4, 1e-3)
    ]
    records += sized(CONDITIONS, -3.0)
    figure = figure_of("fig3", records)
    top, below = figure.axes[0], figure.axes[4]
    assert len(figure.axes) == 8
    assert [text.get_text() for text in top.texts][:2] == ["1.00 ± 0.00"] * 2
    line = max(top.lines[1].get_xydata().tolist())
    assert line == pytest.approx([2e-3, 1e-3])
    assert below.lines[1].get_ydata() == pytest.approx([2 * L**-3.0 for L in (4, 5, 6, 8, 12)])
    assert [text.get_text() for text in below.texts][:2] == ["-3.00 ± 0.00"] * 2
