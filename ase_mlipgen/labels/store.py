"""Labels on disk: one JSON file a label, named by the hash of what was asked.

The name is that of `key_of`: positions, cell, periodicity, atomic numbers and initial moments, charges and tags
(bit by bit), the reference's identity and the observations. (A reference that also reads ``atoms.info`` needs a tag
that says what it finds there.) The first two digits name a sub-directory; stores of one flat directory, as they were
first written, are read as well. Beside ``KEY.json`` there may be ``KEY.npz`` with further arrays, ``KEY.claim`` of who
computes it, ``KEY.failed.json`` if the reference gave no label, and ``KEY.damaged``, set aside.

Files are written to a temporary name, flushed to disk and renamed, so a reader never sees half a label. Names are
flushed at most once in a second, so a power cut costs at most the labels of the last second, and a killed
process none. Each file holds a checksum and its key; one that does not agree is reported and made again.
"""

import hashlib
import io
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.files import arrays_of, read_text
from ase_mlipgen.labels.cell import LabelledCell, problem_of
from ase_mlipgen.labels.claims import Claim, ClaimState, state_of, take
from ase_mlipgen.labels.failure import Failure
from ase_mlipgen.labels.key import key_of
from ase_mlipgen.labels.record import FORMAT, atoms_of, described, opened, sealed
from ase_mlipgen.labels.reference import Label
from ase_mlipgen.labels.shelves import Shelves

__all__ = ["LabelStore", "key_of"]
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, IsADirectoryError)
logger = logging.getLogger(__name__)


