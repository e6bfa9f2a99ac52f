"""A configuration with its reference energy, forces and stress; to and from extended XYZ.

The file is extended XYZ as ASE and the training codes of the field read it: ``REF_energy``, ``REF_stress``,
``config_type`` and ``defect`` in the comment line, ``REF_forces`` among the columns (the plain names would be
moved into a calculator by `ase.io.read`). ASE's own writer rounds columns to eight decimals; the one here
writes the shortest decimals that give the same float64 back, so a round trip is bit-exact. Constraints are
not written.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.io.extxyz import key_val_dict_to_str
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress

from ase_mlipgen.labels.extxyz import frames_of

ConfigType = Literal["defect", "perfect"]
CONFIG_TYPES = ("defect", "perfect")
KEYS = ("REF_energy", "REF_forces", "REF_stress")
RESERVED = ("REF_energy", "REF_stress", "config_type", "defect")
COLUMN_KINDS = {"f": "R", "i": "I", "U": "S", "b": "L"}


@dataclass(frozen=True, eq=False)
class LabelledCell:
    """A configuration and what the reference says of it.

    Attributes
    ----------
    atoms : Atoms
        Without a calculator.
    energy : float
        Total energy of the cell, eV; the one that the forces are the gradient of.
    forces : (n_atoms, 3) array, eV/Å
        Unconstrained.
    stress : (6,) array or None, eV/Å^3
        Voigt order xx, yy, zz, yz, xz, xy; tension positive.
    config_type : "defect" or "perfect"
    defect : str
        Name of the defect, empty for the perfect crystal.

    Raises
    ------
    ValueError
        A wrong shape, a number that is not finite, an unknown `config_type`.
    """

    atoms: Atoms
    energy: float
    forces: npt.NDArray[np.float64]
    stress: npt.NDArray[np.float64] | None = None
    config_type: str = "defect"
    defect: str = ""

    def __post_init__(self) -> None:
        if self.config_type not in CONFIG_TYPES:
            raise ValueError(f"config_type is {self.config_type!r}; expected one of {CONFIG_TYPES}")
        if self.atoms.calc is not None:
            raise ValueError("the atoms carry a calculator; pass atoms.copy(), which has none")
        object.__setattr__(self, "energy", float(self.energy))
        object.__setattr__(self, "forces", np.asarray(self.forces, dtype=float))
        if self.stress is not None:
            object.__setattr__(self, "stress", np.asarray(self.stress, dtype=float))
        if problem := problem_of(len(self.atoms), self.energy, self.forces, self.stress):
            raise ValueError(problem)


def problem_of(
    n_atoms: int, energy: float, forces: npt.NDArray[np.float64], stress: npt.NDArray[np.float64] | None
) -> str:
    """Say in a sentence what is wrong with a label; empty if nothing is."""
    return wrong_shape(n_atoms, forces, stress) or not_finite(energy, forces, stress)


def wrong_shape(n_atoms: int, forces: npt.NDArray[np.float64], stress: npt.NDArray[np.float64] | None) -> str:
    """Say in a sentence which shape is wrong."""
    if forces.shape != (n_atoms, 3):
        return f"forces have shape {forces.shape}; expected ({n_atoms}, 3)"
    if stress is not None and stress.shape != (6,):
        return f"stress has shape {stress.shape}; expected (6,), Voigt order xx, yy, zz, yz, xz, xy"
    return ""


def not_finite(energy: float, forces: npt.NDArray[np.float64], stress: npt.NDArray[np.float64] | None) -> str:
    """Say in a sentence which number is not finite."""
    if not np.isfinite(energy):
        return f"the energy is {energy}; expected a finite number"
    bad = np.flatnonzero(~np.isfinite(forces).all(axis=1))
    if len(bad):
        return f"forces are not finite on {len(bad)} atoms, first on atom {bad[0]}: {forces[bad[0]]}"
    if stress is not None and not np.isfinite(stress).all():
        return f"the stress is not finite: {stress}"
    return ""


def write_cells(path: str | Path, cells: Iterable[LabelledCell]) -> None:
    """Write labelled cells as extended XYZ, bit-exact.

    Parameters
    ----------
    path : str or Path
        Overwritten if it exists.
    cells : iterable of LabelledCell
    """
    with open(path, "w", encoding="utf-8") as file:
        for cell in cells:
            file.writelines(_frame(cell))


def read_cells(
    path: str | Path,
    energy: str = "REF_energy",
    forces: str = "REF_forces",
    stress: str = "REF_stress",
) -> list[LabelledCell]:
    """Read what `write_cells` wrote, or any extended XYZ whose keys are known; `data.read_data` finds them out.

    Parameters
    ----------
    path : str or Path
    energy, forces, stress : str
        Names of the labels; ``energy``, ``free_energy``, ``forces`` and ``stress`` are what ASE's reader takes for
        results of a calculator.

    Returns
    -------
    list of LabelledCell
        Without ``config_type`` a frame counts as "defect"; another one than "defect" and "perfect" becomes the name
        of the defect, where the frame gives none. Stresses may have six (Voigt) or nine components.

    Raises
    ------
    ValueError
        What is no frame, one without energy or forces, or an unusable label; names the frame.
    """
    return cells_of(str(path), str(path), keys=(energy, forces, stress))


def cells_of(
    file: str | BinaryIO, name: str, first: int = 0, keys: tuple[str, str, str] = KEYS, line: int = 1
) -> list[LabelledCell]:
    """Read the frames of a file, or of a part of one that begins with the frame `first` on `line`; see `read_cells`."""
    cells = []
    for number, atoms in frames_of(file, name, first, line):
        try:
            cells.append(_cell(atoms, *keys))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{name}, frame {number} ({len(atoms)} atoms): {error}") from error
    return cells


def _cell(atoms: Atoms, energy: str, forces: str, stress: str) -> LabelledCell:
    results = {} if atoms.calc is None else atoms.calc.results
    found = {**atoms.info, **atoms.arrays, **results}
    if missing := [name for name in (energy, forces) if name not in found]:
        raise ValueError(f"{' and '.join(missing)} missing; a labelled frame has {energy} and {forces}")
    atoms.calc = None
    for name in (energy, stress, *RESERVED):
        atoms.info.pop(name, None)
    atoms.arrays.pop(forces, None)
    forces_ic = np.array(found[forces], dtype=float).reshape(len(atoms), -1)
    config_type, defect = str(found.get("config_type", "defect")), str(found.get("defect", ""))
    if config_type not in CONFIG_TYPES:
        config_type, defect = "defect", defect or config_type
    return LabelledCell(atoms, found[energy], forces_ic, _voigt(found.get(stress)), config_type, defect)


def _voigt(stress: npt.ArrayLike | None) -> npt.NDArray[np.float64] | None:
    if stress is None:
        return None
    flat = np.array(stress, dtype=float).ravel()
    return np.asarray(full_3x3_to_voigt_6_stress(flat.reshape(3, 3))) if flat.size == 9 else flat


def _frame(cell: LabelledCell) -> Iterator[str]:
    """Lines of one frame."""
    atoms = cell.atoms
    columns: dict[str, npt.NDArray[Any]] = {
        "species": np.array(atoms.get_chemical_symbols(), dtype=str),
        "pos": atoms.positions,
        "REF_forces": cell.forces,
    }
    columns |= {name: a for name, a in atoms.arrays.items() if name not in ("numbers", "positions")}
    flat = {name: np.reshape(a, (len(atoms), -1)) for name, a in columns.items()}
    yield f"{len(atoms)}\n"
    yield f"{_comment(cell, flat)}\n"
    for i in range(len(atoms)):
        yield " ".join(_text(value) for a in flat.values() for value in a[i]) + "\n"


def _comment(cell: LabelledCell, columns: dict[str, npt.NDArray[Any]]) -> str:
    properties = ":".join(f"{name}:{COLUMN_KINDS[a.dtype.kind]}:{a.shape[1]}" for name, a in columns.items())
    lattice = " ".join(_text(x) for x in cell.atoms.cell.array.ravel())
    # An empty list is written as nothing at all when it comes back as an array, and would swallow the next entry.
    info = {key: v for key, v in cell.atoms.info.items() if key not in RESERVED and np.size(v) > 0}
    info |= {"REF_energy": cell.energy, "config_type": cell.config_type}
    if cell.defect:
        info["defect"] = cell.defect
    if cell.stress is not None:
        info["REF_stress"] = voigt_6_to_full_3x3_stress(cell.stress).ravel()
    info["pbc"] = cell.atoms.pbc
    return f'Lattice="{lattice}" Properties={properties} {key_val_dict_to_str(info)}'


def _text(value: Any) -> str:
    if isinstance(value, np.bool_):
        return "T" if value else "F"
    return repr(value.item()) if isinstance(value, np.floating) else str(value)
