"""Which k-points need an eigenproblem of their own, and their Bloch phases. All in units of the reciprocal cell."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SAME = 1e-9
"""Coordinates that differ by a whole number to within this are the same point."""


class KPoints(NamedTuple):
    """Points in units of the reciprocal cell vectors, (n_k, 3), and weights that sum to one, (n_k,)."""

    scaled_kc: Floats
    weights_k: Floats


GAMMA = KPoints(np.zeros((1, 3)), np.ones(1))


def merged(points: KPoints, rotations_gcc: npt.NDArray[np.int64] | None = None) -> KPoints:
    """Keep one of all points that time reversal, k -> -k, and the rotations take into one another.

    Parameters
    ----------
    points : KPoints
    rotations_gcc : (n_g, 3, 3) integers: how operations take (row) points to points, ``k @ rotation``
    """
    if rotations_gcc is None:
        rotations_gcc = np.eye(3, dtype=np.int64)[None]
    images_gkc = points.scaled_kc @ rotations_gcc
    images_gkc = np.concatenate([images_gkc, -images_gkc])
    images_gkc -= np.floor(images_gkc + SAME)
    keys_gkc = np.rint(images_gkc / (2 * SAME)).astype(np.int64)
    star_kc = np.array([min(map(tuple, keys_gkc[:, k])) for k in range(len(points.scaled_kc))])
    _, first, inverse = np.unique(star_kc, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    weights = np.bincount(inverse.ravel(), weights=points.weights_k)
    return KPoints(points.scaled_kc[first[order]], np.asarray(weights[order], dtype=float))


def operations_of(points: KPoints, rotations_gcc: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the rotations, by number, that take the set of points and their weights onto themselves."""
    own = _as_table(points.scaled_kc, points.weights_k)
    return np.array(
        [g for g, R in enumerate(rotations_gcc) if _as_table(points.scaled_kc @ R, points.weights_k) == own],
        dtype=np.int64,
    )


def _as_table(scaled_kc: Floats, weights_k: Floats) -> dict[tuple[int, ...], float]:
    """Sum weights by point, up to time reversal."""
    wrapped = np.stack([scaled_kc, -scaled_kc])
    wrapped -= np.floor(wrapped + SAME)
    table: dict[tuple[int, ...], float] = {}
    for one, other, weight in zip(*np.rint(wrapped / (2 * SAME)).astype(np.int64), weights_k, strict=True):
        key = min(tuple(one.tolist()), tuple(other.tolist()))
        table[key] = round(table.get(key, 0.0) + float(weight), 12)
    return table


def phases(k_c: Floats, images_sc: npt.NDArray[np.int64]) -> Floats | npt.NDArray[np.complex128]:
    """Return exp(2 pi i k.S) for each periodic image S, (n_s,); real where k and -k are the same point."""
    doubled = np.rint(2 * k_c)
    if np.abs(2 * k_c - doubled).max() < SAME:
        return np.asarray(1.0 - 2.0 * ((images_sc @ doubled.astype(np.int64)) % 2), dtype=float)
    return np.asarray(np.exp(2j * np.pi * (images_sc @ k_c)))


def reciprocal_rotations(rotations_gcc: Floats, cell: Floats) -> npt.NDArray[np.int64]:
    """Turn Cartesian rotations R into integer matrices M: the point k goes to ``k @ M`` (rows).

    A wave of reciprocal vector q = B^T k, B = inv(cell)^T, is taken to R q.
    """
    return np.rint(np.linalg.inv(cell).T @ np.swapaxes(rotations_gcc, 1, 2) @ cell.T).astype(np.int64)
