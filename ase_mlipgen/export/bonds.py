"""Radial functions and pair terms that `.yace` files name, in NumPy, with derivatives by r.

`Polynomials` are those of ACE.jl: a three-term recurrence in x(r) times an envelope (see `ace.radial`). The others are
built into ML-PACE: bare functions g_k of one of four families, and R_nl = sum_k crad[n, l, k] g_k. Enter at
`Polynomials`, `Families`, `PolynomialPairs`, `CorePairs`.
Sources: Lysogorskiy et al., npj Comput. Mater. 7, 97 (2021); Bochkarev et al., Phys. Rev. Materials 6, 013804 (2022);
Kocer, Mason and Erturk, AIP Advances 10, 015021 (2020) (Bessel).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ase_mlipgen.ace.radial import transform
from ase_mlipgen.export.contents import ElementPair, Floats, RadialTable

NEGLIGIBLE = 50.0
"""Exponent from which on ML-PACE takes a Gaussian for zero."""


@dataclass(frozen=True)
class Polynomials:
    """P_1 = A_1 f, P_n = (A_n x + B_n) P_{n-1} + C_n P_{n-2}, f = (x - xl)^pl (x - xr)^pr, zero outside xl..xr.

    Attributes
    ----------
    p, r0, cutoff
        Of the transform x = ((1 + r0) / (1 + r))^p; Å.
    xl, xr : float
    pl, pr : int
        Where a power is zero, there is no end on that side.
    rows : (n, 3) array
        A, B, C.
    """

    p: int
    r0: float
    cutoff: float
    xl: float
    xr: float
    pl: int
    pr: int
    rows: Floats

    def distance(self, x: float) -> float:
        """Return r (Å) of a value of the transform."""
        return float((1.0 + self.r0) / x ** (1.0 / self.p) - 1.0)

    def values(self, r: Floats) -> tuple[Floats, Floats]:
        """Return P_n and dP_n/dr, (n_r, n)."""
        x = transform(r, self.r0, self.p)
        dx = -self.p * x / (1.0 + r)
        left, right = x - self.xl, x - self.xr
        f = left**self.pl * right**self.pr
        df = self.pl * left ** max(self.pl - 1, 0) * right**self.pr
        df = df + self.pr * left**self.pl * right ** max(self.pr - 1, 0)
        inside = ((left >= 0) | (self.pl == 0)) & ((right <= 0) | (self.pr == 0))
        P, dP = np.zeros((2, len(r), len(self.rows)))
        for n, (A, B, C) in enumerate(self.rows):
            if n == 0:
                P[:, 0], dP[:, 0] = A * f * inside, A * df * inside
                continue
            P[:, n] = (A * x + B) * P[:, n - 1]
            dP[:, n] = (A * x + B) * dP[:, n - 1] + A * P[:, n - 1]
            if n > 1:
                P[:, n] += C * P[:, n - 2]
                dP[:, n] += C * dP[:, n - 2]
        return P, dP * dx[:, None]

    def evaluate(self, r: Floats, lmax: int) -> RadialTable:
        """Return g_n = R_nl = P_n for every l; see `contents.Bond`."""
        g, dg = self.values(r)
        shape = (*g.shape, lmax + 1)
        return RadialTable(g, dg, np.broadcast_to(g[..., None], shape), np.broadcast_to(dg[..., None], shape))


@dataclass(frozen=True)
class PolynomialPairs:
    """V = sum_n c_n P_n(r), and below ri the exponential e0 + B exp(-A (r / ri - 1)) ri / r.

    Attributes
    ----------
    basis : Polynomials
    coefficients : mapping of ordered pair to (n,) array, eV
    below : mapping of ordered pair to (ri, e0, A, B)
        Å, eV, 1, eV; ri = 0 for none.
    """

    basis: Polynomials
    coefficients: Mapping[ElementPair, Floats]
    below: Mapping[ElementPair, tuple[float, float, float, float]]

    @property
    def cutoff(self) -> float:
        """Where V ends, Å."""
        return self.basis.cutoff

    def is_zero(self, pair: ElementPair) -> bool:
        """Whether there is no term for a pair."""
        return not np.any(self.coefficients[pair]) and self.below[pair][0] == 0.0

    def evaluate(self, r: Floats, pair: ElementPair) -> tuple[Floats, Floats]:
        """Return V and dV/dr; see `contents.PairTerm`."""
        P, dP = self.basis.values(r)
        c = self.coefficients[pair]
        V, dV = P @ c, dP @ c
        ri, e0, A, B = self.below[pair]
        near = r < ri
        if near.any():
            q = r[near]
            tail = B * np.exp(-A * (q / ri - 1.0)) * ri / q
            V[near], dV[near] = e0 + tail, -tail * (A / ri + 1.0 / q)
        return V, dV


@dataclass(frozen=True)
class Families:
    """One of ML-PACE's own bonds.

    Attributes
    ----------
    family : {"ChebExpCos", "ChebPow", "ChebLinear", "SBessel"}
    parameter : float
        lambda.
    cutoff, width : float
        Outer cut-off and the width of its cosine (ChebExpCos only), Å.
    crad : (n_max, lmax + 1, n_base) array
    inner : (float, float) or None
        Inner cut-off and its width, Å, in files whose core is switched by distance: g_k fades out below.
    """

    family: str
    parameter: float
    cutoff: float
    width: float
    crad: Floats
    inner: tuple[float, float] | None = None

    def base(self, r: Floats) -> tuple[Floats, Floats]:
        """Return g_k and dg_k/dr, (n_r, n_base)."""
        g, dg = FAMILIES[self.family](r, self.crad.shape[2], self.cutoff, self.parameter, self.width)
        g, dg = g * (r < self.cutoff)[:, None], dg * (r < self.cutoff)[:, None]
        if self.inner is None:
            return g, dg
        fc, dfc = inner_switch(r, *self.inner)
        return g * (1 - fc)[:, None], dg * (1 - fc)[:, None] - g * dfc[:, None]

    def evaluate(self, r: Floats, lmax: int) -> RadialTable:
        """Return the functions; zero for momenta above the bond's own; see `contents.Bond`."""
        g, dg = self.base(r)
        n_max, own, _ = self.crad.shape
        R, dR = np.zeros((2, len(r), n_max, max(lmax + 1, own)))
        R[..., :own] = np.einsum("rk,nlk->rnl", g, self.crad)
        dR[..., :own] = np.einsum("rk,nlk->rnl", dg, self.crad)
        return RadialTable(g, dg, R, dR)


