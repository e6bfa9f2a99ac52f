"""Where the tangent kernels keep what, behind the rows of `lane_layout`.

While tangents run, the front of the buffer (Z and its derivatives) holds the tangents of both, so that the loops of
the evaluator serve for them; the values that they replace move here. Entry point: :func:`lay_out_tangents`.
"""

from typing import NamedTuple

from ase_mlipgen.ace.lane_layout import Layout


class TangentLayout(NamedTuple):
    """Row offsets: values of Z (Re, Im), derivatives by the pairs (Re, Im), scratch, and one record a slot.

    `dR` holds the tangents of R of two slots, `ddR` the second derivatives of one. A record is `stride` rows: the
    tangent of the pair vector, then the symmetric curvature (xx, xy, xz, yy, yz, zz). `size` rows in all, those
    of the evaluator included.
    """

    Z: int
    pairs: int
    dR: int
    ddR: int
    records: int
    stride: int
    size: int


def lay_out_tangents(at: Layout, n_pairs: int) -> TangentLayout:
    """Return the offsets behind the evaluator's rows `at`."""
    Z = at.size
    pairs = Z + 2 * at.n_Z
    dR = pairs + 2 * n_pairs
    ddR = dR + 2 * at.dR
    records = ddR + at.dR
    stride = 9
    return TangentLayout(Z, pairs, dR, ddR, records, stride, records + at.n_slots * stride)
