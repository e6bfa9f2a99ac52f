"""Tables of the studies of silicon: errors of fits beside what the reference itself is off by in small cells.

Enter at `fig8_table` and `fig9_table`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ase_mlipgen.studies.error_tables import decades, grouped, median_of, panels, slope_of, without_minimum
from ase_mlipgen.studies.study import Table

ERRORS = {
    "geometry": "geometry, Å",
    "formation": "formation, eV",
    "relaxation": "relaxation, eV",
    "force_rmse": "force RMSE, eV/Å",
    "eps_FC_hom_percent": "force constants, %",
}
FLOORS = {"geometry": "start_geometry", "formation": "start_formation"}
"""What the reference itself is off by, of each error that it is known of."""
ASTRAY = 1.0
"""Å, error on the training cell itself: what is farther off is another minimum, and left out of slopes."""


def astray(record: Any) -> bool:
    """Tell whether a fit has no minimum near the reference's, on the training cell or the large one.

    A plain fit that is there from the start, without a step, has no forces at all: its rank is one or two.
    """
    still = record.own_geometry == 0.0 and not record.matched
    return still or not (np.isfinite(record.geometry) and record.own_geometry < ASTRAY)


def fig8_table(records: Sequence[Any]) -> Table:
    """Return head and rows: of every sweep, kind of fit and size, slopes over the force RMSE and the best fit's errors.

    Fits that are `astray` are counted and left out. Slopes are of the geometry error on the training cell itself and on
    the large cell; then come errors of the fit of the lowest force RMSE (medians over seeds), with the reference's own
    in brackets.
    """
    head = [
        "sweep", "large cell", "fit", "L", "rows", "astray", "decades", "own cell, slope", "geometry, slope",
        "best RMSE, eV/Å", "own cell, Å", "geometry, Å", "formation, eV",
    ]  # fmt: skip
    rows = []
    for (sweep, case, kind), own in panels(records).items():
        for size, every in sorted(grouped(own, lambda r: r.size).items()):
            found = [r for r in every if not astray(r)]
            if not found:
                continue
            slopes = (slope_of(found, name) for name in ("own_geometry", "geometry"))
            rows.append(
                [
                    sweep, case, kind, str(size), str(len(every)), str(len(every) - len(found)),
                    f"{decades(found):.1f}",
                    *("-" if s is None else str(s) for s in slopes), *_best(found),
                ]
            )  # fmt: skip
    return head, rows


def _best(records: Sequence[Any]) -> list[str]:
    """Return the medians over seeds of the setting with the lowest force RMSE."""
    settings = list(grouped(records, lambda r: (r.order, r.degree, r.rtol)).values())
    best = min(settings, key=lambda own: float(np.median([r.force_rmse for r in own])))
    floors = [float(np.median([abs(getattr(r, floor)) for r in best])) for floor in FLOORS.values()]
    return [
        f"{median_of(best, 'force_rmse'):.4f}",
        f"{median_of(best, 'own_geometry'):.3f}",
        f"{median_of(best, 'geometry'):.3f} ({floors[0]:.3f})",
        f"{median_of(best, 'formation'):.3f} ({floors[1]:.3f})",
    ]


def fig9_table(records: Sequence[Any]) -> Table:
    """Return head and rows: medians of errors by size, and what the reference itself is off by."""
    sizes = sorted({r.size for r in records})
    head = ["error", "large cell", "of", "functions", "no minimum", *(f"L = {size}" for size in sizes)]
    rows = []
    for name, label in ERRORS.items():
        for (_, case, kind), own in panels(records).items():
            for n_functions, found in sorted(grouped(own, lambda r: r.n_functions).items()):
                cells = _by_size(found, name, sizes)
                rows.append([label, case, kind, str(n_functions),
                             str(without_minimum(found)), *cells])  # fmt: skip
        for case, own in grouped(records, lambda r: r.case).items():
            if name in FLOORS:
                cells = _by_size(own, FLOORS[name], sizes, whole=True)
                rows.append([label, case, "reference", "-", "-", *cells])
    return head, rows


def _by_size(records: Sequence[Any], name: str, sizes: Sequence[int], whole: bool = False) -> list[str]:
    """Return medians as cells of a table; `whole`: also of fits without a minimum."""
    by_size, cells = grouped(records, lambda r: r.size), []
    for size in sizes:
        own = by_size.get(size, [])
        value = (
            float(np.median([abs(getattr(r, name)) for r in own])) if whole and own else median_of(own, name)
        )
        cells.append("-" if np.isnan(value) else f"{value:.3g}")
    return cells
