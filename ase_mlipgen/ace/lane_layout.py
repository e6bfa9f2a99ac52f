"""Where the lane kernels keep what: one flat buffer of rows (see `simd`).

Entry point: :func:`lay_out`.
"""

from typing import NamedTuple

STRIDE = 4  # rows of one entry of Z: Re Z, Im Z, dE/d(Re Z), dE/d(Im Z)


class Layout(NamedTuple):
    """Row offsets in the work buffer: virial, pair vectors, harmonics of four slots, a record a slot; Z begins at 0.

    A record holds R (from 0), then dR, Q, C (Re (x + i y)^m), S (Im), U (unit vector, 1/r) and
    is `stride` rows long; the record after the last slot stays zero. `size` rows in all.
    """

    n_Z: int
    W: int
    X: int
    Y: int
    records: int
    dR: int
    Q: int
    C: int
    S: int
    U: int
    stride: int
    n_slots: int
    size: int


def lay_out(n_slots: int, n_max: int, lmax: int, n_Z: int) -> Layout:
    """Return the offsets for `n_slots` neighbour slots and `n_Z` entries of Z."""
    n_lm = (lmax + 1) * (lmax + 2) // 2
    W = STRIDE * n_Z
    X = W + 9
    Y = X + 3 * n_slots
    records = Y + 4 * (lmax + 1) ** 2
    Q = 2 * n_max
    C = Q + n_lm
    S = C + lmax + 1
    U = S + lmax + 1
    stride = U + 4
    size = records + (n_slots + 1) * stride
    return Layout(n_Z, W, X, Y, records, n_max, Q, C, S, U, stride, n_slots, size)
