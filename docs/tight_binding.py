"""Computes the tables and the picture of docs/tight_binding.md, and writes them into the page.

From the root of the repository, a few minutes of one core:

    python -m docs.tight_binding

The table of cells of 8000 atoms takes ten minutes of two cores, and is written by

    python -m docs.tight_binding large
"""

import multiprocessing
import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from ase import units
from ase.build import bulk
from ase.optimize import BFGS
from matscipy.elasticity import fit_elastic_constants
from scipy.optimize import minimize_scalar

from ase_mlipgen.calculators.nrltb import NRLTB
from ase_mlipgen.defects import Vacancy, relax, simulation_cell, training_cell
from ase_mlipgen.report.style import BLUE, GREEN, GREY, ORANGE, PURPLE, new_figure, styled
from ase_mlipgen.tightbinding.parameters import parameter_sets
from tests.benchmarks import machine

PAGE = Path(__file__).with_suffix(".md")
KT = 0.025  # eV
MESH = 8
EXPECTED = {"a0, Å": "5.4264", "gap, eV": "1.02", "C11, GPa": "179", "C12, GPa": "73", "C44, GPa": "94"}
SHELLS = {"s": BLUE, "p": ORANGE, "d": GREEN}


def table(header, rows):
    """Return a Markdown table."""
    marks = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [header, marks, *rows])


def parameter_table():
    """Return the parameter sets of the package as a table."""
    rows = []
    for name, p in parameter_sets().items():
        about = f"{p.citation}. {p.notes}".strip().removesuffix(".")
        rows.append([name, p.element, p.n_orbitals, f"{p.electrons:g}", f"{NRLTB(name).cutoff:.2f}", about])
    return table(["set", "element", "orbitals", "electrons", "cutoff, Å", "published"], rows)


def lattice_constant(calculator):
    """Return the lattice constant of diamond silicon, Å."""

    def energy(a):
        return calculator.get_potential_energy(bulk("Si", a=a))

    return minimize_scalar(energy, bracket=(5.38, 5.43, 5.48), tol=1e-7).x


def elastic_constants(atoms):
    """Return C11, C12 and C44, GPa: stresses of strained cells whose atoms relax (C44 is 135 GPa without)."""
    C, _ = fit_elastic_constants(
        atoms,
        symmetry="cubic",
        N_steps=5,
        delta=0.002,
        optimizer=BFGS,
        fmax=1e-4,
        verbose=False,
        logfile=None,
    )
    return C[0, 0] / units.GPa, C[0, 1] / units.GPa, C[3, 3] / units.GPa


def band_gap(a, kT=KT, **settings):
    """Return the gap between the highest occupied and the lowest empty level on the bands along L-G-X, eV."""
    levels = (
        NRLTB("Si", kT=kT, kpts=(4, 4, 4), **settings)
        .get_band_structure(bulk("Si", a=a), "LGX", 300)
        .energies[0]
    )
    return levels[:, 4].min() - levels[:, 3].max()


def crystal(mesh=MESH, kT=KT):
    """Return lattice constant, gap and elastic constants of silicon."""
    calculator = NRLTB("Si", kT=kT, kpts=(mesh,) * 3)
    a = lattice_constant(calculator)
    atoms = bulk("Si", a=a)
    atoms.calc = calculator
    return dict(zip(EXPECTED, (a, band_gap(a, kT), *elastic_constants(atoms)), strict=True))


def formation(size, mesh, kT, a):
    """Return the formation energy of the vacancy, eV, as cut and relaxed, and how many steps that took."""
    host = bulk("Si", cubic=True, a=a)
    calculator = NRLTB("Si", kT=kT, kpts=(mesh,) * 3, threads=1)
    perfect, cell = training_cell(host, None, size), training_cell(host, Vacancy(), size)
    atom = calculator.get_potential_energy(perfect) / len(perfect)
    found = relax(cell, calculator, fmax=1e-3, strict=True)
    return found.initial_energy - len(cell) * atom, found.energy - len(cell) * atom, found.steps


