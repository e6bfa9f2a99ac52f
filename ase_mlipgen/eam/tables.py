"""Tabulated embedded-atom functions of one or several elements, as in eam/alloy and eam/fs (setfl) files.

Cubic splines (not-a-knot) through uniform grids, with value and two derivatives; the pair table holds
r phi(r). Above the last density F continues along its tangent, and so below zero; f and phi are zero from the
cutoff or the end of the table on, whichever is nearer. Enter at `Tables`.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import CubicSpline

from ase_mlipgen.eam.functions import Floats, Ints, PairTerms, SiteTerms
from ase_mlipgen.eam.lane_terms import SplineForm
from ase_mlipgen.jit import helper, kernel


@dataclass(frozen=True)
class Tables:
    """Functions on uniform grids that start at zero.

    Parameters
    ----------
    elements : tuple of str
    file_cutoff : float
        Å.
    dr, drho : float
        Grid spacings, Å and the potential's unit of density.
    F_ak : (n_elements, n_rho) array
        Embedding energy, eV.
    f_abk : (n_elements, n_elements, n_r) array
        Density at an atom of element a due to one of element b.
    rphi_abk : (n_elements, n_elements, n_r) array
        Distance times pair energy, Å eV.

    Raises
    ------
    ValueError
        Arrays that do not fit each other, have fewer than four points or are not finite; spacings or a cutoff
        that are not positive; a pair table that is not symmetric.
    """

    elements: tuple[str, ...]
    file_cutoff: float
    dr: float
    drho: float
    F_ak: Floats
    f_abk: Floats
    rphi_abk: Floats
    _splines: tuple[Floats, Floats, Floats] = field(init=False, repr=False, compare=False)
    form: SplineForm = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check()
        splines = (
            _spline(self.F_ak, self.drho),
            _spline(self.f_abk, self.dr),
            _spline(self.rphi_abk, self.dr),
        )
        object.__setattr__(self, "_splines", splines)
        object.__setattr__(self, "form", self._form())

    def _check(self) -> None:
        n = len(self.elements)
        for name in ("file_cutoff", "dr", "drho"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} = {getattr(self, name)!r}: expected a positive, finite number")
        n_r, n_rho = self.f_abk.shape[-1], self.F_ak.shape[-1]
        expected = {"F_ak": (n, n_rho), "f_abk": (n, n, n_r), "rphi_abk": (n, n, n_r)}
        for name, shape in expected.items():
            table = getattr(self, name)
            if table.shape != shape or table.shape[-1] < 4:
                raise ValueError(
                    f"{name} has shape {table.shape}: expected {shape}, with four points or more"
                )
            if not np.isfinite(table).all():
                raise ValueError(f"{name} contains NaN or infinity: expected finite numbers")
        if not np.array_equal(self.rphi_abk, self.rphi_abk.swapaxes(0, 1)):
            raise ValueError(
                "rphi_abk is not symmetric in its elements: expected one pair energy for a-b and b-a"
            )

    def _form(self) -> SplineForm:
        _, f, rphi = self._splines
        coefficients = np.stack([f, rphi], axis=3).reshape(-1, 2, 4)
        two_way = not np.array_equal(self.f_abk, self.f_abk.swapaxes(0, 1))
        n, n_intervals = len(self.elements), f.shape[2]
        return SplineForm(
            _aligned(coefficients),
            float(n_intervals),
            float(n),
            float(self.dr),
            1 / self.dr,
            self.cutoff,
            two_way,
        )

    @property
    def cutoff(self) -> float:
        """Distance from which on f and phi are zero, Å."""
        return min(self.file_cutoff, (self.f_abk.shape[-1] - 1) * self.dr)

    @property
    def largest_density(self) -> float:
        """End of the table of F."""
        return (self.F_ak.shape[-1] - 1) * self.drho

    def pair_terms(self, r_p: Floats, a_p: Ints, b_p: Ints) -> PairTerms:
        """Return f and phi of pairs at distances r_p (Å) between elements a_p and b_p."""
        _, f, rphi = self._splines
        return PairTerms(*_pair_terms(r_p, a_p, b_p, self.cutoff, self.dr, f, rphi))

    def site_terms(self, rho_i: Floats, a_i: Ints) -> SiteTerms:
        """Return F of atoms of elements a_i at densities rho_i."""
        return SiteTerms(*_site_terms(rho_i, a_i, self.drho, self.largest_density, self._splines[0]))


def _spline(table: Floats, step: float) -> Floats:
    """Return ascending coefficients of the intervals, (..., n - 1, 4)."""
    coefficients = CubicSpline(np.arange(table.shape[-1]) * step, table, axis=-1).c
    return np.ascontiguousarray(np.moveaxis(coefficients[::-1], [0, 1], [-1, -2]))


def _aligned(table: Floats) -> Floats:
    """Return a copy that begins on a cache line, as then does every row of eight."""
    space = np.empty(table.size + 8)
    skip = (-space.ctypes.data % 64) // 8
    copy = space[skip : skip + table.size].reshape(table.shape)
    copy[...] = table
    return copy


@helper
def _interpolate(spline, step, x):  # type: ignore[no-untyped-def]
    """Return value and two derivatives; outside the grid, of the nearest interval's cubic."""
    k = min(max(int(x / step), 0), spline.shape[0] - 1)
    t = x - k * step
    c0, c1, c2, c3 = spline[k, 0], spline[k, 1], spline[k, 2], spline[k, 3]
    return c0 + t * (c1 + t * (c2 + t * c3)), c1 + t * (2.0 * c2 + 3.0 * t * c3), 2.0 * c2 + 6.0 * t * c3


@kernel
def _pair_terms(r_p, a_p, b_p, cutoff, dr, f_spline, rphi_spline):  # type: ignore[no-untyped-def]
    n = r_p.shape[0]
    out = (np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n))
    f, df, ddf, phi, dphi, ddphi = out
    for p in range(n):
        r = r_p[p]
        if r >= cutoff:
            continue
        f[p], df[p], ddf[p] = _interpolate(f_spline[a_p[p], b_p[p]], dr, r)
        z, dz, ddz = _interpolate(rphi_spline[a_p[p], b_p[p]], dr, r)
        phi[p] = z / r
        dphi[p] = (dz - phi[p]) / r
        ddphi[p] = (ddz - 2.0 * dphi[p]) / r
    return out


@kernel
def _site_terms(rho_i, a_i, drho, last, F_spline):  # type: ignore[no-untyped-def]
    n = rho_i.shape[0]
    F, dF, ddF = np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        inside = min(max(rho_i[i], 0.0), last)
        F[i], dF[i], ddF[i] = _interpolate(F_spline[a_i[i]], drho, inside)
        if inside != rho_i[i]:
            F[i] += dF[i] * (rho_i[i] - inside)
            ddF[i] = 0.0
    return F, dF, ddF
