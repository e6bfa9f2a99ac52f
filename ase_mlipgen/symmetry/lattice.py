"""Lattices of one, two or three dimensions: short basis vectors, their symmetry, lattices that contain them."""

import itertools
from dataclasses import dataclass
from math import gcd

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Room between the atoms and their images along open directions, Å; the images themselves mean nothing.
EMPTY = 10.0
# Two vectors this much apart in relative length are equally short, so that rounding decides nothing.
EQUAL = 1e-9


@dataclass(frozen=True, eq=False)
class Frame:
    """A box around a structure: the periodic vectors, made short, and perpendicular ones along open directions.

    Parameters
    ----------
    cell : (3, 3) array
        Å; the periodic vectors come first. Along open directions the box is more than twice as long as the
        structure, so that nothing coincides with an image there.
    n_periodic : int
    origin : (3,) array
        Å; along open directions the mean of the atoms, along periodic ones zero.
    """

    cell: Floats
    n_periodic: int
    origin: Floats

    @property
    def periodic(self) -> Floats:
        """Return the periodic vectors, (n_periodic, 3), Å."""
        return self.cell[: self.n_periodic]

    @property
    def open_axes(self) -> Floats:
        """Return orthonormal open directions, (3 - n_periodic, 3)."""
        axes = self.cell[self.n_periodic :]
        return axes / np.linalg.norm(axes, axis=1)[:, None]

    def wrapped(self, vectors: Floats) -> Floats:
        """Return vectors less the whole combinations of the box vectors nearest to them."""
        scaled = vectors @ np.linalg.inv(self.cell)
        return (scaled - np.round(scaled)) @ self.cell


def frame(positions: Floats, cell: Floats, pbc: npt.NDArray[np.bool_]) -> Frame:
    """Return the box around a structure; whatever cell vectors stand along open directions do not matter.

    Raises
    ------
    ValueError
        Periodic vectors that are not finite, zero or linearly dependent.
    """
    periodic = cell[pbc]
    lengths = np.linalg.norm(periodic, axis=1)
    unit = periodic / np.where(lengths > 0, lengths, 1.0)[:, None]
    if len(periodic) and not (
        np.isfinite(periodic).all() and np.linalg.svd(unit, compute_uv=False).min() > 1e-8
    ):
        raise ValueError(
            f"cell vectors {periodic.tolist()} along the periodic directions: expected finite vectors that span "
            f"{len(periodic)} dimensions; set them, or pbc to False there"
        )
    periodic = reduced(periodic)
    axes = _complement(periodic)
    along = positions @ axes.T
    span = along.max(axis=0) - along.min(axis=0) if len(axes) else np.zeros(0)
    if len(axes):
        span = np.full(len(axes), np.linalg.norm(span))
    box = np.concatenate([periodic, axes * (2 * span + EMPTY)[:, None]])
    return Frame(box, len(periodic), along.mean(axis=0) @ axes if len(axes) else np.zeros(3))


def _complement(vectors: Floats) -> Floats:
    """Return orthonormal directions perpendicular to all vectors, (3 - n_vectors, 3)."""
    if len(vectors) == 0:
        return np.eye(3)
    if len(vectors) == 3:
        return np.zeros((0, 3))
    return np.ascontiguousarray(np.linalg.svd(vectors)[2][len(vectors) :])


def reduced(vectors: Floats) -> Floats:
    """Return a basis of the same lattice in which no vector is made shorter by adding others (Minkowski)."""
    basis = np.array(vectors, dtype=float)
    n = len(basis)
    steps = [np.array(s) for s in itertools.product(range(-2, 3), repeat=max(n - 1, 0)) if any(s)]
    changed = n > 1
    while changed:
        changed = False
        basis = basis[np.argsort(np.round(np.linalg.norm(basis, axis=1), 9), kind="stable")]
        for k in range(n - 1, -1, -1):
            others = np.delete(basis, k, axis=0)
            shorter = [basis[k] - np.round(np.linalg.lstsq(others.T, basis[k], rcond=None)[0]) @ others]
            shorter += [shorter[0] + s @ others for s in steps]
            lengths = np.linalg.norm(shorter, axis=1)
            if lengths.min() < np.linalg.norm(basis[k]) * (1 - EQUAL):
                basis[k] = shorter[int(np.argmax(lengths <= lengths.min() * (1 + EQUAL)))]
                changed = True
    return basis


