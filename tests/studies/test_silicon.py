"""Silicon by tight binding, small: what the reference is said to be off by, sampled zones, rows, tables, pictures."""

from dataclasses import replace

import numpy as np
import pytest

from ase_mlipgen.calculators.nrltb import NRLTB
from ase_mlipgen.defects import training_cell
from ase_mlipgen.report.studies import figure_of
from ase_mlipgen.studies import silicon
from ase_mlipgen.studies.errors import EXACT, PLAIN, SIZE, Sweep
from ase_mlipgen.studies.silicon_tables import fig8_table, fig9_table
from ase_mlipgen.studies.study import run
from ase_mlipgen.theory.norms import strain_norm

SAMPLES = {"n_train": 8, "n_test": 2, "n_perfect": 2}
SMALL = replace(silicon.CASES["6"], name="4", large=lambda size: silicon.pair(4), at_size={2: SAMPLES})
SWEEPS = (Sweep(SIZE, "4", (2,), (0,), ((2, 8),), (1e-6,), (PLAIN, EXACT)),)
STUDY = silicon.study_of("fig9", "small", sweeps=SWEEPS, table=fig9_table, cost="seconds", cases={"4": SMALL})


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("silicon")


@pytest.fixture(scope="module")
def records(directory):
    return run(STUDY, directory).records


@pytest.fixture(scope="module")
def truth(records, directory):
    (found,) = silicon.truths(replace(SMALL, matchings=(None,)), 2, directory / "labels")
    return found


def dense(kpts=(1, 1, 1)):
    return NRLTB("Si", kT=silicon.KT, solver="dense", kpts=kpts)


def test_what_the_reference_is_off_by_is_that_of_calculations_without_symmetry(records, truth):
    pair = truth.relaxation.atoms
    assert np.abs(dense().get_forces(pair)).max() <= silicon.FMAX * 1.001
    host = dense({"size": (4, 4, 4), "gamma": True}).get_potential_energy(silicon.CRYSTAL) / 8
    large = dense().get_potential_energy(pair) - len(pair) * host
    (cell,) = silicon.trainer_of(SMALL, STUDY.settings("default")[0], None).relax()
    own = dense().get_potential_energy(cell.relaxed) - 63 / 64 * dense().get_potential_energy(cell.perfect)
    for record in records:
        assert record.start_formation == pytest.approx(2 * own - large, abs=1e-7)
        off = strain_norm(truth.links, truth.start.positions - pair.positions)
        assert record.start_geometry == pytest.approx(off, rel=1e-6)
    assert 0.0 < records[0].start_geometry < strain_norm(truth.links, truth.atoms.positions - pair.positions)


def test_errors_are_those_of_the_models_beside_the_reference(records):
    plain, exact = records
    assert plain.matched == ()
    assert "forces" in exact.matched
    assert exact.own_geometry < 1e-4 < plain.own_geometry  # the model's minimum is the reference's
    assert plain.excess > 0.0
    assert plain.n_functions == exact.n_functions


@pytest.mark.parametrize(("size", "n"), [(2, 3), (3, 2)])
def test_kpoints_of_small_cells_are_gamma_of_the_large_cell(size, n):
    case = silicon.CASES["6 with k-points"]
    small, large = (training_cell(silicon.CRYSTAL, None, cells) for cells in (size, size * n))
    here = case.reference_of(size)().get_potential_energy(small) / len(small)
    there = case.reference().get_potential_energy(large) / len(large)
    assert here == pytest.approx(there, abs=1e-10)
    assert case.reference_of(4) is case.reference
    assert case.options_of(size)["n_train"] == silicon.SAMPLES[size]["n_train"]
    assert "reference" not in case.options_of(size)


def test_paper_has_plain_fits_to_small_displacements_without_perfect_cells():
    case = silicon.CASES["6"].following("paper")
    options = case.options_of(3)
    assert (options["amplitude"], options["n_perfect"], options["scaling"]) == (0.01, 0, None)
    assert {s.matching for study in (silicon.FIG8, silicon.FIG9) for s in study.settings("paper")} == {()}


def made(size, seed, degree, sweep="basis"):
    """A row whose errors follow its force error, above what the reference is off by."""
    error = 0.1 * (1 + seed) / degree
    return silicon.Record(
        "6", size, seed, 2, degree, "fixed", (), 1e-6, sweep, (), 10 * degree, 9, 1e-3, error, 0.1, 0.1, 0.1, 1.0, 0, 2,
        3.0 * error, 0.1, 0.5 / size, 0.1, 0.0, 2.0 * error, 0.9 / size, -0.4 / size,
    )  # fmt: skip


def test_tables_and_pictures_have_errors_beside_those_of_the_reference():
    rows = [made(size, seed, degree) for size in (2, 3) for seed in (0, 1, 2) for degree in (4, 8, 12)]
    head, body = fig8_table(rows)
    assert [row[head.index("geometry, slope")] for row in body] == ["1.00 ± 0.00"] * 2
    best = 3.0 * 0.1 * 2 / 12  # the median seed's, at the largest degree
    assert body[1][head.index("geometry, Å")] == f"{best:.3f} (0.300)"
    assert body[1][head.index("formation, eV")] == "0.167 (0.133)"
    left = figure_of("fig8", rows).axes[1]
    assert sorted(line.get_ydata()[0] for line in left.lines if line.get_linestyle() == ":") == [0.3, 0.45]
    rows = [made(size, seed, degree, "size") for size in (2, 3) for seed in (0, 1, 2) for degree in (4, 12)]
    head, body = fig9_table(rows)
    table = {(row[0], row[2], row[3]): row[-2:] for row in body}
    assert table["formation, eV", "reference", "-"] == ["0.2", "0.133"]
    assert table["geometry, Å", "plain", "120"] == [f"{best:.3g}"] * 2
    figure = figure_of("fig9", rows)
    (dotted,) = (line for line in figure.axes[1].lines if line.get_linestyle() == ":")
    assert dotted.get_ydata() == pytest.approx([0.2, 0.4 / 3])
