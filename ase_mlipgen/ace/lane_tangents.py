"""Second derivatives of site energies, W atoms side by side.

The Hessian of one site energy by its pair vectors d is J' S J + curvature: J = dA/dd, S = d2E/dA2 of the bilinear form,
and the second derivatives of the A's at fixed dE/dA, which are block-diagonal. :func:`products` applies it to changes
of the pair vectors (cost: about 1.2 evaluations, and 1 more for each vector); :func:`site_blocks` fills it column by
column, three a neighbour, about 0.6 evaluations each. A site's result is bitwise the same in every chunk and lane.
Formulas: `lane_tangent_slots`, `lane_tangent_products`.
"""

import numpy as np
import numpy.typing as npt

from ase_mlipgen.ace import lane_kernels, lane_tangent_kernels
from ase_mlipgen.ace.lane_layout import lay_out
from ase_mlipgen.ace.lane_tangent_layout import lay_out_tangents
from ase_mlipgen.ace.lanes import LaneModel
from ase_mlipgen.ace.plan import Angular, Radial
from ase_mlipgen.simd import Lanes, host_lanes
from ase_mlipgen.workspace import Workspace

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def products(
    centres: Ints,
    first_c: Ints,
    j_c: npt.NDArray[np.int32],
    d_cc: Floats,
    mu_i: Ints,
    model: LaneModel,
    radial: Radial,
    angular: Angular,
    start: int,
    v_vic: Floats,
    change_vcc: Floats,
    lanes: Lanes | None = None,
) -> None:
    """Write how dE/d(pair vector) of the site energies of `centres` changes along displacements of the atoms.

    Parameters
    ----------
    centres, first_c, j_c, d_cc, mu_i, model, radial, angular
        As for `lanes.evaluate`; orders up to 4.
    start : int
        Site k is atom start + k.
    v_vic : (n_v, n_atoms, 3) array
        Å, n_v of at least 1.
    change_vcc : (n_v, n_pairs + 1, 3) array
        Result, eV/Å; the last row is scratch.
    lanes : Lanes, optional
        By default what suits the processor.
    """
    none = np.empty((0, 0, 0))
    _run(centres, first_c, j_c, d_cc, mu_i, model, radial, angular, start, v_vic, change_vcc, none, lanes)


def site_blocks(
    centres: Ints,
    first_c: Ints,
    j_c: npt.NDArray[np.int32],
    d_cc: Floats,
    mu_i: Ints,
    model: LaneModel,
    radial: Radial,
    angular: Angular,
    block_kcc: Floats,
    lanes: Lanes | None = None,
) -> None:
    """Write the Hessian of each site energy by its pair vectors, eV/Å^2.

    Parameters
    ----------
    centres, first_c, j_c, d_cc, mu_i, model, radial, angular, lanes
        As for `products`.
    block_kcc : (n_sites, 3 n, 3 n) array
        Result, n at least the pairs of any site: pair first_c[k] + s has the rows and columns 3 s : 3 s + 3 of site k.
    """
    none = np.empty((0, 0, 3)), np.empty((0, 0, 3))
    _run(centres, first_c, j_c, d_cc, mu_i, model, radial, angular, 0, *none, block_kcc, lanes)


def _run(
    centres: Ints,
    first_c: Ints,
    j_c: npt.NDArray[np.int32],
    d_cc: Floats,
    mu_i: Ints,
    model: LaneModel,
    radial: Radial,
    angular: Angular,
    start: int,
    v_vic: Floats,
    change_vcc: Floats,
    block_kcc: Floats,
    lanes: Lanes | None,
) -> None:
    if len(centres) == 0 or len(j_c) == 0:
        return
    if model.lane_plan is None:
        raise NotImplementedError("second derivatives need a plan of order 4 or less, with lane tables")
    lanes = lanes or host_lanes()
    blocks, form = model.lane_plan.blocks, model.lane_plan.products
    widest = int(np.max(first_c[centres + 1] - first_c[centres]))
    n_slots = len(blocks.start) * widest
    at = lay_out(n_slots, radial.recurrence.shape[1], angular.lmax, form.n_A + form.n_stored)
    more = lay_out_tangents(at, form.n_pairs)
    work = Workspace().empty(more.size * lanes.width)
    work[:] = 0.0
    lane_tangent_kernels.tangents(
        lanes, lane_kernels.order(centres, first_c), first_c, j_c, d_cc, mu_i,
        blocks, form, model.linear, model.values, radial, angular,
        at, more, work, np.empty((n_slots, lanes.width), np.int64),
        start, v_vic, change_vcc, block_kcc,
    )  # fmt: skip
