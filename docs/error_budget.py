"""How good error budgets are: predicted against true errors of 64 fits of 2D tungsten, the page's figure.

Vacancies in training cells of L = 5 to 8 r0, 54 to 383 functions, samples of 0.01 and 0.05 Å, plain and matched;
truth is two vacancies in a sheet of 40 r0, relaxed by both models. The weights of the terms and the factors of the
intervals in `ase_mlipgen.theory.budget` come from these fits. Run `python docs/error_budget.py`; some minutes,
figures/error_budget.png.
"""

import copy
import warnings
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from ase_mlipgen import EAM2D, ACEBasis, DefectTrainer, Vacancy, simulation_cell, triangular_lattice
from ase_mlipgen.theory import compare

SHEET = triangular_lattice("W", 2.72711)
LARGE, PERFECT = (simulation_cell(SHEET, defects, 40, 8) for defects in ([Vacancy()] * 2, []))
FIGURE = Path(__file__).parent / "figures" / "error_budget.png"


def results():
    """Give a trained result for every setting; matched and plain fits share their rows."""
    for amplitude in (0.01, 0.05):
        for size in (5, 6, 7, 8):
            for degree in (8, 10, 12, 14):
                basis = ACEBasis(["W"], order=3, degree=degree, cutoff=6.0)
                trainer = DefectTrainer(
                    SHEET, Vacancy(), EAM2D, basis, size, 60, 20, amplitude=amplitude, n_perfect=10, fmax=5e-6,
                    progress=False, uncertainty=False, on_unstable="warn",
                )  # fmt: skip
                trainer.factor()
                for conditions in (trainer.conditions, ()):
                    fit = copy.copy(trainer)
                    fit.conditions, fit.timings = conditions, {}
                    fit._kept = {name: kept for name, kept in trainer._kept.items() if name != "fit"}
                    yield fit.run()


def main():
    """Print how many fits lie within their intervals, and draw them."""
    found = []
    for result in results():
        budget = result.budget(40, 2, separation=8)
        truth = compare(EAM2D(), result.calculator, LARGE, PERFECT, fmax=5e-6)
        for kind, true in (("geometry", truth.geometry_error), ("energy", abs(truth.formation_energy_error))):
            low, high = getattr(budget, f"{kind}_interval")
            found.append((kind, bool(result.matched), getattr(budget, kind), true, low <= true <= high))
    figure = Figure(figsize=(7.6, 3.7), layout="constrained")
    for axes, kind, unit in zip(figure.subplots(1, 2), ("geometry", "energy"), ("Å", "eV"), strict=True):
        rows = [row for row in found if row[0] == kind]
        predicted, true = (np.array([row[k] for row in rows]) for k in (2, 3))
        inside = np.mean([row[4] for row in rows])
        factor = np.quantile(np.exp(np.abs(np.log(predicted / true))), 0.9)
        rank = spearmanr(predicted, true).statistic
        text = f"{kind}: {inside:.0%} inside, nine in ten within a factor {factor:.1f}"
        print(f"{text}, rank correlation {rank:.2f}")
        line = np.array([min(predicted.min(), true.min()), max(predicted.max(), true.max())])
        low, high = {"geometry": (3.0, 3.0), "energy": (6.0, 4.5)}[kind]
        axes.fill_between(line, line / low, line * high, color="#D9D9D9", lw=0, label="interval")
        axes.plot(line, line, color="#8A8A8A", lw=0.8)
        for matched, colour, label in ((False, "#0072B2", "plain"), (True, "#D55E00", "matched")):
            here = np.array([row[1] == matched for row in rows])
            axes.plot(predicted[here], true[here], "o", ms=4, mec="white", mew=0.4, color=colour, label=label)
        axes.set(xscale="log", yscale="log", xlabel=f"predicted ({unit})", ylabel=f"true ({unit})")
        axes.set_title(text, fontsize=9, loc="left")
        axes.legend(frameon=False, fontsize=8)
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE, dpi=160)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
