"""What a study was made of and with, for its JSON. Enter at `document`."""

import importlib.metadata
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

PACKAGES = ("ase-mlipgen", "ase", "numpy", "scipy", "numba", "matscipy")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide on numbers."""
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def document(
    study: str, records: Sequence[Any], summary: Sequence[dict[str, Any]], wall_time: float
) -> dict[str, Any]:
    """Return a study as JSON holds it; numbers that are not finite become None.

    Parameters
    ----------
    study : its name
    records : dataclasses with a `seed`, one a fit
    summary : what the study's `summarise` makes of them
    wall_time : s
    """
    content = {
        "study": study,
        "seeds": sorted({record.seed for record in records}),
        "versions": versions(),
        "wall_time": wall_time,
        "summary": list(summary),
        "records": [asdict(record) for record in records],
    }
    return {name: _finite(value) for name, value in content.items()}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