@styled
def picture(path, a):
    """Draw bands and density of states of silicon."""
    atoms = bulk("Si", a=a)
    calculator = NRLTB("Si", kT=KT, kpts=(MESH,) * 3)
    found = calculator.get_band_structure(atoms, "LGXUG", npoints=240)
    top = found.energies[0][:, 3].max()
    figure = new_figure(5.6, 3.4)
    bands, states = figure.subplots(1, 2, sharey=True, width_ratios=[2.6, 1])
    x, ticks, names = found.path.get_linear_kpoint_axis()
    bands.plot(x, found.energies[0] - top, color=BLUE, lw=1.1)
    bands.set_xticks(ticks, [name.replace("G", "Γ") for name in names])
    for tick in ticks:
        bands.axvline(tick, color=GREY, lw=0.4)
    bands.set(xlim=(x[0], x[-1]), ylim=(-13, 8), ylabel="energy above the valence band, eV")
    grid = np.linspace(-13, 8, 700)
    total = 0.0
    for part in calculator.get_dos(atoms, kpts=(20,) * 3, projected=True):
        density = part.sample_grid(len(grid), top - 13, top + 8, width=0.12).get_weights()
        total = total + density
        states.plot(density, grid, color=SHELLS[part.info["orbital"]], lw=0.9, label=part.info["orbital"])
    states.plot(total, grid, color=PURPLE, lw=1.1, label="all")
    states.set(xlim=(0, None), xlabel="states an eV")
    states.legend(loc="lower right")
    for axes in (bands, states):
        axes.axhspan(0, band_gap(a), color=ORANGE, alpha=0.15, lw=0)
    figure.savefig(path, dpi=200)


def update(name, text, command="python -m docs.tight_binding"):
    """Replace the block of that name in the page."""
    begin, end = f"<!-- {name}: written by {command} -->", f"<!-- end of {name} -->"
    before, rest = PAGE.read_text(encoding="utf-8").split(begin)
    _, after = rest.split(end)
    PAGE.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def large(separation):
    """Return what energy and forces of 7998 atoms with two vacancies take; in a process of its own, for its memory."""
    host = bulk("Si", cubic=True, a=5.4264)
    cell = simulation_cell(host, [Vacancy(), Vacancy()], 10, separation)
    calculator = NRLTB("Si", kT=KT, threads=os.cpu_count())
    calculator.get_potential_energy(bulk("Si", a=5.4264))  # compiles
    begun, cpu = time.perf_counter(), time.process_time()
    calculator.calculate(cell, ["energy", "forces"])
    wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    plan = calculator.plan
    where = "(" + ", ".join(f"{n}a" if n else "0" for n in separation) + ")"
    sizes = [len(plan.block_sizes), max(plan.block_sizes)]
    return [where, plan.order, *sizes, f"{cpu:.0f} s", f"{wall:.0f} s", f"{peak:.1f} GB"]


def write_large():
    """Measure the large cells and write them into the page."""
    header = [
        "two vacancies apart by",
        "operations",
        "blocks",
        "largest",
        "CPU time",
        "wall time",
        "peak of memory",
    ]
    rows = []
    for separation in ([5, 5, 5], [4, 0, 0]):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            rows.append(pool.submit(large, separation).result())
        print(rows[-1], flush=True)
    about = machine.describe()
    text = (
        f"{table(header, rows)}\n\nMeasured on {about['date']}: {about['processor']}, cores {about['cores']}."
    )
    update("large", text, "python -m docs.tight_binding large")


def main():
    """Compute everything and write it into the page."""
    begun = time.perf_counter()
    found = crystal()
    a = found["a0, Å"]
    rows = [[name, f"{value:.5g}", EXPECTED[name]] for name, value in found.items()]
    rows.append(['gap with `cutoff="forceshift"`, eV', f"{band_gap(a, cutoff='forceshift'):.2f}", "-0.04"])
    vacancies = []
    for size, mesh, kT in ((2, 1, KT), (3, 1, KT), (2, 3, KT), (3, 2, KT), (2, 3, 0.1), (3, 2, 0.1)):
        cut, relaxed, steps = formation(size, mesh, kT, a)
        vacancies.append(
            [f"{size}³, {8 * size**3 - 1} atoms", f"{mesh}³", kT, f"{cut:.3f}", f"{relaxed:.3f}", steps]
        )
        print(vacancies[-1], flush=True)
    picture(PAGE.parent / "figures" / "silicon_bands.png", a)
    about = {**machine.describe(), "wall time": f"{time.perf_counter() - begun:.0f} s"}
    update("parameters", parameter_table())
    update(
        "silicon",
        "\n\n".join(
            [
                table([f"diamond silicon, {MESH}³ k-points, kT = {KT} eV", "here", "reference"], rows),
                table(["vacancy", "k-points", "kT, eV", "as cut, eV", "relaxed, eV", "steps"], vacancies),
                table(["machine", ""], about.items()).replace("--:", "---"),
            ]
        ),
    )


if __name__ == "__main__":
    write_large() if sys.argv[1:] == ["large"] else main()
