"""Every example runs, quickly, is short enough to read, and gives the numbers and the picture that it promises."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))

# What an example prints: pattern of one number, and the bounds of its absolute value.
STATED = {
    "copper_vacancy": [(r"formation energy: EMT (\S+) eV", 1.2235, 1.2237), (r"model: (\S+) meV", 0, 0.01)],
    "molecular_dynamics": [(r"total energy: (\S+) eV/atom", 0, 1e-4)],
    "silicon_tight_binding": [(r"gap: (\S+) eV", 0.5, 1.3)],
    "silicon_phonons": [
        (r"\nmatched: rms error of the frequencies (\S+) THz", 0, 1e-5),
        (r"without matching: rms error of the frequencies (\S+) THz", 1e-3, 1e-1),
    ],
    "formation_energy_size": [
        (r"reference: (\S+) eV in the infinite", 1.2234, 1.2236),
        (r"model: (\S+) eV in the infinite", 1.2234, 1.2236),
        (r" 864 sites: .* error of the model (\S+) meV", 0, 0.01),
    ],
    "vacancy_migration": [
        (r"reference: barrier (\S+) eV", 0.78, 0.80),
        (r"trained at rest: .* error (\S+) meV", 5, 100),
        (r"and at the saddle: .* error (\S+) meV", 0, 1),
    ],
    "interacting_defects": [
        (r" 1 r0: binding energy +(\S+) meV", 823.5, 823.7),
        (r" 1 r0: .* error (\S+) meV \(one vacancy\)", 50, 500),
        (r" 1 r0: .* (\S+) meV \(pairs too\)", 0, 0.2),
        (r" 5 r0: .* error (\S+) meV \(one vacancy\)", 0, 0.002),
    ],
    "screw_dislocation": [
        (r"model: C11, C12, C44 = (\S+),", 522.53, 522.55),
        (r"reference: .* by relaxation (\S+) eV", 0.094, 0.096),
        (r"model: .* by relaxation (\S+) eV", 0.07, 0.10),
        (r"positions: largest (\S+) Å", 0, 0.01),
    ],
}
PICTURES = {
    "silicon_tight_binding": "silicon.png",
    **{
        name: f"{name}.png"
        for name in (
            "silicon_phonons",
            "formation_energy_size",
            "vacancy_migration",
            "interacting_defects",
            "screw_dislocation",
        )
    },
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example(path, tmp_path):
    assert len(path.read_text().splitlines()) < 60
    run = subprocess.run(
        [sys.executable, path], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**os.environ, "MPLBACKEND": "Agg", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "rank" in run.stderr or "error" in run.stdout
    for pattern, low, high in STATED.get(path.stem, []):
        found = re.search(pattern, "\n" + run.stdout)
        assert found, f"{pattern} is not in\n{run.stdout}"
        assert low <= abs(float(found.group(1))) <= high, found.group(0)
    if path.stem in PICTURES:
        assert (tmp_path / PICTURES[path.stem]).stat().st_size > 10_000
