"""CPU seconds of compiling, of fetching what is compiled, and of imports, each in processes of their own.

They import a copy of the package that holds byte code, as an installation does, but no kernels: those in `__pycache__`
beside the sources would be read although `NUMBA_CACHE_DIR` is elsewhere.
"""

import compileall
import json
import os
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.benchmarks.apart import ROOT
from tests.benchmarks.races import Record, at_most

GROUP = "Compilation and imports, CPU seconds"
COMPILE = "import sys; from ase_mlipgen.cli import main; sys.argv[1:] = ['compile', '--json']; main()"
LIBRARIES = (
    "import ase, numpy, numba, scipy.sparse, typer, matscipy.calculators.calculator, matscipy.neighbours"
)
NAMES = "from ase_mlipgen import ACEBasis, EAM2D, LinearACE"


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a copy of the package."""
    package = tmp_path / "ase_mlipgen"
    shutil.copytree(ROOT / "ase_mlipgen", package, ignore=shutil.ignore_patterns("__pycache__"))
    assert compileall.compile_dir(package, quiet=1)
    return tmp_path


def cpu_seconds(code, folder):
    """Run a program on the copy, kernels kept beside it; return its CPU seconds and what it printed."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "kernels"), "PYTHONPATH": str(folder)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=folder, capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, run.stdout


def test_compile(measuring, keep, folder):
    cold, said = cpu_seconds(COMPILE, folder)
    assert str(folder / "kernels") in json.loads(said)["cache"]
    keep(Record(GROUP, "mlipgen compile, nothing kept: the process", "s", cold, bar=at_most(15)))
    pairs = [(cpu_seconds(COMPILE, folder)[0], cpu_seconds(LIBRARIES, folder)[0]) for _ in range(5)]
    kept, libraries = np.median(pairs, axis=0)
    beyond = float(np.median([a - b for a, b in pairs]))
    keep(Record(GROUP, "mlipgen compile, all kept: the process", "s", float(kept)))
    keep(Record(GROUP, "... of which importing ase, numba, scipy, matscipy", "s", float(libraries)))
    keep(Record(GROUP, "... of which ours, kernels read", "s", beyond, bar=at_most(1)))


def test_import(measuring, keep, folder):
    """Differences of `time.process_time` around the imports, in processes that have ase and numpy already."""
    program = "import time, ase, numpy; t = time.process_time(); {}; print(time.process_time() - t)"
    cases = [("import ase_mlipgen", at_most(0.5)), (NAMES, None)]
    for code, bar in cases:
        times = [float(cpu_seconds(program.format(code), folder)[1]) for _ in range(5)]
        keep(Record(GROUP, f"{code}, after ase and numpy", "s", float(np.median(times)), bar=bar))
