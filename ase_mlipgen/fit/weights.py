"""Weights in the convention of Ortner and Wang, eq. (4.2): they multiply SQUARED residuals.

The loss is sum over cells of W_E |E - E~|^2 + W_F sum |F - F~|^2 + W_S sum |V - V~|^2, with E the TOTAL
energy of the cell (eV, not per atom), F each force component (eV/Å) and V each of six virial components (eV,
volume times stress, so that it grows with the cell as the energy does). A row of the least-squares system is
therefore multiplied by sqrt(W): the paper's W_E = 100 is a row weight of 10. ACEfit multiplies rows by w_E /
sqrt(n_atoms), w_F and w_V / sqrt(n_atoms); `Weights.to_acefit` and `Weights.from_acefit` convert, for cells
of one size.
"""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

PERFECT = "perfect"
DEFAULT = "default"


@dataclass(frozen=True)
class Weights:
    """Weights of squared residuals.

    Parameters
    ----------
    energy : float
        W_E, 1/eV^2, of the total energy of a cell.
    forces : float
        W_F, (Å/eV)^2, of each force component.
    stress : float
        W_S, 1/eV^2, of each virial component.
    force_constants : float
        W_FC, Å^4/eV^2, of each entry of a Hessian: only where these are observed.

    Raises
    ------
    ValueError
        A weight that is negative or not finite.
    TypeError
        A weight that is not a number.
    """

    energy: float = 100.0
    forces: float = 1.0
    stress: float = 1.0
    force_constants: float = 1.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool | str):
                raise TypeError(f"the weight of {name} is {value!r}; expected a number")
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(
                    f"the weight of {name} is {value}; expected a finite number, zero or positive"
                )

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, float]) -> "Weights":
        """Weights from names and numbers; what is not named has its default.

        Raises
        ------
        ValueError
            An unknown name, or a bad number.
        """
        known = [field.name for field in fields(cls)]
        for name in mapping:
            if name not in known:
                raise ValueError(
                    f"unknown weight {name!r}{_nearest(name, known)}; known are {', '.join(known)}"
                )
        return cls(**mapping)

    def row_weight(self, kind: str) -> float:
        """Return sqrt(W), what a row of `kind` ("energy", "forces", "stress") is multiplied by."""
        return math.sqrt(getattr(self, kind))

    def to_acefit(self, n_atoms: int) -> dict[str, float]:
        """ACEfit's weights "E", "F", "V" that give cells of `n_atoms` atoms the same rows."""
        root = math.sqrt(n_atoms)
        return {
            "E": self.row_weight("energy") * root,
            "F": self.row_weight("forces"),
            "V": self.row_weight("stress") * root,
        }

    @classmethod
    def from_acefit(cls, E: float, F: float, V: float, n_atoms: int) -> "Weights":
        """Weights that give cells of `n_atoms` atoms the rows that ACEfit's weights give them."""
        return cls(E**2 / n_atoms, F**2, V**2 / n_atoms)


WeightsLike = Weights | Mapping[str, Any]


def parse(weights: WeightsLike) -> dict[str, Weights]:
    """Normalise weights given once or a defect to a mapping from names of defects.

    Parameters
    ----------
    weights : Weights, or mapping
        ``{"energy": 100, "forces": 1}``, or a mapping from names of defects to such; "perfect" is the perfect
        crystal and "default" whatever is not named.

    Returns
    -------
    dict of str to Weights
        Look up with `weights_of`.

    Raises
    ------
    ValueError, TypeError
        As `Weights`; also where numbers and defects are mixed.
    """
    if isinstance(weights, Weights):
        return {DEFAULT: weights}
    if not isinstance(weights, Mapping):
        raise TypeError(
            f"weights are {weights!r}; expected Weights, numbers by kind, or such a mapping a defect"
        )
    nested = [isinstance(value, Weights | Mapping) for value in weights.values()]
    if not any(nested):
        return {DEFAULT: Weights.from_mapping(weights)}
    if not all(nested):
        raise ValueError(
            f"weights {dict(weights)!r} mix numbers with mappings; give one mapping a defect, or only numbers"
        )
    return {
        name: value if isinstance(value, Weights) else Weights.from_mapping(value)
        for name, value in weights.items()
    }


def check_heavy(weights: WeightsLike, observations: Iterable[str]) -> None:
    """Refuse weights that leave no row of what is observed.

    Raises
    ------
    ValueError, TypeError
        As `parse`; also where all weights of the observations are zero.
    """
    kinds = list(observations)
    if not any(getattr(w, kind) > 0 for w in parse(weights).values() for kind in kinds):
        raise ValueError(
            f"all weights of {', '.join(kinds)} are zero: nothing is left to fit; give one of them a positive weight"
        )


def weights_of(parsed: Mapping[str, Weights], defect: str) -> Weights:
    """Weights of a cell.

    Parameters
    ----------
    parsed : mapping of str to Weights
        From `parse`.
    defect : str
        Name of the defect, empty for the perfect crystal.

    Raises
    ------
    ValueError
        The mapping names other defects only. (The perfect crystal falls back to ``Weights()``.)
    """
    name = defect or PERFECT
    for key in (name, DEFAULT):
        if key in parsed:
            return parsed[key]
    if name == PERFECT:
        return Weights()
    raise ValueError(
        f"no weights for the defect {defect!r}{_nearest(defect, list(parsed))}; "
        f"there are {', '.join(parsed)}; name it, or add {DEFAULT!r}"
    )


def _nearest(name: Any, known: list[str]) -> str:
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.4)
    return f" (did you mean {close[0]!r}?)" if close else ""
