"""The picture of a certificate: where the predicted error of a large cell sits. Enter at `certificate_figure`."""

from typing import TYPE_CHECKING

import numpy as np

from ase_mlipgen.defects import is_planar
from ase_mlipgen.report.style import (
    BLUE,
    GREY,
    ORANGE,
    PALE,
    distances,
    logarithmic,
    new_figure,
    styled,
)
from ase_mlipgen.theory.certificate import Certificate
from ase_mlipgen.theory.compare import core_distances

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DECADES = 4.0
"""Of the colours of the map."""


@styled
def certificate_figure(certificate: Certificate) -> "Figure":
    """Show the predicted error on the cell, by distance from the cores, and by core and far field."""
    figure = new_figure(11.0, 4.2)
    if not certificate.has_numbers:
        axes = figure.subplots()
        axes.set_axis_off()
        axes.text(
            0.0, 0.5, f"nothing to show: {certificate.verdict}; {' '.join(certificate.notes)}", wrap=True
        )
        return figure
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.35, 1.0, 1.0])
    _draw_map(left, certificate)
    _draw_profile(middle, certificate)
    _draw_shares(right, certificate)
    return figure


def _draw_map(axes: "Axes", certificate: Certificate) -> None:
    from matplotlib.colors import LogNorm

    start, error_i = certificate.start, certificate.site_error_i
    largest = float(error_i.max())
    # Where several atoms are seen in one place, the one with the largest error is in front.
    order = np.argsort(error_i)
    x, y = start.positions[order, 0], start.positions[order, 1]
    if largest > 0.0:
        norm = LogNorm(largest * 10.0**-DECADES, largest)
        colours = np.maximum(error_i[order], largest * 10.0**-DECADES)
        drawn = axes.scatter(x, y, c=colours, s=_dot(len(start)), norm=norm, cmap="cividis", linewidths=0)
        bar = axes.figure.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02)
        bar.set_label("predicted error |Dx| of a site (Å)")
    else:
        axes.scatter(x, y, c=PALE, s=_dot(len(start)), linewidths=0)
    cores = np.array([share.position for share in certificate.shares if share.position is not None])
    axes.plot(cores[:, 0], cores[:, 1], "x", color=ORANGE, ms=6, mew=1.4)
    for share in certificate.shares:
        if share.position is not None:
            axes.annotate(
                str(share.index), share.position[:2], xytext=(4, 4), textcoords="offset points", color=ORANGE
            )
    view = "" if is_planar(start) else ", seen along z, largest in front"
    axes.set(xlabel="x (Å)", ylabel="y (Å)", aspect="equal")
    axes.set_title(f"geometry error {certificate.geometry_error:.2e} Å{view}")


def _dot(n_atoms: int) -> float:
    return float(np.clip(24000.0 / n_atoms, 3.0, 60.0))


def _draw_profile(axes: "Axes", certificate: Certificate) -> None:
    atoms = certificate.start.copy()
    places = [share.position for share in certificate.shares if share.position is not None]
    atoms.info["defect_centres"] = places
    distance_i = core_distances(atoms)
    shown = certificate.site_error_i > 0.0
    if distance_i is None or not np.any(shown):
        axes.set_axis_off()
        return
    axes.plot(
        distance_i[shown], certificate.site_error_i[shown], ".", ms=2.5, color=BLUE, mec="none", alpha=0.5
    )
    logarithmic(axes, "y")
    distances(axes)
    axes.set(xlabel="distance from the nearest core (Å)", ylabel="predicted error of a site (Å)")
    axes.set_title("by distance")


def _draw_shares(axes: "Axes", certificate: Certificate) -> None:
    names = [s.name if s.index < 0 else f"{s.name} {s.index}" for s in certificate.shares]
    place = np.arange(len(names))
    relaxation = np.array([share.relaxation_energy for share in certificate.shares])
    formation = np.array([share.formation_energy for share in certificate.shares])
    axes.barh(place - 0.2, relaxation, 0.38, color=BLUE, label="relaxation energy")
    axes.barh(place + 0.2, formation, 0.38, color=ORANGE, label="formation energy")
    axes.axvline(0.0, color=GREY, lw=0.8)
    axes.set_yticks(place, names)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel="share of the error (eV)")
    axes.set_title("energy, model minus reference")
    axes.legend(loc="best")
