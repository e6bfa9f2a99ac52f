"""The error of a model on a large cell, from one or two labels a core: no reference calculation on the large cell.

The surrogate relaxes the large cell to u~. The reference's force there is approximated: near a core, by that on the
training cell with u~ transplanted into it, under u~'s mean strain; elsewhere, by the difference of the homogeneous
force constants. With g these forces and H~ the surrogate's Hessian, one solve H~ x = g gives the correction x, so that

    geometry error   ||D x||
    energy error     (E~ - E)(u~) - (E~ - E)(0) + g.x / 2

where (E~ - E) of a core is the defective training cell, transplanted less unrelaxed, less the same of the perfect
crystal under the strain alone, less the quadratic energy of the displacements, which the far field counts everywhere.
Source of the setting: Ortner and Wang, Sec. 3; the certificate is not in their paper. No fitted constant.
Cost: the surrogate's relaxation, two labels for each class of equivalent cores, some forty Hessian products.
Enter at `certify`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms

from ase_mlipgen.arguments import number, of_kind
from ase_mlipgen.defects import Guards, Relaxation, is_planar, potential_energy, relax
from ase_mlipgen.defects.geometry import check_atoms
from ase_mlipgen.theory.certificate import Certificate, Share
from ase_mlipgen.theory.compare import formation_energy
from ase_mlipgen.theory.cores import cluster_cell, clusters
from ase_mlipgen.theory.correction import UnstableError
from ase_mlipgen.theory.force_constants import ForceConstants
from ase_mlipgen.theory.intervals import SOURCE, interval
from ase_mlipgen.theory.pieces import (
    Answer,
    Moved,
    Piece,
    labelled,
    pieces_of,
    solved,
    stencil_of,
    with_calculator,
)
from ase_mlipgen.theory.setting import Labelling, Setting, Trained, largest, setting_of, warm_start, width_of
from ase_mlipgen.theory.sites import on_all_sites

__all__ = ["Labelling", "Trained", "certify", "warm_start"]

USABLE_WIDTH = 5.9
"""Nearest-neighbour distances: training cells this wide (L = 7 of the triangular lattice) give a corrected geometry
that is better than the surrogate's; in narrower ones the norm of the correction is right, its field is not."""


def certify(
    labelling: Labelling,
    surrogate: Any,
    cells: Sequence[Trained],
    atoms: Atoms,
    *,
    constants: ForceConstants | None = None,
    fmax: float = 1e-5,
    optimizer: Callable[..., Any] | None = None,
    mu: Mapping[str, float] | None = None,
    guards: Guards | None = None,
    steps: int = 1000,
    progress: Callable[[int, float, float], None] | None = None,
    relaxed: Relaxation | None = None,
    start: Atoms | None = None,
) -> Certificate:
    """Predict the errors of a surrogate on a large cell.

    Parameters
    ----------
    labelling : how to ask the reference
    surrogate : ASE calculator, the trained model
    cells : training cells; of each defect the one with most atoms is used
    atoms : the large cell, unrelaxed; `info["defect_centres"]` (Å) if it was made by `simulation_cell`
    constants : the reference's force constants of the largest perfect training cell; computed if not given
    fmax : eV/Å, tolerance of the surrogate's relaxation
    mu : eV an atom, chemical potentials of foreign elements, for formation energies
    relaxed : the surrogate's relaxation of `atoms`, where it is known already
    start : where that relaxation begins, see `warm_start`; by default at `atoms`

    Returns
    -------
    Certificate
        Its `verdict` says "diverged" or "unstable" where there are no numbers.

    Raises
    ------
    UnknownCoreError
        A core is none of the training defects.
    ValueError
        The cell is not made of the crystal, or not unrelaxed.
    LabelError
        The reference fails.
    """
    _check(labelling, atoms, fmax, mu)
    setting = setting_of(surrogate, cells, atoms)
    found = relaxed or relax(start or atoms, surrogate, optimizer, fmax, steps, guards, progress)
    setting.times["relaxation by the model"] = found.wall_time
    if not found.converged:
        return _without_numbers(setting, found, "diverged", f"the model's relaxation failed: {found.failure}")
    u_ic = found.atoms.positions - atoms.positions
    u_sc = on_all_sites(setting.sites, u_ic)
    perfect = largest(cells).perfect
    with setting.timed("force constants"):
        stencil = stencil_of(setting, perfect, labelling, constants)
    with setting.timed("labels"):
        moved = labelled(setting, labelling, perfect, u_sc, u_ic)
    with setting.timed("far field"):
        pieces = pieces_of(setting, stencil, moved, u_sc)
    try:
        with setting.timed("linear solve"):
            answer = solved(setting, found.atoms, pieces)
    except UnstableError as error:
        return _without_numbers(setting, found, "unstable", str(error))
    return _certificate(setting, found, moved, pieces, answer, mu)


