"""Second derivatives from differences of forces, with as few force calls as symmetry allows.

The column of atom r of the Hessian for the direction u is -dF/du. An operation g that keeps r in place turns it
into the column for the direction g u, and one that takes r to r' into a column of r': so one atom of each orbit, and
for it the fewest directions whose images span space, are displaced. Where an operation turns u into -u, the forces
for -u are those for u, and one side is enough. Fourth order: central differences over half the step and the
whole, extrapolated. An atom of a perfect diamond crystal takes 2 force calls, instead of 12.
Enter at `hessian` and `columns`.
"""

import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ase_mlipgen.symmetry.lattice import Floats, Ints
from ase_mlipgen.symmetry.sites import SiteSymmetry

Forces = Callable[[Floats], Floats]
"""Positions (n_atoms, 3), Å -> forces (n_atoms, 3), eV/Å."""

SAME = 1e-6
"""Two directions this close are one."""

FEW = 9
"""Axes and planes of a site's rotations up to which directions off all of them are tried."""

UNSYMMETRIC = 0.01
"""Part of the columns that may contradict the symmetry before it is said."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of a Hessian.

    Attributes
    ----------
    columns_sanb : (n_s, d, n_atoms, d) array
        eV/Å^2: d^2 E / (d x_{s, a} d x_{n, b}) for the atoms that were asked for.
    n_calls : int
        Force calls made.
    """

    columns_sanb: Floats
    n_calls: int


def columns(
    forces: Forces,
    positions: Floats,
    symmetry: SiteSymmetry,
    sites: Sequence[int] | Ints,
    step: float,
    dimension: int = 3,
) -> Columns:
    """Compute the columns of some atoms.

    Parameters
    ----------
    forces : callable
        Must have the symmetry of the structure.
    positions : (n_atoms, 3) array
        Å, where to differentiate; forces need not vanish there.
    symmetry : SiteSymmetry
        Of the structure, of rotations that keep the first `dimension` coordinates apart from the others.
    sites : sequence of int
        Atoms whose columns are wanted.
    step : float
        Å, largest displacement.
    dimension : {2, 3}
        2: displacements and forces in x and y only.

    Raises
    ------
    ValueError
        A step that is not positive.
    """
    if not (np.isfinite(step) and step > 0):
        raise ValueError(f"step = {step!r}: expected a positive displacement in Å, such as 0.01")
    found: dict[int, Floats] = {}
    result = np.empty((len(sites), dimension, len(positions), dimension))
    n_calls = 0
    for s, site in enumerate(sites):
        first = int(symmetry.representative_i[site])
        if first not in found:
            found[first], calls = _of_one_atom(forces, positions, symmetry, first, step, dimension)
            n_calls += calls
        R, image = symmetry.carrier(first, int(site))
        R = R[:dimension, :dimension]
        result[s][:, image] = np.einsum("ac,cnd,bd->anb", R, found[first], R)
    return Columns(result, n_calls)


def hessian(forces: Forces, positions: Floats, symmetry: SiteSymmetry, step: float) -> tuple[Floats, int]:
    """Compute the whole Hessian; parameters as for `columns`.

    Returns
    -------
    H : (3 n_atoms, 3 n_atoms) array
        eV/Å^2, symmetric.
    n_calls : int
        Force calls made.
    """
    n = len(positions)
    found = columns(forces, positions, symmetry, range(n), step)
    H = found.columns_sanb.reshape(3 * n, 3 * n)
    return 0.5 * (H + H.T), found.n_calls


def product(forces: Forces, positions: Floats, v_ic: Floats, step: float) -> Floats:
    """Compute the Hessian times a displacement, (n_atoms, 3): four force calls, none for zero.

    Parameters
    ----------
    step : float
        Å, largest displacement of an atom.
    """
    size = float(np.linalg.norm(v_ic, axis=1).max(initial=0.0))
    if size == 0.0:
        return np.zeros_like(v_ic)
    return size * slope(lambda h: -forces(positions + h * (v_ic / size)), step)


def slope(
    function: Callable[[float], Floats], step: float, reverse: Callable[[Floats], Floats] | None = None
) -> Floats:
    """Return the derivative of a function at zero, to fourth order, from values at -h, -h/2, h/2 and h.

    Parameters
    ----------
    function : callable
    step : float
    reverse : callable, optional
        Turns the value at h into that at -h, which is then not computed.
    """
    half, whole = (
        (plus - (function(-h) if reverse is None else reverse(plus))) / (2.0 * h)
        for h in (0.5 * step, step)
        for plus in (function(h),)
    )
    return (4.0 * half - whole) / 3.0


