"""Computes the tables and the pictures of docs/studies.md, and writes them into the page.

From the root of the repository, some minutes of one core each; labels are kept in runs/, so that a study that was
stopped goes on:

    python -m docs.studies matching
    python -m docs.studies rates
"""

import json
import sys
import time
from pathlib import Path

from ase_mlipgen.progress import Progress
from ase_mlipgen.report.studies import matching_figure, rates_figure
from ase_mlipgen.studies import matching, rates
from ase_mlipgen.studies.provenance import document
from tests.benchmarks import machine

PAGE = Path(__file__).with_suffix(".md")
RUNS = Path("runs")


def table(head, rows, words):
    """Return a Markdown table whose first `words` columns are words."""
    marks = ["---"] * words + ["--:"] * (len(head) - words)
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [head, marks, *rows])


def update(name, text):
    """Replace the block of that name in the page."""
    begin, end = f"<!-- {name}: written by python -m docs.studies {name} -->", f"<!-- end of {name} -->"
    before, rest = PAGE.read_text(encoding="utf-8").split(begin)
    _, after = rest.split(end)
    PAGE.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def write(name, records, summary, figure, text, begun):
    """Write JSON, picture and the block of a study."""
    content = document(name, records, summary, time.perf_counter() - begun)
    (RUNS / f"study-{name}" / f"{name}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    figure.savefig(PAGE.parent / "figures" / f"study_{name}.png", dpi=160)
    about = machine.describe()
    used = ", ".join(f"{package} {version}" for package, version in content["versions"].items())
    note = (
        f"{len(records)} fits, seeds {', '.join(map(str, content['seeds']))}, {content['wall_time']:.0f} s on "
        f"{about['date']}: {about['processor']}, cores {about['cores']}; {used}."
    )
    update(name, f"{text}\n\n{note}")


def write_matching():
    """Compute plain and matched fits."""
    begun = time.perf_counter()
    with Progress() as progress:
        records = matching.run(list(matching.STUDIED), RUNS / "study-matching" / "labels", progress)
    summary = matching.summarise(records)
    text = table(*matching.table(summary), 1)
    write("matching", records, summary, matching_figure(records), text, begun)


def write_rates():
    """Compute errors by size."""
    begun = time.perf_counter()
    with Progress() as progress:
        records = rates.run(None, RUNS / "study-rates" / "labels", progress)
    summary = rates.summarise(records)
    text = table(*rates.table(summary), 1)
    write("rates", records, summary, rates_figure(records, summary), text, begun)


if __name__ == "__main__":
    {"matching": write_matching, "rates": write_rates}[sys.argv[1]]()
