"""What a comparison of reference and surrogate on a large cell found; kept in a file. Enter at `Comparison`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ase_mlipgen.defects import Relaxation
from ase_mlipgen.durable import replacing
from ase_mlipgen.files import arrays_of, json_of
from ase_mlipgen.labels.record import atoms_of

FORMAT = "ase_mlipgen.Comparison"
VERSION = 1
RELAXATIONS = ("reference", "surrogate")
RELAXED = ("energy", "initial_energy", "steps", "fmax", "wall_time", "calls")
PARTS = ("numbers", "positions", "cell", "pbc")

DEFINITION = {
    "geometry_error": "||D(u_ref - u_sur)||, Å: difference of the two relaxed geometries in the bond norm (2.1) of "
    "the unrelaxed cell, both directions of a bond counted",
    "geometry_norm": "||D u_ref||, Å: size of the reference's own relaxation in the same norm",
    "relaxation_energy": "E(u) - E(0), eV: energy of the relaxed minus that of the unrelaxed large cell, one model",
    "relaxation_energy_error": "surrogate's minus reference's relaxation energy, eV",
    "formation_energy": "E(u) minus the energy of the same atoms in the perfect host, eV, one model; the host's energy "
    "is that model's own, foreign elements count with the chemical potentials given",
    "formation_energy_error": "surrogate's minus reference's formation energy, eV",
    "energy_excess": "E_ref(u_sur) - E_ref(u_ref), eV: what the surrogate's geometry costs in the reference; "
    "quadratic in the geometry error",
}

SHOWN = (
    "geometry_error",
    "geometry_norm",
    "relaxation_energy_error",
    "formation_energy_error",
    "energy_excess",
)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Errors of a surrogate on one large cell; what each number is stands in `definition`.

    Attributes
    ----------
    geometry_error, geometry_norm : Å
    relaxation_energy_reference, relaxation_energy_surrogate, relaxation_energy_error : eV
    formation_energy_reference, formation_energy_surrogate, formation_energy_error : eV; None where they are not
        defined for want of a chemical potential
    energy_excess : eV
    strain_reference_i, strain_surrogate_i, strain_difference_i : (n_atoms,) arrays, Å, |Du(l)| of both relaxations
        and of their difference
    core_distance_i : (n_atoms,) array, Å, from each unrelaxed atom to the nearest core; None if the cell does not
        say where its cores are
    reference, surrogate : both relaxations, with cells, steps, wall times
    failure : which relaxation did not converge and why; None if both did. Numbers that need a relaxation that
        failed are then nan.
    """

    geometry_error: float
    geometry_norm: float
    relaxation_energy_reference: float
    relaxation_energy_surrogate: float
    relaxation_energy_error: float
    formation_energy_reference: float | None
    formation_energy_surrogate: float | None
    formation_energy_error: float | None
    energy_excess: float
    strain_reference_i: npt.NDArray[np.float64]
    strain_surrogate_i: npt.NDArray[np.float64]
    strain_difference_i: npt.NDArray[np.float64]
    core_distance_i: npt.NDArray[np.float64] | None
    reference: Relaxation
    surrogate: Relaxation
    failure: str | None

    definition: ClassVar[Mapping[str, str]] = DEFINITION

    def __str__(self) -> str:
        lines = [f"{len(self.reference.atoms)} atoms, relaxed by the reference and by the surrogate"]
        for name in SHOWN:
            value = getattr(self, name)
            text = f"{value:12.3e}" if value is not None else f"{'undefined':>12s}"
            lines.append(f"{name.replace('_', ' '):26s}{text}   {self.definition[name]}")
        for name, found in (("reference", self.reference), ("surrogate", self.surrogate)):
            lines.append(f"{name}: {found.steps} steps, {found.wall_time:.1f} s")
        if self.failure is not None:
            lines.append(f"not converged: {self.failure}")
        return "\n".join(lines)

    def save(self, path: str | Path) -> Path:
        """Write everything to an npz file of plain numbers, bit by bit, and return its path."""
        arrays: dict[str, Any] = {}
        numbers: dict[str, Any] = {"format": FORMAT, "version": VERSION}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in RELAXATIONS:
                found, numbers[field.name] = _packed(value, field.name)
                arrays |= found
            elif isinstance(value, np.ndarray):
                arrays[field.name] = value
            else:
                numbers[field.name] = value
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, numbers=np.array(json.dumps(numbers)), **arrays)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "Comparison":
        """Read a file that `save` wrote.

        Raises
        ------
        FileNotFoundError
        ComparisonFileError
            It is damaged, or of another kind or version.
        """
        try:
            arrays = arrays_of(path)
            numbers = json_of(str(arrays.pop("numbers")), nan=True)
            if (numbers.pop("format"), numbers.pop("version")) != (FORMAT, VERSION):
                raise ValueError("it is of another kind or version")
            for name in RELAXATIONS:
                numbers[name] = _unpacked(numbers[name], arrays, name)
            known = {field.name for field in fields(cls)}
            numbers |= {name: array for name, array in arrays.items() if name in known}
            found = cls(**numbers)
            _check(found)
            return found
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ComparisonFileError(
                f"{path} is no comparison that this version reads ({error}); `mlipgen run` makes it again"
            ) from error


