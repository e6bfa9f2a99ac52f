"""A model becomes files of LAMMPS, and what was written is checked before it is kept.

The files are written under temporary names, read back, evaluated by `direct` on structures, and compared with the model
itself; only then do they get their names. Enter at `write_model`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.durable import replacing
from ase_mlipgen.export import direct, inputs
from ase_mlipgen.export.assemble import parts
from ase_mlipgen.export.contents import Floats, YaceError
from ase_mlipgen.export.imported import ImportedBasis
from ase_mlipgen.export.reading import read
from ase_mlipgen.export.spelling import CPU_ONLY, cpu_only, text_of

TOLERANCE = 1e-8
"""Largest deviation of an energy per atom (eV) with which files are kept."""
Evaluate = Callable[[Atoms], tuple[float, Floats]]
"""Energy (eV) and forces (eV/Å) of the model itself."""


class ExportError(ArithmeticError):
    """Written files do not give the model's energies; they are not kept."""


@dataclass(frozen=True)
class Exported:
    """What was written, and how well it agrees with the model.

    Attributes
    ----------
    potentials : tuple of Path
        The `.yace` or setfl file; more than one where LAMMPS has to sum several.
    input, data : Path
        The input `in.NAME`, and the structure it runs on.
    n_bytes : int
        Of the potentials.
    energy_deviation : float
        Largest difference of energies, eV/atom, between the written file and the model.
    force_deviation : float
        Largest difference of a force component, eV/Å.
    n_structures : int
        On which these were measured.
    """

    potentials: tuple[Path, ...]
    input: Path
    data: Path
    n_bytes: int
    energy_deviation: float
    force_deviation: float
    n_structures: int

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        return (*self.potentials, self.input, self.data)


def write_model(
    path: str | Path,
    basis: ACEBasis,
    coefficients: Floats,
    E0: Mapping[str, float],
    evaluate: Evaluate,
    structures: Sequence[Atoms] | None,
) -> Exported:
    """Write a linear ACE model as `.yace` with an input.

    Parameters
    ----------
    path : path
        Ends in .yace; further files get its name.
    basis, coefficients, E0
        The model.
    evaluate : callable
        Energy and forces of the model.
    structures : sequence of Atoms, optional
        Where the written files are compared with the model; by default some of random positions.

    Raises
    ------
    YaceError
        A name without .yace.
    ExportError
        A deviation above 1e-8 eV/atom; no file is kept then.
    """
    path = Path(path)
    if path.suffix != ".yace":
        raise YaceError(f"a potential of ML-PACE ends in .yace, got {path.name!r}")
    frames = chosen(structures, basis.elements, float(np.mean(list(basis.r0.values()))))
    own = basis.entries if isinstance(basis, ImportedBasis) else partial(parts, basis)
    entries = own(coefficients, E0)
    names = [path, *(path.with_name(f"{path.stem}.core-{k}.yace") for k in range(2, len(entries) + 1))]
    data, script = path.with_suffix(".data"), path.with_name(f"in.{path.stem}")
    with ExitStack() as stack:
        drafts = [stack.enter_context(replacing(name)) for name in [*names, data, script]]
        if len(entries) > 1:
            entries[0]["summed_with"] = [name.name for name in drafts[1 : len(entries)]]
        for draft, one in zip(drafts, entries, strict=False):
            draft.write_text(text_of(one), encoding="utf-8")
        contents = read(drafts[0])

        def written(atoms: Atoms) -> tuple[float, Floats]:
            energies_i, forces = direct.evaluate(contents, atoms)
            return float(energies_i.sum()), forces

        deviation = deviations(path, frames, written, evaluate)
        if len(entries) > 1:
            entries[0]["summed_with"] = [name.name for name in names[1:]]
            drafts[0].write_text(text_of(entries[0]), encoding="utf-8")
        shown = inputs.placed(frames[0], basis.cutoff)
        inputs.write_structure(drafts[-2], shown, basis.elements)
        drafts[-1].write_text(
            _input(path.stem, entries[0], names, shown, evaluate(shown)[0]), encoding="utf-8"
        )
        n_bytes = sum(draft.stat().st_size for draft in drafts[: len(entries)])
    return Exported(tuple(names), script, data, n_bytes, *deviation, len(frames))


def deviations(
    path: Path, frames: Sequence[Atoms], written: Evaluate, model: Evaluate
) -> tuple[float, float]:
    """Return the largest differences of energy per atom (eV) and force component (eV/Å) between two evaluators.

    Raises
    ------
    ExportError
        One of energy above the tolerance.
    """
    worst = np.zeros(2)
    for atoms in frames:
        (expected_energy, expected_forces), (energy, forces) = model(atoms), written(atoms)
        found = abs(energy - expected_energy) / len(atoms), np.abs(forces - expected_forces).max(initial=0.0)
        worst = np.maximum(worst, np.nan_to_num(found, nan=np.inf))
    if not worst[0] <= TOLERANCE:
        raise ExportError(
            f"what was written for {path} deviates by {worst[0]:.2e} eV/atom from the model, more than {TOLERANCE:g}, "
            "and is not kept. Atoms so close that energies have no digits left can be the reason: give other "
            "structures; otherwise this is a defect, please report it"
        )
    return float(worst[0]), float(worst[1])


def _input(name: str, entries: Mapping[str, Any], names: Sequence[Path], atoms: Atoms, energy: float) -> str:
    species = " ".join(entries["elements"])
    pair = ["pair_style pace", f"pair_coeff * * {names[0].name} {species}"]
    remarks = [
        f"ML-PACE potential {names[0].name}: LAMMPS with the package ML-PACE,",
        "whose library is of version v.2021.9.28 or later; `lmp -h` lists pace among the pair styles.",
    ]
    if cpu_only(entries):
        remarks.append(CPU_ONLY)
    if len(names) > 1:
        pair = ["pair_style hybrid/overlay" + " pace" * len(names)]
        pair += [f"pair_coeff * * pace {k} {one.name} {species}" for k, one in enumerate(names, 1)]
        remarks.append(
            "The repulsive cores of these elements have several lengths, a file has one: all files are needed."
        )
    return inputs.input_text(name, entries["elements"], pair, atoms, energy, remarks)


def chosen(structures: Sequence[Atoms] | None, elements: Sequence[str], length: float) -> list[Atoms]:
    """Return the given structures; without any, two of all elements, `length` (Å) apart and moved at random.

    Raises
    ------
    ValueError
        An empty sequence.
    """
    if structures is not None:
        if not len(structures):
            raise ValueError("structures is empty: give at least one, or None for some of random positions")
        return list(structures)
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) * length
    found = []
    for spread in (0.1, 0.3):
        symbols = rng.permutation([elements[k % len(elements)] for k in range(len(grid))])
        positions = grid + rng.uniform(-0.5, 0.5, grid.shape) * spread * length
        found.append(Atoms(symbols.tolist(), positions, cell=[3 * length] * 3, pbc=True))
    return found
