"""Tables of studies of errors: slopes of errors over force errors, medians over sizes of the training cell.

Slopes are taken for each seed; tables have their mean and its 95 % t-interval. Theorem 3.1 bounds geometry errors by
the force error (slope 1) where sizes are large, and energy errors by eps_E and squares of it; the reference's energy
excess of the model's geometry is quadratic in the geometry error (slope 2). Enter at `slopes_table`, `sizes_table`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ase_mlipgen.studies.errors import SIZE, Record
from ase_mlipgen.studies.slopes import Slope, slope_over_seeds
from ase_mlipgen.studies.study import Table

ERRORS = {"geometry": "Å", "relaxation": "eV", "formation": "eV", "excess": "eV"}
RESOLVED = 2e-11
"""eV, five units in the last place of 3600 atoms of tungsten: fits whose median error is less are not in slopes."""
LEAST_SIZE = 5
"""Smallest training cell of slopes over sizes: narrower ones are narrower than the cutoff reaches twice."""
RATES = {"geometry": -1.5, "relaxation": -1.0, "formation": -1.0}
"""Of matched fits by Table 1, in units of the dimension."""
SAID = {
    ("fixed", ()): "plain",
    ("fixed", ("energies",)): "energies matched",
    ("theory", ("energies",)): "weights by the theory",
}


def kind_of(record: Record) -> str:
    """Say how a fit was made: "plain", "exact", "weights by the theory"."""
    return SAID.get(
        (record.weights, record.matching), "exact" if record.weights == "fixed" else record.weights
    )


def grouped(records: Sequence[Record], key: Callable[[Record], Any]) -> dict[Any, list[Record]]:
    """Return the records by a key, in the order of its first appearance."""
    groups: dict[Any, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def panels(records: Sequence[Record]) -> dict[tuple[str, str, str], list[Record]]:
    """Return the records by sweep, case and kind of fit: what is drawn and listed together.

    Fits that were to match conditions and could not, for the basis is too small, are left out.
    """
    return grouped([r for r in records if r.matched == r.matching], lambda r: (r.sweep, r.case, kind_of(r)))


def series(records: Sequence[Record]) -> dict[Any, list[Record]]:
    """Return the records of a panel by what is a line in it: sizes, or in a sweep over these numbers of functions."""
    return dict(sorted(grouped(records, lambda r: r.n_functions if r.sweep == SIZE else r.size).items()))


def fit_but_seed(record: Record) -> tuple[Any, ...]:
    """Return what is alike for all seeds of a point, among the records of a line."""
    return record.size, record.order, record.degree, record.rtol, record.n_defects


def slope_of(records: Sequence[Record], name: str, over: str = "force_rmse") -> Slope | None:
    """Return the slope of an error over another field of records, for each number of defects alike."""
    same = grouped(records, fit_but_seed).values()
    kept = [r for own in same if name == "geometry" or median_of(own, name) > RESOLVED for r in own]
    if over == "size":
        kept = [r for r in kept if r.size >= LEAST_SIZE]
    x, y = ([getattr(r, field) for r in kept] for field in (over, name))
    return slope_over_seeds(x, y, [r.seed for r in kept], [r.n_defects for r in kept])


def without_minimum(records: Sequence[Record]) -> int:
    """Count the relaxations that found no minimum."""
    return sum(not np.isfinite(r.geometry) for r in records)


def decades(records: Sequence[Record], over: str = "force_rmse") -> float:
    """Return how many decades a field spans where there is a minimum; nan if nowhere."""
    values = [getattr(r, over) for r in records if np.isfinite(r.geometry)]
    return float(np.log10(max(values) / min(values))) if values else float("nan")


def slopes_table(records: Sequence[Record]) -> Table:
    """Return head and rows of the table of slopes: of every sweep, kind of fit and size.

    Sweeps over sizes have slopes over L, from `LEAST_SIZE` on, for every basis; others over the force RMSE, of the
    geometry error also over eps_F, of the excess also over the geometry error.
    """
    head = [
        "sweep", "large cells", "fit", "of", "rows", "no minimum", "decades", "geometry", "over eps_F",
        "relaxation", "formation", "excess", "over geometry",
    ]  # fmt: skip
    rows = []
    for (sweep, case, kind), own in panels(records).items():
        for value, found in series(own).items():
            over = "size" if sweep == SIZE else "force_rmse"
            slopes = [slope_of(found, name, over) for name in ERRORS]
            dual, squared = (
                None if sweep == SIZE else slope_of(found, *names)
                for names in (("geometry", "eps_F"), ("excess", "geometry"))
            )
            rows.append(
                [
                    sweep, case, kind, f"{value} functions" if sweep == SIZE else f"L = {value}", str(len(found)),
                    str(without_minimum(found)), "-" if sweep == SIZE else f"{decades(found):.1f}",
                    *("-" if s is None else str(s) for s in (slopes[0], dual, *slopes[1:], squared)),
                ]
            )  # fmt: skip
    return head, rows


def median_of(records: Sequence[Record], name: str) -> float:
    """Return the median of an error's size where there is a minimum; nan if nowhere."""
    values = [abs(getattr(r, name)) for r in records if np.isfinite(r.geometry)]
    return float(np.median(values)) if values else float("nan")


def sizes_table(records: Sequence[Record], dimension: int = 2) -> Table:
    """Return head and rows of the table of sizes: medians over seeds, the slope from `LEAST_SIZE` on, Table 1's."""
    sizes = sorted({r.size for r in records})
    head = ["error", "fit", "functions", "no minimum", *(f"L = {size}" for size in sizes), "slope", "Table 1"]
    rows = []
    for name, unit in ERRORS.items():
        for (_, _, kind), own in panels(records).items():
            for n_functions, found in series(own).items():
                by_size = grouped(found, lambda r: r.size)
                medians = [median_of(by_size.get(size, ()), name) for size in sizes]
                rate = RATES.get(name) if kind == "exact" else None
                measured = slope_of(found, name, "size")
                rows.append(
                    [
                        f"{name}, {unit}", kind, str(n_functions), str(without_minimum(found)),
                        *("-" if np.isnan(m) else f"{m:.1e}" for m in medians),
                        "-" if measured is None else str(measured),
                        "-" if rate is None else f"{rate * dimension:g}",
                    ]
                )  # fmt: skip
    return head, rows
