"""The picture of Table 2: errors and times over the number of functions, and over the tolerance.

Enter at `table2_figure`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ase_mlipgen.report.style import CYCLE, INK, logarithmic, new_figure, styled
from ase_mlipgen.studies.table2 import by_fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ERRORS = {
    "energy": "energy RMSE (eV/atom)",
    "force": "force RMSE (eV/Å)",
    "force_constants": "force constants (%)",
}
MATCHED_TO_ROUND_OFF = ("force_constants",)


@styled
def table2_figure(records: Sequence[Any]) -> "Figure":
    """Draw errors and time of a fit over #B, a line for each L; below, errors and rank over the tolerance."""
    figure = new_figure(12.0, 6.0)
    upper, lower = figure.subplots(2, 4)
    plain, matched = by_fit(records, False), by_fit(records, True)
    tightest = min(r.rtol for r in records)
    for axes, (name, label) in zip(
        upper, {**ERRORS, "processor_time": "processor time of a fit (s)"}.items(), strict=True
    ):
        _over_functions(axes, plain, name, tightest, "o-")
        if name in ERRORS and name not in MATCHED_TO_ROUND_OFF:
            _over_functions(axes, matched, name, tightest, "^:")
        logarithmic(axes, "xy")
        axes.set(xlabel="functions #B", ylabel=label)
    upper[0].set_title(
        f"tolerance {tightest:.0e}" + ("; dotted: matched exactly" if matched else ""), color=INK
    )
    largest = max(r.size for r in records)
    for axes, (name, label) in zip(lower, {**ERRORS, "rank": "rank"}.items(), strict=True):
        _over_tolerances(axes, plain, name, largest)
        logarithmic(axes, "xy")
        axes.invert_xaxis()
        axes.set(xlabel="relative tolerance", ylabel=label)
    lower[0].set_title(f"L = {largest}, plain", color=INK)
    for axes in (upper[-1], lower[-1]):
        axes.legend(*axes.get_legend_handles_labels(), loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _over_functions(
    axes: "Axes", fits: Mapping[tuple[int, int], Mapping[float, Any]], name: str, rtol: float, style: str
) -> None:
    for k, size in enumerate(sorted({size for size, _ in fits})):
        own = [found[rtol] for (L, _), found in fits.items() if size == L and rtol in found]
        values = [getattr(r, name) for r in own]
        axes.plot([r.n_functions for r in own], values, style, ms=3, lw=1.0, color=CYCLE[k % len(CYCLE)],
                  label=f"L = {size}" if style == "o-" else None)  # fmt: skip


def _over_tolerances(
    axes: "Axes", fits: Mapping[tuple[int, int], Mapping[float, Any]], name: str, size: int
) -> None:
    """Draw every other basis: nine lines are not told apart."""
    own = [found for (L, _), found in fits.items() if size == L][::2]
    for k, found in enumerate(own):
        label = f"{next(iter(found.values())).n_functions} functions"
        axes.plot([*found], [getattr(r, name) for r in found.values()], "s-", ms=3, lw=1.0,
                  color=CYCLE[k % len(CYCLE)], label=label)  # fmt: skip