def _of_one_atom(
    forces: Forces, positions: Floats, symmetry: SiteSymmetry, atom: int, step: float, d: int
) -> tuple[Floats, int]:
    """Return the columns (d, n_atoms, d) of an atom, and the number of force calls."""
    rotations, permutations = symmetry.stabiliser(atom)
    rotations = rotations[:, :d, :d]
    n_calls = 0
    gram, moment, total = np.zeros((d, d)), np.zeros((d, len(positions), d)), 0.0
    for u in directions(rotations):
        back = np.flatnonzero(abs(rotations @ u + u).max(axis=1) < SAME)

        def minus_forces(h: float, u: Floats = u) -> Floats:
            moved = positions.copy()
            moved[atom, :d] += h * u
            return -np.asarray(forces(moved))[:, :d]

        def reverse(f_ic: Floats, back: Ints = back) -> Floats:
            turned = np.empty_like(f_ic)
            turned[permutations[back[0]]] = f_ic @ rotations[back[0]].T
            return turned

        column = slope(minus_forces, step, reverse if len(back) else None)
        n_calls += 2 if len(back) else 4
        for R, image in zip(rotations, permutations, strict=True):
            turned, v = np.empty_like(column), R @ u
            turned[image] = column @ R.T
            gram += np.outer(v, v)
            moment += v[:, None, None] * turned
            total += float(np.sum(turned**2))
    block = np.einsum("ac,cnb->anb", np.linalg.inv(gram), moment)
    _check_symmetry(atom, total, float(np.sum(moment * block)))
    return block, n_calls


def _check_symmetry(atom: int, total: float, explained: float) -> None:
    """Warn where images of the columns contradict one another: a fit to all of them leaves a residual.

    A calculator of less symmetry may escape this, if what it lacks shows in directions only that were not displaced.
    """
    part = np.sqrt(max(0.0, 1.0 - explained / total)) if total > 0 else 0.0
    if part > UNSYMMETRIC:
        warnings.warn(
            f"the forces that displacing atom {atom} causes lack the symmetry of the structure: {100 * part:.2g} % "
            f"of them contradict it. The calculator may have less symmetry (k-points, magnetic order), or noise; "
            f"symprec=None does without symmetry, a larger step helps against noise",
            RuntimeWarning,
            stacklevel=2,
        )


def directions(rotations_gcc: Floats) -> Floats:
    """Return the directions that cost fewest force calls and whose images under a point group span space.

    Parameters
    ----------
    rotations_gcc : (n_g, d, d) array

    Returns
    -------
    (n, d) array
        Unit vectors, n at most d; of equally cheap choices the best conditioned.
    """
    d = rotations_gcc.shape[1]
    candidates = _candidates(rotations_gcc)
    images_ugc = np.einsum("gab,ub->uga", rotations_gcc, candidates)
    one_sided = (abs(images_ugc + candidates[:, None]).max(axis=2) < SAME).any(axis=1)
    costs = np.where(one_sided, 2, 4)
    spans = np.einsum("uga,ugb->uab", images_ugc, images_ugc) / len(rotations_gcc)
    n = len(candidates)
    choices = [np.arange(n)[:, None], np.array(list(itertools.combinations(range(n), 2))).reshape(-1, 2)]
    choices.append(np.arange(d)[None])
    best, chosen = (np.inf, 0.0), choices[-1][0]
    for sets in choices:
        if len(sets) == 0:
            continue
        cost = costs[sets].sum(axis=1)
        weakest = np.round(np.linalg.eigvalsh(spans[sets].sum(axis=1))[:, 0], 6)
        cost = np.where(weakest > 0.05, cost, 1000)
        k = int(np.lexsort((-weakest, cost))[0])
        if (cost[k], -weakest[k]) < best and cost[k] < best[0]:
            best, chosen = (cost[k], -weakest[k]), sets[k]
    return candidates[chosen]


def _candidates(rotations_gcc: Floats) -> Floats:
    """Return the Cartesian axes, the axes and planes of the rotations, then sums of two (or three, if few) of these."""
    d = rotations_gcc.shape[1]
    found = list(np.eye(d))
    for R in rotations_gcc:
        for sign in (1, -1):
            _, strength, right = np.linalg.svd(R - sign * np.eye(d))
            if 0 < np.sum(strength < SAME) < d:
                found += list(right[strength < SAME])
    found = _distinct(found)
    sums = [
        (a + s * b) / np.linalg.norm(a + s * b) for a, b in itertools.combinations(found, 2) for s in (1, -1)
    ]
    if len(found) <= FEW:
        totals = [np.sum(signed, axis=0) for signed in _independent_triples(found)]
        sums += [total / np.linalg.norm(total) for total in totals]
    return np.array(_distinct([*found, *sums]))


def _independent_triples(vectors: Sequence[Floats]) -> list[list[Floats]]:
    """Return three vectors each, with all signs but the first's, that do not lie in a plane."""
    return [
        [a, s * b, t * c]
        for a, b, c in itertools.combinations(vectors, 3)
        if np.linalg.matrix_rank([a, b, c], tol=0.1) == 3
        for s, t in itertools.product((1, -1), repeat=2)
    ]


def _distinct(vectors: Sequence[Floats]) -> list[Floats]:
    """Return vectors without those that are another up to sign."""
    kept: list[Floats] = []
    for v in vectors:
        if not kept or abs(np.array(kept) @ v).max() < 1.0 - SAME:
            kept.append(v)
    return kept
