"""The plot: cost of energies and forces against functions, atoms and threads; only what was run is drawn.

A record takes part by its `about`: ``panel`` is the panel's name, ``x`` the abscissa, ``series`` the label of ours.
"""

from dataclasses import replace

from ase_mlipgen.report.style import BLUE, GREEN, INK, ORANGE, PURPLE, SKY, YELLOW, new_figure, styled

LABELS = {
    "functions": "functions a centre",
    "atoms": "atoms",
    "threads": "threads",
}
COLOURS = {"ML-PACE": BLUE, "ace-jax kernel": GREEN}
OURS = (ORANGE, PURPLE, YELLOW, SKY)
MARKERS = ("o", "s", "^", "D")


def lines_of(records):
    """Return {label: [(x, cost)]} of one panel, ours first."""
    ours, peers = {}, {}
    for record in records:
        x = record.about["x"]
        ours.setdefault(record.about["series"], []).append((x, record.ours))
        for name, cost in record.peers.items():
            if name in COLOURS:
                peers.setdefault(name, []).append((x, cost))
    return {**ours, **peers}


def with_one_thread(records):
    """Add what the peer "one thread" of each record tells, as a record of its own."""
    ones = [r.peers["one thread"] for r in records]
    first = replace(records[0], ours=sum(ones) / len(ones), peers={}, about={**records[0].about, "x": 1})
    return [first, *records]


@styled
def cost(records):
    """Return the figure, or None if nothing that was run belongs into it."""
    panels = {
        name: [r for r in records if r.about.get("panel") == name]
        for name in LABELS
        if any(r.about.get("panel") == name for r in records)
    }
    if not panels:
        return None
    figure = new_figure(3.5 * len(panels), 3.2)
    for axes, (name, found) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        draw(axes, name, with_one_thread(found) if name == "threads" else found)
    return figure


def draw(axes, name, records):
    names = iter(zip(OURS, MARKERS, strict=True))
    for label, points in lines_of(records).items():
        colour, marker = (COLOURS[label], "v") if label in COLOURS else next(names)
        x, y = zip(*sorted(points), strict=True)
        axes.plot(x, y, marker=marker, markersize=4, color=colour, label=label)
    if name == "threads":
        ideal(axes, records)
    axes.set_xlabel(LABELS[name])
    axes.set_ylabel("energy, forces, virial: µs an atom")
    axes.set_title(records[0].about["title"])
    plain_logarithmic(axes, sorted({r.about["x"] for r in records}), ticks=name != "atoms")
    axes.legend(loc="best")


def ideal(axes, records):
    """Draw what a perfect division of the work would cost."""
    first = min(records, key=lambda r: r.about["x"])
    x = sorted(r.about["x"] for r in records)
    y = [first.ours * first.about["x"] / n for n in x]
    axes.plot(x, y, color=INK, linewidth=0.8, linestyle="--", label="evenly divided")


def plain_logarithmic(axes, x, *, ticks):
    """Set logarithmic axes with plain numbers, the measured x as ticks if there are few of them."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < 4 * low:
        middle = (low * high) ** 0.5
        axes.set_ylim(middle / 2, middle * 2)
    steps = (1.0, 2.0, 5.0) if high > 10 * low else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
    axes.yaxis.set_major_locator(FixedLocator([s * 10.0**k for k in range(-3, 6) for s in steps]))
    axes.yaxis.set_minor_locator(FixedLocator([]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if ticks:
        axes.xaxis.set_major_locator(FixedLocator(x))
        axes.xaxis.set_minor_locator(FixedLocator([]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
