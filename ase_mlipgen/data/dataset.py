"""Labelled cells from files, sorted: training and test cells, those that the model must match, isolated atoms.

Enter at `read_data`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.build import make_supercell

from ase_mlipgen.data.frames import Frame, places, read_frames
from ase_mlipgen.data.keys import AmbiguousDataError, Keys, choose_keys
from ase_mlipgen.data.units import doubts_of
from ase_mlipgen.defects import minimum_image
from ase_mlipgen.labels import LabelledCell

AT_REST = 0.05
"""eV/Å, at most, on an atom of a frame that is called relaxed."""
ON_SITE = 0.5
"""Å: an atom that close to a site of the crystal stands on it."""
PERFECT = 1e-2
"""eV/Å, at most, on an atom of a perfect crystal; one that is displaced is a sample like others."""
SAME_CELL = 1e-4
ONE_ATOM_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class DataSet:
    """Labels that are there already.

    Attributes
    ----------
    train, test : list of LabelledCell
        `defect` is the group of the frame: its ``defect`` if it has one, else its ``config_type``.
    relaxed, unrelaxed, perfect : list of LabelledCell
        Cells of the matching conditions, where the files name them; they are among `train`.
    E0 : dict of str to float
        Energies of isolated atoms, eV.
    keys : Keys
    notes : tuple of str
        What was left out or is doubtful, in sentences.
    files : tuple of str
    """

    train: list[LabelledCell]
    test: list[LabelledCell]
    relaxed: list[LabelledCell] = field(default_factory=list)
    unrelaxed: list[LabelledCell] = field(default_factory=list)
    perfect: list[LabelledCell] = field(default_factory=list)
    E0: dict[str, float] = field(default_factory=dict)
    keys: Keys = field(default_factory=lambda: Keys("REF_energy", "REF_forces"))
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def elements(self) -> list[str]:
        """Elements of all cells, in alphabetical order."""
        return sorted({s for c in (*self.train, *self.test) for s in c.atoms.get_chemical_symbols()})


def read_data(
    files: str | Path | Iterable[str | Path],
    test_files: str | Path | Iterable[str | Path] = (),
    *,
    energy: str | None = None,
    forces: str | None = None,
    stress: str | None = None,
    test_fraction: float = 0.1,
    seed: int = 0,
    group: str = "config_type",
    relaxed: Sequence[str] = ("relaxed",),
    unrelaxed: Sequence[str] = ("unrelaxed",),
    perfect: Sequence[str] = ("perfect",),
    without_forces: Literal["refuse", "skip"] = "refuse",
    **stresses: Any,
) -> DataSet:
    """Read labels from extended XYZ.

    Parameters
    ----------
    files : file or files
    test_files : file or files
        Test cells; without them `test_fraction` of every group of `files` is.
    energy, forces, stress : str, optional
        Names in the files, where they leave a choice; see `choose_keys`, which takes `stresses` as well.
    test_fraction : float
        From 0 to below 1. Frames of one geometry are on one side; relaxed, unrelaxed and perfect cells are never
        test cells.
    seed : int
        Of the choice.
    group : str
        Key that says which kind of configuration a frame is. Weights and errors go by it, or by ``defect`` where a
        frame has that.
    relaxed, unrelaxed, perfect : sequence of str
        Values of `group` of relaxed defect cells, of the same before relaxation, and of perfect crystals, which the
        model can match exactly.
    without_forces : "refuse" or "skip"
        What to do with frames that have no forces.

    Raises
    ------
    AmbiguousDataError, ValueError
        Files that allow two readings, lack labels, or hold labels that are no numbers.
    """
    if not 0.0 <= test_fraction < 1.0:
        raise ValueError(f"test_fraction = {test_fraction}: expected a share from 0 to below 1, such as 0.1")
    fitted, tested = read_frames(files, group), read_frames(test_files, group)
    everything = [*fitted, *tested]
    keys = choose_keys(everything, energy, forces, stress, **stresses)
    E0 = _isolated(everything, keys)
    notes = list(doubts_of(everything, keys))
    fitted, tested = (_with_forces(part, keys, without_forces, notes) for part in (fitted, tested))
    special = {*relaxed, *unrelaxed, *perfect}
    if tested:
        notes += _shared(fitted, tested)
    else:
        fitted, tested = split(fitted, test_fraction, seed, special)
    if not fitted:
        raise ValueError(
            "no frame is left to fit; give files with more frames than isolated atoms and test cells"
        )
    train = [_labelled(frame, keys, frame.config_type in perfect) for frame in fitted]
    by_group = list(zip(fitted, train, strict=True))
    return DataSet(
        train=train,
        test=[_labelled(frame, keys, frame.config_type in perfect) for frame in tested],
        relaxed=[_at_rest(frame, cell) for frame, cell in by_group if frame.config_type in relaxed],
        unrelaxed=[cell for frame, cell in by_group if frame.config_type in unrelaxed],
        perfect=[c for frame, c in by_group if frame.config_type in perfect and _largest(c) < PERFECT],
        E0=E0,
        keys=keys,
        notes=tuple(notes),
        files=tuple(dict.fromkeys(frame.file for frame in everything)),
    )


def split(
    frames: Sequence[Frame], fraction: float, seed: int, keep: Iterable[str] = ()
) -> tuple[list[Frame], list[Frame]]:
    """Choose test frames, the same share of every group; return the others and them, in their order.

    Parameters
    ----------
    frames : sequence of Frame
    fraction : float
        Of the geometries of a group, rounded.
    seed : int
    keep : iterable of str
        Values of config_type of which no frame is chosen.
    """
    chosen: set[bytes] = set()
    kept = {frame.geometry for frame in frames if frame.config_type in keep}
    for k, name in enumerate(dict.fromkeys(frame.group for frame in frames)):
        several = list(
            dict.fromkeys(f.geometry for f in frames if f.group == name and f.geometry not in kept)
        )
        order = np.random.default_rng([seed, k]).permutation(len(several))
        chosen |= {several[i] for i in order[: int(fraction * len(several) + 0.5)]}
    train = [frame for frame in frames if frame.geometry not in chosen]
    return train, [frame for frame in frames if frame.geometry in chosen]


def _labelled(frame: Frame, keys: Keys, is_perfect: bool) -> LabelledCell:
    try:
        return LabelledCell(
            frame.atoms,
            frame.energies[keys.energy],
            frame.forces[keys.forces],
            keys.stress_of(frame),
            "perfect" if is_perfect else "defect",
            "" if is_perfect else frame.group,
        )
    except KeyError as error:
        raise AmbiguousDataError(f"{frame.place}: {error} is no number, or not one for each atom") from error
    except ValueError as error:
        raise ValueError(f"{frame.place}: {error}") from error


def _largest(cell: LabelledCell) -> float:
    return float(np.linalg.norm(cell.forces, axis=1).max(initial=0.0))


def _at_rest(frame: Frame, cell: LabelledCell) -> LabelledCell:
    if _largest(cell) > AT_REST:
        raise ValueError(
            f'{frame.place} is called "{frame.config_type}", and has forces of up to {_largest(cell):.3g} eV/Å; an '
            f"equilibrium has less than {AT_REST}. Name the groups of relaxed cells in [data] relaxed, [] for none"
        )
    return cell


def _isolated(frames: Sequence[Frame], keys: Keys) -> dict[str, float]:
    """Energies of isolated atoms.

    Raises
    ------
    AmbiguousDataError
        Two of one element with different energies.
    """
    found: dict[str, tuple[float, Frame]] = {}
    for frame in frames:
        if not frame.is_isolated or keys.energy not in frame.energies:
            continue
        energy, symbol = frame.energies[keys.energy], frame.atoms.get_chemical_symbols()[0]
        before, other = found.setdefault(symbol, (energy, frame))
        if abs(before - energy) > ONE_ATOM_TOLERANCE:
            raise AmbiguousDataError(
                f"isolated atoms of {symbol} have energies {before} and {energy} eV ({other.place}; {frame.place}): "
                f"leave one out of the files, or both, and give [fit] E0 = {{ {symbol} = {before} }}"
            )
    return {symbol: energy for symbol, (energy, _) in found.items()}


def _with_forces(
    frames: Sequence[Frame], keys: Keys, without: Literal["refuse", "skip"], notes: list[str]
) -> list[Frame]:
    """Leave out isolated atoms, and frames without forces where that is wanted."""
    bound = [frame for frame in frames if not frame.is_isolated]
    lacking = [frame for frame in bound if keys.forces not in frame.forces]
    if lacking and without == "refuse":
        raise AmbiguousDataError(
            f'{len(lacking)} of {len(bound)} frames have no "{keys.forces}" ({places(lacking)}); leave them out with '
            'without_forces = "skip" in [data], or name other forces'
        )
    if lacking:
        notes.append(f'{len(lacking)} frames without "{keys.forces}" are left out ({places(lacking)})')
    return [frame for frame in bound if keys.forces in frame.forces]


def _shared(train: Sequence[Frame], test: Sequence[Frame]) -> list[str]:
    known = {frame.geometry for frame in train}
    both = [frame for frame in test if frame.geometry in known]
    if not both:
        return []
    return [
        f"{len(both)} test frames are training frames as well ({places(both)}): test errors are too small"
    ]


def core_of(cell: Atoms, perfect: Atoms) -> npt.NDArray[np.float64] | None:
    """Return where the defect of an unrelaxed cell is, (3,), Å; None where that cannot be told.

    The mean of the sites of the crystal without an atom of their element and of the atoms without a site of theirs.

    Parameters
    ----------
    cell, perfect : Atoms
        In the same cell, on the same sites.
    """
    apart = minimum_image(cell.positions[None, :, :] - perfect.positions[:, None, :], cell)
    on_site = np.linalg.norm(apart, axis=2) < ON_SITE
    same_si = on_site & (perfect.numbers[:, None] == cell.numbers[None, :])
    vacant, extra = ~same_si.any(axis=1), ~same_si.any(axis=0)
    places = np.concatenate([perfect.positions[vacant], cell.positions[extra]])
    if len(places) == 0 or 2 * vacant.sum() > len(perfect):
        return None
    together = places[0] + minimum_image(places - places[0], cell)
    return np.asarray(together.mean(axis=0))


def crystal_of(cell: LabelledCell, perfect: Sequence[LabelledCell]) -> tuple[LabelledCell, Any] | None:
    """Return the perfect crystal whose cells fill a cell, and the crystal in that cell; None if there is none.

    Parameters
    ----------
    cell : LabelledCell
        With a defect.
    perfect : sequence of LabelledCell

    Returns
    -------
    LabelledCell and Atoms
        The crystal's atoms repeated to fill the cell.
    """
    for crystal in perfect:
        if (
            not (crystal.atoms.pbc == cell.atoms.pbc).all()
            or crystal.atoms.cell.rank < 3
            or cell.atoms.cell.rank < 3
        ):
            continue
        times = cell.atoms.cell.array @ np.linalg.inv(crystal.atoms.cell.array)
        whole = np.round(times)
        if np.abs(times - whole).max() < SAME_CELL:
            same = np.array_equal(whole, np.eye(3))
            return crystal, crystal.atoms.copy() if same else make_supercell(crystal.atoms, whole)
    return None
