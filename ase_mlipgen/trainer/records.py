"""What a reference said besides labels, on disk: relaxations, force constants, Hessians; a reference that is not here.

A record is one npz file without objects, named as a label is, by the hash of what was asked, so that another
configuration of the run finds what it needs and nothing else. zip's checksums tell a damaged one, which is made again.
Enter at `Records`; `Recorded` stands for a reference whose answers are all on disk.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ase_mlipgen.durable import replacing
from ase_mlipgen.files import arrays_of, json_of, read_text

Arrays = dict[str, npt.NDArray[Any]]
logger = logging.getLogger(__name__)


class MissingError(ValueError):
    """An answer of the reference that a stage needs is not on disk."""


@dataclass(frozen=True)
class Recorded:
    """A reference that is not here, whose labels and records are.

    Attributes
    ----------
    identity : str
        See `labels.identity`.
    name : str
        For the settings of a result.
    has_hessian : bool
        Whether the reference has analytic second derivatives.
    """

    identity: str
    name: str
    has_hessian: bool

    def __call__(self) -> NoReturn:
        """Refuse to compute."""
        raise MissingError(
            f"the reference {self.name} is not asked in this stage, and something of it is not on record; make it with "
            "`mlipgen label`"
        )


class Records:
    """A directory of records.

    Parameters
    ----------
    directory : str or Path
        Made when something is written.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def path(self, key: str) -> Path:
        """File of the record `key`."""
        return self.directory / f"{key}.npz"

    def get(self, key: str) -> Arrays | None:
        """Return the arrays of a record; None if it is not there, or damaged, which is logged."""
        try:
            found = arrays_of(self.path(key))
            _check(found)
            return found
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:
            logger.warning("the record %s is damaged (%s) and is made again", self.path(key), error)
            return None

    def put(self, key: str, arrays: Mapping[str, Any]) -> None:
        """Write a record, whole or not at all."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with replacing(self.path(key)) as temporary:
            np.savez(temporary, **arrays)

    def note(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a small file of JSON."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with replacing(self.directory / f"{name}.json") as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")

    def noted(self, name: str) -> dict[str, Any] | None:
        """Return the content of a small file of JSON; None if it is not there or damaged."""
        try:
            content = json_of(read_text(self.directory / f"{name}.json"))
            if not isinstance(content, dict):
                raise ValueError(f"found {type(content).__name__}; expected a mapping")
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:
            logger.warning("%s is damaged (%s)", self.directory / f"{name}.json", error)
            return None
        return content


def _check(arrays: Arrays) -> None:
    """Refuse what no record is: a relaxation, force constants, a dense or a sparse Hessian."""
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise ValueError(f"array {name!r}: {array.dtype}, not finite numbers alone")
    shapes = {name: array.shape for name, array in arrays.items()}
    match shapes:
        case {"positions": (_, 3), "steps": (), "wall_time": (), **others} if not others:
            return
        case {"sites_s": (n,), "multiplicity_s": (m,), "columns_sanb": (k, _, _, _), "n_calls": (), **others}:
            if not others and n == m == k:
                return
        case {"dense": (n, m), **others} if not others and n == m:
            return
        case {"data": _, "indices": _, "indptr": _, "shape": (2,), **others} if not others:
            unpacked(arrays).check_format()
            return
    raise ValueError(f"arrays {shapes}: expected those of a relaxation, of force constants or of a Hessian")


def packed(hessian: Any) -> Arrays:
    """Return a Hessian, dense or sparse, as arrays."""
    if not hasattr(hessian, "tocsr"):
        return {"dense": np.asarray(hessian)}
    rows: Any = sp.csr_matrix(hessian)
    return {"data": rows.data, "indices": rows.indices, "indptr": rows.indptr, "shape": np.array(rows.shape)}


def unpacked(arrays: Mapping[str, Any]) -> Any:
    """Return the Hessian of `packed`."""
    if "dense" in arrays:
        return arrays["dense"]
    parts = arrays["data"], arrays["indices"], arrays["indptr"]
    return sp.csr_matrix(parts, shape=tuple(arrays["shape"]))
