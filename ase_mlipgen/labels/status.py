"""What a store holds: labels, failures with their reasons, who is at work. Enter at `status_of`."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase_mlipgen.labels.claims import ClaimState
from ase_mlipgen.labels.failure import Failure
from ase_mlipgen.labels.store import LabelStore


@dataclass(frozen=True)
class StoreStatus:
    """State of a store at one moment.

    Attributes
    ----------
    directory : Path
    n_labels : int
    failures : tuple of Failure
        Configurations that have no label, with reason, attempts, date, host and file; the next run tries them again.
    at_work : tuple of ClaimState
        Labels that living processes compute.
    abandoned : tuple of ClaimState
        Labels whose processes have died; the next run computes them.
    damaged : tuple of str or None
        Keys of labels that do not agree with their checksum; the next run computes them. None: not looked for.
    """

    directory: Path
    n_labels: int
    failures: tuple[Failure, ...]
    at_work: tuple[ClaimState, ...]
    abandoned: tuple[ClaimState, ...]
    damaged: tuple[str, ...] | None = None

    def __str__(self) -> str:
        lines = [
            f"{self.directory}: {self.n_labels} labels, {len(self.failures)} failures, "
            f"{len(self.at_work)} at work, {len(self.abandoned)} abandoned"
        ]
        if self.damaged is not None:
            lines.append(f"{len(self.damaged)} damaged" + "".join(f"\n  {key}" for key in self.damaged))
        lines += [
            f"{count} x {verdict}" for verdict, count in Counter(f.verdict for f in self.failures).items()
        ]
        return "\n  ".join([*lines, *map(str, self.failures), *map(str, self.at_work)])

    def as_dict(self) -> dict[str, Any]:
        """Return the status in a form that JSON can hold."""
        return {
            "directory": str(self.directory),
            "labels": self.n_labels,
            "failures": [{**f.record(), "where": f.where} for f in self.failures],
            "at_work": [str(claim) for claim in self.at_work],
            "abandoned": [str(claim) for claim in self.abandoned],
            "damaged": None if self.damaged is None else list(self.damaged),
        }


def status_of(store: LabelStore | str | Path, check: bool = False) -> StoreStatus:
    """Look at a store.

    Parameters
    ----------
    store : LabelStore or path of one
    check : bool
        Read every label and compare its checksum, about half a millisecond each.

    Returns
    -------
    StoreStatus

    Raises
    ------
    FileNotFoundError
        There is no such directory.
    """
    if not isinstance(store, LabelStore):
        if not Path(store).is_dir():
            raise FileNotFoundError(f"there is no label store {store}")
        store = LabelStore(store)
    # A process that is killed between writing a label and letting its claim go leaves one that says nothing.
    claims = [claim for claim in store.claims() if not store.path(claim.key).exists()]
    damaged = tuple(key for key in sorted(store.keys()) if store.get(key) is None) if check else None
    return StoreStatus(
        store.directory,
        len(store) - len(damaged or ()),
        tuple(store.failures().values()),
        tuple(claim for claim in claims if claim.alive),
        tuple(claim for claim in claims if not claim.alive),
        damaged,
    )
