"""Embedded-atom functions of W pairs at once, one pair in each lane of a vector.

    f, phi       density and pair energy (module `functions`)
    f'/r, phi'/r their slopes, ready to be multiplied by the pair vector

all zero from the cutoff on, without branches. `AnalyticForm` is the form of `analytic`, whose exponentials are
accurate to an ulp; `SplineForm` the cubic splines of `tables`, value and slope from one look-up. Enter at
`pair_terms`, which the compiler resolves by the kind of form. About 2 ns a pair.
"""

from typing import Any, NamedTuple

from numba.extending import overload

from ase_mlipgen.eam.functions import Floats
from ase_mlipgen.eam.lane_gather import table_rows
from ase_mlipgen.jit import helper, inlined
from ase_mlipgen.simd import (
    fma,
    larger,
    low_bits_as_exponent,
    max0,
    smaller,
    splat,
    sqrt,
    truncate,
    where_below,
)

# Adding it leaves a rounded number, plus the bias of exponents, in the lowest bits.
ROUNDING = 1.5 * 2.0**52 + 1023.0
# (2^x - 1) / x for |x| <= 1/2, descending: the polynomial through 11 Chebyshev points, error of 2^x 1e-17.
POWER_OF_TWO = (
    4.4549794711760616e-10, 7.072621356539349e-09, 1.0178062351388103e-07, 1.3215442410711872e-06,
    1.525273382999124e-05, 0.0001540353044202707, 0.0013333558146416842, 0.009618129107606715,
    0.0555041086648216, 0.24022650695910097, 0.6931471805599453,
)  # fmt: skip


class AnalyticForm(NamedTuple):
    """Constants of `analytic.Zhou`, as its formulas need them for r instead of x = r/r_e.

    Attributes
    ----------
    per_r_e, per_width : float
        1/r_e and 1/(cutoff - switch_on), 1/Å.
    f_e, A, B, kappa, lambda_
    alpha, beta : float
        As exponents of two.
    slope_a, slope_b, slope_y : float
        -alpha/r_e, -beta/r_e, -20/r_e, 1/Å.
    cutoff : float
        Å.
    """

    per_r_e: float
    per_width: float
    f_e: float
    A: float
    B: float
    kappa: float
    lambda_: float
    alpha: float
    beta: float
    slope_a: float
    slope_b: float
    slope_y: float
    cutoff: float


class SplineForm(NamedTuple):
    """Splines of all pairs of elements.

    Attributes
    ----------
    coefficients : (n_elements * n_elements * n_intervals, 2, 4) array
        Ascending in r - k step. Row k + n_intervals (b + n_elements a) holds f of an atom of element a due to b in
        interval k, and r phi(r).
    n_intervals, n_elements : float
        Numbers, as lanes count.
    step, per_step, cutoff : float
        Å, 1/Å, Å.
    two_way : bool
        Whether f of a pair differs between its directions.
    """

    coefficients: Floats
    n_intervals: float
    n_elements: float
    step: float
    per_step: float
    cutoff: float
    two_way: bool


def pair_terms(lanes: Any, form: Any, square: Any, a: Any, b: Any) -> Any:
    """Return f, phi; slopes f'/r, the f'/r that the neighbour feels, phi'/r; curvatures of the same three.

    In compiled code, where what is not used costs nothing. `square` is r^2 (Å^2), a and b are the elements of atom and
    neighbour, all vectors. The curvature of x is (x'' - x'/r) / r^2: x'/r changes by it times d . (change of d).
    """
    raise NotImplementedError("pair_terms exists in compiled code only")


@overload(pair_terms, jit_options={"forceinline": True})
def _pair_terms(lanes, form, square, a, b):
    forms: dict[Any, Any] = {AnalyticForm: _analytic, SplineForm: _splines}
    compiled = forms[form.instance_class]
    return lambda lanes, form, square, a, b: compiled(lanes, form, square, a, b)


@helper
def power_of_two(lanes, x):
    """Return 2^x to an ulp for x between -1022 and 1023; 2^-1022 below and infinity above."""
    x = smaller(larger(x, splat(lanes, -1022.0)), splat(lanes, 1024.25))  # a quarter, lest 0 * inf
    shifted = x + splat(lanes, ROUNDING)
    x = x - (shifted - splat(lanes, ROUNDING))
    q = splat(lanes, POWER_OF_TWO[0])
    for k in range(1, 11):
        q = fma(q, x, splat(lanes, POWER_OF_TWO[k]))
    power = low_bits_as_exponent(shifted)
    return fma(q, x * power, power)


@inlined
def _decay(lanes, y, y18, per_D, power, slope, slope_y, bend_y):
    """Return e = power / D and two derivatives by r, where `slope` r is the exponent and D = 1 + y^20."""
    e = power * per_D
    y19_D = y18 * y * per_D
    L = fma(slope_y, y19_D, slope)
    dL = bend_y * (fma(splat(lanes, -20.0) * y19_D, y19_D, splat(lanes, 19.0) * y18 * per_D))
    return e, e * L, e * fma(L, L, dL)


@inlined
def _eighteenth(y):
    y2 = y * y
    y4 = y2 * y2
    y8 = y4 * y4
    return y8 * y8 * y2


