"""Memory of fits that are many times as large as what is held, in processes of their own; end to end."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("resource") is None, reason="this system does not count a process's memory"
)


def measured(path, n_cells, degree):
    words = [sys.executable, "-m", "tests.fit.large_fit", str(path), str(n_cells), str(degree)]
    done = subprocess.run(
        words,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_a_fit_holds_a_small_part_of_its_rows(tmp_path):
    """52,000 rows of 383 functions, 159 MB: what is held beyond the first cell is at most a fifth (10 MB seen)."""
    measured(
        tmp_path / "one.xyz", 1, 14
    )  # compiles what is not compiled yet, which takes more memory than the fit
    found = measured(tmp_path / "cells.xyz", 250, 14)
    assert (found["n_rows"], found["n_functions"]) == (52_000, 383)
    whole = 8 * found["n_rows"] * (found["n_functions"] + 1)
    assert found["peak"] - found["before"] < whole / 5


@pytest.mark.slow
def test_half_a_million_rows_peak_under_one_and_a_half_gigabytes(tmp_path):
    """500,032 rows of 1119 functions, 4.5 GB if held. Seen: a peak of 0.33 GB."""
    found = measured(tmp_path / "cells.xyz", 2404, 18)
    print(found)
    assert (found["n_rows"], found["n_functions"]) == (500_032, 1119)
    assert found["peak"] < 1.5e9
    assert found["residual"] < 1.0
    assert 0 < found["rank"] < 1119
