"""Exponents of power laws in what studies measured. Enter at `slope`."""

from collections.abc import Sequence

import numpy as np


def slope(x: Sequence[float], y: Sequence[float], span: float = 0.1) -> float | None:
    """Return the least-squares slope of log |y| over log x; None if the logarithms of x span less than `span`."""
    logs = np.log(np.asarray(x, dtype=float))
    if len(logs) < 3 or np.ptp(logs) < span:
        return None
    return float(np.polyfit(logs, np.log(np.abs(np.asarray(y, dtype=float))), 1)[0])
