"""Writes the tables and pictures of docs/studies.md and docs/reproduction.md from the rows that docs/results keeps.

From the root of the repository, in seconds; nothing is computed:

    python -m docs.studies

The rows come from `mlipgen study NAME --protocol PROTOCOL`; copy the CSV file that it names into docs/results.
"""

import re
from pathlib import Path

from ase_mlipgen.report.studies import figure_of
from ase_mlipgen.studies.catalogue import STUDIES
from ase_mlipgen.studies.results import read

DOCS = Path(__file__).parent
PAGES = (DOCS / "studies.md", DOCS / "reproduction.md")
RESULTS = DOCS / "results"
BLOCK = r"<!-- (\S+): written by python -m docs.studies -->\n.*?<!-- end of \1 -->"


def results_of(stem):
    """Return the study and the results of a CSV file, by its name without the ending."""
    study = STUDIES[stem.removesuffix("-default").removesuffix("-paper")]
    return study, read(RESULTS / f"{stem}.csv", study.record)


def table(head, rows, words):
    """Return a Markdown table whose first `words` columns are words."""
    marks = ["---"] * words + ["--:"] * (len(head) - words)
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [head, marks, *rows])


def block(stem):
    """Return the table of a study, and what it was made with."""
    study, results = results_of(stem)
    return f"{table(*study.table(results.records), study.words)}\n\n{results.provenance}"


def written(text):
    """Return a page with its blocks as they should be."""
    return re.sub(
        BLOCK,
        lambda found: (
            f"<!-- {found[1]}: written by python -m docs.studies -->\n\n{block(found[1])}\n\n<!-- end of {found[1]} -->"
        ),
        text,
        flags=re.S,
    )


def draw(stem):
    """Draw the picture of a study."""
    study, results = results_of(stem)
    figure_of(study.name, results.records).savefig(DOCS / "figures" / f"study_{stem}.png", dpi=160)


if __name__ == "__main__":
    for path in sorted(RESULTS.glob("*.csv")):
        draw(path.stem)
    for page in PAGES:
        page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")
