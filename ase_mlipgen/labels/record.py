"""Records of a store as text: JSON whose last key is the sha256 of all that stands before it.

Floats are the shortest decimals that read back the same, so nothing is rounded. Enter at `sealed` and `opened`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ase import Atoms

from ase_mlipgen.durable import json_of

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
    """Return the configuration of a record, bit by bit."""
    return Atoms(
        numbers=record["numbers"], positions=record["positions"], cell=record["cell"], pbc=record["pbc"]
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
