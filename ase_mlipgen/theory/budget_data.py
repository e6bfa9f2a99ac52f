"""What a training cell tells about larger ones without a new label: the quantities of an error budget.

Labels that the fit has used, the reference's relaxed training cell (where its forces vanish), and the surrogate alone
are enough. Enter at `observe`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.defects import cell_width, is_planar, relax
from ase_mlipgen.labels import LabelledCell
from ase_mlipgen.theory.cell_hessian import hessian_of, in_components
from ase_mlipgen.theory.decay import far_decay, site_density, tail
from ase_mlipgen.theory.embedding import Embedded, embed
from ase_mlipgen.theory.far_forces import far_forces
from ase_mlipgen.theory.force_constants import ForceConstants, force_constants
from ase_mlipgen.theory.norms import Bonds, DualNorm, bonds, strain_norm

Floats = npt.NDArray[np.float64]

MOST_SAMPLES = 20
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
    norm : Å, ||D u|| of the reference's relaxed training cell
    response : relative error of the surrogate's force constants, ||D H~^+ (H~ - H) w|| / ||D w|| over samples w
    release : Å, ||D(u~_large - u~)|| over the training cell: how the core settles when its images are taken away
    bond_change : Å, root mean square of the same over bonds
    work : eV, the force error at the training cell's equilibrium times that displacement
    far : Å, ||D u~_large|| outside the training cell, to infinity
    far_force : eV/Å, ||(H~_hom - H_hom) u~_large||_* of the forces outside the training cell
    decay : Å^(d+1), c of |Du| ~ c r^-d
    formation : eV, formation energy error of the training cell; None if the labels do not determine it
    largest_step : Å, of an atom of the core as it settles
    failure : why the surrogate's relaxations failed; None if they did not
    """

    defect: str
    dimension: int
    n_sites: int
    width: float
    self_error: float
    norm: float
    response: float
    release: float
    bond_change: float
    work: float
    far: float
    far_force: float
    decay: float
    formation: float | None
    largest_step: float
    failure: str | None


def observe(
    model: Any,
    cell: Any,
    labelled: Sequence[LabelledCell],
    constants: ForceConstants | None = None,
    eps_FC_hom: float | None = None,
    fmax: float = 1e-5,
) -> Observed:
    """Measure one training cell.

    Parameters
    ----------
    model : the surrogate, an ASE calculator
    cell : TrainingCell
    labelled : samples of this cell and of its host; others are left out
    constants : the reference's homogeneous force constants; None to bound their error by `eps_FC_hom`
    eps_FC_hom : eV/Å^2, norm of their error (3.6)
    fmax : eV/Å, tolerance of the surrogate's relaxation of the training cell; ten times that of the larger one
    """
    links = bonds(cell.unrelaxed)
    moves = cell.relaxed.positions - cell.unrelaxed.positions
    own = relax(cell.relaxed, model, fmax=fmax)
    forces = _forces(cell.relaxed, model)
    samples = [c for c in labelled if _is_of(c, cell.relaxed, cell.defect)]
    host = [c for c in labelled if _is_of(c, cell.perfect, "")]
    larger = _larger(model, cell, own.atoms.positions, forces, constants, 10.0 * fmax)
    far_force = larger.far_force if larger.far_force is not None else (eps_FC_hom or 0.0) * larger.far
    return Observed(
        defect=cell.defect,
        dimension=links.dimension,
        n_sites=links.n_sites,
        width=cell_width(cell.unrelaxed),
        self_error=strain_norm(links, own.atoms.positions - cell.relaxed.positions),
        norm=strain_norm(links, moves),
        response=_response(model, cell.relaxed, links, forces, samples[:MOST_SAMPLES]),
        release=larger.release,
        bond_change=larger.release / sqrt(len(links.i_b)),
        work=larger.work,
        far=larger.far,
        far_force=far_force,
        decay=larger.decay,
        formation=_formation(model, cell, forces, samples, host),
        largest_step=larger.largest_step,
        failure=own.failure or larger.failure,
    )


def _is_of(labelled: LabelledCell, atoms: Atoms, defect: str) -> bool:
    return labelled.defect == defect and len(labelled.atoms) == len(atoms)


def _forces(atoms: Atoms, model: Any) -> Floats:
    probe = atoms.copy()
    probe.calc = model
    return np.array(probe.get_forces())


