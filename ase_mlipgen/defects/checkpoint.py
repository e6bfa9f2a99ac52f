"""Where a relaxation is, on disk: positions, energy and forces there, counts, and the optimiser's memory.

One .npz, arrays beside a JSON text with the scalars, all bit-exact, no pickle; a sha256 of everything in it; written
under another name, flushed and renamed, so that a process may be killed at any moment. A file that is damaged, or of
another relaxation, is refused and left alone. Enter at `load` and `save`.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.durable import replacing
from ase_mlipgen.files import arrays_of, json_of

FORMAT = "ase_mlipgen relaxation"
VERSION = 1
SCALARS = ("energy", "initial_energy", "initial_fmax", "step", "calls", "wall_time", "optimizer", "gave_up")
REMEDY = "delete it (`mlipgen relax --restart` does) to relax from the beginning"
ARRAYS = ("positions", "forces")


class CheckpointError(ValueError):
    """A checkpoint that is damaged, or of another relaxation."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A relaxation after one of its steps.

    Attributes
    ----------
    positions : (n_atoms, 3) array, Å
    energy, forces : eV and (n_atoms, 3) array, eV/Å, at these positions, constraints left out
    initial_energy, initial_fmax : eV and eV/Å, at the start
    step, calls : optimiser steps and force calls so far
    wall_time : s, so far
    optimizer : name of its class
    gave_up : whether that optimiser gave up and ASE's LBFGS follows
    history : the optimiser's state, numbers, arrays, lists of arrays; empty where only positions are known
    """

    positions: npt.NDArray[np.float64]
    energy: float
    forces: npt.NDArray[np.float64]
    initial_energy: float
    initial_fmax: float
    step: int
    calls: int
    wall_time: float
    optimizer: str
    gave_up: bool = False
    history: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Origin:
    """What a relaxation starts from; `differences` compares two.

    Attributes
    ----------
    model : identity of the calculator
    constraints : JSON text
    numbers, pbc, cell, positions : of the atoms at the start
    """

    model: str
    constraints: str
    numbers: npt.NDArray[np.int64]
    pbc: npt.NDArray[np.bool_]
    cell: npt.NDArray[np.float64]
    positions: npt.NDArray[np.float64]

    @classmethod
    def of(cls, atoms: Atoms, model: str) -> "Origin":
        """Describe the start."""
        held = [_plain(c.todict() if hasattr(c, "todict") else c) for c in atoms.constraints]
        constraints = json.dumps(held, sort_keys=True)
        return cls(
            model, constraints, atoms.numbers, np.array(atoms.pbc), atoms.cell.array, atoms.get_positions()
        )

    def differences(self, other: "Origin") -> list[str]:
        """Say in words in what this one, of a checkpoint, is not the other, that is asked for."""
        found = []
        if len(self.numbers) != len(other.numbers):
            found.append(f"it has {len(self.numbers)} atoms, not {len(other.numbers)}")
        elif not np.array_equal(self.numbers, other.numbers):
            i = int(np.flatnonzero(self.numbers != other.numbers)[0])
            found.append(f"atom {i} has the atomic number {self.numbers[i]}, not {other.numbers[i]}")
        elif not np.array_equal(self.positions, other.positions):
            moved = np.linalg.norm(self.positions - other.positions, axis=1)
            found.append(f"it starts from other positions, atom {moved.argmax()} by {moved.max():.3g} Å")
        if not np.array_equal(self.cell, other.cell):
            found.append(f"its cell is {self.cell.tolist()} Å, not {other.cell.tolist()}")
        if not np.array_equal(self.pbc, other.pbc):
            found.append(f"its pbc is {self.pbc.tolist()}, not {other.pbc.tolist()}")
        for name in ("constraints", "model"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                found.append(f"its {name} {_passage(ours, theirs)}, not {_passage(theirs, ours)}")
        return found


def save(path: str | Path, checkpoint: Checkpoint, origin: Origin) -> None:
    """Write a checkpoint, whole or not at all."""
    head: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    head |= {name: getattr(checkpoint, name) for name in SCALARS}
    head |= {"model": origin.model, "constraints": origin.constraints}
    arrays = {name: getattr(checkpoint, name) for name in ARRAYS}
    arrays |= {f"origin_{name}": getattr(origin, name) for name in ("numbers", "pbc", "cell", "positions")}
    many = {k: v for k, v in checkpoint.history.items() if isinstance(v, np.ndarray | list)}
    arrays |= {f"history_{k}": np.asarray(v, dtype=float) for k, v in many.items()}
    head["history"] = {k: v for k, v in checkpoint.history.items() if k not in many}
    content = {**arrays, "head": np.array(json.dumps(head))}
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **content, checksum=np.array(_checksum(content)))


def load(path: str | Path, origin: Origin) -> Checkpoint | None:
    """Read the checkpoint of a relaxation; None where there is none.

    Raises
    ------
    CheckpointError
        The file is damaged, of a newer version, or of a relaxation with another origin: it is left as it is.
    """
    try:
        content = _read(Path(path))
        head = json_of(str(content["head"]))
        kind, version = head["format"], head["version"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise CheckpointError(f"the checkpoint {path} is damaged ({error}); {REMEDY}") from error
    if (kind, version) != (FORMAT, VERSION):
        raise CheckpointError(
            f"the checkpoint {path} is of format {kind!r} version {version}; this program reads {FORMAT!r} version "
            f"{VERSION}; {REMEDY}"
        )
    arrays = {name: content[f"origin_{name}"] for name in ("numbers", "pbc", "cell", "positions")}
    differences = Origin(head["model"], head["constraints"], **arrays).differences(origin)
    if differences:
        raise CheckpointError(
            f"the checkpoint {path} is of another relaxation: {'; '.join(differences)}. Give what it was made "
            f"with, or another name for the checkpoint; or {REMEDY}"
        )
    history = head["history"] | {
        name.removeprefix("history_"): a for name, a in content.items() if name.startswith("history_")
    }
    scalars = {name: head[name] for name in SCALARS}
    return Checkpoint(**scalars, positions=content["positions"], forces=content["forces"], history=history)


def model_name(calculator: Any) -> str:
    """Name a calculator by its class and what it tells of its parameters: weaker than `labels.identity`."""
    kind = type(calculator)
    if hasattr(calculator, "label_identity"):
        stated: Any = str(calculator.label_identity())
    else:
        todict = getattr(calculator, "todict", None)
        stated = (todict() if callable(todict) else {}) | dict(getattr(calculator, "parameters", None) or {})
    return f"{kind.__module__}.{kind.__qualname__} {json.dumps(_plain(stated), sort_keys=True)}"


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    content = arrays_of(path)
    if str(content.pop("checksum")) != _checksum(content):
        raise ValueError("its checksum does not agree with its content")
    return content


def _checksum(content: dict[str, npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(content):
        array = np.ascontiguousarray(content[name])
        digest.update(f"{name} {array.dtype.str} {content[name].shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _passage(text: str, other: str, width: int = 80) -> str:
    """Show a text where it first differs from the other."""
    k = next(
        (k for k, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), min(len(text), len(other))
    )
    begin = max(0, k - width // 2)
    return (
        ("..." if begin else "") + text[begin : begin + width] + ("..." if len(text) > begin + width else "")
    )


def _plain(value: Any) -> Any:
    """`value` in JSON's terms; long arrays become a hash, and objects the name of their class."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype != object:
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"shape": list(value.shape), "sha256": digest}
    if isinstance(value, list | tuple):
        plain = [_plain(item) for item in value]
        if len(plain) <= 12:
            return plain
        return {"length": len(plain), "sha256": hashlib.sha256(json.dumps(plain).encode()).hexdigest()}
    return type(value).__name__
