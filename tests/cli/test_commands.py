"""Commands through typer's runner: output, files, exit codes."""

import json
import sys
import tomllib

import numpy as np
import pytest
from ase.io import read, write
from typer.testing import CliRunner

from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.cli.app import app
from ase_mlipgen.config import default, load
from ase_mlipgen.defects import Vacancy, simulation_cell, training_cell, triangular_lattice
from ase_mlipgen.labels import LabelledCell, LabelStore, status_of, write_cells
from ase_mlipgen.result import TrainingResult

TINY = [
    "training.size=4", "training.n_train=6", "training.n_test=3", "training.n_perfect=2", "basis.degree=6",
    "fit.matching=none", "simulation.size=10", "simulation.separation=4", "simulation.fmax=1e-3",
]  # fmt: skip
SET = [word for change in TINY for word in ("--set", change)]


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run directory, and what the command printed as JSON."""
    folder = tmp_path_factory.mktemp("cli")
    config = folder / "tiny.toml"
    assert invoke("init", config).exit_code == 0
    done = invoke("run", config, "-o", folder / "out", "--json", "--quiet", *SET)
    assert done.exit_code == 0, done.output
    return folder, json.loads(done.stdout)


def test_run_directory_is_complete_and_reads_back(run):
    folder, numbers = run
    out = folder / "out"
    names = {path.name for path in out.iterdir()}
    assert names >= {
        "config.toml", "model.json", "result.json", "labels_train.extxyz", "labels_test.extxyz", "metrics.json",
        "report.html", "summary.png", "parity.png", "decay.png", "run.log", "citations.bib",
        "large_cell_reference.extxyz", "large_cell_model.extxyz",
    }  # fmt: skip
    result = TrainingResult.load(out)
    assert numbers["errors"]["test"]["force_rmse"] == result.errors.force_rmse
    assert load(out / "config.toml").training.size == 4
    assert len(read(out / "large_cell_model.extxyz")) == 98 == numbers["large_cell"]["n_atoms"]
    assert "relaxed in" in (out / "run.log").read_text()
    assert "Zhou2004" in (out / "citations.bib").read_text()


def test_the_resolved_configuration_repeats_the_run_without_new_labels(run, tmp_path):
    folder, numbers = run
    labels = folder / "out" / "labels"
    before = {path: path.stat().st_mtime_ns for path in labels.rglob("*") if path.is_file()}
    again = invoke("run", folder / "out" / "config.toml", "-o", folder / "out", "--json", "--quiet")
    assert again.exit_code == 0
    assert json.loads(again.stdout)["errors"] == numbers["errors"]
    assert {path: path.stat().st_mtime_ns for path in labels.rglob("*") if path.is_file()} == before


def test_report_is_written_again_without_the_reference(run, tmp_path):
    """The page and the numbers are those of the run but for the times."""
    folder, _ = run
    numbers = json.loads((folder / "out" / "metrics.json").read_text())
    done = invoke("report", folder / "out", "-o", tmp_path / "again", "--json", "--quiet")
    assert done.exit_code == 0, done.output
    again = json.loads(done.stdout)
    for name in ("errors", "fit", "large_cell", "budget", "timings"):
        assert again[name] == numbers[name]
    for name in ("decay.png", "summary.png", "budget.png"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / "out" / name).read_bytes()
    assert "comparison.npz" not in again["files"]


def test_report_of_a_result_that_was_saved_by_a_program(run, tmp_path):
    TrainingResult.load(run[0] / "out").save(tmp_path / "saved")
    done = invoke("report", tmp_path / "saved", "--title", "Mine")
    assert done.exit_code == 0, done.output
    assert "force RMSE" in done.stdout
    assert "<h1>Mine</h1>" in (tmp_path / "saved" / "report.html").read_text()


def test_report_of_no_result_is_refused(tmp_path):
    done = invoke("report", tmp_path)
    assert done.exit_code == 2
    assert "is not a complete training result: it lacks result.json" in done.stderr


def test_demo_prints_rank_errors_with_units_times_and_the_picture(tmp_path):
    done = invoke("demo", "-o", tmp_path / "demo", "--quiet", *SET)
    assert done.exit_code == 0, done.output
    for text in (
        "rank ",
        "force RMSE",
        "eV/Å",
        "geometry error",
        "relaxation by the reference",
        "summary.png",
    ):
        assert text in done.stdout
    assert (tmp_path / "demo" / "summary.png").stat().st_size > 10_000
    assert done.stderr == ""


def test_an_unstable_model_fails_the_run_when_all_is_written(tmp_path):
    """Two pair functions do not hold a sheet together."""
    assert invoke("init", tmp_path / "a.toml").exit_code == 0
    coarse = ["--set", "basis.degree=2", "--set", "basis.order=1"]
    done = invoke("run", tmp_path / "a.toml", "-o", tmp_path / "out", "--quiet", *SET, *coarse)
    assert done.exit_code == 4
    assert "the surrogate is not stable" in done.stderr
    assert (tmp_path / "out" / "report.html").is_file()
    assert "the surrogate is not stable" in (tmp_path / "out" / "report.html").read_text().replace(
        "The s", "the s"
    )
    the_mark_travels_with_the_model(tmp_path / "out" / "model.json", tmp_path)


def the_mark_travels_with_the_model(model, folder):
    """What is done with the file of an unstable model says so; LAMMPS gets it by force only."""
    refused = invoke("export", model)
    assert refused.exit_code == 4
    assert "is not exported: the surrogate is not stable on" in refused.stderr
    assert "--force" in refused.stderr
    assert not list(folder.rglob("*.yace"))
    forced = invoke("export", model, "--force", "-o", folder / "forced.yace", "--json")
    assert forced.exit_code == 0, forced.output
    assert json.loads(forced.stdout)["energy_deviation"] < 1e-8
    write(folder / "start.xyz", triangular_lattice("W", 2.72711) * (6, 6, 1), format="extxyz")
    for words in (("eval", model, folder / "start.xyz"), ("relax", model, folder / "start.xyz", "-q")):
        done = invoke(*words, "--json")
        assert done.exit_code == 0, done.output
        assert done.stderr.startswith(f"warning: {model}: the surrogate is not stable on")
        assert done.stderr.count("not stable") == 1
        assert json.loads(done.stdout)["unstable"].startswith("the surrogate is not stable on")


def test_weights_by_the_theory_are_printed(tmp_path):
    assert invoke("init", tmp_path / "a.toml").exit_code == 0
    changes = ["--set", "fit.weights=theory", "--set", "fit.matching=exact", "--set", "fit.force_norm=dual"]
    done = invoke("run", tmp_path / "a.toml", "-o", tmp_path / "out", "--quiet", *SET, *changes)
    assert done.exit_code in (0, 4), done.output
    assert "W_F = 1, of squared residuals" in " ".join(done.stdout.split())
    assert "eps_FC_hom" in done.stdout


def test_init_writes_the_default_and_does_not_overwrite(tmp_path):
    path = tmp_path / "run.toml"
    assert invoke("init", path).exit_code == 0
    assert load(path) == default()
    path.write_text("mine")
    refused = invoke("init", path)
    assert (refused.exit_code, path.read_text()) == (2, "mine")
    assert "--force" in refused.stderr
    assert invoke("init", path, "--force").exit_code == 0
    assert tomllib.loads(path.read_text())["basis"]["order"] == 3


def test_plan_counts_what_the_trainer_will_do(run):
    folder, _ = run
    census = json.loads(invoke("plan", folder / "tiny.toml", "--json").stdout)
    assert census["census"]["n_functions"] == 383
    assert census["large_cell_atoms"] == 3598
    assert census["cells"] == [{"name": "vacancy, L = 8", "n_atoms": 69, "labels": 250}]
    tiny = invoke("plan", folder / "tiny.toml", *SET)
    assert tiny.exit_code == 0
    assert f"{6 * (1 + 3 * 11) + 2 * (1 + 3 * 12)} rows, 25 functions" in tiny.stdout
    assert "less than twice the cutoff" in tiny.stdout


def test_plan_compares_sizes_and_relaxes_only_if_asked(run, monkeypatch):
    folder, _ = run
    calls = []
    forces = EAM2D.calculate
    monkeypatch.setattr(EAM2D, "calculate", lambda *a, **k: (calls.append(1), forces(*a, **k))[1])
    plain = json.loads(invoke("plan", folder / "tiny.toml", "--json").stdout)
    assert calls == []
    sizes = {option["size"]: option for option in plain["sizes"]}
    assert list(sizes) == [6, 7, 8, 9, 10, 11]
    assert sizes[8]["relative"] == 1.0
    assert sizes[10]["relative"] == pytest.approx(7.0 / 9.0, rel=0.03)
    assert sizes[9]["n_atoms"] == len(training_cell(triangular_lattice("W", 2.72711), Vacancy(), 9))
    assert all(option["far"] is None for option in sizes.values())
    assert 0.0 < plain["fit_time"] < 600.0
    asked = json.loads(invoke("plan", folder / "tiny.toml", "--json", "--relax").stdout)
    assert calls
    far = [option["far"] for option in asked["sizes"]]
    # Half of what the relaxed vacancy of this cell has in all, 0.3 Å, is in the far field.
    assert 0.05 < far[2] < 0.3
    assert far == sorted(far, reverse=True)
    narrow = invoke("plan", folder / "tiny.toml", *SET)
    assert "size 6 is the first that is twice the cutoff wide" in " ".join(narrow.stdout.split())


def test_budget_is_the_results_and_that_of_the_report(run, tmp_path):
    folder, numbers = run
    shown = json.loads(invoke("budget", folder / "out", "--size", 10, "--separation", 4, "--json").stdout)
    assert (
        shown == TrainingResult.load(folder / "out").budget(10, 2, separation=4).todict() == numbers["budget"]
    )
    png = tmp_path / "budget.png"
    text = invoke(
        "budget", folder / "out", "--defect", "interstitial", "--defect", "vacancy", "--figure", png
    )
    assert text.exit_code == 0
    assert "never trained: interstitial" in text.stdout
    assert png.read_bytes()[:4] == b"\x89PNG"
    page = (folder / "out" / "report.html").read_text()
    assert "Error budget: size 10" in page
    assert (folder / "out" / "budget.png").is_file()
    assert invoke("budget", folder / "nowhere").exit_code == 2


def test_eval_gives_the_trainers_errors_and_has_gates(run):
    folder, numbers = run
    out = folder / "out"
    found = json.loads(invoke("eval", out, out / "labels_test.extxyz", "--json").stdout)
    for name in ("energy_rmse", "force_rmse"):
        np.testing.assert_allclose(found[name], numbers["errors"]["test"][name], rtol=1e-9)
    assert found["n_labelled"] == 3
    table = invoke("eval", out / "model.json", out / "labels_test.extxyz")
    assert f"{found['force_rmse']:.3e}" in table.stdout
    gate = invoke("eval", out, out / "labels_test.extxyz", "--max-force-rmse", found["force_rmse"] / 2)
    assert gate.exit_code == 4
    assert "above the limit" in gate.stderr
    assert (
        invoke("eval", out, out / "labels_test.extxyz", "--max-force-rmse", found["force_rmse"] * 2).exit_code
        == 0
    )


def test_eval_of_the_reference_on_its_own_labels_is_exact(tmp_path):
    atoms = training_cell(triangular_lattice("W", 2.72711), Vacancy(), 4)
    atoms.info.clear()
    probe = atoms.copy()
    probe.calc = EAM2D()
    write_cells(
        tmp_path / "own.extxyz", [LabelledCell(atoms, probe.get_potential_energy(), probe.get_forces())]
    )
    found = json.loads(invoke("eval", "EAM2D", tmp_path / "own.extxyz", "--json").stdout)
    assert (found["energy_rmse"], found["force_rmse"]) == (0.0, 0.0)
    write(tmp_path / "plain.extxyz", atoms)
    plain = invoke("eval", "EAM2D", tmp_path / "plain.extxyz")
    assert f"{probe.get_potential_energy():.6f}" in plain.stdout
    assert invoke("eval", "EAM2D", tmp_path / "plain.extxyz", "--max-energy-rmse", "1").exit_code == 4


def test_relax_reaches_the_tolerance_or_exits_with_4(tmp_path):
    atoms = training_cell(triangular_lattice("W", 2.72711), Vacancy(), 5)
    write(tmp_path / "start.xyz", atoms, format="extxyz")
    done = invoke(
        "relax", "EAM2D", tmp_path / "start.xyz", "-o", tmp_path / "end.extxyz", "--fmax", "1e-3", "-q"
    )
    assert done.exit_code == 0, done.output
    end = read(tmp_path / "end.extxyz")
    end.calc = EAM2D()
    assert np.linalg.norm(end.get_forces(), axis=1).max() <= 1.01e-3
    short = invoke("relax", "EAM2D", tmp_path / "start.xyz", "--fmax", "1e-9", "--steps", "1", "--json", "-q")
    assert short.exit_code == 4
    assert json.loads(short.stdout)["converged"] is False
    assert (tmp_path / "start-relaxed.extxyz").is_file()


def test_compile_says_where_the_cache_is():
    content = json.loads(invoke("compile", "--json").stdout)
    assert content["wall_time"] > 0
    assert content["cache"]
    assert {"design rows", "LinearACE, Hessian"} < set(content["cpu_times"])
    assert "design rows: " in invoke("compile").stdout


def test_cite_knows_what_a_run_used(run):
    folder, _ = run
    assert "Zhou2004" in invoke("cite", folder / "out").stdout
    keys = [c["key"] for c in json.loads(invoke("cite", folder / "tiny.toml", "--json").stdout)["citations"]]
    assert keys[:3] == ["OrtnerWang2023", "Drautz2019", "Dusson2022"]
    assert "Numba: a LLVM-based" in invoke("cite", "--plain").stdout


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "absent.toml"),
        ("demo", "--set", "training.ampltude=0.1"),
        ("demo", "--no-such-option"),
        ("eval", "absent.json", "absent.xyz"),
        ("run",),
        ("demo", "--workers", "0"),
    ],
)
def test_bad_configuration_and_usage_exit_with_2(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invoke(*words).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_mistyped_key_is_named_in_one_line(tmp_path):
    done = invoke("demo", "-o", tmp_path / "x", "--set", "training.ampltude=0.1")
    assert done.stderr == 'mlipgen: unknown key "ampltude" in [training]; did you mean "amplitude"?\n'


def write_reference(folder, body):
    (folder / "reference_of_cli_test.py").write_text(
        "from ase_mlipgen.calculators.eam2d import EAM2D\n\n\nclass Broken(EAM2D):\n"
        "    def calculate(self, atoms=None, properties=('energy',), system_changes=()):\n"
        f"        if len(atoms) == 12:\n            {body}\n"
        "        super().calculate(atoms, properties, ['positions'])\n"
    )


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        ("raise RuntimeError('the code crashed')", 3, "the code crashed"),
        ("raise KeyboardInterrupt", 130, "interrupted"),
    ],
)
def test_a_reference_that_fails_ends_the_run_with_its_code(tmp_path, monkeypatch, body, code, text):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "reference_of_cli_test", raising=False)
    write_reference(tmp_path, body)
    invoke("init", tmp_path / "run.toml")
    factory = ("--set", "reference.factory=reference_of_cli_test:Broken")
    done = invoke("run", tmp_path / "run.toml", "-o", tmp_path / "out", "-q", *SET, *factory)
    sys.modules.pop("reference_of_cli_test", None)
    assert done.exit_code == code, done.output
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert "ended by" in (tmp_path / "out" / "run.log").read_text()
    assert any((tmp_path / "out" / "labels").rglob("*.json"))


def test_labels_that_fail_are_listed_and_only_they_are_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "reference_of_cli_test", raising=False)
    broken = tmp_path / "broken"
    broken.touch()
    write_reference(tmp_path, f"assert not __import__('os').path.exists({str(broken)!r}), 'the code crashed'")
    invoke("init", tmp_path / "run.toml")
    factory = ("--set", "reference.factory=reference_of_cli_test:Broken")
    arguments = ("run", tmp_path / "run.toml", "-o", tmp_path / "out", "-q", *SET, *factory, "--retries", "1")
    done = invoke(*arguments)
    assert done.exit_code == 3, done.output
    failures = status_of(tmp_path / "out" / "labels").failures
    assert len(failures) > 1
    assert {(f.verdict, f.attempts) for f in failures} == {("raised", 2)}
    assert f"the reference failed on {len(failures)} of" in done.stderr
    assert all(failure.where in done.stderr for failure in failures)
    store = LabelStore(tmp_path / "out" / "labels")
    made = {store.path(key): store.path(key).stat().st_mtime_ns for key in sorted(store.keys())}
    broken.unlink()
    assert invoke(*arguments, "--time-limit", "600").exit_code == 0
    sys.modules.pop("reference_of_cli_test", None)
    after = status_of(tmp_path / "out" / "labels")
    assert (after.failures, after.n_labels) == ((), len(made) + len(failures))
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_certify_writes_a_certificate_with_a_picture_and_gates(run):
    folder, numbers = run
    out = folder / "out"
    done = invoke("certify", out, "--json", "--quiet")
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert made["verdict"] in ("ok", "overlapping")
    assert 0.2 < made["geometry_error"] / numbers["large_cell"]["geometry_error"] < 5.0
    assert (out / "certificate.png").stat().st_size > 10_000
    assert json.loads((out / "certificate.json").read_text())["geometry_error"] == made["geometry_error"]
    gated = invoke("certify", out, "--quiet", "--target", "1e-9")
    assert gated.exit_code == 4
    assert "above 1e-09" in gated.stderr
    assert "far field" in gated.stdout
    assert invoke("certify", folder).exit_code == 2


def test_certify_takes_a_structure_and_refine_makes_a_model(run, tmp_path):
    folder, _ = run
    out = folder / "out"
    crystal = triangular_lattice("W", load(out / "config.toml").crystal.r0)
    write(tmp_path / "large.extxyz", simulation_cell(crystal, [Vacancy()], 12, 5))
    words = ("--structure", tmp_path / "large.extxyz", "--quiet")
    done = invoke("certify", out, *words, "--json")
    assert done.exit_code == 0, done.output
    before = json.loads(done.stdout)["geometry_error"]
    target = before / 2
    done = invoke("refine", out, *words, "--target", target, "--samples", 2, "--json", "-o", tmp_path / "new")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rounds"][-1]["geometry_error"] <= target
    assert TrainingResult.load(tmp_path / "new").settings["n_transplants"] > 0
    done = invoke("certify", tmp_path / "new", *words, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["geometry_error"] <= target


def test_study_draws_one_figure(tmp_path, monkeypatch):
    from dataclasses import replace

    from ase_mlipgen.studies import cases, catalogue, certificate

    sheet = cases.CASES["sheet"]
    small = replace(
        sheet, sizes=(5,), degrees=(8,), seeds=(0,), options={**sheet.options, "n_train": 15},
        large=lambda size: [simulation_cell(sheet.crystal, [Vacancy()], 14, 6)],
    )  # fmt: skip
    monkeypatch.setitem(catalogue.STUDIES, "certificate", certificate.study_of({"sheet": small}))
    done = invoke("study", "certificate", "-o", tmp_path, "--json", "--quiet")
    assert done.exit_code == 0, done.output
    larger = [row for row in json.loads(done.stdout)["table"] if row["cells"] == "larger" and row["L"] == "5"]
    assert {row["fits"] for row in larger} == {"4"}
    assert int(larger[0]["within 2"].removesuffix("%")) >= 75
    assert (tmp_path / "certificate.png").stat().st_size > 10_000


SILICON = """
[crystal]
kind = "bulk"
name = "Si"
a = 5.4264
cubic = true
[[defects]]
kind = "vacancy"
[reference]
factory = "NRLTB:Si"
arguments = { kT = 0.1, threads = 1 }
[basis]
order = 2
degree = 8
cutoff = 4.5
[training]
size = 2
n_train = 4
n_test = 2
n_perfect = 2
"""


def test_silicon_by_tight_binding_and_what_it_cites(tmp_path):
    (tmp_path / "si.toml").write_text(SILICON)
    done = invoke("run", tmp_path / "si.toml", "-o", tmp_path / "out", "--quiet")
    assert done.exit_code == 0, done.output
    cited = (tmp_path / "out" / "citations.bib").read_text()
    for key in ("Cohen1994", "Mehl1996", "Bernstein2000"):
        assert key in cited


def test_a_large_cell_that_cannot_be_built_is_refused_before_any_label(tmp_path):
    (tmp_path / "si.toml").write_text(SILICON + "[simulation]\nsize = 3\nseparation = [1.3, 0, 0]\n")
    done = invoke("run", tmp_path / "si.toml", "-o", tmp_path / "out", "--quiet")
    assert done.exit_code == 2
    assert "no translation of the crystal" in done.output
    assert not (tmp_path / "out" / "labels").exists()
