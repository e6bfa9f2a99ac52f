"""Predicted errors with their terms and advice, as a table and as JSON. `budget.error_budget` makes them."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ErrorBudget:
    """Predicted errors of a model on a large cell; see `budget.error_budget`.

    Attributes
    ----------
    size, n_defects : int
    geometry : float
        ||D(u - u~)|| (2.1), Å.
    energy : float
        Magnitude of the formation energy error of all defects together, eV; infinite where the data leave it open.
    geometry_interval, energy_interval : (float, float)
        Nine in ten of the calibration's fits lay within.
    geometry_terms, energy_terms : mapping of str to float
        Contributions, Å and eV; their squares add up to the prediction's.
    dominant : str
        Name of the largest term of the geometry error.
    knobs : tuple of str
        What the sentences of `advice` are about, one word each.
    advice : tuple of str
        The first is the most useful.
    """

    size: int
    n_defects: int
    geometry: float
    energy: float
    geometry_interval: tuple[float, float]
    energy_interval: tuple[float, float]
    geometry_terms: Mapping[str, float]
    energy_terms: Mapping[str, float]
    dominant: str
    knobs: tuple[str, ...]
    advice: tuple[str, ...]

    @property
    def terms(self) -> dict[str, float]:
        """All contributions: "geometry: cell size" and so on, Å, and "energy: ...", eV."""
        both = {"geometry": self.geometry_terms, "energy": self.energy_terms}
        return {f"{kind}: {name}": value for kind, terms in both.items() for name, value in terms.items()}

    def __str__(self) -> str:
        lines = [f"predicted errors, size {self.size}, {self.n_defects} defect{'s' * (self.n_defects != 1)}"]
        for kind, unit in (("geometry", "Å"), ("energy", "eV")):
            value, (low, high) = getattr(self, kind), getattr(self, f"{kind}_interval")
            lines.append(f"{kind:24s}{value:11.2e} {unit:3s} {low:.1e} to {high:.1e}")
            terms = sorted(getattr(self, f"{kind}_terms").items(), key=lambda item: -item[1])
            lines += [f"    {name:20s}{term:11.2e} {unit}" for name, term in terms]
        return "\n".join([*lines, *(f"{k}. {text}" for k, text in enumerate(self.advice, 1))])

    def todict(self) -> dict[str, Any]:
        """Return everything in a form that JSON can hold; what is not finite is None."""
        plain = {
            "size": self.size,
            "n_defects": self.n_defects,
            "geometry": _finite(self.geometry),
            "energy": _finite(self.energy),
            "geometry_interval": [_finite(x) for x in self.geometry_interval],
            "energy_interval": [_finite(x) for x in self.energy_interval],
            "geometry_terms": {name: _finite(x) for name, x in self.geometry_terms.items()},
            "energy_terms": {name: _finite(x) for name, x in self.energy_terms.items()},
            "dominant": self.dominant,
            "knobs": list(self.knobs),
            "advice": list(self.advice),
        }
        return plain | {"units": {"geometry": "Å", "energy": "eV"}}

    def to_json(self) -> str:
        """Return `todict` as JSON."""
        return json.dumps(self.todict(), indent=1, ensure_ascii=False, allow_nan=False)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
