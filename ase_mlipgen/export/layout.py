"""Radial functions of ML-PACE's own families as look-up tables of ours.

Of a family, R_nl depends on l, and functions of one factor take the bare g_n. Channels (mu, n, l) with n up to the
largest of R_nl stand for the former, (mu, n + n_max, 0) for g_n, and one more for the core, also of one factor.
The table has the points and cubics of ML-PACE's. Enter at `layout_of`, `tabulated`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ase_mlipgen.ace.plan import Radial
from ase_mlipgen.ace.specification import Channel
from ase_mlipgen.export.contents import ElementPair, Floats, PairTerm, RadialTable


class Layout(NamedTuple):
    """Where the radial functions of families lie: R_nl at l * n_max + n - 1, then g_n, then the core.

    Attributes
    ----------
    n_max, n_base, lmax : int
        Largest over all bonds.
    n_core : int
        1 with a core, else 0.
    """

    n_max: int
    n_base: int
    lmax: int
    n_core: int

    @property
    def n_functions(self) -> int:
        """Number of radial functions of a pair of elements."""
        return self.n_max * (self.lmax + 1) + self.n_base + self.n_core

    def channel(self, mu: int, n: int, l: int, order: int) -> Channel:
        """Return the channel of a factor of a file."""
        return Channel(mu, n + self.n_max, 0) if order == 1 else Channel(mu, n, l)

    def core(self, mu: int) -> Channel:
        """Return the channel of the core."""
        return Channel(mu, self.n_max + self.n_base + 1, 0)

    def radial_of_l(self) -> list[int]:
        """Return the place of the first radial function of each l; those of l = 0 go on behind all others."""
        return [self.n_functions - self._n_of_zero] + [(l - 1) * self.n_max for l in range(1, self.lmax + 1)]

    @property
    def _n_of_zero(self) -> int:
        return self.n_max + self.n_base + self.n_core

    def arranged(self, table: RadialTable, core: tuple[Floats, Floats] | None) -> tuple[Floats, Floats]:
        """Return values and slopes of all radial functions, (n_r, n_functions)."""
        n_r = len(table.g)
        found = np.zeros((2, n_r, self.n_functions))
        zero = self.n_functions - self._n_of_zero
        for k, (g, R) in enumerate(((table.g, table.R), (table.dg, table.dR))):
            for l in range(min(self.lmax + 1, R.shape[2])):
                at = zero if l == 0 else (l - 1) * self.n_max
                found[k, :, at : at + R.shape[1]] = R[:, :, l]
            at = zero + self.n_max
            found[k, :, at : at + g.shape[1]] = g
            if core is not None:
                found[k, :, -1] = 0.5 * core[k]
        return found[0], found[1]


def layout_of(bonds: Mapping[ElementPair, Any], pair_terms: Sequence[PairTerm]) -> Layout:
    """Return where the radial functions of families lie."""
    shapes = np.array([bond.crad.shape for bond in bonds.values()])
    n_max, n_l, n_base = shapes.max(axis=0).tolist()
    return Layout(n_max, n_base, n_l - 1, int(bool(pair_terms)))


def tabulated(
    layout: Layout, bonds: Mapping[ElementPair, Any], terms: Sequence[PairTerm], spacing: float, a: int
) -> Radial:
    """Return cubics of the families of one centre element, with values and slopes of the formulas at every point."""
    n = max(b for _, b in bonds) + 1
    cutoffs = np.array([bonds[a, b].cutoff for b in range(n)])
    n_intervals = [int(cutoff / spacing) for cutoff in cutoffs]
    table = np.zeros((n, max(n_intervals), layout.n_functions, 4))
    for b in range(n):
        step = cutoffs[b] / n_intervals[b]
        r = step * np.arange(1, n_intervals[b] + 1)
        core = None
        if terms:
            core = terms[0].evaluate(r, (a, b))
        values, slopes = layout.arranged(bonds[a, b].evaluate(r, layout.lmax), core)
        values[-1], slopes[-1] = 0.0, 0.0  # at the cutoff itself, where round-off decides
        f0, f1, s0, s1 = values[:-1], values[1:], slopes[:-1] * step, slopes[1:] * step
        cubic = np.stack([f0, s0, 3 * (f1 - f0) - s1 - 2 * s0, 2 * (f0 - f1) + s1 + s0], axis=-1)
        table[b, 1 : n_intervals[b]] = cubic
        table[b, 0] = _shifted(cubic[0])  # ML-PACE stops at distances below the first point
    zeros, ones = np.zeros(n), np.ones(n, dtype=np.int64)
    rows = np.zeros((n, layout.n_functions, 3))
    rates = np.array(n_intervals) / cutoffs
    return Radial(cutoffs, zeros, zeros, ones, zeros, zeros, ones, ones, rows, rates, table.shape[1], table)


def _shifted(cubic: Floats) -> Floats:
    """Return the cubics of the first interval about the point before it."""
    c0, c1, c2, c3 = np.moveaxis(cubic, -1, 0)
    return np.stack([c0 - c1 + c2 - c3, c1 - 2 * c2 + 3 * c3, c2 - 3 * c3, c3], axis=-1)
