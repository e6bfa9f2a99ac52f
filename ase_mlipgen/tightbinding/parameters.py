"""NRL tight-binding parameter sets: one data file, a citation each.

Model: Cohen, Mehl and Papaconstantopoulos, Phys. Rev. B 50, 14694 (1994); Mehl and Papaconstantopoulos, Phys. Rev. B
54, 4519 (1996). Lengths in bohr and energies in rydberg, as published. The file also says which public transcriptions
of a set exist, where they contradict one another, and which was taken. Enter at `find_parameters`.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ase_mlipgen.files import json_of, read_text

Floats = npt.NDArray[np.float64]
ORBITALS = ("s", "px", "py", "pz", "dxy", "dyz", "dzx", "dx2-y2", "d3z2-r2")
BONDS = ("sss", "sps", "pps", "ppp", "sds", "pds", "pdp", "dds", "ddp", "ddd")
SHELL_SIZES = {"s": 1, "p": 3, "d": 5}
N_BONDS = {"sp": 4, "spd": 10}
ENTRIES = ("element", "basis", "cutoff", "width", "lambda", "electrons", "onsite", "hopping", "overlap")
LARGEST = 200.0
"""bohr, bohr^(-1/2), electrons: larger ones are none of a fit."""
MOST = 1e9


class ParameterFileError(ValueError):
    """A file of parameter sets that is truncated, altered or of another form."""


@dataclass(frozen=True, eq=False)
class Parameters:
    """A parameter set of one element, in bohr and rydberg.

    Attributes
    ----------
    name, element : such as "Si_sp", "Si"
    basis : "sp" or "spd"
    cutoff, width : bohr, R_c and l_c of the cutoff function
    decay : bohr^-1, lambda^2 of the density
    electrons : valence electrons an atom
    onsite_ok : (n_orbitals, 4) array, rydberg, a, b, c, d of each orbital
    hopping_bk : (n_bonds, 4) array, e, f, g, h^2 of each bond integral, in the order of `BONDS`
    overlap_bk : (n_bonds, 5) array, c0, c1, c2, c3, t^2
    citation, notes : where the set was published, and what to know of it
    """

    name: str
    element: str
    basis: str
    cutoff: float
    width: float
    decay: float
    electrons: float
    onsite_ok: Floats
    hopping_bk: Floats
    overlap_bk: Floats
    citation: str
    notes: str

    @property
    def n_orbitals(self) -> int:
        """Orbitals an atom, four or nine."""
        return len(self.onsite_ok)

    @property
    def orbitals(self) -> tuple[str, ...]:
        """Names of the orbitals of an atom, in the order of rows of H."""
        return ORBITALS[: self.n_orbitals]

    @classmethod
    def from_mapping(cls, name: str, entry: Mapping[str, Any]) -> "Parameters":
        """Make a set from an entry of the data file, or of a file of the same form.

        Raises
        ------
        ValueError
            A basis other than "sp" and "spd", bond integrals missing, or what is no finite number in range.
        """
        entry = _mapping(entry, f"the set {name}", ENTRIES)
        basis = entry["basis"]
        if basis not in N_BONDS:
            raise ValueError(f'basis = {basis!r} of the set {name}: expected "sp" or "spd"')
        bonds = BONDS[: N_BONDS[basis]]
        for kind in ("hopping", "overlap"):
            missing = [
                bond for bond in bonds if bond not in _mapping(entry[kind], f"{kind} of the set {name}")
            ]
            if missing:
                raise ValueError(
                    f"the {kind} of the set {name} lacks the bond integrals {', '.join(missing)}"
                )
        onsite = _table(entry["onsite"], basis, 4, f"onsite of the set {name}")
        cutoff, width, decay, electrons = (
            _positive(entry[key], f"{key} of the set {name}")
            for key in ("cutoff", "width", "lambda", "electrons")
        )
        if electrons > 2 * sum(SHELL_SIZES[shell] for shell in basis):
            raise ValueError(f"electrons = {electrons:g} of the set {name}: more than its orbitals hold")
        return cls(
            name, str(entry["element"]), basis, cutoff, width, decay**2, electrons,
            np.repeat(onsite, [SHELL_SIZES[shell] for shell in basis], axis=0),
            _last_squared(_table(entry["hopping"], bonds, 4, f"hopping of the set {name}")),
            _last_squared(_table(entry["overlap"], bonds, 5, f"overlap of the set {name}")),
            str(entry.get("citation", "")), str(entry.get("notes", "")),
        )  # fmt: skip


def _mapping(value: Any, place: str, keys: Iterable[str] = ()) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{place} is {type(value).__name__}: expected keys and values")
    if missing := [key for key in keys if key not in value]:
        raise ValueError(f"{place} lacks {', '.join(missing)}")
    return value


def _positive(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < LARGEST:
        raise ValueError(f"{place} is {str(value)[:40]}: expected a positive number, below {LARGEST:g}")
    return float(value)


def _table(rows: Any, names: Iterable[str], n_columns: int, place: str) -> Floats:
    """Return one row of numbers a name, finite and of a size that a published fit may have."""
    found = []
    for name in names:
        row = _mapping(rows, place, [name])[name]
        numbers = isinstance(row, list) and all(isinstance(x, int | float) and abs(x) < MOST for x in row)
        if not numbers or len(row) != n_columns:
            raise ValueError(f"{place}: {name} is {str(row)[:60]}: expected {n_columns} finite numbers")
        found.append(row)
    return np.array(found, dtype=float)


def _last_squared(table: Floats) -> Floats:
    """Return the table with its last column squared, as published decay constants enter."""
    table[:, -1] **= 2
    return table


@functools.cache
def parameter_sets() -> Mapping[str, Parameters]:
    """Return all sets of the package by name."""
    return read_parameters(Path(__file__).with_name("nrl_parameters.json"))


def read_parameters(path: str | Path) -> dict[str, Parameters]:
    """Read the sets of a file of the package's form by name.

    Raises
    ------
    FileNotFoundError
    ParameterFileError
        Not a complete file of sets; the line, or set and key, are named.
    """
    try:
        sets = _mapping(_mapping(json_of(read_text(path)), "the file", ["sets"])["sets"], "sets")
        return {name: Parameters.from_mapping(name, entry) for name, entry in sets.items()}
    except ValueError as error:
        raise ParameterFileError(
            f"{path}: {error}; install ase-mlipgen again, or correct the file"
        ) from error


def find_parameters(name: str, basis: str | None = None) -> Parameters:
    """Return the set of an element, or the one of that name.

    Parameters
    ----------
    name : chemical symbol, or a name such as "W_spd_new"
    basis : "sp" or "spd"; None for the first set of the element

    Raises
    ------
    ValueError
        There is no such set.
    """
    sets = parameter_sets()
    found = [p for p in sets.values() if name in (p.name, p.element) and basis in (None, p.basis)]
    if not found:
        wanted = name if basis is None else f"{name} with basis {basis!r}"
        raise ValueError(f"no NRL parameters for {wanted}; there are {', '.join(sets)}")
    return found[0]
