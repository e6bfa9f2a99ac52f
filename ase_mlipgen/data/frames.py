"""Frames of extended XYZ files as they are: atoms, and every number beside them under its own name.

ASE's reader moves ``energy``, ``free_energy``, ``forces`` and ``stress`` into a calculator; here they are found under
these names again, beside keys such as ``REF_energy``. Enter at `read_frames`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.labels.extxyz import frames_of

Floats = npt.NDArray[np.float64]
NO_ENERGY = ("weight", "sigma", "std", "error", "per_atom", "peratom", "kinetic", "cutoff", "variance")
"""Words in the names of numbers that are no total energies, although they have "energy" in it."""

UNNAMED = "default"
"""Group of frames that say nothing of themselves."""

ISOLATED = 8.0
"""Å: an atom whose periodic images are further away is an isolated one."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One configuration of a file.

    Attributes
    ----------
    atoms : Atoms
        Without calculator and constraints.
    file : str
    number : int
        Of the frame in its file, from 0.
    config_type : str
        What the file calls it, "default" where it says nothing.
    defect : str
        Name of the defect, if the file gives one.
    values : dict of str to Any
        Of the whole configuration, those of ASE's calculator among them.
    arrays : dict of str to array, one row an atom
    """

    atoms: Atoms
    file: str
    number: int
    config_type: str
    defect: str
    values: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]

    @property
    def place(self) -> str:
        """Name of the frame in messages."""
        return f"{self.file}, frame {self.number}"

    @property
    def group(self) -> str:
        """Name that weights and errors go by: of the defect where that is given, else the config_type."""
        return self.defect or self.config_type

    @property
    def energies(self) -> dict[str, float]:
        """Numbers that may be the total energy, by name."""
        return {key: float(x) for key, x in self.values.items() if _is_energy(key, x)}

    @property
    def forces(self) -> dict[str, Floats]:
        """Arrays that may be the forces, by name."""
        return {
            key: np.asarray(x, dtype=float)
            for key, x in self.arrays.items()
            if "force" in key.lower() and "weight" not in key.lower() and np.shape(x) == (len(self.atoms), 3)
        }

    @property
    def stresses(self) -> dict[str, Floats]:
        """Six or nine numbers that may be the stress or the virial, by name."""
        return {
            key: np.ravel(np.asarray(x, dtype=float))
            for key, x in self.values.items()
            if any(word in key.lower() for word in ("stress", "virial"))
            and "weight" not in key.lower()
            and np.size(x) in (6, 9)
            and np.asarray(x).dtype.kind in "fi"
        }

    @property
    def geometry(self) -> bytes:
        """Elements, positions, cell and periodicity, bit by bit."""
        atoms = self.atoms
        parts = (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
        return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)

    @property
    def is_isolated(self) -> bool:
        """Whether this is one atom with no other, nor an image of its own, in reach."""
        if len(self.atoms) != 1:
            return False
        cell, pbc = self.atoms.cell.array, np.asarray(self.atoms.pbc, dtype=bool)
        if not pbc.any():
            return True
        steps = np.stack(np.meshgrid(*(range(-1, 2) if p else [0] for p in pbc), indexing="ij"), -1).reshape(
            -1, 3
        )
        images = steps[np.any(steps, axis=1)] @ cell
        return bool(np.linalg.norm(images, axis=1).min() > ISOLATED)


def read_frames(paths: str | Path | Iterable[str | Path], group: str = "config_type") -> list[Frame]:
    """Read extended XYZ files.

    Parameters
    ----------
    paths : file or files
    group : str
        Key that says which kind of configuration a frame is.

    Raises
    ------
    ValueError
        A file that is not there, cannot be read, or holds no frame.
    """
    several = [paths] if isinstance(paths, str | Path) else list(paths)
    return [frame for path in several for frame in _read(Path(path), group)]


def of_calculator(atoms: Atoms) -> dict[str, Any]:
    """Return what ASE's reader moved into a calculator, by name."""
    results: dict[str, Any] = {} if atoms.calc is None else dict(atoms.calc.results)
    return results


def _read(path: Path, group: str) -> list[Frame]:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    found: list[Frame] = []
    try:
        for number, atoms in frames_of(path, str(path)):
            found.append(_frame(atoms, str(path), number, group))
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ValueError(
            f"{path} cannot be read as extended XYZ after frame {len(found) - 1} ({error})"
        ) from error
    if not found:
        raise ValueError(f"{path} holds no frame")
    return found


def _frame(atoms: Atoms, file: str, number: int, group: str) -> Frame:
    results = of_calculator(atoms)
    per_atom = {key: x for key, x in results.items() if key in ("forces", "energies", "magmoms", "charges")}
    values = {**atoms.info, **{key: x for key, x in results.items() if key not in per_atom}}
    arrays = {key: x for key, x in atoms.arrays.items() if key not in ("numbers", "positions")} | per_atom
    kind, defect = str(atoms.info.get(group) or UNNAMED), str(atoms.info.get("defect") or "")
    bare = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    return Frame(bare, file, number, kind, defect, values, arrays)


def _is_energy(key: str, value: Any) -> bool:
    name = key.lower()
    if not ("energy" in name or name in ("etot", "e_tot", "toten")) or any(w in name for w in NO_ENERGY):
        return False
    return np.ndim(value) == 0 and np.asarray(value).dtype.kind in "fi"


def places(frames: Sequence[Frame], most: int = 3) -> str:
    """Name frames in a message: the first few, and how many more."""
    shown = "; ".join(frame.place for frame in frames[:most])
    return shown + (f" and {len(frames) - most} more" if len(frames) > most else "")
