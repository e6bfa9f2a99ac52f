"""Jumps of a function whose values and slopes are known: the search behind the promise of continuity.

An interval is held by five points. The cubic through the values and slopes at its ends (Hermite) says what the three
inside should be; a smooth function misfits by h^4, a jump does not. The interval that misfits most is halved, again and
again, so that smooth places drop out of the race and a jump wins it.
"""

import heapq
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

ENERGY_JUMP, FORCE_JUMP = 1e-7, 1e-6
"""eV and eV/Å: what counts as continuous."""
N_INTERVALS, N_SPLITS = 40, 120
NARROW, NARROWEST = 1e-6, 1e-9
"""Å: where values a hair apart no longer tell slopes, and where the search ends."""

Path = Callable[[float], tuple[float, float]]
"""Energy (eV) and force along the path (eV/Å) at a place (Å)."""


class Point(NamedTuple):
    """A place, the energy and the force there."""

    x: float
    energy: float
    force: float


class Interval(NamedTuple):
    """Five points at equal distances; sorts by its misfit, largest first."""

    misfit: float
    points: tuple[Point, ...]


def largest_jump(path: Path, start: float, end: float) -> tuple[float, float, float | None]:
    """Return the jumps of energy (eV) and force (eV/Å) where they are worst, and the place (Å), or zeros and None."""
    queue = _first_intervals(path, np.linspace(start, end, 4 * N_INTERVALS + 1))
    best: tuple[float, float, float | None] = (0.0, 0.0, None)
    for n in range(N_SPLITS):
        if not queue or -queue[0].misfit < 0.3:
            break
        worst = heapq.heappop(queue)
        if worst.points[-1].x - worst.points[0].x > NARROW:
            for half in _halves(path, worst):
                heapq.heappush(queue, half)
            if n < N_SPLITS - 1:
                continue
        best = max(best, _descend(path, worst.points[0], worst.points[4]), key=_size)
    return best


def _size(jump: tuple[float, float, float | None]) -> float:
    return max(jump[0] / ENERGY_JUMP, jump[1] / FORCE_JUMP)


def _first_intervals(path: Path, grid: np.ndarray) -> list[Interval]:
    points = [Point(float(x), *path(float(x))) for x in grid]
    queue = [_interval(tuple(points[k : k + 5])) for k in range(0, len(points) - 1, 4)]
    heapq.heapify(queue)
    return queue


def _interval(points: tuple[Point, ...]) -> Interval:
    a, b = points[0], points[4]
    misfit = max(_misfit(a, b, point, t) for point, t in zip(points[1:4], (0.25, 0.5, 0.75), strict=True))
    return Interval(-misfit, points)


def _misfit(a: Point, b: Point, point: Point, t: float) -> float:
    """Return how far a point at the fraction t of an interval is from the cubic through its ends, in tolerances."""
    h = b.x - a.x
    rise = b.energy - a.energy
    energy = a.energy + rise * t * t * (3 - 2 * t) - h * t * (1 - t) * ((1 - t) * a.force - t * b.force)
    slope = 6 * t * (1 - t) * rise / h - (1 - t) * (1 - 3 * t) * a.force - t * (3 * t - 2) * b.force
    return max(abs(point.energy - energy) / ENERGY_JUMP, abs(point.force + slope) / FORCE_JUMP)


def _halves(path: Path, interval: Interval) -> tuple[Interval, Interval]:
    a, b, c, d, e = interval.points
    new = [_between(path, left, right) for left, right in ((a, b), (b, c), (c, d), (d, e))]
    return _interval((a, new[0], b, new[1], c)), _interval((c, new[2], d, new[3], e))


def _between(path: Path, left: Point, right: Point) -> Point:
    x = (left.x + right.x) / 2
    return Point(x, *path(x))


def _descend(path: Path, left: Point, right: Point) -> tuple[float, float, float]:
    """Halve by differences alone; return the heights of the jump in energy and force, and its place."""
    while right.x - left.x > NARROWEST:
        middle = _between(path, left, right)
        low, high = _between(path, left, middle), _between(path, middle, right)
        left, right = (
            (left, middle) if _bend(left, low, middle) > _bend(middle, high, right) else (middle, right)
        )
    h = right.x - left.x
    return (
        abs(right.energy - left.energy + h * (left.force + right.force) / 2),
        abs(right.force - left.force),
        left.x,
    )


def _bend(left: Point, middle: Point, right: Point) -> float:
    """Return how far the middle is from between its neighbours, in tolerances."""
    energy = (left.energy + right.energy) / 2 - (right.x - left.x) * (left.force - right.force) / 8
    force = (left.force + right.force) / 2
    return max(abs(middle.energy - energy) / ENERGY_JUMP, abs(middle.force - force) / FORCE_JUMP)
