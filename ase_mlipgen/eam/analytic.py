"""Analytic embedded-atom functions (Zhou, Johnson, Wadley, Phys. Rev. B 69, 144113 (2004)), smoothly cut off.

    f(r)   = f_e e(r; beta, lambda),        e(r; a, k) = exp(-a (x - 1)) / (1 + (x - k)^20),   x = r/r_e
    phi(r) = A e(r; alpha, kappa) - B e(r; beta, lambda)
    F(rho) = sum_i F_n[i] (rho/rho_n - 1)^i      rho < rho_n = 0.85 rho_e
             sum_i F[i] (rho/rho_e - 1)^i        rho < rho_o = 1.15 rho_e
             F_e (1 - eta ln y) y^eta            above, y = rho/rho_s

f and phi are multiplied by the seventh-degree smoothstep that falls from 1 to 0 between `switch_on` and
`cutoff` with three continuous derivatives. Tungsten's F joins at rho_n to 5e-7 eV, but steps down by 1.8 meV
at rho_o, as published: atoms squeezed that far do not conserve energy. Enter at `Zhou`; `TUNGSTEN` is the
published set. About 70 ns a pair.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ase_mlipgen.eam.functions import Floats, Ints, PairTerms, SiteTerms
from ase_mlipgen.eam.lane_terms import AnalyticForm
from ase_mlipgen.jit import helper, kernel


@dataclass(frozen=True)
class Zhou:
    """One element's functions; symbols as in the paper, eV and Å.

    Raises
    ------
    ValueError
        Lengths or densities that are not positive, or a switch that does not end above its beginning.
    """

    element: str
    r_e: float
    f_e: float
    rho_e: float
    rho_s: float
    alpha: float
    beta: float
    A: float
    B: float
    kappa: float
    lambda_: float
    F_n: tuple[float, float, float, float]
    F: tuple[float, float, float, float]
    eta: float
    F_e: float
    switch_on: float = 5.0
    cutoff: float = 6.0

    def __post_init__(self) -> None:
        for name in ("r_e", "rho_e", "rho_s"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} = {getattr(self, name)!r}: expected a positive number")
        if not 0 < self.switch_on < self.cutoff < np.inf:
            raise ValueError(
                f"switch_on = {self.switch_on!r}, cutoff = {self.cutoff!r}: "
                f"expected 0 < switch_on < cutoff, in Å"
            )
        for name in ("F_n", "F"):
            if len(getattr(self, name)) != 4:
                raise ValueError(f"{name} = {getattr(self, name)!r}: expected four coefficients")

    @property
    def elements(self) -> tuple[str, ...]:
        """The one element."""
        return (self.element,)

    @property
    def largest_density(self) -> float:
        """Four times the equilibrium density: atoms at half their distance."""
        return 4 * self.rho_e

    @cached_property
    def form(self) -> AnalyticForm:
        """Constants of f and phi for the compiled evaluator."""
        per_r_e, log2_e = 1 / self.r_e, 1 / np.log(2)
        constants = (
            per_r_e, 1 / (self.cutoff - self.switch_on), self.f_e, self.A, self.B, self.kappa, self.lambda_,
            self.alpha * log2_e, self.beta * log2_e, -self.alpha * per_r_e, -self.beta * per_r_e, -20 * per_r_e,
            self.cutoff,
        )  # fmt: skip
        return AnalyticForm(*map(float, constants))

    def pair_terms(self, r_p: Floats, a_p: Ints, b_p: Ints) -> PairTerms:
        """Return f and phi at distances r_p; one element, so a_p and b_p are not looked at."""
        e = (self.r_e, self.alpha, self.kappa, self.beta, self.lambda_)
        return PairTerms(*_pair_terms(r_p, self.f_e, self.A, self.B, e, self.switch_on, self.cutoff))

    def site_terms(self, rho_i: Floats, a_i: Ints) -> SiteTerms:
        """Return F at densities rho_i."""
        return SiteTerms(*_site_terms(rho_i, self.rho_e, self.rho_s, *self._pieces, self.eta, self.F_e))

    @cached_property
    def _pieces(self) -> tuple[Floats, Floats]:
        return np.array(self.F_n, dtype=float), np.array(self.F, dtype=float)


TUNGSTEN = Zhou(
    element="W",
    r_e=2.740840,
    f_e=3.487340,
    rho_e=37.234847,
    rho_s=37.234847,
    alpha=8.900114,
    beta=4.746728,
    A=0.882435,
    B=1.394592,
    kappa=0.139209,
    lambda_=0.278417,
    F_n=(-4.946281, -0.148818, 0.365057, -4.432406),
    F=(-4.96, 0.0, 0.661935, 0.348147),
    eta=-0.582714,
    F_e=-4.961306,
)


@helper
def _decay(r, r_e, a, k):  # type: ignore[no-untyped-def]
    """Return e(r; a, k) and two derivatives by r."""
    x = r / r_e
    y18 = (x - k) ** 18
    y19 = y18 * (x - k)
    D = 1.0 + y19 * (x - k)
    e = np.exp(-a * (x - 1.0)) / D
    slope = -a - 20.0 * y19 / D
    bend = -380.0 * y18 / D + 400.0 * (y19 / D) ** 2
    return e, e * slope / r_e, e * (slope * slope + bend) / (r_e * r_e)


@helper
def _switch(r, on, off):  # type: ignore[no-untyped-def]
    """Return the smoothstep from 1 (at `on`) to 0 (at `off`) and two derivatives."""
    if r <= on:
        return 1.0, 0.0, 0.0
    width = off - on
    t = (r - on) / width
    u = 1.0 - t
    S = u**4 * (1.0 + t * (4.0 + t * (10.0 + 20.0 * t)))
    return S, -140.0 * (t * u) ** 3 / width, -420.0 * (t * u) ** 2 * (u - t) / width**2


@kernel
def _pair_terms(r_p, f_e, A, B, e, on, off):  # type: ignore[no-untyped-def]
    r_e, alpha, kappa, beta, lambda_ = e
    n = r_p.shape[0]
    out = (np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n))
    f, df, ddf, phi, dphi, ddphi = out
    for p in range(n):
        r = r_p[p]
        if r >= off:
            continue
        S, dS, ddS = _switch(r, on, off)
        b, db, ddb = _decay(r, r_e, beta, lambda_)
        a, da, dda = _decay(r, r_e, alpha, kappa)
        f[p] = f_e * b * S
        df[p] = f_e * (db * S + b * dS)
        ddf[p] = f_e * (ddb * S + 2.0 * db * dS + b * ddS)
        v, dv, ddv = A * a - B * b, A * da - B * db, A * dda - B * ddb
        phi[p] = v * S
        dphi[p] = dv * S + v * dS
        ddphi[p] = ddv * S + 2.0 * dv * dS + v * ddS
    return out


@helper
def _cubic(c, x):  # type: ignore[no-untyped-def]
    value = c[0] + x * (c[1] + x * (c[2] + x * c[3]))
    return value, c[1] + x * (2.0 * c[2] + x * 3.0 * c[3]), 2.0 * c[2] + x * 6.0 * c[3]


@kernel
def _site_terms(rho_i, rho_e, rho_s, F_n, F_o, eta, F_e):  # type: ignore[no-untyped-def]
    n = rho_i.shape[0]
    F, dF, ddF = np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        rho = rho_i[i]
        if rho < 0.85 * rho_e:
            value, slope, bend = _cubic(F_n, rho / (0.85 * rho_e) - 1.0)
            scale = 0.85 * rho_e
        elif rho < 1.15 * rho_e:
            value, slope, bend = _cubic(F_o, rho / rho_e - 1.0)
            scale = rho_e
        else:
            scale = rho_s
            y = rho / rho_s
            log, power = np.log(y), y**eta
            value = F_e * (1.0 - eta * log) * power
            slope = -F_e * eta * eta * log * power / y
            bend = -F_e * eta * eta * (1.0 + (eta - 1.0) * log) * power / (y * y)
        F[i], dF[i], ddF[i] = value, slope / scale, bend / (scale * scale)
    return F, dF, ddF