@dataclass(frozen=True)
class CorePairs:
    """V/2 = |a| exp(-|b| r^2) / r (1 + cos(pi r / cutoff)) / 2 of an ordered pair, below an inner cut-off.

    Attributes
    ----------
    strengths : mapping of ordered pair to (a, b, cutoff, inner cutoff, width)
        eV Å, 1/Å^2, Å.
    """

    strengths: Mapping[ElementPair, tuple[float, float, float, float, float]]

    @property
    def cutoff(self) -> float:
        """The longest one, Å."""
        return max(cutoff for _, _, cutoff, _, _ in self.strengths.values())

    def evaluate(self, r: Floats, pair: ElementPair) -> tuple[Floats, Floats]:
        """Return V and dV/dr; see `contents.PairTerm`."""
        a, b, cutoff, inner, width = self.strengths[pair]
        a, b = abs(a), abs(b)
        counted = (b * r**2 < NEGLIGIBLE) & (r < cutoff)
        bare = a * np.exp(-np.minimum(b * r**2, NEGLIGIBLE)) / r * counted
        slope = -bare * (2.0 * b * r + 1.0 / r)
        envelope = 0.5 * (1.0 + np.cos(np.pi * r / cutoff))
        bend = -0.5 * np.sin(np.pi * r / cutoff) * np.pi / cutoff
        V, dV = bare * envelope, slope * envelope + bare * bend
        fc, dfc = inner_switch(r, inner, width)
        return 2 * V * fc, 2 * (dV * fc + V * dfc)


