"""Fast site energies and gradients: W atoms side by side, one in each SIMD lane.

A linear energy has backward seed 1, so products run forward and backward in one sweep over the bilinear form of
`lane_plan`: each host r collects its derivative W_r = c_r + sum_s x_rs Z_s from its leaves, adds x_rs Z_r to theirs,
and passes W_r on to the factors of its pair. Cost an atom: about 3 (neighbours * rows of A) + 4 monomials
multiply-adds, W atoms an instruction stream. An atom's result is bitwise the same in every chunk and lane.

Tables depend on the plan only (`build_lane_plan`); the coefficients of a centre element are bound to them once a model
(:func:`bind`); :func:`evaluate` runs a chunk of atoms. Orders above 4 go to the scalar `kernels.evaluate`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.ace import kernels, lane_kernels
from ase_mlipgen.ace.lane_layout import lay_out
from ase_mlipgen.ace.lane_plan import LanePlan
from ase_mlipgen.ace.plan import Angular, Plan, Radial
from ase_mlipgen.simd import Lanes, host_lanes
from ase_mlipgen.workspace import Workspace

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class LaneModel(NamedTuple):
    """A plan bound to the coefficients of one centre element; `lane_plan` is None where the scalar kernel serves.

    Attributes
    ----------
    plan, lane_plan
    weights : (n_monomials,) array
        eV.
    linear : (n_A,) array
    values : (n_leaves, 2) array
        Coefficients of Re Re and Im Im.
    """

    plan: Plan
    weights: Floats
    lane_plan: LanePlan | None
    linear: Floats
    values: Floats


def bind(plan: Plan, lane_plan: LanePlan | None, weights: Floats) -> LaneModel:
    """Return the tables of a model with one real coefficient a monomial (`plan.monomial_coefficients`)."""
    if lane_plan is None:
        return LaneModel(plan, weights, None, np.empty(0), np.empty((0, 2)))
    padded = np.append(weights, 0.0)
    re = padded[lane_plan.leaf_monomial]
    values = np.stack([re, re * lane_plan.leaf_sign], axis=1)
    return LaneModel(plan, weights, lane_plan, padded[lane_plan.linear_monomial], values)


def evaluate(
    centres: Ints,
    first_c: Ints,
    j_c: npt.NDArray[np.int32],
    d_cc: Floats,
    mu_i: Ints,
    model: LaneModel,
    radial: Radial,
    angular: Angular,
    energies_k: Floats,
    gradient_cc: Floats,
    lanes: Lanes | None = None,
    space: Workspace | None = None,
) -> Floats:
    """Add the site energies (eV) of `centres`, and write dE/d(pair vector) (eV/Å) of their pairs.

    Orders above 4 add to the gradients instead: start them from zero.

    Parameters
    ----------
    centres : (n,) ints
        Sites of the model's centre element.
    first_c, j_c, d_cc
        Pairs of site k are first_c[k]:first_c[k + 1]; neighbouring atoms and vectors (Å), (n_pairs + 1, 4): the last
        column is padding, the last row a spare pair out of reach (see `sites`).
    mu_i : (n_atoms,) ints
        Element index of every atom.
    model, radial, angular
        Tables of the centre element.
    energies_k, gradient_cc
        Results, (n_sites,) and (n_pairs + 1, 4), laid out as d_cc.
    lanes : Lanes, optional
        By default what suits the processor.
    space : Workspace, optional
        Scratch memory.

    Returns
    -------
    (3, 3) array
        sum_p d_pa g_pb, eV.
    """
    if len(centres) == 0:
        return np.zeros((3, 3))
    if model.lane_plan is None:
        vectors = np.ascontiguousarray(d_cc[:, :3])
        gradient = np.zeros_like(vectors)
        kernels.evaluate(
            centres, first_c, j_c, vectors, mu_i, model.plan, radial, angular, model.weights, energies_k, gradient
        )  # fmt: skip
        gradient_cc[:, :3] += gradient
        return np.asarray(vectors.T @ gradient)
    lanes, space = lanes or host_lanes(), space or Workspace()
    blocks, products = model.lane_plan.blocks, model.lane_plan.products
    widest = int(np.max(first_c[centres + 1] - first_c[centres]))
    n_slots = len(blocks.start) * widest
    layout = lay_out(n_slots, radial.recurrence.shape[1], angular.lmax, products.n_A + products.n_stored)
    work = space.empty(layout.size * lanes.width)
    lane_kernels.evaluate(
        lanes, lane_kernels.order(centres, first_c), first_c, j_c, d_cc, mu_i,
        blocks, products, model.linear, model.values, radial, angular,
        layout, work, space.empty(n_slots, lanes.width, dtype=np.int64), energies_k, gradient_cc,
    )  # fmt: skip
    rows = work[layout.W * lanes.width : (layout.W + 9) * lanes.width]
    return rows.reshape(3, 3, lanes.width).sum(axis=2)


def scratch_size(model: LaneModel, radial: Radial, angular: Angular, widest: int) -> int:
    """Return the numbers of scratch memory that `evaluate` takes for atoms of up to `widest` pairs."""
    if model.lane_plan is None:
        return 0
    blocks, products = model.lane_plan.blocks, model.lane_plan.products
    n_slots = len(blocks.start) * widest
    layout = lay_out(n_slots, radial.recurrence.shape[1], angular.lmax, products.n_A + products.n_stored)
    return (layout.size + n_slots) * host_lanes().width
