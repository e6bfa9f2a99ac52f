"""Pages with parts that a program writes: `update` replaces one, `part` reads one, `table` makes one."""

from pathlib import Path

DOCS = Path(__file__).parents[1]
COMMAND = "python -m docs.reference"


def table(header, rows):
    """Return a Markdown table; a bar within a cell would end it, and is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def marks(name):
    """Return the comments around a part."""
    return f"<!-- {name}: written by {COMMAND} -->", f"<!-- end of {name} -->"


def part(page, name):
    """Return what a page has between the comments of that name."""
    begin, end = marks(name)
    return (DOCS / page).read_text(encoding="utf-8").split(begin)[1].split(end)[0].strip()


def update(page, name, text):
    """Replace what a page has between the comments of that name."""
    begin, end = marks(name)
    before, rest = (DOCS / page).read_text(encoding="utf-8").split(begin)
    _, after = rest.split(end)
    (DOCS / page).write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
