"""What a training cell tells about larger ones without a new label: the quantities of an error budget.

Labels that the fit has used, the reference's relaxed training cell (where its forces vanish), and the surrogate alone
are enough. Enter at `observe`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import gamma, pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.defects import cell_width, is_planar, relax
from ase_mlipgen.labels import LabelledCell
from ase_mlipgen.theory.cell_hessian import hessian_of, in_components
from ase_mlipgen.theory.compare import core_distances
from ase_mlipgen.theory.embedding import Embedded, embed
from ase_mlipgen.theory.norms import Bonds, bonds, site_strains, strain_norm

Floats = npt.NDArray[np.float64]

MOST_CELLS = 20
"""Samples that errors of the force constants are taken from."""

MOST_ATOMS = 6000
"""Of the larger cell that the surrogate relaxes."""


@dataclass(frozen=True)
class Observed:
    """What one training cell says.

    Attributes
    ----------
    defect : str
    dimension : 2 or 3
    n_sites : int
    width : Å, of the training cell
    self_error : Å, ||D(u~ - u)||, the surrogate's own relaxation of the training cell against the reference's
    response : relative error of the surrogate's force constants, ||D H~^+ (H~ - H) w|| / ||D w|| over samples w
    curvature : eV/Å^2, the same in energy, |w . (H~ - H) w| / ||D w||^2
    release : Å, ||D(u~_large - u~)|| over the training cell: how the core settles when its images are taken away
    work : eV, the force error at the training cell's equilibrium times that displacement
    far : Å, ||D u~_large|| outside the training cell, to infinity
    decay : Å^(d+1), c of |Du| ~ c r^-d
    formation : eV, formation energy error of the training cell; None if the labels do not determine it
    formation_noise : eV, its standard error
    largest_move : Å, of an atom of the relaxed training cell
    failure : why the surrogate's relaxations failed; None if they did not
    """

    defect: str
    dimension: int
    n_sites: int
    width: float
    self_error: float
    response: float
    curvature: float
    release: float
    work: float
    far: float
    decay: float
    formation: float | None
    formation_noise: float
    largest_move: float
    failure: str | None


def observe(
    model: Any, cell: Any, labelled: Sequence[LabelledCell], fmax: float, stiffness: float | None = None
) -> Observed:
    """Measure one training cell.

    Parameters
    ----------
    model : the surrogate, an ASE calculator
    cell : TrainingCell
    labelled : samples of this cell, and perfect cells
    fmax : eV/Å, tolerance of the surrogate's relaxation of the training cell
    """
    links = bonds(cell.unrelaxed)
    moves = cell.relaxed.positions - cell.unrelaxed.positions
    own = relax(cell.relaxed, model, fmax=fmax)
    forces = _forces(cell.relaxed, model)
    samples = [c for c in labelled if c.config_type == "defect"][:MOST_CELLS]
    response, curvature = _responses(model, cell.relaxed, links, forces, samples)
    formation, noise = _formation(model, cell, forces, labelled)
    release, work, far, decay, failure = _larger(model, cell, own.atoms.positions, forces, 10.0 * fmax)
    return Observed(
        defect=cell.defect,
        dimension=links.dimension,
        n_sites=links.n_sites,
        width=cell_width(cell.unrelaxed),
        self_error=strain_norm(links, own.atoms.positions - cell.relaxed.positions),
        response=response,
        curvature=curvature,
        release=release,
        work=work,
        far=far,
        decay=decay,
        formation=formation,
        formation_noise=noise,
        largest_move=float(np.linalg.norm(moves, axis=1).max(initial=0.0)),
        failure=own.failure or failure,
    )


def _forces(atoms: Atoms, model: Any) -> Floats:
    probe = atoms.copy()
    probe.calc = model
    return np.array(probe.get_forces())


def _energy(atoms: Atoms, model: Any) -> float:
    probe = atoms.copy()
    probe.calc = model
    return float(probe.get_potential_energy())


def _responses(
    model: Any, relaxed: Atoms, links: Bonds, forces: Floats, samples: Sequence[LabelledCell]
) -> tuple[float, float]:
    """Return root mean squares over the samples: how wrong the model's response to a displacement is."""
    d, n = links.dimension, links.n_sites
    H = in_components(hessian_of(relaxed, model), relaxed)
    # Rigid translations are in the kernel; any stiffness there leaves the rest alone.
    rigid = np.kron(np.full((n, n), 1.0 / n), np.eye(d)) * np.trace(H) / len(H)
    ratios, curvatures = [], []
    for sample in samples:
        w = sample.atoms.positions - relaxed.positions
        wrong = _forces(sample.atoms, model) - sample.forces - forces
        x = np.zeros((n, 3))
        x[:, :d] = np.linalg.solve(H + rigid, (wrong - wrong.mean(axis=0))[:, :d].ravel()).reshape(n, d)
        size = strain_norm(links, w)
        if size > 0:
            ratios.append(strain_norm(links, x) / size)
            curvatures.append(np.sum(w * wrong) / size**2)
    return _rms(ratios), _rms(curvatures)


