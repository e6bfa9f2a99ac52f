"""The main job keeps its bars: 383 functions, two vacancies in the 60 r0 sheet, the reference relaxed on its own."""

import json
import subprocess
import sys

import pytest


def test_demo(tmp_path):
    command = [sys.executable, "-c", "from ase_mlipgen.cli import main; main()", "demo", "--json", "--quiet"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    numbers = json.loads(run.stdout)
    large = numbers["large_cell"]
    assert numbers["fit"]["n_functions"] == 383
    assert numbers["fit"]["n_rows"] == 200 * (1 + 3 * 69) + 20 * (1 + 3 * 70)
    assert large["n_atoms"] == 3598
    assert large["geometry_norm"] == pytest.approx(0.4636, abs=2e-4)
    assert large["geometry_error"] < 2e-3
    assert abs(large["formation_energy_error"]) < 2e-3
    assert abs(large["relaxation_energy_error"]) < 2e-3
    folder = tmp_path / "mlipgen-demo"
    assert json.loads((folder / "metrics.json").read_text())["large_cell"] == large
    for name in ("report.html", "summary.png", "model.json", "config.toml", "result.json", "run.log"):
        assert (folder / name).stat().st_size > 0
