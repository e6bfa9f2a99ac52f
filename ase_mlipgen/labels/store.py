"""Labels on disk: one JSON file a label, named by the hash of what was asked.

The name is the sha256 of positions, cell, periodicity, atomic numbers and initial moments, charges and tags
(bit by bit), the reference's identity and the observations, so a label is found again by any run that asks
the same, and by none that asks something else. (A reference that also reads ``atoms.info`` needs a tag that
says what it finds there.) Files are written to a temporary name, flushed to disk and renamed, so a reader
never sees half a label; each holds a checksum, and one that does not agree is reported and made again. Floats
are written as the shortest decimals that read back the same.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from ase_mlipgen.durable import replacing
from ase_mlipgen.labels.reference import Label

FORMAT = 1
logger = logging.getLogger(__name__)


class LabelStore:
    """A directory of labels.

    Parameters
    ----------
    directory : str or Path
        Made if it does not exist.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)

    def __repr__(self) -> str:
        return f"LabelStore({str(self.directory)!r})"

    def __len__(self) -> int:
        return sum(1 for _ in self.directory.glob("[!.]*.json"))

    def path(self, key: str) -> Path:
        """File of the label `key`."""
        return self.directory / f"{key}.json"

    def checkpoint(self, atoms: Atoms, reference: str, settings: Iterable[str]) -> Path:
        """File in which a relaxation is kept, so that the same one is found again, whole or half way.

        Parameters
        ----------
        atoms : Atoms
            The start.
        reference : str
            Identity of the reference.
        settings : iterable of str
            What else decides over the way: tolerance, optimiser.
        """
        folder = self.directory / "relaxations"
        folder.mkdir(exist_ok=True)
        return folder / f"{key_of(atoms, reference, settings)}.npz"

    def get(self, key: str) -> Label | None:
        """Return the label `key`; None if it is not there, or damaged, which is logged as a warning."""
        path = self.path(key)
        try:
            text = path.read_text(encoding="utf-8")
            return _parse(text, key)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            _warn(path, error)
            return None

    def put(self, key: str, label: Label, atoms: Atoms, reference: str) -> None:
        """Write a label, whole or not at all.

        Parameters
        ----------
        key : str
            From `key_of`.
        label : Label
        atoms : Atoms
            Written beside the label, so that the file can be understood alone.
        reference : str
            Identity of the reference.
        """
        record: dict[str, Any] = {
            "format": FORMAT,
            "key": key,
            "reference": reference,
            "numbers": atoms.numbers.tolist(),
            "positions": atoms.positions.tolist(),
            "cell": atoms.cell.array.tolist(),
            "pbc": atoms.pbc.tolist(),
            "energy": label.energy,
            "forces": label.forces.tolist(),
            "stress": None if label.stress is None else label.stress.tolist(),
        }
        record["checksum"] = _checksum(record)
        with replacing(self.path(key)) as temporary:
            temporary.write_text(json.dumps(record, allow_nan=False), encoding="utf-8")


def key_of(atoms: Atoms, reference: str, observations: Iterable[str]) -> str:
    """Content address of a label.

    Parameters
    ----------
    atoms : Atoms
        Positions, cell, periodicity, numbers count, and initial moments, charges and tags that are not zero.
    reference : str
        Identity of the reference.
    observations : iterable of str

    Returns
    -------
    str
        sha256, hexadecimal.
    """
    digest = hashlib.sha256()
    header = {
        "format": FORMAT,
        "n_atoms": len(atoms),
        "reference": reference,
        "observations": sorted(observations),
    }
    digest.update(json.dumps(header, sort_keys=True).encode())
    for array in (atoms.positions, atoms.cell.array):
        digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    digest.update(np.ascontiguousarray(atoms.numbers, dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(atoms.pbc, dtype=np.uint8).tobytes())
    for name in ("initial_magmoms", "initial_charges", "tags"):
        if np.any(extra := atoms.arrays.get(name, 0)):
            digest.update(name.encode() + np.ascontiguousarray(extra, dtype="<f8").tobytes())
    return digest.hexdigest()


def _parse(text: str, key: str) -> Label:
    record = json.loads(text)
    if record.pop("checksum") != _checksum(record):
        raise ValueError("its checksum does not agree with its content")
    if record["key"] != key:
        raise ValueError(f"it holds the label {record['key']}")
    stress = record["stress"]
    forces = np.array(record["forces"], dtype=float).reshape(-1, 3)
    return Label(float(record["energy"]), forces, None if stress is None else np.array(stress, dtype=float))


def _checksum(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _warn(path: Path, error: Exception) -> None:
    logger.warning("the label %s is damaged (%s: %s) and is made again", path, type(error).__name__, error)