class LabelStore(Shelves):
    """A directory of labels, which several processes and hosts may use at once.

    Parameters
    ----------
    directory : str or Path
        Made if it does not exist.
    """

    def __repr__(self) -> str:
        return f"LabelStore({str(self.directory)!r})"

    def __len__(self) -> int:
        return sum(1 for _ in self.keys())

    def path(self, key: str) -> Path:
        """File of the label `key`; of a flat store, the one that is there."""
        path = self.beside(key, "json")
        flat = self.directory / path.name
        return flat if not path.exists() and flat.exists() else path

    def keys(self) -> Iterator[str]:
        """Yield the keys of all labels, damaged ones included."""
        for path in self.files(".json"):
            if not path.name.endswith(".failed.json"):
                yield path.stem

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
        record = self._record(key)
        return None if record is None else record[0]

    def cell(self, key: str) -> LabelledCell | None:
        """Return the label `key` with its configuration; None as in `get`."""
        record = self._record(key)
        if record is None:
            return None
        label, content = record
        return LabelledCell(
            atoms_of(content), *label, content.get("config_type", "defect"), content.get("defect", "")
        )

    def cells(self) -> Iterator[LabelledCell]:
        """Yield all labels with their configurations, in the order of their keys."""
        for key in sorted(self.keys()):
            if (cell := self.cell(key)) is not None:
                yield cell

    def put(
        self,
        key: str,
        label: Label,
        atoms: Atoms,
        reference: str,
        config_type: str = "defect",
        defect: str = "",
        arrays: Mapping[str, npt.NDArray[Any]] | None = None,
    ) -> None:
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
        config_type, defect : str
            What kind of configuration it is; does not enter the key.
        arrays : mapping of str to array of numbers, optional
            Kept beside it as npz, such as a Hessian; see `arrays`.

        Raises
        ------
        StoreError
            The disk is full, or does not take the file for another reason.
        """
        record = {
            "format": FORMAT,
            "key": key,
            "reference": reference,
            "config_type": config_type,
            "defect": defect,
            **described(atoms),
            "energy": label.energy,
            "forces": label.forces.tolist(),
            "stress": None if label.stress is None else label.stress.tolist(),
        }
        with self.writing(key):
            if arrays:
                record["arrays"] = self._put_arrays(key, arrays)
            self.write(self.beside(key, "json"), sealed(record))
            self.beside(key, "failed.json").unlink(missing_ok=True)

    def arrays(self, key: str) -> dict[str, npt.NDArray[Any]] | None:
        """Return the arrays beside the label `key`; None if there are none, or damaged, which is logged."""
        record = self._record(key)
        if record is None or "arrays" not in record[1]:
            return None
        path = self.beside(key, "npz")
        try:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != record[1]["arrays"]:
                raise ValueError("its checksum does not agree with the label's")
            return arrays_of(io.BytesIO(content))
        except (FileNotFoundError, *UNREADABLE) as error:
            logger.warning("the arrays %s are damaged (%s)", path, error)
            return None

    def set_aside(self, key: str) -> None:
        """Rename what is at the place of the label `key`, if anything, to ``KEY.damaged``; for who holds the claim."""
        for path in (self.beside(key, "json"), self.directory / f"{key}.json"):
            if path.exists():
                os.replace(path, path.with_suffix(".damaged"))

    def put_failure(self, key: str, failure: Failure, atoms: Atoms, reference: str) -> str:
        """Write that the reference gave no label; return the name of the file, which holds the configuration.

        Raises
        ------
        StoreError
        """
        path = self.beside(key, "failed.json")
        record = {
            "format": FORMAT,
            "key": key,
            "reference": reference,
            **failure.record(),
            **described(atoms),
        }
        with self.writing(key):
            self.write(path, sealed(record))
        return str(path)

    def failure(self, key: str) -> Failure | None:
        """Return why there is no label `key`; None if it was not tried, or a label was made since."""
        record = None if self.path(key).exists() else self._failed(key)
        return None if record is None else Failure.of(record, str(self.beside(key, "failed.json")))

    def failed_atoms(self, key: str) -> Atoms | None:
        """Return the configuration of a failure, to look at it; None if there is none."""
        record = self._failed(key)
        return None if record is None else atoms_of(record)

    def failures(self) -> dict[str, Failure]:
        """Return all failures by key."""
        keys = sorted(path.name.removesuffix(".failed.json") for path in self.files(".failed.json"))
        return {key: failure for key in keys if (failure := self.failure(key)) is not None}

    def claim(self, key: str) -> Claim | None:
        """Claim the right to compute the label `key`; None if a living process has it.

        Raises
        ------
        StoreError
        """
        with self.writing(key):
            return take(self.beside(key, "claim"))

    def claimed(self, key: str) -> bool:
        """Whether a living process computes the label `key`."""
        state = state_of(self.beside(key, "claim"))
        return state is not None and state.alive

    def claims(self) -> list[ClaimState]:
        """Return all claims, dead ones included."""
        states = (state_of(path) for path in self.files(".claim"))
        return [state for state in states if state is not None]

    def _record(self, key: str) -> tuple[Label, dict[str, Any]] | None:
        for path in (self.beside(key, "json"), self.directory / f"{key}.json"):
            try:
                content = opened(read_text(path), key)
                return _label(content), content
            except FileNotFoundError:
                continue
            except UNREADABLE as error:
                logger.warning(
                    "the label %s is damaged (%s: %s) and is made again", path, type(error).__name__, error
                )
                return None
        return None

    def _failed(self, key: str) -> dict[str, Any] | None:
        try:
            return opened(read_text(self.beside(key, "failed.json")), key)
        except (FileNotFoundError, *UNREADABLE):
            return None

    def _put_arrays(self, key: str, arrays: Mapping[str, Any]) -> str:
        for name, array in arrays.items():
            if np.asarray(array).dtype.hasobject:
                raise ValueError(f"the array {name!r} holds Python objects; expected numbers")
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        self.write(self.beside(key, "npz"), buffer.getvalue())
        return hashlib.sha256(buffer.getvalue()).hexdigest()


def _label(record: Mapping[str, Any]) -> Label:
    stress = record["stress"]
    forces = np.array(record["forces"], dtype=float).reshape(-1, 3)
    label = Label(float(record["energy"]), forces, None if stress is None else np.array(stress, dtype=float))
    if problem := problem_of(len(record["numbers"]), *label):
        raise ValueError(problem)
    return label
