"""Compiled repulsive core: near pairs are gathered W at a time and evaluated side by side (formulas: `core`).

Entry points: :func:`core_tables`, :func:`add_core`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.ace.core import PairCore
from ase_mlipgen.ace.lane_power import power
from ase_mlipgen.ace.radial import transform
from ase_mlipgen.jit import helper, kernel
from ase_mlipgen.simd import fma, load, max0, raw, splat, store

Floats = npt.NDArray[np.float64]


class CoreTables(NamedTuple):
    """Cores of all ordered pairs of elements, pair (a, b) at a * n_elements + b; see `core.PairCore`.

    Attributes
    ----------
    cutoff, r_i, r0, x_cut, A, B, e0 : (n_elements^2,) floats
    p, envelope : (n_elements^2,) ints
    rows : (n_elements^2, n, 3) floats
    coefficients : (n_elements^2, n) floats
    """

    cutoff: Floats
    r_i: Floats
    r0: Floats
    x_cut: Floats
    A: Floats
    B: Floats
    e0: Floats
    p: npt.NDArray[np.int64]
    envelope: npt.NDArray[np.int64]
    rows: Floats
    coefficients: Floats


def core_tables(cores: Sequence[PairCore]) -> CoreTables:
    """Return the tables of the cores of all ordered pairs of elements."""

    def floats(values: Sequence[float]) -> Floats:
        return np.array(values, dtype=float)

    return CoreTables(
        floats([c.cutoff for c in cores]),
        floats([c.r_i for c in cores]),
        floats([c.r0 for c in cores]),
        floats([float(transform(c.cutoff, c.r0, c.p)) for c in cores]),
        floats([c.A for c in cores]),
        floats([c.B for c in cores]),
        floats([c.e0 for c in cores]),
        np.array([c.p for c in cores], dtype=np.int64),
        np.array([c.envelope for c in cores], dtype=np.int64),
        np.array([c.recurrence for c in cores]),
        np.array([c.coefficients for c in cores]),
    )


@helper
def _polynomial(lanes, kind, n, r0, x_cut, p, envelope, rows, coefficients, buffer):
    """Replace the distances in row 0 by V in row 0 and dV/dr in row 1."""
    one = splat(lanes, 1.0)
    inverse = one / (one + load(lanes, buffer, 0))
    x = power(lanes, splat(lanes, 1.0 + r0) * inverse, p)
    y = max0(x - splat(lanes, x_cut))
    below = power(lanes, y, envelope - 1) * splat(lanes, rows[3 * n * kind])
    P, dP = below * y, below * splat(lanes, 1.0 * envelope)
    before = slope_before = splat(lanes, 0.0)
    c = splat(lanes, coefficients[n * kind])
    value, slope = c * P, c * dP
    for k in range(1, n):
        at = 3 * (n * kind + k)
        a, third = splat(lanes, rows[at]), splat(lanes, rows[at + 2])
        factor = fma(a, x, splat(lanes, rows[at + 1]))
        following = fma(factor, P, third * before)
        slope_following = fma(factor, dP, fma(a, P, third * slope_before))
        before, slope_before, P, dP = P, dP, following, slope_following
        c = splat(lanes, coefficients[n * kind + k])
        value, slope = fma(c, P, value), fma(c, dP, slope)
    store(buffer, 0, value)
    store(buffer, 1, slope * splat(lanes, -1.0 * p) * x * inverse)


@helper
def _exponential(r, r_i, A, B, e0):
    """Return V and dV/dr below r_i."""
    tail = B * np.exp(-A * (r / r_i - 1.0)) * r_i / r
    return e0 + tail, -tail * (A / r_i + 1.0 / r)


@helper
def _collect_near(kind, start, n_elements, cutoff, first_c, j_c, d_cc, mu_i, near):
    """Write which pairs of a kind are within its core, and their atoms, to the rows of `near`; return how many."""
    n = 0
    for k in range(first_c.shape[0] - 1):
        if mu_i[start + k] != kind // n_elements:
            continue
        for p in range(first_c[k], first_c[k + 1]):
            near[0, n], near[1, n] = p, k
            square = d_cc[p, 0] ** 2 + d_cc[p, 1] ** 2 + d_cc[p, 2] ** 2
            n += (square < cutoff * cutoff) & (mu_i[j_c[p]] == kind % n_elements)
    return n


@kernel
def add_core(
    lanes, start, first_c, j_c, d_cc, mu_i, n_elements, cores, near, buffer, energies_k, gradient_cc, W_ab
):
    """Add the core's site energies (half of each pair), pair gradients and virial of the atoms start, start + 1, ...

    near : (2, n_pairs) ints of scratch;  buffer : (3, width) floats of scratch, on a cache line.
    """
    cutoff, r_i, r0, x_cut, A, B, e0, powers, envelopes, rows, coefficients = cores
    width, n = buffer.shape[1], coefficients.shape[1]
    flat, table, weights = raw(buffer), raw(rows), raw(coefficients)
    for kind in range(cutoff.shape[0]):
        n_near = _collect_near(kind, start, n_elements, cutoff[kind], first_c, j_c, d_cc, mu_i, near)
        for first in range(0, n_near, width):
            filled = min(width, n_near - first)
            for lane in range(width):
                p = near[0, first + min(lane, filled - 1)]
                buffer[0, lane] = np.sqrt(d_cc[p, 0] ** 2 + d_cc[p, 1] ** 2 + d_cc[p, 2] ** 2)
                buffer[2, lane] = buffer[0, lane]
            _polynomial(
                lanes, kind, n, r0[kind], x_cut[kind], powers[kind], envelopes[kind], table, weights, flat
            )
            for lane in range(filled):
                p, r = near[0, first + lane], buffer[2, lane]
                value, slope = buffer[0, lane], buffer[1, lane]
                if r < r_i[kind]:
                    value, slope = _exponential(r, r_i[kind], A[kind], B[kind], e0[kind])
                energies_k[near[1, first + lane]] += 0.5 * value
                slope *= 0.5 / r
                for a in range(3):
                    g = slope * d_cc[p, a]
                    gradient_cc[p, a] += g
                    for b in range(3):
                        W_ab[b, a] += d_cc[p, b] * g
