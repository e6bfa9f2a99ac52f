"""The name of a label: the hash of what was asked, so that it is found again by any run that asks the same."""

import hashlib
import json
from collections.abc import Iterable

import numpy as np
from ase import Atoms

FORMAT = 1


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
