"""One look for all figures: Okabe and Ito's colour-blind-safe palette, thin frames, units on every axis.

Figures are made by the object-oriented interface; nothing here touches pyplot or leaves a setting changed. Enter at
`new_figure`.
"""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")

BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
INK, GREY, PALE = "#222222", "#8A8A8A", "#D9D9D9"
REFERENCE, MODEL, DIFFERENCE = BLUE, ORANGE, GREEN
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY)

SETTINGS: dict[str, Any] = {
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": "#555555",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.4,
    "savefig.dpi": 200,
}


def styled(draw: "Callable[P, Figure]") -> "Callable[P, Figure]":
    """Draw with the settings above, and leave those of the session as they were."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> "Figure":
        from matplotlib import rc_context

        settings: Any = SETTINGS
        with rc_context(settings):
            return draw(*args, **kwargs)

    return drawn


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of a size in inches, that lays out its own axes."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def distances(axes: "Axes", which: str = "x") -> None:
    """Label logarithmic axes ("x", "y" or "xy") of a decade or two with plain numbers, 2, 5, 10, 20 ..."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    for name in which:
        getattr(axes, f"set_{name}scale")("log")
        axis = getattr(axes, f"{name}axis")
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FormatStrFormatter("%g"))
        # Less than a decade would label these too, over the others.
        axis.set_minor_formatter(NullFormatter())


def logarithmic(axes: "Axes", which: str) -> None:
    """Set logarithmic axes ("x", "y" or "xy") with few labels."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for name in which:
        getattr(axes, f"set_{name}scale")("log")
        axis = getattr(axes, f"{name}axis")
        axis.set_major_locator(LogLocator(numticks=7))
        axis.set_minor_formatter(NullFormatter())