def _rms(values: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else float("nan")


def _formation(
    model: Any, cell: Any, forces: Floats, labelled: Sequence[LabelledCell]
) -> tuple[float | None, float]:
    """Return the formation energy error of the training cell at its equilibrium, and its standard error.

    The error of a sample is brought to the equilibrium by the trapezoidal rule along the displacement, whose ends'
    force errors are known: exact up to third order.
    """
    host = [
        _at_rest(model, c, cell.perfect, 0.0) / len(c.atoms)
        for c in labelled
        if _is_of(c, cell.perfect, "perfect")
    ]
    core = [_at_rest(model, c, cell.relaxed, forces) for c in labelled if _is_of(c, cell.relaxed, "defect")]
    if not host or not core:
        return None, float("nan")
    found = np.array(core) - len(cell.relaxed) * np.mean(host)
    return float(np.mean(found)), float(np.std(found) / sqrt(len(found)))


def _is_of(labelled: LabelledCell, atoms: Atoms, kind: str) -> bool:
    return labelled.config_type == kind and len(labelled.atoms) == len(atoms)


def _at_rest(model: Any, labelled: LabelledCell, rest: Atoms, forces: Any) -> float:
    w = labelled.atoms.positions - rest.positions
    wrong = _forces(labelled.atoms, model) - labelled.forces + forces
    return _energy(labelled.atoms, model) - labelled.energy + 0.5 * float(np.sum(wrong * w))


def _larger(
    model: Any, cell: Any, own: Floats, forces: Floats, fmax: float
) -> tuple[float, float, float, float, str | None]:
    """Relax the defect in a larger cell by the model: release, work, far field, decay, failure."""
    planar = is_planar(cell.perfect)
    n_tiles = 3 if planar or 27 * len(cell.perfect) <= MOST_ATOMS else 2
    large = embed(cell.unrelaxed, cell.perfect, n_tiles)
    found = relax(large.atoms, model, fmax=fmax)
    links = bonds(large.atoms)
    u_large = found.atoms.positions - large.atoms.positions
    u_cell = own - cell.unrelaxed.positions
    i, j = links.i_b, links.j_b
    both = large.middle_i[i] & (large.index_i[j] >= 0)
    change_ic = np.where((large.index_i >= 0)[:, None], u_large - u_cell[large.index_i], 0.0)
    change_b = np.sum((change_ic[j] - change_ic[i])[both] ** 2)
    outside_b = ~large.middle_i[i]
    strain_far = float(np.sum((u_large[j] - u_large[i])[outside_b] ** 2))
    decay, tail = _decay(large, links, u_large)
    middle = np.flatnonzero(large.middle_i)
    step = change_ic[middle] - change_ic[middle].mean(axis=0)
    work = -float(np.sum(forces[large.index_i[middle]] * step))
    return float(np.sqrt(change_b)), work, sqrt(strain_far + tail), decay, found.failure


def _decay(large: Embedded, links: Bonds, u: Floats) -> tuple[float, float]:
    """Return c of |Du| ~ c r^-d in the outer part of a larger cell, and ||Du||^2 beyond that cell."""
    d = links.dimension
    r = core_distances(large.atoms)
    if r is None:
        raise ValueError(
            "the training cell does not say where its defect is: info['defect_centres'] is missing"
        )
    radius = 0.5 * cell_width(large.atoms)
    ring = (r > 0.3 * radius) & (r < 0.7 * radius)
    if not ring.any():
        ring = r > 0.3 * radius
    c = float(np.sqrt(np.mean((site_strains(links, u)[ring] * r[ring] ** d) ** 2)))
    return c, tail(c, radius, d, len(large.atoms) / _measure(large.atoms, d))


def tail(c: float, radius: float, d: int, density: float) -> float:
    """Return the sum of (c r^-d)^2 over sites of a density (Å^-d) beyond a radius (Å), Å^2."""
    sphere = 2.0 * pi ** (d / 2.0) / gamma(d / 2.0)
    return density * sphere * c**2 * radius ** (-d) / d


def _measure(atoms: Atoms, d: int) -> float:
    return float(abs(np.linalg.det(atoms.cell.array[:2, :2]))) if d == 2 else float(atoms.get_volume())
