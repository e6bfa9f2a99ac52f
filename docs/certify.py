"""Runs the programs and commands of docs/certify.md, and writes what they print, and their pictures, into the page.

From the root of the repository, some minutes of one core:

    python -m docs.certify

Everything is computed but the table of the studies, which `mlipgen study certificate` makes, in an hour.
"""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import time
import warnings
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ase_mlipgen import EAM2D, ACEBasis, DefectTrainer, Vacancy, simulation_cell, triangular_lattice
from ase_mlipgen.report.refinement import factor_of_90, predictor_figure
from ase_mlipgen.theory import StabilityError, compare
from tests.benchmarks import machine

PAGE = Path(__file__).with_suffix(".md")
FIGURES = PAGE.parent / "figures"
COMMAND = "python -m docs.certify"
SEED = 0
FMAX = 1e-7
LARGE = 0.1  # Å, of a geometry error: a fifth of what the relaxation of the large cell amounts to
COMMANDS = (
    "mlipgen run poor.toml -o runs/poor --quiet",
    "mlipgen certify runs/poor --target 1e-3 --quiet",
    "mlipgen refine runs/poor --target 1e-5 --quiet",
)


def blocks(language):
    """Return the page's blocks of code of a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)


def table(header, rows):
    """Return a Markdown table."""
    marks = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [header, marks, *rows])


def update(name, text):
    """Replace the block of that name in the page."""
    begin, end = f"<!-- {name}: written by {COMMAND} -->", f"<!-- end of {name} -->"
    before, rest = PAGE.read_text(encoding="utf-8").split(begin)
    _, after = rest.split(end)
    PAGE.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def printed(text):
    """Return a block of what a program printed."""
    return f"```text\n{text.strip()}\n```"


def execute(codes):
    """Run the page's programs one after another in one namespace; return it and what each printed."""
    names, texts = {}, []
    for k, code in enumerate(codes):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(code, f"certify.md, program {k + 1}", "exec"), names)
        texts.append(out.getvalue())
    return names, texts


def refused():
    """Return what the gate says of a fit that is too coarse to be stable."""
    basis = ACEBasis(["W"], order=3, degree=10, cutoff=6.0)
    settings = {"n_train": 30, "n_test": 10, "matching": None, "rtol": 0.5, "progress": False}
    try:
        DefectTrainer(triangular_lattice("W", 2.72711), Vacancy(), EAM2D(), basis, 6, **settings).run()
    except StabilityError as error:
        return f"StabilityError: {error}"
    raise AssertionError("a fit of this tolerance used to be unstable: find another one for the page")


def pairs(result, crystal):
    """Return verdicts and errors of the poor model on pairs of vacancies at several distances."""
    perfect = simulation_cell(crystal, [], 36, 12)
    rows = []
    for apart in (12, 6, 4, 3, 2):
        sheet = simulation_cell(crystal, [Vacancy(), Vacancy()], 36, apart)
        made = result.certify(sheet)
        true = compare(EAM2D(), result.calculator, sheet, perfect, fmax=FMAX)
        numbers = (made.geometry_error, true.geometry_error, made.formation_energy_error)
        rows.append(
            [apart, made.verdict, *(f"{x:.1e}" for x in numbers), f"{true.formation_energy_error:.1e}"]
        )
    head = ["apart, r0", "verdict", "geometry error, Å", "true", "formation energy error, eV", "true"]
    return table(head, rows)


def many(crystal):
    """Return errors of models of several kinds; how many were unstable; who saw no minimum of the others."""
    sheet, perfect = (simulation_cell(crystal, d, 36, 12) for d in ([Vacancy(), Vacancy()], []))
    fits = ((None, 1e-2), (None, 1e-4), (None, 1e-6), ("exact", 1e-4), ("exact", 1e-6))
    rows, refused, diverged = [], 0, []
    for size, degree, (matching, rtol), amplitude in product((5, 6, 7), (8, 10, 12), fits, (0.02, 0.05)):
        basis = ACEBasis(["W"], order=3, degree=degree, cutoff=6.0)
        trainer = DefectTrainer(
            crystal, Vacancy(), EAM2D(), basis, size, 30, 10, matching=matching, rtol=rtol, amplitude=amplitude,
            fmax=FMAX, seed=SEED, uncertainty=False, progress=False,
        )  # fmt: skip
        try:
            result = trainer.run()
        except StabilityError:
            refused += 1
            continue
        true = compare(EAM2D(), result.calculator, sheet, perfect, fmax=FMAX)
        made = result.certify(sheet)
        if not made.has_numbers or true.failure:
            diverged.append((made.has_numbers, bool(true.failure)))
            continue
        rows.append(
            (size, result.errors.force_rmse, result.errors.eps_F, made.geometry_error, true.geometry_error)
        )
    return rows, refused, diverged


