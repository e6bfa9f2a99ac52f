"""NRL tight-binding parameter sets: one data file, a citation each.

Model: Cohen, Mehl and Papaconstantopoulos, Phys. Rev. B 50, 14694 (1994); Mehl and Papaconstantopoulos, Phys. Rev. B
54, 4519 (1996). Lengths in bohr and energies in rydberg, as published. The file also says which public transcriptions
of a set exist, where they contradict one another, and which was taken. Enter at `find_parameters`.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
ORBITALS = ("s", "px", "py", "pz", "dxy", "dyz", "dzx", "dx2-y2", "d3z2-r2")
BONDS = ("sss", "sps", "pps", "ppp", "sds", "pds", "pdp", "dds", "ddp", "ddd")
SHELL_SIZES = {"s": 1, "p": 3, "d": 5}
N_BONDS = {"sp": 4, "spd": 10}


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
            A basis other than "sp" and "spd", or bond integrals missing.
        """
        basis = entry["basis"]
        if basis not in N_BONDS:
            raise ValueError(f'basis = {basis!r} of the set {name}: expected "sp" or "spd"')
        bonds = BONDS[: N_BONDS[basis]]
        for kind in ("hopping", "overlap"):
            missing = [bond for bond in bonds if bond not in entry[kind]]
            if missing:
                raise ValueError(
                    f"the {kind} of the set {name} lacks the bond integrals {', '.join(missing)}"
                )
        return cls(
            name,
            entry["element"],
            basis,
            float(entry["cutoff"]),
            float(entry["width"]),
            float(entry["lambda"]) ** 2,
            float(entry["electrons"]),
            np.array(
                [entry["onsite"][shell] for shell in basis for _ in range(SHELL_SIZES[shell])], dtype=float
            ),
            _last_squared([entry["hopping"][bond] for bond in bonds]),
            _last_squared([entry["overlap"][bond] for bond in bonds]),
            entry.get("citation", ""),
            entry.get("notes", ""),
        )


def _last_squared(rows: list[list[float]]) -> Floats:
    """Return the table with its last column squared, as published decay constants enter."""
    table = np.array(rows, dtype=float)
    table[:, -1] **= 2
    return table


@functools.cache
def parameter_sets() -> Mapping[str, Parameters]:
    """Return all sets of the package by name."""
    text = files("ase_mlipgen.tightbinding").joinpath("nrl_parameters.json").read_text()
    return {name: Parameters.from_mapping(name, entry) for name, entry in json.loads(text)["sets"].items()}


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