def _response(
    model: Any, relaxed: Atoms, links: Bonds, forces: Floats, samples: Sequence[LabelledCell]
) -> float:
    """Return the root mean square over the samples of how wrong the model's response to a displacement is."""
    d, n = links.dimension, links.n_sites
    H = in_components(hessian_of(relaxed, model), relaxed)
    # Rigid translations are in the kernel; any stiffness there leaves the rest alone.
    rigid = np.kron(np.full((n, n), 1.0 / n), np.eye(d)) * np.trace(H) / len(H)
    ratios = []
    for sample in samples:
        w = sample.atoms.positions - relaxed.positions
        wrong = _forces(sample.atoms, model) - sample.forces - forces
        x = np.zeros((n, 3))
        x[:, :d] = np.linalg.solve(H + rigid, (wrong - wrong.mean(axis=0))[:, :d].ravel()).reshape(n, d)
        size = strain_norm(links, w)
        if size > 0.0:
            ratios.append(strain_norm(links, x) / size)
    return float(np.sqrt(np.mean(np.square(ratios)))) if ratios else 0.0


def _formation(
    model: Any, cell: Any, forces: Floats, samples: Sequence[LabelledCell], host: Sequence[LabelledCell]
) -> float | None:
    """Return the formation energy error of the training cell at its equilibrium.

    The error of a sample is brought to the equilibrium by the trapezoidal rule along the displacement, whose ends'
    force errors are known: exact up to third order.
    """
    if not samples or not host:
        return None
    core = np.mean([_at_rest(model, c, cell.relaxed, forces) for c in samples])
    bulk = np.mean([_at_rest(model, c, cell.perfect, 0.0) / len(c.atoms) for c in host])
    return float(core - len(cell.relaxed) * bulk)


def _at_rest(model: Any, labelled: LabelledCell, rest: Atoms, forces: Any) -> float:
    w = labelled.atoms.positions - rest.positions
    probe = labelled.atoms.copy()
    probe.calc = model
    wrong = probe.get_forces() - labelled.forces + forces
    return float(probe.get_potential_energy()) - labelled.energy + 0.5 * float(np.sum(wrong * w))


class _Larger(NamedTuple):
    """What the model's relaxation of the defect in a larger cell shows; see `Observed`."""

    release: float
    largest_step: float
    work: float
    far: float
    far_force: float | None
    decay: float
    failure: str | None


def _larger(
    model: Any, cell: Any, own: Floats, forces: Floats, constants: ForceConstants | None, fmax: float
) -> _Larger:
    """Relax the defect in a larger cell by the model."""
    planar = is_planar(cell.perfect)
    n_tiles = 3 if planar or 27 * len(cell.perfect) <= MOST_ATOMS else 2
    large = embed(cell.unrelaxed, cell.perfect, n_tiles)
    # From the training cell's own minimum: an unrelaxed interstitial is too far from any data.
    start = large.atoms.copy()
    known = large.middle_i & (large.index_i >= 0)
    start.positions[known] += (cell.relaxed.positions - cell.unrelaxed.positions)[large.index_i[known]]
    found = relax(start, model, fmax=fmax)
    links = bonds(large.atoms)
    u_large = found.atoms.positions - large.atoms.positions
    u_cell = own - cell.unrelaxed.positions
    i, j = links.i_b, links.j_b
    both = large.middle_i[i] & (large.index_i[j] >= 0)
    change_ic = np.where((large.index_i >= 0)[:, None], u_large - u_cell[large.index_i], 0.0)
    middle = np.flatnonzero(large.middle_i)
    step = change_ic[middle] - change_ic[middle].mean(axis=0)
    decay = far_decay(large.atoms, links, u_large)
    beyond = tail(decay, 0.5 * cell_width(large.atoms), links.dimension, site_density(large.atoms))
    outside = ~large.middle_i[i]
    return _Larger(
        release=float(np.sqrt(np.sum((change_ic[j] - change_ic[i])[both] ** 2))),
        largest_step=float(np.linalg.norm(step, axis=1).max(initial=0.0)),
        work=-float(np.sum(forces[large.index_i[middle]] * step)),
        far=sqrt(float(np.sum((u_large[j] - u_large[i])[outside] ** 2)) + beyond),
        far_force=None if constants is None else _far_force(model, cell, constants, large, links, u_large),
        decay=decay,
        failure=found.failure,
    )


def _far_force(
    model: Any, cell: Any, constants: ForceConstants, large: Embedded, links: Bonds, u: Floats
) -> float | None:
    """Return the dual norm of the forces of the force-constant error outside the tile of the defect."""
    if constants.columns_sanb.shape[2] != len(cell.perfect):
        return None
    own = force_constants(cell.perfect, model)
    return DualNorm(links)(
        far_forces(cell.perfect, own, constants, large.atoms, u, large.site_i, ~large.middle_i)
    )
