"""Records -> one table a group, as aligned text and as Markdown; everything as JSON.

Enter at `write` and `text`.
"""

import json
from itertools import groupby

from tests.benchmarks import figure, machine

UNITS = {
    "us/atom": "µs an atom",
    "ns/neighbour": "ns an atom and neighbour",
    "s": "s",
    "ms": "ms",
    "GB": "GB",
}
LEGEND = "In brackets: that cost divided by ours. Medians of rounds in which all take turns."
BEGIN, END = "<!-- benchmarks: written by pytest tests/benchmarks -->", "<!-- end of benchmarks -->"


def groups(records):
    """Yield groups in the order in which they ran."""
    order = list(dict.fromkeys(record.group for record in records))
    for name, found in groupby(sorted(records, key=lambda r: order.index(r.group)), key=lambda r: r.group):
        yield name, list(found)


def rows(records):
    """Return the table of one group: a header and a row a record, as texts."""
    peers = list(dict.fromkeys(name for record in records for name in record.peers))
    parts = list(dict.fromkeys(name for record in records for name in record.parts))
    units = {record.unit for record in records}
    ours = f"ours, {UNITS[units.pop()]}" if len(units) == 1 else "ours"
    table = [["", ours, *parts, *peers, "promised"]]
    for record in records:
        cost = number(record.ours) + (f" {UNITS[record.unit]}" if ours == "ours" else "")
        shares = [number(record.parts[name]) if name in record.parts else "" for name in parts]
        others = [
            f"{number(record.peers[name])} ({record.ratios[name]:.3g}×)" if name in record.peers else ""
            for name in peers
        ]
        table.append([record.case, cost, *shares, *others, record.verdict()])
    used = [k for k in range(len(table[0])) if any(row[k] for row in table[1:])]
    return [[row[k] for k in used] for row in table]


def number(x):
    return f"{x:.0f}" if x >= 1000 else f"{x:.3g}"


def aligned(table):
    widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]
    for row in table:
        yield "  ".join(
            cell.ljust(w) if k == 0 else cell.rjust(w)
            for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        )


def text(records):
    """Yield the lines of all tables."""
    for name, found in groups(records):
        yield name
        yield from (f"  {line}" for line in aligned(rows(found)))
        yield ""
    yield LEGEND


def markdown(records, about):
    """Yield the blocks of all tables, and the machine's description."""
    for name, found in groups(records):
        header, *body = rows(found)
        yield f"**{name}**"
        marks = ["---", *["--:"] * (len(header) - 1)]
        yield "\n".join("| " + " | ".join(row) + " |" for row in [header, marks, *body])
    yield LEGEND
    yield "\n".join(["| machine | |", "|---|---|", *(f"| {key} | {value} |" for key, value in about.items())])


def write(folder, records):
    """Write table.md, results.json and cost.png, and return the Markdown."""
    about = machine.describe()
    folder.mkdir(parents=True, exist_ok=True)
    found = "\n\n".join(markdown(records, about)) + "\n"
    (folder / "table.md").write_text(found, encoding="utf-8")
    results = {"machine": about, "records": [record.asdict() for record in records]}
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    picture = figure.cost(records)
    if picture is not None:
        picture.savefig(folder / "cost.png")
    return found


def update_page(page, table):
    """Replace the block between the marks of a documentation page."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n\n{table}\n{END}{after}", encoding="utf-8")
