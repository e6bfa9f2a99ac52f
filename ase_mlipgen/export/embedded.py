"""Embedded-atom tables for LAMMPS with an input beside them; checked before they are kept. Enter at `write_tables`."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from ase import Atoms

from ase_mlipgen.durable import replacing
from ase_mlipgen.export import inputs
from ase_mlipgen.export.lammps import Evaluate, Exported, chosen, deviations

ENDINGS = {"eam/alloy": ".eam.alloy", "eam/fs": ".eam.fs"}


def write_tables(
    path: str | Path,
    kind: str,
    elements: Sequence[str],
    cutoff: float,
    write: Callable[[Path], None],
    reread: Callable[[Path], Evaluate],
    model: Evaluate,
    structures: Sequence[Atoms] | None,
) -> Exported:
    """Write a setfl file, `in.NAME` and `NAME.data`.

    Parameters
    ----------
    path : path
        Ends in the kind's ending, NAME.eam.alloy or NAME.eam.fs.
    kind : {"eam/alloy", "eam/fs"}
    elements : sequence of str
    cutoff : float
        Å.
    write : callable
        Writes the tables to a path.
    reread : callable
        Returns energies and forces of the tables in a file.
    model : callable
        Energy and forces of the potential itself.
    structures : sequence of Atoms, optional
        See `lammps.write_model`.

    Raises
    ------
    ValueError
        Another ending.
    ExportError
        A deviation above 1e-8 eV/atom; no file is kept then.
    """
    path, ending = Path(path), ENDINGS[kind]
    name = path.name.removesuffix(ending)
    if name in ("", path.name):
        raise ValueError(f"tables of kind {kind} end in {ending}, got {path.name!r}: name them NAME{ending}")
    frames = chosen(structures, elements, 0.45 * cutoff)
    data, script = path.with_name(f"{name}.data"), path.with_name(f"in.{name}")
    with ExitStack() as stack:
        draft, data_draft, script_draft = (stack.enter_context(replacing(p)) for p in (path, data, script))
        write(draft)
        deviation = deviations(path, frames, reread(draft), model)
        shown = inputs.placed(frames[0], cutoff)
        inputs.write_structure(data_draft, shown, elements)
        pair = [f"pair_style {kind}", f"pair_coeff * * {path.name} {' '.join(elements)}"]
        remarks = [f"Embedded-atom potential {path.name}: LAMMPS with the package MANYBODY."]
        text = inputs.input_text(name, elements, pair, shown, model(shown)[0], remarks)
        script_draft.write_text(text, encoding="utf-8")
        n_bytes = draft.stat().st_size
    return Exported((path,), script, data, n_bytes, *deviation, len(frames))
