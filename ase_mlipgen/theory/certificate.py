"""What a certificate says of one large cell: predicted errors, by core and far field, and the corrected values.

`Certificate.save` writes one JSON file, `Certificate.load` reads it back. The numbers come from `certify`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.durable import replacing
from ase_mlipgen.files import DamagedError, json_of, read_text
from ase_mlipgen.labels import LabelledCell
from ase_mlipgen.labels.record import atoms_of

Floats = npt.NDArray[np.float64]
FORMAT = "ase_mlipgen.Certificate"
VERSION = 1
VERDICTS = ("ok", "overlapping", "diverged", "unstable")

DEFINITIONS = {
    "geometry_error": ("Å", "||D(u_ref - u_sur)|| in the bond norm (2.1), both directions of a bond counted"),
    "relaxation_energy_error": ("eV", "surrogate's minus reference's E(u) - E(0) of the large cell"),
    "formation_energy_error": ("eV", "surrogate's minus reference's formation energy of the large cell"),
}


class CertificateFileError(ValueError):
    """A file that holds no certificate of this version."""


@dataclass(frozen=True)
class Share:
    """What one core, or the far field, adds to the predicted errors.

    Attributes
    ----------
    name : "far field", or the defect
    index : of the core in the large cell; -1 for the far field
    position : Å, of the core; None for the far field
    geometry : Å; the shares sum to the geometry error, and may be negative where they compensate others
    relaxation_energy, formation_energy : eV, surrogate minus reference; they sum to the errors
    label : which transplanted cell was labelled for it; -1 for the far field
    """

    name: str
    index: int
    position: tuple[float, float, float] | None
    geometry: float
    relaxation_energy: float
    formation_energy: float
    label: int


@dataclass(frozen=True, eq=False)
class Certificate:
    """Predicted errors of a model on one large cell, without the reference there.

    Attributes
    ----------
    geometry_error : Å
    relaxation_energy_error, formation_energy_error : eV, surrogate minus reference
    geometry_interval, relaxation_energy_interval, formation_energy_interval : (low, high) of the errors' magnitudes, by
        the factors that a study measured, see `interval_source`
    shares : of every core, and the far field last
    corrected_relaxation_energy, corrected_formation_energy : eV, the surrogate's less the predicted error; the latter
        None where a chemical potential is missing
    start, relaxed, corrected : the large cell unrelaxed, relaxed by the surrogate, and with the predicted correction
    corrected_geometry_usable : whether the training cells are large enough for the corrected geometry to be better
    resolution : Å, how far, in the same norm, the surrogate's relaxation stopped from its minimum
    site_error_i : (n_atoms,) array, Å, |Dx(l)| of the predicted correction
    transplants : labelled training cells with the cores of the large cell, and strained perfect ones
    size : of the training cells into which cores were transplanted
    n_labels : reference calls beyond those of training, equivalent cores shared
    verdict : "ok"; "overlapping" (cores closer than training cells: outside the theory); "diverged" (the surrogate has
        no minimum there) or "unstable" (no minimum to second order): then there are no numbers
    notes : sentences that a reader has to know
    clusters : ready-made cells with the overlapping cores, to be trained as defects of their own
    wall_times : s, of each stage
    interval_source : where the intervals come from
    """

    geometry_error: float
    relaxation_energy_error: float
    formation_energy_error: float
    geometry_interval: tuple[float, float]
    relaxation_energy_interval: tuple[float, float]
    formation_energy_interval: tuple[float, float]
    shares: tuple[Share, ...]
    corrected_relaxation_energy: float
    corrected_formation_energy: float | None
    start: Atoms
    relaxed: Atoms
    corrected: Atoms
    corrected_geometry_usable: bool
    resolution: float
    site_error_i: Floats
    transplants: tuple[LabelledCell, ...]
    size: int
    n_labels: int
    verdict: str
    notes: tuple[str, ...]
    clusters: tuple[Atoms, ...]
    wall_times: Mapping[str, float]
    interval_source: str

    @property
    def n_cores(self) -> int:
        """Cores of the large cell."""
        return sum(share.index >= 0 for share in self.shares)

    @property
    def has_numbers(self) -> bool:
        """Whether the surrogate has a minimum on the large cell, so that there is something to certify."""
        return self.verdict in ("ok", "overlapping")

    def __str__(self) -> str:
        lines = [
            f"{len(self.start)} atoms, {self.n_cores} cores, {self.n_labels} labels on cells of size {self.size}; "
            f"verdict: {self.verdict}"
        ]
        for name, (unit, text) in DEFINITIONS.items():
            low, high = getattr(self, name.replace("error", "interval"))
            value = getattr(self, name)
            lines.append(
                f"{name.replace('_', ' '):26s}{value:12.3e} {unit:3s} [{low:.1e}, {high:.1e}]  {text}"
            )
        lines.append(f"{'share':26s}{'geometry Å':>12s}{'relaxation eV':>15s}{'formation eV':>15s}")
        for share in self.shares:
            title = share.name if share.index < 0 else f"{share.name} {share.index}"
            lines.append(
                f"{title:26s}{share.geometry:12.3e}{share.relaxation_energy:15.3e}{share.formation_energy:15.3e}"
            )
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)

    def numbers(self) -> dict[str, Any]:
        """Return everything but the cells, JSON-able; None for what has no value."""
        names = [
            f.name for f in fields(self) if f.name not in (*CELLS, "transplants", "clusters", "site_error_i")
        ]
        content = {name: getattr(self, name) for name in names}
        content["shares"] = [asdict(share) for share in self.shares]
        content["definitions"] = {name: f"{unit}: {text}" for name, (unit, text) in DEFINITIONS.items()}
        return _plain(content)

    def _check(self) -> None:
        """Refuse what `certify` does not make."""
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict = {self.verdict!r}; expected one of {', '.join(VERDICTS)}")
        lengths = {name: len(getattr(self, name)) for name in (*CELLS, "site_error_i")}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"numbers of atoms {lengths}; expected the same of all")
        for name in ("size", "n_labels"):
            if not isinstance(getattr(self, name), int) or not 0 <= getattr(self, name) < 10**9:
                raise ValueError(f"{name} = {getattr(self, name)!r}; expected a count")
        for name in ("site_error_i", "geometry_error", "relaxation_energy_error"):
            if self.has_numbers and not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} is missing or not finite, although the surrogate has a minimum")

    def save(self, path: str | Path) -> Path:
        """Write one JSON file."""
        content = {"format": FORMAT, "version": VERSION, **self.numbers()}
        content |= {name: _of_atoms(getattr(self, name)) for name in CELLS}
        content["clusters"] = [_of_atoms(atoms) for atoms in self.clusters]
        content["transplants"] = [_of_label(cell) for cell in self.transplants]
        content["site_error_i"] = _plain(self.site_error_i.tolist())
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "Certificate":
        """Read a file written by `save`.

        Raises
        ------
        CertificateFileError
        """
        try:
            content = json_of(read_text(path))
        except DamagedError as error:
            raise CertificateFileError(f"{path} is truncated or damaged: {error}") from error
        if not isinstance(content, dict) or (content.get("format"), content.get("version")) != (
            FORMAT,
            VERSION,
        ):
            raise CertificateFileError(f"{path} is no {FORMAT} of version {VERSION}: make it again")
        try:
            found = cls(**_restored(content))
            found._check()
            return found
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CertificateFileError(
                f"{path} does not fit this version ({error}): make it again"
            ) from error


CELLS = ("start", "relaxed", "corrected")


def _restored(content: dict[str, Any]) -> dict[str, Any]:
    given = {f.name: content[f.name] for f in fields(Certificate)}
    given |= {name: _atoms(given[name]) for name in CELLS}
    given["clusters"] = tuple(_atoms(cell) for cell in given["clusters"])
    given["transplants"] = tuple(_label(cell) for cell in given["transplants"])
    given["site_error_i"] = np.array(given["site_error_i"], dtype=float)
    given["shares"] = tuple(
        Share(**{**share, **{k: _number(share[k]) for k in ("geometry", "relaxation_energy", "formation_energy")},
                 "position": share["position"] and tuple(share["position"])})
        for share in given["shares"]
    )  # fmt: skip
    for name in DEFINITIONS:
        given[name] = _number(given[name])
        interval = name.replace("error", "interval")
        given[interval] = tuple(_number(x) for x in given[interval])
    for name in ("corrected_relaxation_energy", "resolution"):
        given[name] = _number(given[name])
    given["notes"] = tuple(given["notes"])
    return given


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _plain(value: Any) -> Any:
    """`value` with lists for tuples and None for numbers that are not finite."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _of_atoms(atoms: Atoms) -> dict[str, Any]:
    info = {key: atoms.info[key] for key in ("defect_names", "defect_centres", "name") if key in atoms.info}
    return {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": [bool(p) for p in atoms.pbc],
        "info": _plain(info),
    }


def _atoms(content: Mapping[str, Any]) -> Atoms:
    atoms = atoms_of(content)
    atoms.info = dict(content["info"])
    return atoms


def _of_label(cell: LabelledCell) -> dict[str, Any]:
    return {
        "atoms": _of_atoms(cell.atoms),
        "energy": cell.energy,
        "forces": cell.forces.tolist(),
        "config_type": cell.config_type,
        "defect": cell.defect,
    }


def _label(content: Mapping[str, Any]) -> LabelledCell:
    return LabelledCell(
        **{**content, "atoms": _atoms(content["atoms"]), "forces": np.array(content["forces"])}
    )