def inner_switch(r: Floats, end: float, width: float) -> tuple[Floats, Floats]:
    """Return the quintic that falls from 1 at end - width to 0 at end, and its derivative."""
    if width <= 0:
        return (r < end).astype(float), np.zeros_like(r)
    t = np.clip((r - end) / width + 1.0, 0.0, 1.0)
    return 1.0 - t**3 * (10.0 - 15.0 * t + 6.0 * t**2), -30.0 * t**2 * (1.0 - t) ** 2 / width


def _chebyshev(x: Floats, n: int) -> tuple[Floats, Floats]:
    """Return T_0 .. T_{n-1} and their derivatives, (n_x, n)."""
    T, dT = np.zeros((2, len(x), n))
    T[:, 0] = 1.0
    for k in range(1, n):
        if k == 1:
            T[:, 1], dT[:, 1] = x, 1.0
            continue
        T[:, k] = 2 * x * T[:, k - 1] - T[:, k - 2]
        dT[:, k] = 2 * T[:, k - 1] + 2 * x * dT[:, k - 1] - dT[:, k - 2]
    return T, dT


def _exp_cos(r: Floats, n: int, cutoff: float, parameter: float, width: float) -> tuple[Floats, Floats]:
    low = np.exp(-parameter)
    scaled = np.exp(-parameter * r / cutoff)
    T, dT = _chebyshev(1.0 - 2.0 * (scaled - low) / (1.0 - low), n)
    g, dg = 0.5 - 0.5 * T, -0.5 * dT * (2.0 * parameter / cutoff * scaled / (1.0 - low))[:, None]
    g[:, 0], dg[:, 0] = 1.0, 0.0
    for start, length in ((0.0, cutoff), (cutoff - width, width)):
        if length <= 0:
            continue
        phase = np.pi * np.maximum(r - start, 0.0) / length
        f, df = 0.5 * (1.0 + np.cos(phase)), -0.5 * np.sin(phase) * np.pi / length
        g, dg = g * f[:, None], dg * f[:, None] + g * df[:, None]
    return g, dg


def _power(r: Floats, n: int, cutoff: float, parameter: float, width: float) -> tuple[Floats, Floats]:
    y = np.maximum(1.0 - r / cutoff, 0.0)
    T, dT = _chebyshev(1.0 - 2.0 * y**parameter, n + 1)
    dx = 2.0 * parameter / cutoff * y ** (parameter - 1.0)
    return 0.5 - 0.5 * T[:, 1:], -0.5 * dT[:, 1:] * dx[:, None]


def _linear(r: Floats, n: int, cutoff: float, parameter: float, width: float) -> tuple[Floats, Floats]:
    T, dT = _chebyshev(1.0 - r / cutoff, n + 1)
    return 0.5 - 0.5 * T[:, 1:], 0.5 * dT[:, 1:] / cutoff


def _bessel(r: Floats, n: int, cutoff: float, parameter: float, width: float) -> tuple[Floats, Floats]:
    """Return orthogonalised differences of sinc functions (Kocer et al., Eqs. 5 to 8)."""
    k = np.arange(1, n + 2) * np.pi / cutoff
    kr = r[:, None] * k
    sinc = np.sin(kr) / kr
    slope = (np.cos(kr) - sinc) / r[:, None]
    order = np.arange(n)
    scale = (-1.0) ** order * np.sqrt(2.0) * np.pi / cutoff**1.5
    scale *= (order + 1) * (order + 2) / np.sqrt((order + 1.0) ** 2 + (order + 2.0) ** 2)
    g, dg = scale * (sinc[:, :-1] + sinc[:, 1:]), scale * (slope[:, :-1] + slope[:, 1:])
    d = 1.0
    for m in range(1, n):
        e = m**2 * (m + 2) ** 2 / (4.0 * (m + 1) ** 4 + 1.0)
        before, d = d, 1.0 - e / d
        for table in (g, dg):
            table[:, m] = (table[:, m] + np.sqrt(e / before) * table[:, m - 1]) / np.sqrt(d)
    return g, dg


Family = Callable[[Floats, int, float, float, float], tuple[Floats, Floats]]
FAMILIES: dict[str, Family] = {
    "ChebExpCos": _exp_cos,
    "ChebPow": _power,
    "ChebLinear": _linear,
    "SBessel": _bessel,
}
