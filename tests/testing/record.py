"""Write docs/tables/contract.csv and the tables of docs/how-to-testing.md: ``python -m tests.testing.record``.

Without names all calculators are checked, with names these; the rows of the others stay.
"""

import csv
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

from ase_mlipgen.testing import CHECKS, Row, check_calculator
from tests.testing.calculators import OTHERS, OURS

ROOT = Path(__file__).parents[2]
RESULTS, PAGE = ROOT / "docs/tables/contract.csv", ROOT / "docs/how-to-testing.md"
FIELDS = ("calculator", "versions", "number", "name", "worst", "tolerance", "unit", "verdict", "note")
FAMILIES: dict[str, tuple[str, ...]] = {
    "EAM2D": ("EAM2D, sheet", "EAM2D, bcc", "EAM2D, setfl"),
    "NRLTB": ("NRLTB, Gamma", "NRLTB, k-points"),
    "LinearACE": tuple(name for name in OURS if name.startswith("LinearACE")),
}
"""Columns of the first table: the worst of several calculators."""


def record(names: list[str]) -> None:
    """Check calculators and put their rows in the place of those that are kept."""
    versions = " ".join(f"{name} {version(name)}" for name in ("ase", "matscipy", "numpy", "scipy"))
    kept = {name: [row for row in rows() if row["calculator"] == name] for name in (*OURS, *OTHERS)}
    for name in names:
        make, atoms, skip = {**OURS, **OTHERS}[name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = check_calculator(make, atoms(), skip=skip, raise_on_failure=False)
        kept[name] = [_as_text(name, versions, row) for row in report.rows]
        print(f"{name}: {len(report.failed)} broken", file=sys.stderr, flush=True)
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for some in kept.values() for row in some)


def _as_text(calculator: str, versions: str, row: Row) -> dict[str, str]:
    figures = ["" if x is None else f"{x:.2e}" for x in (row.worst, row.tolerance)]
    note = row.note.replace("\n", " ")[:200] if row.verdict != "passed" else ""
    values = (calculator, versions, row.number, row.name, *figures, row.unit, row.verdict, note)
    return dict(zip(FIELDS, values, strict=True))


def rows() -> list[dict[str, str]]:
    """Return the rows that are kept."""
    with RESULTS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def tables() -> dict[str, str]:
    """Return the tables of the page by the names of their places."""
    kept = {(row["calculator"], row["name"]): row for row in rows()}
    ours = [
        "| | promise | allowed | " + " | ".join(FAMILIES) + " |",
        "|---|---|---|" + "---|" * len(FAMILIES),
    ]
    others = ["| | promise | " + " | ".join(OTHERS) + " |", "|---|---|" + "---|" * len(OTHERS)]
    for check in CHECKS:
        cells = [_worst([kept[name, check.name] for name in names]) for names in FAMILIES.values()]
        ours.append(
            f"| {check.number} | {check.promise} | {_allowed(check.name, kept)} | " + " | ".join(cells) + " |"
        )
        cells = [_verdict(kept[name, check.name]) for name in OTHERS]
        others.append(f"| {check.number} | {check.name} | " + " | ".join(cells) + " |")
    return {"ours": "\n".join(ours), "others": "\n".join(others), "versions": rows()[0]["versions"]}


def write_page() -> None:
    """Put the tables into the page, between their marks."""
    text = PAGE.read_text(encoding="utf-8")
    for name, table in tables().items():
        start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, rest = text.split(start)
        text = f"{before}{start}\n{table}\n{end}{rest.split(end)[1]}"
    PAGE.write_text(text, encoding="utf-8")


def _allowed(name: str, kept: dict[tuple[str, str], dict[str, str]]) -> str:
    for calculator in OURS:
        row = kept[calculator, name]
        if row["unit"] == "violations":
            return ""
        if row["tolerance"]:
            return f"{float(row['tolerance']):.3g} {row['unit']}".strip()
    return ""


def _worst(some: list[dict[str, str]]) -> str:
    verdicts = {row["verdict"] for row in some}
    if "failed" in verdicts:
        return "**broken**"
    figures = [float(row["worst"]) for row in some if row["worst"]]
    if not figures:
        return "–"
    is_number = any(row["unit"] != "violations" for row in some)
    return f"{max(figures, key=abs):.0e}" if is_number and any(figures) else ("0" if is_number else "kept")


def _verdict(row: dict[str, str]) -> str:
    if row["verdict"] != "failed":
        return {"passed": "kept", "not applicable": "–"}[row["verdict"]]
    if row["unit"] == "violations" or not row["worst"]:
        return "**no**"
    return f"**{float(row['worst']):.0e}** {row['unit']}"


if __name__ == "__main__":
    record(sys.argv[1:] or [*OURS, *OTHERS])
    write_page()
