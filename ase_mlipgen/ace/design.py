"""Rows of a linear model: energy, forces and virial of every basis function, and their derivatives along a motion.

A function's derivative by the positions is sum_v g_kv dA_v with few rows v; g comes from products of the other A's
(`design_plan`). Cost an atom: (terms of the functions) * (3 neighbours + 4) multiply-adds, and one addition to
memory for each function and coordinate. A itself is one more column of dA: sum_v g_kv A_v is the order times the value.
Structures in a plane take tables without what vanishes there. Entry point: :func:`design_columns`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.ace import lane_design
from ase_mlipgen.ace.design_plan import DesignPlan
from ase_mlipgen.ace.lane_design_products import WIDEST
from ase_mlipgen.ace.lane_design_slots import lay_out_slot
from ase_mlipgen.ace.plan import Angular, Radial
from ase_mlipgen.simd import Lanes, host_lanes
from ase_mlipgen.workspace import Workspace

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Neighbourhoods(NamedTuple):
    """Pairs of a structure: those of atom i are first_i[i]:first_i[i + 1].

    Attributes
    ----------
    first_i : (n_atoms + 1,) ints
    j_p : (n_pairs,) 32-bit ints
    d_pc : (n_pairs, 3) array, Å
    mu_i : (n_atoms,) ints
        Element index.
    """

    first_i: Ints
    j_p: npt.NDArray[np.int32]
    d_pc: Floats
    mu_i: Ints


def design_columns(
    centres: Ints,
    hoods: Neighbourhoods,
    plan: DesignPlan,
    radial: Radial,
    angular: Angular,
    columns: Floats,
    part: slice | None = None,
    velocity_ic: Floats | None = None,
    lanes: Lanes | None = None,
) -> None:
    """Fill the columns of the functions of one centre element.

    Parameters
    ----------
    centres : (n,) ints
        Atoms of the element that have neighbours in `part`, or belong to it.
    hoods, plan, radial, angular
        Pairs within the cutoff; tables of the centre element. With velocities the plan must not be planar.
    columns : (K, 1 + 3 n_part) or (K, 7 + 3 n_part) array
        C-contiguous. Element 0 of a column is the energy, eV a unit of the coefficient; then come the forces atom by
        atom, eV/Å, then, if there is room, the virial, eV, in Voigt order.
    part : slice, optional
        Atoms whose forces are wanted; energy and virial are then sums over the centres among them. By default all.
    velocity_ic : (n_atoms, 3) array, optional
        Instead of the rows, their derivatives along this motion of the atoms; no virial.
    lanes : Lanes, optional
        By default one register.
    """
    lanes = lanes or one_register()
    n_atoms, moving = len(hoods.mu_i), velocity_ic is not None
    own = np.arange(n_atoms)[part or slice(None)]
    to = _lay_out(hoods, plan, radial, angular, columns.shape[1], len(own), moving, lanes.width)
    row_i = np.full(n_atoms, to.trash, dtype=np.int64)
    row_i[own] = 1 + 3 * np.arange(len(own))
    velocity = (
        np.zeros((n_atoms, 3)) if velocity_ic is None else np.ascontiguousarray(velocity_ic, dtype=float)
    )
    lists = lane_design.Lists(*hoods, velocity, row_i)
    result = _zeros(len(plan.functions.function) * to.n_rows)
    lane_design.accumulate(
        lanes, lanes.width, centres, lists, moving, plan.rows, plan.cofactors, plan.gradients, plan.functions,
        radial, angular, to, _room(to, plan, moving, lanes.width), result,
    )  # fmt: skip
    scale = np.ones(to.n_rows + lanes.width)
    scale[1 : 1 + 3 * len(own)] = -1.0
    where = np.zeros(lanes.width, dtype=np.int64)
    lane_design.deliver(lanes, lanes.width, plan.functions, result, to, scale, where, columns)


def one_register() -> Lanes:
    """Return half the width of the evaluator, which takes two registers a vector: tiles are transposed in registers."""
    return Lanes(host_lanes().width // 2)


def _lay_out(
    hoods: Neighbourhoods,
    plan: DesignPlan,
    radial: Radial,
    angular: Angular,
    n_rows: int,
    n_own: int,
    moving: bool,
    width: int,
) -> lane_design.Layout:
    n_axes = 2 if plan.planar else 3
    widest, n_elements = int(np.max(np.diff(hoods.first_i), initial=0)), len(plan.rows.first) - 1
    T = 2 * plan.cofactors.n_nodes
    scratch = 2 * T if moving else T
    return lane_design.Layout(
        P=0,
        T=T,
        scratch=scratch,
        records=scratch + WIDEST * width,
        n_slots=widest // width + n_elements,
        slot=lay_out_slot(radial.recurrence.shape[1], angular.lmax),
        # Neighbours, the centre, virial, energy, what empty lanes overwrite; an odd stride spreads over the cache.
        stride=-(-(n_axes * (widest + 1) + 7 + width) // width) | 1,
        n_axes=n_axes,
        n_rows=n_rows + 3,
        energy=0,
        virial=n_rows - 6 if n_rows > 1 + 3 * n_own else -1,
        trash=n_rows,
    )


def _room(to: lane_design.Layout, plan: DesignPlan, moving: bool, width: int) -> lane_design.Room:
    n_elements, copies = len(plan.rows.first) - 1, 2 if moving else 1
    buffer = _zeros((to.records + width * to.n_slots * to.slot.size) * width)
    buffer[:width] = 1.0  # the empty product
    return lane_design.Room(
        buffer,
        _zeros(copies * width * plan.gradients.n),
        _zeros((copies * to.stride * plan.rows.n + 1) * width),
        np.zeros((width, to.stride * width), dtype=np.int64),
        np.zeros((width, n_elements + 1), dtype=np.int64),
        np.zeros((width, n_elements), dtype=np.int64),
        np.zeros(to.n_slots * width, dtype=np.int64),
    )


def _zeros(size: int) -> Floats:
    """Return zeros that begin on a cache line."""
    found: Floats = Workspace().empty(size)
    found[:] = 0.0
    return found
