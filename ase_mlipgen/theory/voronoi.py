"""Voronoi facets between the sites of a periodic cell, by Qhull on the cell and a rim of its images.

Enter at `facets`; `norms.bonds` checks that the rim was wide enough and drops degenerate facets.
"""

from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from ase import Atoms
from scipy.spatial import Voronoi


class Facets(NamedTuple):
    """Facets of the sites' Voronoi cells, each from both sides.

    Attributes
    ----------
    i_f, j_f : (n_facets,) arrays, the site and the one beyond the facet
    d_fc : (n_facets, dimension) array, Å, from i to j
    measure_f : (n_facets,) array, area (Å^2) or, in the plane, length (Å); inf where the facet is not bounded
    """

    i_f: npt.NDArray[np.int64]
    j_f: npt.NDArray[np.int64]
    d_fc: npt.NDArray[np.float64]
    measure_f: npt.NDArray[np.float64]


def images(atoms: Atoms, rim: float, dimension: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Wrap the sites into the cell and add all periodic images within a distance of it.

    Parameters
    ----------
    rim : Å
    dimension : 3, or 2 to look at x and y only

    Returns
    -------
    (n_points, dimension) positions, Å, the cell's own sites first and in order; (n_points,) the site of each.
    """
    vectors = np.array(atoms.cell)[:dimension, :dimension]
    inverse = np.linalg.inv(vectors)
    fractional = atoms.positions[:, :dimension] @ inverse
    fractional -= np.floor(fractional)
    # Wider in fractions where the faces are close together.
    reach = rim * np.linalg.norm(inverse, axis=0)
    spans = [np.arange(-int(np.ceil(r)), int(np.ceil(r)) + 1) for r in reach]
    shifts = np.stack(np.meshgrid(*spans, indexing="ij"), axis=-1).reshape(-1, dimension)
    shifts = shifts[np.argsort(np.any(shifts != 0, axis=1), kind="stable")]
    every = (shifts[:, None, :] + fractional[None, :, :]).reshape(-1, dimension)
    index = np.tile(np.arange(len(atoms)), len(shifts))
    near = np.all((every > -reach) & (every < 1.0 + reach), axis=1)
    return every[near] @ vectors, index[near]


def facets(diagram: Voronoi, index: npt.NDArray[np.int64], n_sites: int) -> Facets:
    """Collect the facets of the first `n_sites` points of a diagram.

    Parameters
    ----------
    diagram : of the points of `images`
    index : (n_points,) the site that each point is an image of
    """
    pair_rp = np.asarray(diagram.ridge_points)
    own = np.flatnonzero((pair_rp < n_sites).any(axis=1))
    rings = [diagram.ridge_vertices[k] for k in own]
    measure = _measures(diagram.vertices, rings)
    first, second = pair_rp[own].T
    p = np.concatenate([first, second])
    q = np.concatenate([second, first])
    measure_f = np.concatenate([measure, measure])
    inside = p < n_sites
    p, q = p[inside], q[inside]
    return Facets(
        i_f=index[p].astype(np.int64),
        j_f=index[q].astype(np.int64),
        d_fc=diagram.points[q] - diagram.points[p],
        measure_f=measure_f[inside],
    )


def _measures(vertices: npt.NDArray[np.float64], rings: list[list[int]]) -> npt.NDArray[np.float64]:
    """Length of each edge, or area of each polygon, whose vertices Qhull gives in order around it."""
    count_r = np.array([len(ring) for ring in rings])
    flat = np.fromiter(chain.from_iterable(rings), dtype=np.int64, count=int(count_r.sum()))
    start_r = np.concatenate([[0], np.cumsum(count_r)[:-1]])
    open_r = np.minimum.reduceat(flat, start_r) < 0
    if vertices.shape[1] == 2:
        measure = np.linalg.norm(vertices[flat[start_r + 1]] - vertices[flat[start_r]], axis=1)
    else:
        # Fan of triangles from the first vertex: half the sum of the cross products of successive spokes.
        spokes = vertices[flat] - np.repeat(vertices[flat[start_r]], count_r, axis=0)
        following = np.roll(spokes, -1, axis=0)
        crosses = np.cross(spokes, following)
        crosses[start_r + count_r - 1] = 0.0
        measure = 0.5 * np.linalg.norm(np.add.reduceat(crosses, start_r, axis=0), axis=1)
    return np.where(open_r, np.inf, measure)
