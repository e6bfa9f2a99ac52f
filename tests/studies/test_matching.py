"""Study of exact matching, small: what is said to be matched is matched, and a minimum is one."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.cli.app import app
from ase_mlipgen.defects import Vacancy, potential_energy, simulation_cell
from ase_mlipgen.report.studies import matching_figure
from ase_mlipgen.studies import catalogue, matching
from ase_mlipgen.studies.cases import CASES
from ase_mlipgen.studies.fits import every_fit, model_of, settings_of, violation
from ase_mlipgen.studies.results import read, write
from ase_mlipgen.studies.study import Context
from ase_mlipgen.theory.pieces import with_calculator

SHEET = CASES["sheet"]
SMALL = replace(
    SHEET, sizes=(5,), degrees=(10,), rtols=(1e-4,), seeds=(0,), options={**SHEET.options, "n_train": 15},
    large=lambda size: [simulation_cell(SHEET.crystal, [Vacancy()] * 2, 16, size)],
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("labels")


@pytest.fixture(scope="module")
def records(store):
    study = matching.study_of({"sheet": SMALL})
    return [r for found in study.compute(study.settings("default"), Context(store=store)) for r in found]


def test_matched_fits_hold_the_conditions_and_err_less(records):
    plain, matched = records
    assert plain.matched == ()
    assert matched.matched == ("energies", "forces", "force_constants")
    assert plain.violation == 0.0 < matched.violation < 1e-9
    assert matched.geometry < plain.geometry / 2
    assert abs(matched.formation) < abs(plain.formation)


def test_reference_has_its_minimum_at_its_own_geometry(records):
    for record in records:
        assert 0.0 < record.excess < 10.0 * record.geometry**2


def test_matched_models_have_the_energies_of_the_reference(store):
    """Asked of the calculator, and not of the rows that were imposed."""
    ready = every_fit({"sheet": SMALL}, settings_of(SMALL), store)
    errors = {}
    for setting, trainer, _ in ready:
        (cell,) = trainer.relax()
        ours, theirs = (
            np.array(
                [
                    potential_energy(with_calculator(a, c))
                    for a in (cell.relaxed, cell.unrelaxed, cell.perfect)
                ]
            )
            for c in (model_of(trainer), EAM2D())
        )
        errors[bool(setting.matching)] = np.max(np.abs(ours / theirs - 1.0))
        force = np.abs(with_calculator(cell.relaxed, model_of(trainer)).get_forces()).max()
        assert (force < 3e-6) == bool(setting.matching)
        assert violation(trainer) < 1e-9
    assert errors[True] < 1e-9 < errors[False]


def test_summary_takes_medians_of_ratios_and_finds_slopes():
    def record(seed, matched, geometry, formation):
        return SimpleNamespace(
            case="a", size=6, degree=8, rtol=1e-4, seed=seed, cell=0, matched=("energies",) if matched else (),
            violation=3e-12 if matched else 0.0, geometry=geometry, relaxation=geometry, formation=formation,
            excess=0.7 * geometry**2,
        )  # fmt: skip

    found = [record(0, False, 1e-2, -1e-3), record(0, True, 1e-3, 1e-5), record(1, False, 3e-2, 1e-3)]
    found += [
        record(1, True, 1e-3, -2e-5),
        record(2, True, float("nan"), float("nan")),
        record(2, False, 1.0, 1.0),
    ]
    (overall,) = (s for s in matching.summarise(found) if s["size"] is None and s["rtol"] is None)
    assert overall["pairs"] == 2
    assert overall["without_minimum"] == 1
    assert overall["geometry"] == pytest.approx(20.0)
    assert overall["formation"] == pytest.approx(75.0)
    assert overall["slope"] == pytest.approx(2.0)
    assert overall["violation"] == 3e-12
    head, rows = matching.table(found)
    assert all(len(row) == len(head) for row in rows)


def test_command_writes_rows_table_and_picture(tmp_path, store, monkeypatch, records):
    monkeypatch.setitem(catalogue.STUDIES, "matching", matching.study_of({"sheet": SMALL}))

    def invoke(*arguments):
        words = ["study", "matching", "-o", tmp_path, "--store", store, "--quiet", *arguments]
        return CliRunner().invoke(app, [str(word) for word in words])

    done = invoke("--json", "--only", "matching=")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"] == 1
    done = invoke("--json")
    assert done.exit_code == 0, done.output
    shown, kept = json.loads(done.stdout), read(tmp_path / "matching.csv", matching.Record)
    assert shown["rows"] == 2
    assert shown["seeds"] == [0]
    assert f"numpy {np.__version__}" in kept.versions
    assert kept.records == tuple(records)
    assert (tmp_path / "matching.png").stat().st_size > 10_000
    assert invoke("--against", tmp_path / "matching.csv").exit_code == 0
    moved = replace(kept, records=tuple(replace(r, geometry=r.geometry * (1 + 1e-5)) for r in kept.records))
    write(tmp_path / "moved.csv", moved)
    done = invoke("--against", tmp_path / "moved.csv")
    assert done.exit_code == 4
    assert "geometry" in done.stderr
    assert invoke("--only", "size=99").exit_code == 2
    assert invoke("--only", "size").exit_code == 2
    assert CliRunner().invoke(app, ["study", "nothing"]).exit_code == 2
    assert "certificate" in CliRunner().invoke(app, ["study"]).stdout


def test_picture_has_the_errors(records):
    assert matching_figure(records).axes[0].lines[0].get_ydata() == pytest.approx([records[1].geometry])