class ComparisonFileError(ValueError):
    """A file of a comparison that cannot be read."""


def _check(found: Comparison) -> None:
    """Refuse what `compare` does not make: other sizes, or numbers that are not finite although nothing failed."""
    n = len(found.reference.atoms)
    if len(found.surrogate.atoms) != n:
        raise ValueError(f"{n} atoms of the reference, {len(found.surrogate.atoms)} of the surrogate")
    arrays = {field.name: getattr(found, field.name) for field in fields(found) if field.name.endswith("_i")}
    arrays |= {f"{name}_forces": getattr(found, name).forces for name in RELAXATIONS}
    for name, array in arrays.items():
        shape = (n,) if name.endswith("_i") else (n, 3)
        if array is not None and (array.shape != shape or array.dtype != float):
            raise ValueError(f"{name} is {array.dtype} {array.shape}; expected floats {shape}")
    for name, value in {**arrays, **_numbers(found)}.items():
        if value is not None and found.failure is None and not np.isfinite(value).all():
            raise ValueError(f"{name} is not finite, although both relaxations converged")


def _numbers(found: Comparison) -> dict[str, float | None]:
    """Return every number, if it is one."""
    kinds = {
        field.name: str(field.type) for field in fields(found) if str(field.type).startswith("<class 'float'")
    }
    kinds |= {field.name: str(field.type) for field in fields(found) if str(field.type) == "float | None"}
    numbers = {name: getattr(found, name) for name in kinds}
    for place in RELAXATIONS:
        numbers |= {f"{place} {name}": getattr(getattr(found, place), name) for name in RELAXED}
    for name, value in numbers.items():
        undefined = value is None and "None" in kinds.get(name, "")
        if not undefined and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"{name} = {value!r}; expected a number")
    return numbers


def _packed(found: Relaxation, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arrays of a relaxation and its numbers."""
    atoms = found.atoms
    arrays = {f"{name}_{part}": np.asarray(getattr(atoms, part)) for part in PARTS}
    numbers = {key: value for key, value in vars(found).items() if key not in ("atoms", "forces")}
    if found.forces is not None:
        arrays[f"{name}_forces"] = found.forces
    info = {key: np.asarray(value).tolist() for key, value in atoms.info.items()}
    return arrays, {**numbers, "info": info}


def _unpacked(numbers: Mapping[str, Any], arrays: dict[str, Any], name: str) -> Relaxation:
    rest = dict(numbers)
    atoms = atoms_of({part: arrays.pop(f"{name}_{part}") for part in PARTS})
    atoms.info = dict(rest.pop("info"))
    return Relaxation(atoms=atoms, forces=arrays.pop(f"{name}_forces", None), **rest)
