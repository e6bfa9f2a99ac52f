"""Reference against surrogate on a large cell: the geometry and energy errors that Theorem 3.1 bounds.

Both models relax the same start, tight; errors below what the tolerance resolves mean nothing. `Comparison.definition`
says in one sentence each what the numbers are. Cost: two relaxations of the large cell and three single energies.
Enter at `compare`.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.geometry import get_distances

from ase_mlipgen.defects import Guards, Relaxation, potential_energy, relax
from ase_mlipgen.theory.comparison import Comparison
from ase_mlipgen.theory.norms import bonds, site_strains


def compare(
    reference: Any,
    surrogate: Any,
    atoms: Atoms,
    perfect: Atoms,
    fmax: float = 1e-5,
    optimizer: Callable[..., Any] | None = None,
    progress: Callable[[str, int, float, float], None] | None = None,
    mu: Mapping[str, float] | None = None,
    steps: int = 1000,
    guards: Guards | None = None,
) -> Comparison:
    """Relax a large defective cell with both models and compare.

    Parameters
    ----------
    reference, surrogate : ASE calculators
    atoms : the unrelaxed large cell; `info["defect_centres"]` (Å) gives the cores
    perfect : its perfect host; for a host of one element any perfect cell of it does
    fmax : eV/Å, tolerance of both relaxations
    optimizer : ASE optimiser class
    progress : called with "reference" or "surrogate", step, energy (eV), largest force (eV/Å)
    mu : eV an atom, chemical potentials by element, where the host's own energy does not give them

    Raises
    ------
    ValueError
        The host has several elements and its cell is not that of `atoms`.
    """
    models = {"reference": reference, "surrogate": surrogate}
    relaxed = {
        name: relax(atoms, calculator, optimizer, fmax, steps, guards, _named(progress, name))
        for name, calculator in models.items()
    }
    ref, sur = relaxed.values()
    u_ref, u_sur = (_displacement(relaxation, atoms) for relaxation in relaxed.values())
    links = bonds(atoms)
    strains = [site_strains(links, u) for u in (u_ref, u_sur, u_ref - u_sur)]
    relaxing = [_energy(relaxation) - relaxation.initial_energy for relaxation in relaxed.values()]
    forming = [
        formation_energy(_energy(relaxed[name]), atoms, perfect, _single_point(calculator, perfect), mu)
        for name, calculator in models.items()
    ]
    failed = [f"{name}: {relaxation.failure}" for name, relaxation in relaxed.items() if relaxation.failure]
    return Comparison(
        geometry_error=float(np.linalg.norm(strains[2])),
        geometry_norm=float(np.linalg.norm(strains[0])),
        relaxation_energy_reference=relaxing[0],
        relaxation_energy_surrogate=relaxing[1],
        relaxation_energy_error=relaxing[1] - relaxing[0],
        formation_energy_reference=forming[0],
        formation_energy_surrogate=forming[1],
        formation_energy_error=_difference(forming[1], forming[0]),
        energy_excess=_single_point(reference, sur.atoms) - _energy(ref) if sur.converged else float("nan"),
        strain_reference_i=strains[0],
        strain_surrogate_i=strains[1],
        strain_difference_i=strains[2],
        core_distance_i=core_distances(atoms),
        reference=ref,
        surrogate=sur,
        failure="; ".join(failed) or None,
    )


def core_distances(atoms: Atoms) -> npt.NDArray[np.float64] | None:
    """Distance of every atom to the nearest core in `info["defect_centres"]`, Å, images included; None without one."""
    centres = np.asarray(atoms.info.get("defect_centres", []), dtype=float).reshape(-1, 3)
    if len(centres) == 0:
        return None
    _, distance_id = get_distances(atoms.positions, centres, cell=atoms.cell, pbc=atoms.pbc)
    return np.asarray(distance_id.min(axis=1))


def _named(
    progress: Callable[[str, int, float, float], None] | None, name: str
) -> Callable[[int, float, float], None] | None:
    return None if progress is None else partial(progress, name)


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _displacement(relaxation: Relaxation, atoms: Atoms) -> npt.NDArray[np.float64]:
    if not relaxation.converged:
        return np.full((len(atoms), 3), np.nan)
    return np.asarray(relaxation.atoms.positions - atoms.positions)


def _energy(relaxation: Relaxation) -> float:
    return relaxation.energy if relaxation.converged else float("nan")


def formation_energy(
    energy: float, atoms: Atoms, perfect: Atoms, perfect_energy: float, mu: Mapping[str, float] | None
) -> float | None:
    """E minus the energy of the same atoms in the host, or None where a chemical potential is missing."""
    present, host = Counter(atoms.get_chemical_symbols()), Counter(perfect.get_chemical_symbols())
    potentials = dict(mu or {})
    if len(host) == 1:
        (element,) = host
        per_atom = perfect_energy / len(perfect)
        potentials[element] = per_atom
        base, difference = 0.0, dict(present)
    else:
        if not np.allclose(perfect.cell.array, atoms.cell.array, atol=1e-6):
            raise ValueError(
                "the perfect cell of a host of several elements must have the cell of `atoms`, so that formation "
                "energies can be counted from it; build both with simulation_cell and the same size"
            )
        base = perfect_energy
        difference = {e: present[e] - host[e] for e in {*present, *host} if present[e] != host[e]}
    if any(element not in potentials for element in difference):
        return None
    return energy - base - sum(count * potentials[element] for element, count in difference.items())


def _single_point(calculator: Any, atoms: Atoms) -> float:
    probe = atoms.copy()
    probe.calc = calculator
    return potential_energy(probe)
