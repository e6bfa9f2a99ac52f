"""The table of Theorem 2.1: exponents of what superposed cores leave, and of the decay of a core. Enter at `table`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ase_mlipgen.studies.slopes import Slope, slope_of_points
from ase_mlipgen.studies.study import Table

LATTICE, GRID, RANDOM, DECAY = "lattice", "grid", "random", "decay"
"""Arrangements of cores; and the shells around a single one."""
NAN = float("nan")


def summarise(records: Sequence[Any]) -> list[dict[str, Any]]:
    """Fit the exponents.

    Returns
    -------
    list of dict
        For each case and arrangement, and for "rest" and "whole" of the cores and the "decay": "values", means over
        what has that distance, by n_defects; "distance", by n_defects the exponent of L_D (or of the distance from
        the core, from 3 lengths on); "count", by distance the exponent of n_D; all `Slope`; "lost", arrangements
        that did not converge; "softest", by n_defects the smallest stability constant.
    """
    groups: dict[tuple[str, str], list[Any]] = {}
    for record in records:
        groups.setdefault((record.case, record.arrangement), []).append(record)
    kinds = {DECAY: (DECAY,), LATTICE: ("rest",)}
    return [
        {"case": case, "arrangement": arrangement, "what": what, **_summary(own, what)}
        for (case, arrangement), own in groups.items()
        for what in kinds.get(arrangement, ("rest", "whole"))
    ]


def _summary(records: Sequence[Any], what: str) -> dict[str, Any]:
    name = "norm" if what == DECAY else what
    good = [r for r in records if r.converged]
    values, slopes, softest = {}, {}, {}
    for n in sorted({r.n_defects for r in good}):
        own = [r for r in good if r.n_defects == n]
        values[n] = {
            D: float(np.mean([getattr(r, name) for r in own if r.separation == D]))
            for D in sorted({r.separation for r in own})
        }
        softest[n] = min((r.stability for r in own if np.isfinite(r.stability)), default=NAN)
        used = [r for r in own if what != DECAY or r.distance >= 3]
        if len({r.separation for r in used}) > 2:
            slopes[n] = slope_of_points([r.distance for r in used], [getattr(r, name) for r in used])
    return {
        "values": values,
        "distance": slopes,
        "count": _counts(values),
        "lost": len(records) - len(good),
        "softest": softest,
    }


def _counts(values: dict[int, dict[int, float]]) -> dict[int, Slope]:
    """Fit the exponent of n_D at every distance that three or more counts have."""
    found = {}
    for D in sorted({D for own in values.values() for D in own}):
        pairs = [(n, own[D]) for n, own in values.items() if D in own]
        if len(pairs) > 2:
            found[D] = slope_of_points([n for n, _ in pairs], [y for _, y in pairs])
    return found


def table(records: Sequence[Any], dimensions: dict[str, int]) -> Table:
    """Return head and rows: values by distance, slopes beside the theory's; below, exponents of n_D."""
    summary = summarise(records)
    shown = sorted({D for s in summary if s["what"] == "rest" for own in s["values"].values() for D in own})
    head = ["case", "what, Å", "cores", "n_D", *map(str, shown), "slope", "theory", "least stability"]
    rows = []
    for s in summary:
        d, what = dimensions[s["case"]], s["what"]
        theory = {"rest": f"{-d / 2:g}", DECAY: f"{-d:g}"}.get(what, "-")
        line = [s["case"], {DECAY: "rms of Du(l)", "rest": "rest", "whole": "rest of whole fields"}[what]]
        line.append("alone" if what == DECAY else s["arrangement"])
        for n, values in s["values"].items():
            numbers = [f"{values[D]:.2e}" if D in values else "-" for D in shown]
            rows.append(
                [
                    *line,
                    str(n),
                    *numbers,
                    str(s["distance"].get(n, "-")),
                    theory,
                    _text(s["softest"][n], what),
                ]
            )
        if s["count"]:
            numbers = [str(s["count"].get(D, "-")) for D in shown]
            rows.append([*line[:1], f"exponent of n_D, {line[1]}", line[2], "", *numbers, "",
                         "0.5" if what == "rest" else "-", ""])  # fmt: skip
    return head, rows


def _text(stability: float, what: str) -> str:
    return f"{stability:.3f}" if what == "rest" and np.isfinite(stability) else "-"
