"""Computes the three pictures of docs/concepts.md, in less than a minute.

Run `python -m docs.concepts` from the root of the repository.

The first two are one training of the tungsten sheet; the third is drawn from the rows of docs/results.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from matplotlib.patches import Rectangle

from ase_mlipgen import EAM2D, ACEBasis, DefectTrainer, Vacancy, simulation_cell, triangular_lattice
from ase_mlipgen.report.style import BLUE, GREEN, GREY, ORANGE, distances, new_figure, styled
from ase_mlipgen.theory import Comparison, bonds, compare, site_strains
from ase_mlipgen.theory.compare import core_distances
from docs.studies import results_of

FIGURES = Path(__file__).parent / "figures"
SIZE, LARGE, SEPARATION = 8, 36, 12


@dataclass
class Run:
    """What the pictures show: the training cell, and both models, plain and matched, on the large cell."""

    unrelaxed: Atoms
    relaxed: Atoms
    sheet: Atoms
    found: dict[str, Comparison]


def run():
    """Train a plain and a matched model of one vacancy and relax two vacancies by both and by the reference."""
    crystal = triangular_lattice("W", 2.72711)
    basis = ACEBasis(["W"], order=3, degree=10, cutoff=6.0)
    sheet, perfect = (
        simulation_cell(crystal, defects, size=LARGE, separation=SEPARATION)
        for defects in ([Vacancy(), Vacancy()], [])
    )
    found = {}
    for name, matching in (("plain fit", None), ("exact matching", "exact")):
        trainer = DefectTrainer(
            crystal, Vacancy(), EAM2D(), basis, SIZE, 60, 20, matching=matching, fmax=1e-7, progress=False
        )
        result = trainer.run()
        found[name] = compare(EAM2D(), result.calculator, sheet, perfect, fmax=1e-7)
    cell = result.cells[0]
    return Run(cell.unrelaxed, cell.relaxed, sheet, found)


@styled
def cells(made):
    """Draw the training cell and the large one, every site coloured by how much its bonds strain."""
    figure = new_figure(8.2, 3.9)
    small, large = figure.subplots(1, 2, width_ratios=[1, 2.2])
    u = made.relaxed.positions - made.unrelaxed.positions
    strains = site_strains(bonds(made.unrelaxed), u)
    scale = {"cmap": "cividis", "norm": "log", "vmin": 1e-3, "vmax": 0.1}
    x, y, _ = made.unrelaxed.positions.T
    small.scatter(x, y, c=strains, s=70, **scale)
    small.quiver(
        x, y, *(40 * u[:, :2].T), angles="xy", scale_units="xy", scale=1, color=ORANGE, width=0.012, zorder=3
    )
    small.set_title(f"training cell, {len(x)} atoms\ndisplacements × 40")
    x, y, _ = made.sheet.positions.T
    drawn = large.scatter(x, y, c=next(iter(made.found.values())).strain_reference_i, s=7, **scale)
    half = made.unrelaxed.cell.lengths()[:2] / 2
    for centre in made.sheet.info["defect_centres"]:
        large.add_patch(Rectangle(np.asarray(centre)[:2] - half, *(2 * half), fill=False, color=ORANGE))
    large.set_title(f"large cell, {len(x)} atoms\nboxes: as large as the training cell")
    for axes in (small, large):
        axes.set(aspect="equal", xlabel="x (Å)", ylabel="y (Å)")
    figure.colorbar(drawn, ax=large, label="|Du| of a site (Å)", shrink=0.8)
    return figure


@styled
def decay(made):
    """Draw strains against the distance to the core: the cells', and the errors of both models."""
    figure = new_figure(8.2, 3.4)
    relaxation, error = figure.subplots(1, 2)
    distance = core_distances(made.unrelaxed)
    strains = site_strains(bonds(made.unrelaxed), made.relaxed.positions - made.unrelaxed.positions)
    one = next(iter(made.found.values()))
    relaxation.plot(one.core_distance_i, one.strain_reference_i, ".", ms=2.5, color=BLUE, label="large cell")
    relaxation.plot(distance, strains, "o", ms=4, mfc="none", color=ORANGE, label="training cell")
    r = np.array([5.0, 30.0])
    relaxation.plot(r, 1.6 * r**-2.0, color=GREY, lw=1)
    relaxation.text(17, 8e-3, "$r^{-2}$", color=GREY)
    relaxation.set(title="the reference's own relaxation", ylabel="|Du| of a site (Å)", ylim=(2e-4, 0.3))
    for (name, found), colour in zip(made.found.items(), (ORANGE, GREEN), strict=True):
        label = f"{name}: ‖D(u − ũ)‖ = {found.geometry_error:.1e} Å"
        error.plot(found.core_distance_i, found.strain_difference_i, ".", ms=2.5, color=colour, label=label)
    error.set(title="what the model misses of it", ylabel="|D(u − ũ)| of a site (Å)", ylim=(1e-7, 1e-2))
    for axes in (relaxation, error):
        axes.set(yscale="log", xlabel="distance from the nearest core (Å)")
        distances(axes)
        axes.legend(loc="upper right")
    return figure


@styled
def errors():
    """Draw the geometry error on the large cell against eps_F of the samples and against the width of the cell."""
    figure = new_figure(8.2, 3.4)
    force, width = figure.subplots(1, 2)
    records = [record for record in results_of("fig3-default")[1].records if record.case == "2 vacancies"]
    for matching, colour, name in ((False, ORANGE, "plain fits"), (True, GREEN, "exact matching")):
        rows = [
            r for r in records if r.size == SIZE and r.weights == "fixed" and bool(r.matching) == matching
        ]
        force.plot(
            [r.eps_F for r in rows], [r.geometry for r in rows], "o", ms=4, mec="white", mew=0.4, color=colour,
            label=name,
        )  # fmt: skip
    x = np.array([3e-4, 3e-2])
    force.plot(x, 0.3 * x, color=GREY, lw=1)
    force.text(1.2e-3, 1.2e-3, "slope 1", color=GREY)
    force.set(xscale="log", yscale="log", xlabel="eps_F of the test samples (eV/Å)")
    records = [r for r in results_of("table1-default")[1].records if r.case == "vacancy"]
    for limit, samples, colour, name in (
        (1, "springs", ORANGE, "eps_E = eps_F = 0, force constants 7 % off"),
        (2, "hessians", GREEN, "force constants right, too"),
    ):
        rows = [r for r in records if r.limit == limit and r.samples == samples]
        sizes = sorted({r.size for r in rows})
        values = [np.exp(np.mean([np.log(r.geometry) for r in rows if r.size == size])) for size in sizes]
        width.plot(sizes, values, "o-", ms=4, color=colour, label=name)
    distances(width)
    width.set(yscale="log", xlabel="width L of the training cell (r₀)", ylim=(None, 0.3))
    for axes in (force, width):
        axes.set_ylabel("‖D(u − ũ)‖ on the large cell (Å)")
        axes.legend(loc="upper left" if axes is force else "upper right")
    return figure


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    made = run()
    for name, figure in (("cells", cells(made)), ("decay", decay(made)), ("errors", errors())):
        figure.savefig(FIGURES / f"concepts_{name}.png", dpi=160)
