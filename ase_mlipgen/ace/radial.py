"""Radial functions: polynomials of a distance transform, orthonormal after a two-sided envelope.

x(r) = ((1 + r0) / (1 + r))^p maps [r_in, cutoff] onto [x_cut, x_in]; the envelope is
f = (x - x_cut)^pcut (x - x_in)^pin inside, zero outside (where the power is positive). The functions
R_1 = A_1 f, R_2 = (A_2 x + B_2) R_1, R_n = (A_n x + B_n) R_{n-1} + C_n R_{n-2} satisfy
integral R_n R_m dx = delta_nm over [x_cut, x_in]: Jacobi polynomials with weight f^2, whose three-term recurrence is
known in closed form. They do not depend on l.
Source: Ortner & Wang, Sec. 4 (the convention of ACE1.jl); Szego, *Orthogonal Polynomials*, Eq. (4.5.1).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaln

MOST_POWER = 24


def transform(r: npt.ArrayLike, r0: float, p: int) -> npt.NDArray[np.float64]:
    """Return x(r) = ((1 + r0) / (1 + r))^p."""
    return ((1.0 + r0) / (1.0 + np.asarray(r, dtype=float))) ** p


@dataclass(frozen=True)
class RadialBasis:
    """Parameters of the radial functions of one ordered pair of elements.

    Attributes
    ----------
    cutoff, r_in, r0 : float
        Outer and inner cutoff and length scale, Å.
    p, pcut, pin : int
        Power of the transform and of the envelope's outer and inner zero.
    """

    cutoff: float
    r_in: float
    r0: float
    p: int = 2
    pcut: int = 2
    pin: int = 2

    def __post_init__(self) -> None:
        if not (np.isfinite(self.cutoff) and self.cutoff > 0):
            raise ValueError(f"cutoff must be a positive length in Å, got {self.cutoff!r}")
        if not (np.isfinite(self.r0) and self.r0 > 0):
            raise ValueError(f"r0 must be a positive length in Å, got {self.r0!r}")
        if not 0 <= self.r_in < self.cutoff:
            raise ValueError(f"r_in must lie in [0, cutoff = {self.cutoff}) Å, got {self.r_in!r}")
        for name in ("p", "pcut"):
            value = getattr(self, name)
            if not (isinstance(value, int) and 1 <= value <= MOST_POWER):
                raise ValueError(f"{name} must be an integer from 1 to {MOST_POWER}, got {value!r}")
        if self.pin not in (0, 1, 2, 3, 4) or self.pcut < 2:
            raise ValueError(
                f"pin must be 0 to 4 and pcut at least 2, got pin={self.pin!r}, pcut={self.pcut!r}"
            )

    @property
    def interval(self) -> tuple[float, float]:
        """(x_cut, x_in), the range of x."""
        return float(transform(self.cutoff, self.r0, self.p)), float(transform(self.r_in, self.r0, self.p))

    def recurrence(self, n_max: int) -> npt.NDArray[np.float64]:
        """Return the rows (A_n, B_n, C_n), n = 1..n_max, as an (n_max, 3) array."""
        x_cut, x_in = self.interval
        half = (x_in - x_cut) / 2.0
        alpha, beta = 2 * self.pin, 2 * self.pcut
        centre, off = jacobi_recurrence(n_max, alpha, beta)
        # integral f^2 dx = half^(alpha + beta + 1) * integral (1 - t)^alpha (1 + t)^beta dt
        log_norm = (alpha + beta + 1) * np.log(2.0 * half) + betaln(alpha + 1, beta + 1)
        rows = np.zeros((n_max, 3))
        rows[0, 0] = np.exp(-0.5 * log_norm)
        for n in range(1, n_max):
            rows[n, 0] = 1.0 / (half * off[n])
            rows[n, 1] = -(1.0 + x_cut / half + centre[n - 1]) / off[n]
            rows[n, 2] = -off[n - 1] / off[n] if n > 1 else 0.0
        return rows

    def evaluate(
        self, r: npt.ArrayLike, n_max: int
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return R_n(r) and dR_n/dr, each (n_r, n_max); zero outside the envelope."""
        r = np.atleast_1d(np.asarray(r, dtype=float))
        x_cut, x_in = self.interval
        x = transform(r, self.r0, self.p)
        dx = -self.p * x / (1.0 + r)
        left, right = np.maximum(x - x_cut, 0.0), x - x_in
        if self.pin > 0:
            right = np.minimum(right, 0.0)
        f = left**self.pcut * right**self.pin
        df = self.pcut * left ** (self.pcut - 1) * right**self.pin
        if self.pin > 0:
            df = df + self.pin * left**self.pcut * right ** (self.pin - 1) * (right < 0.0)
        rows = self.recurrence(n_max)
        R, dR = np.zeros((len(r), n_max)), np.zeros((len(r), n_max))
        R[:, 0], dR[:, 0] = rows[0, 0] * f, rows[0, 0] * df
        for n in range(1, n_max):
            A, B, C = rows[n]
            R[:, n] = (A * x + B) * R[:, n - 1]
            dR[:, n] = (A * x + B) * dR[:, n - 1] + A * R[:, n - 1]
            if n > 1:
                R[:, n] += C * R[:, n - 2]
                dR[:, n] += C * dR[:, n - 2]
        return R, dR * dx[:, None]


def jacobi_recurrence(
    n_max: int, alpha: float, beta: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return a_k and sqrt(b_k), k = 0..n_max-1, of the orthonormal Jacobi polynomials on [-1, 1].

    sqrt(b_{k+1}) p_{k+1} = (t - a_k) p_k - sqrt(b_k) p_{k-1}, weight (1 - t)^alpha (1 + t)^beta.
    """
    k = np.arange(n_max, dtype=float)
    s = 2 * k + alpha + beta
    with np.errstate(divide="ignore", invalid="ignore"):
        a = (beta**2 - alpha**2) / (s * (s + 2.0))
        b = 4 * k * (k + alpha) * (k + beta) * (k + alpha + beta) / (s**2 * (s + 1) * (s - 1))
    a[0] = (beta - alpha) / (alpha + beta + 2.0)
    b[0] = 0.0
    if n_max > 1:
        total = alpha + beta
        b[1] = 4 * (1 + alpha) * (1 + beta) / ((2 + total) ** 2 * (3 + total))
    return a, np.sqrt(b)
