"""The picture of the rooms, as SVG, and the table of what each is for: from the levels that the tests hold imports to.

A room stands above all that it imports. Arrows are imports, those that follow from others left out; the lowest level
holds tools that every room may use, so that arrows to it are left out as well. Enter at `picture` and `rooms`.
"""

import ast
from html import escape

from docs.reference.page import table
from tests.test_architecture import LEVELS, PACKAGE, imports, room_of, sources

BOX, HEIGHT, GAP, STEP = 104, 30, 12, 58
TOP, LEFT, LEGEND = 24, 20, 640
FILLS = {"tools": "#ECECEC", "models": "#DCEAF5", "training": "#FBE6D6", "use": "#DDF0E6"}
STARTS = {"tools": "durable", "models": "ace", "training": "defects", "use": "refinement"}
"""The part of the house that begins at the level of that room."""
TITLES = {
    "use": "what a user starts",
    "training": "from labels to a model with known errors",
    "models": "from structures to energies",
    "tools": "tools, for every room above",
}
COLUMNS = {
    "plugin": 0.3, "registration": 0.3, "testing": 1.3, "cli": 3.4, "config": 3.4, "report": 3.4, "refinement": 2.9,
    "studies": 3.9, "trainer": 3.4, "census": 4.5, "result": 4.5, "theory": 3.5, "data": 1.5, "labels": 0.9, "fit": 1.9,
    "defects": 2.9, "calculators": 4.7, "posterior": 4.1, "export": 2.0, "basis": 4.1, "elasticity": 5.35,
    "executors": 1.0, "neighbors": 2.9, "ace": 4.0, "eam": 5.0, "tightbinding": 6.7, "progress": 7.7,
}  # fmt: skip
"""Where boxes stand, so that few arrows cross; a room that is not here stands above what it imports."""


def arrows():
    """Return the pairs (room, imported room) that do not follow from others."""
    direct = {room: set() for rooms in LEVELS for room in sorted(rooms)}
    for path in sources():
        room = room_of(path)
        targets = {name.split(".")[1] for name in imports(path) if name.startswith("ase_mlipgen.")}
        if room:
            direct[room] |= (targets & direct.keys()) - {room}
    below = {}
    for rooms in LEVELS:  # from the bottom, so that what is below an import is known
        for room in rooms:
            below[room] = direct[room].union(*(below[target] for target in direct[room]))
    return [
        (room, target)
        for room, targets in direct.items()
        for target in sorted(targets)
        if not any(target in below[other] for other in targets) and target not in LEVELS[0]
    ]


def kind(level):
    """Return which part of the house a level belongs to."""
    first = {
        name: next(k for k, rooms in enumerate(LEVELS) if room in rooms) for name, room in STARTS.items()
    }
    return max((name for name in first if first[name] <= level), key=first.get)


def places(drawn):
    """Return the middle of each room's box: in its column, or above what it imports, and beside its neighbours."""
    below = {room: [b for a, b in drawn if a == room] for rooms in LEVELS for room in rooms}
    where = {}
    for level, rooms in enumerate(LEVELS):
        y = TOP + HEIGHT / 2 + (len(LEVELS) - 1 - level) * STEP
        wanted = {}
        for room in sorted(rooms):
            mean = sum(where[t][0] for t in below[room]) / len(below[room]) if below[room] else LEFT
            column = COLUMNS.get(room, len(wanted) if level == 0 else None)
            wanted[room] = mean if column is None else LEFT + BOX / 2 + column * (BOX + GAP)
        edge = LEFT - BOX / 2 - GAP
        for room in sorted(rooms, key=wanted.get):
            edge = max(wanted[room], edge + BOX + GAP)
            where[room] = (edge, y)
    return where


def picture():
    """Return the picture as the text of an SVG file."""
    drawn = arrows()
    where = places(drawn)
    width = max(x for x, _ in where.values()) + BOX / 2 + LEFT
    height = 2 * TOP + (len(LEVELS) - 1) * STEP + HEIGHT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img" '
        'font-family="sans-serif" font-size="13">',
        "<title>The rooms of ase_mlipgen, each above those that it imports</title>",
        f'<rect width="{width:.0f}" height="{height}" fill="#FFFFFF"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0.5 L8 4 L0 7.5 z" fill="#666666"/></marker></defs>',
        *(arrow(*where[room], *where[target]) for room, target in drawn),
    ]
    for level, rooms in enumerate(LEVELS):
        fill = FILLS[kind(level)]
        for room in sorted(rooms):
            x, y = where[room]
            lines.append(
                f'<rect x="{x - BOX / 2:.1f}" y="{y - HEIGHT / 2:.1f}" width="{BOX}" height="{HEIGHT}" rx="6" '
                f'fill="{fill}" stroke="#555555" stroke-width="0.8"/>'
            )
            lines.append(f'<text x="{x:.1f}" y="{y + 4.5:.1f}" text-anchor="middle">{escape(room)}</text>')
    for number, (name, title) in enumerate(TITLES.items()):
        y = TOP + number * 24
        lines.append(
            f'<rect x="{LEGEND}" y="{y}" width="16" height="14" rx="3" fill="{FILLS[name]}" stroke="#555555"/>'
        )
        lines.append(f'<text x="{LEGEND + 24}" y="{y + 12}" font-size="12">{title}</text>')
    return "\n".join([*lines, "</svg>", ""])


def arrow(x, y, x_end, y_end):
    """Return a curve from the foot of one box to the head of another."""
    y, y_end = y + HEIGHT / 2, y_end - HEIGHT / 2
    bend = 0.45 * (y_end - y)
    return (
        f'<path d="M{x:.1f} {y:.1f} C{x:.1f} {y + bend:.1f} {x_end:.1f} {y_end - bend:.1f} {x_end:.1f} {y_end:.1f}" '
        'fill="none" stroke="#8A8A8A" stroke-width="1.1" marker-end="url(#tip)"/>'
    )


def rooms():
    """Return the rooms with the first sentence that each says of itself, from the top."""
    rows = []
    for names in reversed(LEVELS):
        for name in sorted(names):
            path = PACKAGE / f"{name}.py"
            text = ast.get_docstring(
                ast.parse((path if path.is_file() else PACKAGE / name / "__init__.py").read_text())
            )
            rows.append([f"`{name}`", text.split("\n\n")[0].split("\n")[0]])
    return table(["room", "what it is for"], rows)
