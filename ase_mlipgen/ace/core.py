"""The fixed pair term: a repulsive core where the ACE functions vanish.

Inside r_in the envelope of the radial functions is zero, which would leave a hole. The model therefore contains
V_ij(r) = sum_n c_n P_n(x) (x = ((1 + r0) / (1 + r))^p, P_n with an envelope at the core's cutoff only) for r > r_i,
continued by e0 + B exp(-A (r / r_i - 1)) r_i / r below, C1 at r_i. The coefficients are the least-squares fit to the
universal repulsion of Ziegler, Biersack and Littmark (*The Stopping and Range of Ions in Solids*, 1985) times
(1 - (r / r_c)^2)^4, so that it ends with three continuous derivatives at r_c; the fit reproduces that to 1e-10 eV.
In this form the model is representable exactly in ML-PACE's file format.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ase_mlipgen.ace import kernels
from ase_mlipgen.ace.radial import transform

COULOMB = 14.399645478425668  # e^2 / (4 pi eps0), eV Å (CODATA 2018)
ZBL_LENGTH = 0.46850  # Å
ZBL_TERMS = ((0.18175, 3.19980), (0.50986, 0.94229), (0.28022, 0.40290), (0.02817, 0.20162))
N_FUNCTIONS = 40
ENVELOPE_POWER = 4


@dataclass(frozen=True)
class PairCore:
    """Repulsive core of one pair of elements, numbers only.

    Attributes
    ----------
    cutoff, r_i : float
        Where the core ends and where the polynomial hands over to the exponential, Å.
    r0 : float
        Length of the transform, Å.
    p : int
        Power of the transform.
    recurrence : (n, 3) array
        Rows (A_n, B_n, C_n) of the polynomials P_n; P_1 = A_1 (x - x_cut)^envelope.
    coefficients : (n,) array, eV
    A, B, e0 : float
        The exponential below r_i: 1, eV, eV.
    envelope : int
        Power with which the core ends, 2 or more.
    """

    cutoff: float
    r_i: float
    r0: float
    p: int
    recurrence: npt.NDArray[np.float64]
    coefficients: npt.NDArray[np.float64]
    A: float
    B: float
    e0: float = 0.0
    envelope: int = ENVELOPE_POWER

    def evaluate(self, r: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return V(r) in eV and dV/dr in eV/Å."""
        r = np.ascontiguousarray(np.atleast_1d(np.asarray(r, dtype=float)))
        value, slope = np.empty_like(r), np.empty_like(r)
        x_cut = float(transform(self.cutoff, self.r0, self.p))
        kernels.pair_core(
            r, self.r_i, self.r0, self.p, x_cut, self.envelope, self.recurrence, self.coefficients,
            self.A, self.B, self.e0, value, slope,
        )  # fmt: skip
        return value, slope


def zbl(r: npt.ArrayLike, z1: int, z2: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the universal (ZBL) repulsion in eV and its slope in eV/Å."""
    r = np.asarray(r, dtype=float)
    length = ZBL_LENGTH / (z1**0.23 + z2**0.23)
    screening = np.array([c * np.exp(-d * r / length) for c, d in ZBL_TERMS])
    rates = np.array([d / length for _, d in ZBL_TERMS])
    phi, dphi = screening.sum(axis=0), -(rates.reshape(-1, *([1] * r.ndim)) * screening).sum(axis=0)
    strength = COULOMB * z1 * z2
    return strength * phi / r, strength * (dphi / r - phi / r**2)


def zbl_core(z1: int, z2: int, cutoff: float, r_i: float, r0: float, p: int = 2) -> PairCore:
    """Fit the core of one pair of elements.

    Parameters
    ----------
    z1, z2 : int
        Atomic numbers.
    cutoff, r_i, r0 : float
        See `PairCore`, Å.
    """
    x_cut, x_i = (float(transform(r, r0, p)) for r in (cutoff, r_i))
    half = (x_i - x_cut) / 2.0
    recurrence = np.zeros((N_FUNCTIONS, 3))
    recurrence[0, 0] = (x_i - x_cut) ** -ENVELOPE_POWER
    recurrence[1:, 0], recurrence[1:, 1] = 2.0 / half, -2.0 * (x_cut + half) / half
    recurrence[1, :2] /= 2.0
    recurrence[2:, 2] = -1.0
    t = np.cos(np.pi * (np.arange(600) + 0.5) / 600)
    x = x_cut + half * (t + 1.0)
    r = (1.0 + r0) / x ** (1.0 / p) - 1.0
    target = zbl(r, z1, z2)[0] * (1.0 - (r / cutoff) ** 2) ** ENVELOPE_POWER
    values, _ = _polynomial(r, cutoff, r0, p, recurrence)
    coefficients, *_ = np.linalg.lstsq(values, target, rcond=1e-15)
    V, dV = _polynomial(np.array([r_i]), cutoff, r0, p, recurrence)
    B = float((V @ coefficients)[0])
    A = float(-(dV @ coefficients)[0] * r_i / B - 1.0)
    return PairCore(cutoff, r_i, r0, p, recurrence, np.asarray(coefficients, dtype=np.float64), A, B)


def _polynomial(
    r: npt.NDArray[np.float64], cutoff: float, r0: float, p: int, rows: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return P_n(x(r)) and its derivative in r, each (n_r, n)."""
    x = transform(r, r0, p)
    dx = (-p * x / (1.0 + r))[:, None]
    y = np.maximum(x - float(transform(cutoff, r0, p)), 0.0)
    P, dP = np.zeros((len(r), len(rows))), np.zeros((len(r), len(rows)))
    P[:, 0] = rows[0, 0] * y**ENVELOPE_POWER
    dP[:, 0] = rows[0, 0] * ENVELOPE_POWER * y ** (ENVELOPE_POWER - 1)
    for n in range(1, len(rows)):
        A, B, C = rows[n]
        P[:, n] = (A * x + B) * P[:, n - 1] + (C * P[:, n - 2] if n > 1 else 0.0)
        dP[:, n] = (A * x + B) * dP[:, n - 1] + A * P[:, n - 1] + (C * dP[:, n - 2] if n > 1 else 0.0)
    return P, dP * dx