def lattice_images(basis: Floats, tolerance: float) -> Floats:
    """Return the bases of a lattice that have the lengths and angles of this one, which must be reduced.

    Parameters
    ----------
    basis : (n, 3) array
        Å, from `reduced`.
    tolerance : float
        Å by which a vector may differ from the rotated one.

    Returns
    -------
    (n_images, n, 3) array
        Å.
    """
    n = len(basis)
    if n == 0:
        return np.zeros((1, 0, 3))
    coefficients = np.array(list(itertools.product(range(-2, 3), repeat=n)))
    vectors = coefficients @ basis
    lengths, gram = np.linalg.norm(vectors, axis=1), basis @ basis.T
    slack = tolerance + 1e-12 * lengths.max()
    choices = [np.flatnonzero(abs(lengths - np.sqrt(gram[k, k])) <= 2 * slack) for k in range(n)]
    bound = 4 * slack * np.sqrt(np.diag(gram).max())
    kept = []
    for chosen in itertools.product(*choices):
        image = vectors[list(chosen)]
        if abs(image @ image.T - gram).max() <= bound:
            kept.append(image)
    return np.array(kept)


def hermite(rows: list[list[int]]) -> list[list[int]]:
    """Return the upper triangular basis (Hermite normal form) of the lattice that integer rows span.

    Parameters
    ----------
    rows : list of lists of 3 int
        Of rank 3. Python's integers, which do not overflow.
    """
    work = [list(row) for row in rows]
    basis: list[list[int]] = []
    for column in range(3):
        while sum(row[column] != 0 for row in work) > 1:
            pivot = min((row for row in work if row[column]), key=lambda row: abs(row[column]))
            for row in work:
                if row is not pivot:
                    factor = row[column] // pivot[column]
                    row[:] = [a - factor * b for a, b in zip(row, pivot, strict=True)]
        index = next(i for i, row in enumerate(work) if row[column])
        pivot = work.pop(index)
        basis.append([-a for a in pivot] if pivot[column] < 0 else pivot)
    return basis


def lattice_with(basis: Floats, extra: Floats, tolerance: Floats, multiple: int) -> Floats | None:
    """Return the reduced basis of the lattice that contains another and some fractions of its vectors.

    Parameters
    ----------
    basis : (3, 3) array
        Å.
    extra : (n, 3) array
        Further vectors, in units of the basis.
    tolerance : (3,) array
        By which a component may differ from a fraction.
    multiple : int
        A multiple of the number of points of the larger lattice in a cell of the smaller.

    Returns
    -------
    (3, 3) array or None
        Å, of the handedness of `basis`; None if there is none with such a number of points.
    """
    numbers = np.arange(1, multiple + 1)
    denominators = numbers[multiple % numbers == 0]
    common = 1
    for vector in extra:
        off = abs(vector[None] * denominators[:, None] - np.round(vector[None] * denominators[:, None]))
        good = np.flatnonzero((off <= (tolerance + 1e-12) * denominators[:, None]).all(axis=1))
        if len(good) == 0:
            return None
        denominator = int(denominators[good[0]])
        common = common * denominator // gcd(common, denominator)
    rows = [[common * int(i == j) for j in range(3)] for i in range(3)]
    rows += [[round(float(c) * common) for c in vector] for vector in extra]
    triangle = hermite(rows)
    if multiple * (triangle[0][0] * triangle[1][1] * triangle[2][2]) % common**3:
        return None
    found = reduced(np.array(triangle, dtype=float) / common @ basis)
    return found if np.linalg.det(found) * np.linalg.det(basis) > 0 else -found
