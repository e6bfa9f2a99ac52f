"""Radial functions from a table of cubics, each lane at its own interval (see `plan.Radial`).

Entry points: :func:`look_up`, :func:`second_derivatives`.
"""

from ase_mlipgen.jit import helper


@helper
def _interval(r, mu, n_max, radial):
    """Return the first coefficient of the interval of r, and the place in it; -1 beyond the last."""
    x = r * radial.rate[mu]
    if r >= radial.cutoff[mu] or x >= radial.intervals:
        return -1, 0.0
    k = int(x)
    return 4 * n_max * (mu * radial.intervals + k), x - k


@helper
def look_up(width, mu, radial, work, R, dR, distance):
    """Store R_n and dR_n/dr of one slot, whose distances are in a row that may be overwritten."""
    rate, table, n_max = radial.rate[mu], radial.table, dR - R
    for lane in range(width):
        at, t = _interval(work[distance * width + lane], mu, n_max, radial)
        to, to_slope = R * width + lane, dR * width + lane
        for _ in range(n_max):
            value = slope = 0.0
            if at >= 0:
                c1, c2, c3 = table[at + 1], table[at + 2], table[at + 3]
                value = table[at] + t * (c1 + t * (c2 + t * c3))
                slope = (c1 + t * (2.0 * c2 + t * 3.0 * c3)) * rate
                at += 4
            work[to], work[to_slope] = value, slope
            to += width
            to_slope += width


@helper
def second_derivatives(width, mu, radial, work, ddR, n_max, distance):
    """Store R''_n of one slot; compare `look_up`."""
    rate, table = radial.rate[mu], radial.table
    for lane in range(width):
        at, t = _interval(work[distance * width + lane], mu, n_max, radial)
        to = ddR * width + lane
        for _ in range(n_max):
            value = 0.0
            if at >= 0:
                value = (2.0 * table[at + 2] + 6.0 * t * table[at + 3]) * rate * rate
                at += 4
            work[to] = value
            to += width
