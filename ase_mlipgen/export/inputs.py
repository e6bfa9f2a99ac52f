"""Inputs for LAMMPS beside potential files: `in.NAME` and a structure to run it on.

What is written runs as it is: `mpirun -n 4 lmp -in in.NAME`. Enter at `input_text`, `write_structure`.
"""

from collections.abc import Sequence
from pathlib import Path

from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from ase.io.lammpsdata import write_lammps_data


def placed(atoms: Atoms, cutoff: float) -> Atoms:
    """Return atoms in a cell that LAMMPS takes: three vectors, and no atom on a face that is not periodic."""
    atoms = Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    for axis in range(3):
        if not atoms.pbc[axis]:
            atoms.center(vacuum=cutoff + 1.0, axis=axis)
    return atoms


def write_structure(path: Path, atoms: Atoms, elements: Sequence[str]) -> None:
    """Write a LAMMPS data file with every element of the model as a type, whether it occurs or not."""
    write_lammps_data(
        str(path), atoms, specorder=list(elements), masses=True, units="metal", atom_style="atomic",
    )  # fmt: skip


def input_text(
    name: str,
    elements: Sequence[str],
    pair: Sequence[str],
    atoms: Atoms,
    energy: float,
    remarks: Sequence[str],
) -> str:
    """Return the text of an input.

    Parameters
    ----------
    name : str
        Of the potential, without its ending; the structure is in NAME.data.
    elements : sequence of str
        Types in order.
    pair : sequence of str
        Commands pair_style and pair_coeff.
    atoms : Atoms
        The structure of NAME.data.
    energy : float
        Of that structure, eV.
    remarks : sequence of str
    """
    boundary = " ".join("p" if periodic else "f" for periodic in atoms.pbc)
    masses = [f"mass {k + 1} {atomic_masses[atomic_numbers[s]]}  # {s}" for k, s in enumerate(elements)]
    types = ", ".join(f"{k + 1} {s}" for k, s in enumerate(elements))
    lines = [
        *(f"# {remark}" for remark in remarks),
        f"# Types: {types}. Energies in eV, lengths in Å, stress in bar.",
        f"# Run: mpirun -n 4 lmp -in in.{name}        (another structure: -var data FILE)",
        f"# Energy of {name}.data, by ase_mlipgen: {energy:.9f} eV",
        "",
        f"variable data index {name}.data",
        "units metal",
        "atom_style atomic",
        "newton on",
        f"boundary {boundary}",
        "read_data ${data}",
        *masses,
        *pair,
        "neighbor 1.0 bin",
        "thermo_style custom step pe fmax pxx pyy pzz pyz pxz pxy",
        "thermo_modify format float %.12g",
        "run 0",
        "",
    ]
    return "\n".join(lines)
