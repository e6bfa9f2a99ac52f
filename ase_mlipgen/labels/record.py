"""Records of a store as text: JSON whose last key is the sha256 of all that stands before it.

Floats are the shortest decimals that read back the same, so nothing is rounded. Enter at `sealed` and `opened`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from ase_mlipgen.files import json_of

FORMAT = 2
SEAL = ', "checksum": "'


def sealed(record: Mapping[str, Any]) -> str:
    """Write a record with its checksum.

    Parameters
    ----------
    record : mapping
        Not empty; numbers are finite.

    Returns
    -------
    str
    """
    body = json.dumps(record, allow_nan=False)
    return f'{body[:-1]}{SEAL}{_digest(body)}"}}'


def opened(text: str, key: str) -> dict[str, Any]:
    """Read a record that is whole and of this key.

    Parameters
    ----------
    text : str
        From `sealed`, or of the first format, whose checksum was of the sorted content.
    key : str

    Raises
    ------
    ValueError
        Truncated, changed, or the record of another key.
    """
    body, _, tail = text.rpartition(SEAL)
    body += "}"
    record = json_of(body) if tail == f'{_digest(body)}"}}' else _first_format(text)
    if not isinstance(record, dict):
        raise ValueError(f"found {type(record).__name__}; expected a mapping")
    if record.get("key") != key:
        raise ValueError(f"it holds the label {record.get('key')}")
    return record


def _first_format(text: str) -> dict[str, Any]:
    record = json_of(text)
    if not isinstance(record, dict) or record.get("format") != 1:
        raise ValueError("its checksum does not agree with its content")
    if record.pop("checksum", "") != _digest(json.dumps(record, sort_keys=True)):
        raise ValueError("its checksum does not agree with its content")
    return record


def described(atoms: Atoms) -> dict[str, Any]:
    """Return the entries that say which configuration a record is of."""
    return {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
    }


def atoms_of(record: Mapping[str, Any]) -> Atoms:
    """Return the configuration of a record, bit by bit.

    Raises
    ------
    ValueError
        An entry is missing, or is not of so many atoms, elements or finite numbers.
    """
    if missing := [name for name in ("numbers", "positions", "cell", "pbc") if name not in record]:
        raise ValueError(f"{' and '.join(missing)} missing: expected numbers, positions, cell and pbc")
    try:
        numbers, positions = np.array(record["numbers"]), np.array(record["positions"], dtype=float)
        cell, pbc = np.array(record["cell"], dtype=float), np.array(record["pbc"])
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"numbers, positions or cell of the atoms are no arrays of numbers ({error})"
        ) from None
    if numbers.size == 0:
        numbers, positions = numbers.astype(int), positions.reshape(-1, 3)
    shapes = (positions.shape, cell.shape, pbc.shape)
    if numbers.ndim != 1 or shapes != ((len(numbers), 3), (3, 3), (3,)):
        raise ValueError(
            f"numbers {numbers.shape}, positions, cell and pbc {shapes}; expected (n,), (n, 3), (3, 3), (3,)"
        )
    if numbers.dtype.kind not in "iu" or ((numbers < 0) | (numbers >= len(chemical_symbols))).any():
        raise ValueError(f"numbers holds what is no atomic number; expected 0 to {len(chemical_symbols) - 1}")
    if pbc.dtype != bool:
        raise ValueError(f"pbc = {pbc.tolist()}; expected true or false, three times")
    for name, array in (("positions", positions), ("cell", cell)):
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds what is no length; expected finite numbers in Å")
    return Atoms(numbers=numbers, positions=positions, cell=cell, pbc=pbc)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