def predictors(rows, refused, diverged):
    """Draw the picture of test errors and certificates, and return sentences on it."""
    size, force, eps, made, true = (np.array(column) for column in zip(*rows, strict=True))
    predictions = {
        "force RMSE of the test set (eV/Å)": force,
        "eps_F of the test set (3.4) (eV/Å)": eps,
        "certified geometry error (Å)": made,
    }
    figure = predictor_figure(predictions, true, [f"L = {n}" for n in size], "true geometry error (Å)")
    figure.savefig(FIGURES / "certify_predictors.png", dpi=130)
    ratios, small = true / force, made < LARGE
    texts = [
        f"{len(rows)} models of 2D tungsten on the sheet below, of three sizes, bases and tolerances, tested on "
        "samples displaced as the training was.",
        f"For one and the same force error of the test set the error on the large cell differs by up to a factor "
        f"{ratios.max() / ratios.min():.0f}.",
        f"90 % are within a factor {factor_of_90(np.median(ratios) * force, true):.1f} of the best constant times the "
        f"force error, and within {factor_of_90(made, true):.1f} of the certificate, which has no constant: "
        f"{factor_of_90(made[small], true[small]):.2f} where it is below {LARGE} Å ({small.sum()} models).",
        f"Of larger errors, which are a good part of the relaxation's own size, the certificate is a warning rather "
        f"than a number: it exceeds them by up to a factor {(made / true)[~small].max():.1f}.",
        f"Not shown: {refused} refused by the gate of the next section, {len(diverged)} without a minimum on the "
        f"large cell ({sum(not has for has, _ in diverged)} found so by the certificate).",
    ]
    return "\n".join(texts)


def commands(folder):
    """Run the page's commands and return them with what they print, errors and exit codes."""
    (folder / "poor.toml").write_text(blocks("toml")[0], encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(PAGE.parents[1]), "COLUMNS": "96"}
    lines = []
    for words in COMMANDS:
        call = [sys.executable, "-c", "from ase_mlipgen.cli import main; main()", *words.split()[1:]]
        done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True)
        told = [line for line in done.stderr.splitlines() if line.startswith("mlipgen:")]
        shown = [line.rstrip() for line in done.stdout.strip().splitlines()]
        if "whole run" in done.stdout:  # the tables before are those of the first program
            start = next(k for k, line in enumerate(shown) if line.startswith("whole run"))
            shown = ["[...]", *shown[start:]]
        lines += [f"$ {words}; echo $?", *shown, *told, str(done.returncode), ""]
    return "\n".join(lines)


def main():
    """Compute everything and write it into the page."""
    begun = time.perf_counter()
    warnings.simplefilter("ignore")  # of training cells narrower than twice the cutoff, which are meant here
    codes, home = blocks("python"), Path.cwd()
    with TemporaryDirectory() as name:
        os.chdir(name)
        found, texts = execute(codes)
        for k, text in enumerate(texts):
            update(f"program {k + 1}", printed(text))
        for picture in Path(name).glob("certify_*.png"):
            shutil.copy(picture, FIGURES)
        update("commands", printed(commands(Path(name))))
        os.chdir(home)
    update("gate", printed(refused()))
    update("pairs", pairs(found["result"], found["crystal"]))
    update("predictors", predictors(*many(found["crystal"])))
    about = {**machine.describe(), "seed": SEED, "wall time": f"{time.perf_counter() - begun:.0f} s"}
    update("machine", table(["machine", ""], about.items()).replace("--:", "---"))


if __name__ == "__main__":
    main()
