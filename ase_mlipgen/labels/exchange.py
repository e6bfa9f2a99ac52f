"""Labels for other codes and from them: extended XYZ or a database of ASE, bit by bit. Enter at `export_labels`.

Extended XYZ is that of `write_cells`; weights are the entries ``config_energy_weight``, ``config_forces_weight`` and
``config_stress_weight`` of a frame, as training codes name them. What a weight multiplies differs between codes: here
it is the squared residual of the total energy, of a force component, of a virial component. In a database the rows have
energy, forces and stress as ASE keeps them, the key ``config_type``, and plain data with the name of the defect.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from ase_mlipgen.durable import replacing
from ase_mlipgen.labels.cell import LabelledCell, read_cells, write_cells
from ase_mlipgen.labels.identity import identity
from ase_mlipgen.labels.key import key_of
from ase_mlipgen.labels.reference import Label
from ase_mlipgen.labels.store import LabelStore

DATABASES = (".db", ".json")
WEIGHTS = {kind: f"config_{kind}_weight" for kind in ("energy", "forces", "stress")}


def export_labels(
    labels: LabelStore | Iterable[LabelledCell], path: str | Path, weights: Mapping[str, float] | None = None
) -> int:
    """Write labels as extended XYZ, or as a database of ASE if the name ends in .db or .json.

    Parameters
    ----------
    labels : LabelStore or iterable of LabelledCell
        A store's labels come in the order of their keys.
    path : str or Path
        Replaced as a whole if it exists.
    weights : mapping, optional
        Of "energy", "forces", "stress"; written into every frame.

    Returns
    -------
    int
        How many were written.

    Raises
    ------
    ValueError
        A weight of something else.
    """
    path = Path(path)
    unknown = sorted(set(weights or ()) - set(WEIGHTS))
    if unknown:
        raise ValueError(f"no weight of {unknown[0]!r}; expected some of {', '.join(WEIGHTS)}")
    cells = [
        _weighted(cell, weights or {})
        for cell in (labels.cells() if isinstance(labels, LabelStore) else labels)
    ]
    with replacing(path) as temporary:
        (_write_database if path.suffix in DATABASES else write_cells)(temporary, cells)
    return len(cells)


def import_labels(
    path: str | Path, store: LabelStore | None = None, reference: Any = None, tag: str | None = None
) -> list[LabelledCell]:
    """Read labels from extended XYZ, or from a database of ASE if the name ends in .db or .json.

    Parameters
    ----------
    path : str or Path
    store : LabelStore, optional
        Takes the labels as those of `reference`, whose runs then find them. A label with a stress is found by runs that
        ask for stresses, one without by those that do not.
    reference, tag
        As in `label`; must be what made the labels.

    Returns
    -------
    list of LabelledCell

    Raises
    ------
    ValueError
        A frame without energy or forces, or an unusable label; a store without a reference.
    IdentityError
        The reference needs a tag.
    """
    path = Path(path)
    cells = _read_database(path) if path.suffix in DATABASES else read_cells(path)
    if store is not None:
        if reference is None:
            raise ValueError("a store needs to know who made the labels: give the reference")
        _store(cells, store, identity(reference, tag))
    return cells


def _store(cells: list[LabelledCell], store: LabelStore, reference: str) -> None:
    for cell in cells:
        observed = {"energy", "forces"} | (set() if cell.stress is None else {"stress"})
        key = key_of(cell.atoms, reference, observed)
        if store.get(key) is None:
            found = Label(cell.energy, cell.forces, cell.stress)
            store.put(key, found, cell.atoms, reference, cell.config_type, cell.defect)
    store.settle()


def _weighted(cell: LabelledCell, weights: Mapping[str, float]) -> LabelledCell:
    atoms = cell.atoms.copy()
    atoms.info.update({WEIGHTS[kind]: float(weight) for kind, weight in weights.items()})
    return LabelledCell(atoms, cell.energy, cell.forces, cell.stress, cell.config_type, cell.defect)


def _write_database(path: Path, cells: list[LabelledCell]) -> None:
    from ase.db import connect

    with connect(str(path), use_lock_file=False, append=False) as database:
        for cell in cells:
            atoms = cell.atoms.copy()
            results = {"energy": cell.energy, "forces": cell.forces}
            if cell.stress is not None:
                results["stress"] = cell.stress
            atoms.calc = SinglePointCalculator(atoms, **results)
            data = {"config_type": cell.config_type, "defect": cell.defect, "info": _plain(atoms.info)}
            database.write(atoms, key_value_pairs={"config_type": cell.config_type}, data=data)


def _plain(info: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what JSON can hold."""
    return {name: value for name, value in info.items() if isinstance(value, str | int | float | bool)}


def _read_database(path: Path) -> list[LabelledCell]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    return list(_rows(path))


def _rows(path: Path) -> Iterator[LabelledCell]:
    from ase.db import connect

    with connect(str(path), use_lock_file=False) as database:
        for row in database.select():
            missing = [name for name in ("energy", "forces") if row.get(name) is None]
            if missing:
                raise ValueError(f"{path}, row {row.id}: {' and '.join(missing)} missing")
            atoms = row.toatoms()
            atoms.calc = None
            atoms.info = dict(row.data.get("info", {}))
            stress = row.get("stress")
            yield LabelledCell(
                atoms,
                row.energy,
                np.array(row.forces),
                None if stress is None else np.array(stress),
                row.data.get("config_type", row.get("config_type", "defect")),
                row.data.get("defect", row.get("defect", "")),
            )