@inlined
def _switch(lanes, form, r):
    """Return the smoothstep and two derivatives; its u falls from 1 to exactly 0 at the cutoff."""
    one = splat(lanes, 1.0)
    u = smaller(max0((splat(lanes, form.cutoff) - r) * splat(lanes, form.per_width)), one)
    t = one - u
    S = u * u * (u * u)
    S = S * fma(t, fma(t, fma(t, splat(lanes, 20.0), splat(lanes, 10.0)), splat(lanes, 4.0)), one)
    tu = t * u
    dS = splat(lanes, -140.0 * form.per_width) * tu * (tu * tu)
    ddS = splat(lanes, -420.0 * form.per_width * form.per_width) * (tu * tu) * (u - t)
    return S, dS, ddS


@inlined
def _faded(e, switch, per_r):
    """Return e S, its slope and its curvature."""
    S, dS, ddS = switch
    slope = fma(e[1], S, e[0] * dS) * per_r
    bend = fma(e[2], S, fma(e[1] + e[1], dS, e[0] * ddS))
    return e[0] * S, slope, (bend - slope) * per_r * per_r


@inlined
def _analytic(lanes, form, square, a, b):
    """One division serves 1/r and both denominators D = 1 + y^20."""
    one = splat(lanes, 1.0)
    # All is zero beyond, where y^20 could overflow; a NaN stays.
    r = sqrt(smaller(splat(lanes, (1.0625 * form.cutoff) ** 2), square))
    x = r * splat(lanes, form.per_r_e)
    y_a, y_b = x - splat(lanes, form.kappa), x - splat(lanes, form.lambda_)
    y18_a, y18_b = _eighteenth(y_a), _eighteenth(y_b)
    D_a, D_b = fma(y18_a, y_a * y_a, one), fma(y18_b, y_b * y_b, one)
    both = D_a * D_b
    per_all = one / (both * r)
    per_r, per_both = per_all * both, per_all * r
    beyond = one - x
    power_a = power_of_two(lanes, splat(lanes, form.alpha) * beyond) * splat(lanes, form.A)
    power_b = power_of_two(lanes, splat(lanes, form.beta) * beyond)
    slope_y, bend_y = splat(lanes, form.slope_y), splat(lanes, form.slope_y * form.per_r_e)
    slope_a, slope_b = splat(lanes, form.slope_a), splat(lanes, form.slope_b)
    e_a = _decay(lanes, y_a, y18_a, per_both * D_b, power_a, slope_a, slope_y, bend_y)
    e_b = _decay(lanes, y_b, y18_b, per_both * D_a, power_b, slope_b, slope_y, bend_y)
    minus_B, f_e = splat(lanes, -form.B), splat(lanes, form.f_e)
    v = fma(minus_B, e_b[0], e_a[0]), fma(minus_B, e_b[1], e_a[1]), fma(minus_B, e_b[2], e_a[2])
    switch = _switch(lanes, form, r)
    f, f_slope, f_curve = _faded((f_e * e_b[0], f_e * e_b[1], f_e * e_b[2]), switch, per_r)
    phi, phi_slope, phi_curve = _faded(v, switch, per_r)
    return f, phi, f_slope, f_slope, phi_slope, f_curve, f_curve, phi_curve


@inlined
def _cubic(lanes, c, t):
    """Return a cubic and two derivatives."""
    two, three = splat(lanes, 2.0), splat(lanes, 3.0)
    value = fma(t, fma(t, fma(c[3], t, c[2]), c[1]), c[0])
    slope = fma(t, fma(three * c[3], t, two * c[2]), c[1])
    return value, slope, two * fma(three * c[3], t, c[2])


@inlined
def _splines(lanes, form, square, a, b):
    r = sqrt(square)
    per_r = splat(lanes, 1.0) / r
    k = smaller(truncate(r * splat(lanes, form.per_step)), splat(lanes, form.n_intervals - 1.0))
    t = fma(k, splat(lanes, -form.step), r)
    n_intervals, n_elements = splat(lanes, form.n_intervals), splat(lanes, form.n_elements)
    row = fma(n_intervals, fma(n_elements, a, b), k)
    f = _cubic(lanes, table_rows(form.coefficients, row, 0), t)
    back = f
    z = _cubic(lanes, table_rows(form.coefficients, row, 1), t)
    if form.two_way:
        row = fma(n_intervals, fma(n_elements, b, a), k)
        back = _cubic(lanes, table_rows(form.coefficients, row, 0), t)
    # Beyond the cutoff slopes and curvatures vanish by 1/r, the values by themselves.
    cutoff = splat(lanes, form.cutoff)
    f_value, phi = where_below(r, cutoff, f[0]), where_below(r, cutoff, z[0] * per_r)
    per_r = where_below(r, cutoff, per_r)
    f_slope, back_slope, phi_slope = f[1] * per_r, back[1] * per_r, (z[1] - phi) * per_r * per_r
    per_square = per_r * per_r
    f_curve, back_curve = (f[2] - f_slope) * per_square, (back[2] - back_slope) * per_square
    phi_curve = (z[2] * per_r - splat(lanes, 3.0) * phi_slope) * per_square
    return f_value, phi, f_slope, back_slope, phi_slope, f_curve, back_curve, phi_curve