def _check(labelling: Any, atoms: Any, fmax: Any, mu: Any) -> None:
    of_kind("labelling", labelling, Labelling, "how to ask the reference, such as Labelling(EAM2D())")
    check_atoms("atoms", atoms, "the large cell, unrelaxed, such as simulation_cell(...)")
    number("fmax", fmax, "a positive force in eV/Å, such as 1e-6", lambda x: x > 0)
    if mu is not None:
        of_kind("mu", mu, Mapping, 'chemical potentials, such as {"H": -2.1}, in eV')
        for symbol, value in mu.items():
            number(f"mu of {symbol}", value, "a finite energy in eV")


def _certificate(
    setting: Setting,
    found: Relaxation,
    moved: Moved,
    pieces: list[Piece],
    answer: Answer,
    mu: Mapping[str, float] | None,
) -> Certificate:
    relaxing = float(sum(answer.relaxation_p))
    errors = {
        "geometry": float(np.linalg.norm(answer.strain_i)),
        "relaxation": relaxing,
        "formation": relaxing + sum(piece.unrelaxed for piece in pieces),
    }
    unrelaxed = potential_energy(with_calculator(setting.atoms, setting.surrogate))
    corrected = found.atoms.copy()
    corrected.positions += answer.x_ic
    host_energy = potential_energy(with_calculator(setting.perfect, setting.surrogate))
    forming = formation_energy(found.energy, setting.atoms, setting.perfect, host_energy, mu)
    groups = clusters(setting.cores, setting.trained, setting.atoms)
    width, planar = width_of(setting.trained), is_planar(setting.atoms)
    usable = width >= USABLE_WIDTH
    intervals = {kind: interval(kind, error, width, planar) for kind, error in errors.items()}
    return Certificate(
        geometry_error=errors["geometry"],
        relaxation_energy_error=errors["relaxation"],
        formation_energy_error=errors["formation"],
        geometry_interval=intervals["geometry"],
        relaxation_energy_interval=intervals["relaxation"],
        formation_energy_interval=intervals["formation"],
        shares=_shares(setting, moved, pieces, answer),
        corrected_relaxation_energy=found.energy - unrelaxed - errors["relaxation"],
        corrected_formation_energy=None if forming is None else forming - errors["formation"],
        start=setting.atoms.copy(),
        relaxed=found.atoms,
        corrected=corrected,
        corrected_geometry_usable=usable,
        resolution=answer.resolution,
        site_error_i=answer.strain_i,
        transplants=tuple(moved.cells),
        size=setting.size,
        n_labels=len(moved.cells),
        verdict="overlapping" if groups else "ok",
        notes=_notes(setting, groups, usable, errors["geometry"], answer.resolution),
        clusters=tuple(
            cluster_cell(group, setting.cores, setting.atoms, setting.sites, setting.host) for group in groups
        ),
        wall_times=dict(setting.times),
        interval_source=SOURCE,
    )


def _shares(setting: Setting, moved: Moved, pieces: list[Piece], answer: Answer) -> tuple[Share, ...]:
    shares, geometry, relaxation = [], answer.geometry_p, answer.relaxation_p
    for k, core in enumerate(setting.cores):
        x, y, z = (float(c) for c in core.centre)
        name = setting.trained[core.kind].name
        forming = relaxation[k] + pieces[k].unrelaxed
        shares.append(Share(name, k, (x, y, z), geometry[k], relaxation[k], forming, moved.label_of[k]))
    shares.append(Share("far field", -1, None, geometry[-1], relaxation[-1], relaxation[-1], -1))
    return tuple(shares)


def _notes(
    setting: Setting, groups: Sequence[Sequence[int]], usable: bool, geometry: float, resolution: float
) -> tuple[str, ...]:
    notes = []
    for group in groups:
        reach = max(setting.trained[setting.cores[k].kind].reach for k in group)
        notes.append(
            f"cores {', '.join(map(str, group))} stand closer than the training cell's reach of {reach:.1f} Å: outside "
            "the theory; the numbers leave out what is new in their overlap. Train the cluster as a defect of its own "
            "(`clusters` holds it ready-made)"
        )
    if 0.0 < geometry < resolution:
        notes.append(
            f"the model's relaxation stopped {resolution:.1e} Å (bond norm) from its minimum, further than the "
            "predicted error: relax with a smaller fmax to make use of so good a model"
        )
    if not usable:
        notes.append(
            f"the training cell is {width_of(setting.trained):.1f} nearest-neighbour distances wide, less than "
            f"{USABLE_WIDTH}: use the corrected energies, not the corrected geometry"
        )
    return tuple(notes)


def _without_numbers(setting: Setting, found: Relaxation, verdict: str, note: str) -> Certificate:
    nan = float("nan")
    finite = bool(np.all(np.isfinite(found.atoms.positions)))
    last = found.atoms if finite else setting.atoms.copy()
    return Certificate(
        nan, nan, nan, (nan, nan), (nan, nan), (nan, nan), (), nan, None,
        setting.atoms.copy(), last, last.copy(), False, nan, np.full(len(setting.atoms), nan), (),
        setting.size, 0, verdict, (note,), (), dict(setting.times), SOURCE,
    )  # fmt: skip
