"""The norms of the theory: ||Du|| over nearest-neighbour bonds, and its dual for forces.

|Du(l)|^2 = sum over m in N(l) of |u(m) - u(l)|^2 and ||Du||^2 = sum over l of |Du(l)|^2, both directions of a bond
counted (eq. 2.1 of Ortner and Wang); N(l) are the sites whose Voronoi cells share a facet with that of l (eq. 6.3), in
the reference configuration, which for a defective cell is the unrelaxed defective one. As a quadratic form
||Du||^2 = u' (K x 1) u with the bond Laplacian K, so the norm of forces in the dual space is f' K^+ f, on forces that
sum to zero. Planar cells: Voronoi cells in the plane, in-plane components only.
Cost: one Voronoi diagram of the cell and a rim of images (8000 atoms: seconds); one sparse factorisation a cell.
Enter at `bonds`, `strain_norm`, `dual_norm`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from ase import Atoms
from scipy.linalg import solve_triangular
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import splu
from scipy.spatial import Voronoi

from ase_mlipgen.defects import is_planar, spacing
from ase_mlipgen.theory.voronoi import Facets, facets, images

FACET_SIZE = 0.03
"""Facets of a smaller linear size, in average spacings, are taken for corners that touch: fcc has 12 neighbours."""

RIM = 2.5
"""Average spacings of images around the cell at first; more where a Voronoi cell turns out not to be closed."""


class Bonds(NamedTuple):
    """Nearest-neighbour bonds of a reference cell, each from both ends, periodic images included.

    Attributes
    ----------
    i_b, j_b : (n_bonds,) arrays, sites, sorted by i_b; a site may be its own neighbour in a small cell
    d_bc : (n_bonds, 3) array, Å, from site i to neighbour j
    n_sites : number of sites
    dimension : 3, or 2 for planar cells, where only x and y components count
    """

    i_b: npt.NDArray[np.int64]
    j_b: npt.NDArray[np.int64]
    d_bc: npt.NDArray[np.float64]
    n_sites: int
    dimension: int


def bonds(atoms: Atoms, facet_size: float = FACET_SIZE) -> Bonds:
    """Find the nearest neighbours of all sites, eq. (6.3).

    Parameters
    ----------
    atoms : the reference cell: periodic in three directions, or planar
    facet_size : smallest linear size of a common facet, in average spacings

    Raises
    ------
    ValueError
        The cell is neither periodic in three directions nor planar, or two sites coincide.
    """
    planar = is_planar(atoms)
    if not planar and not np.all(atoms.pbc):
        raise ValueError(
            f"nearest neighbours by Voronoi cells need pbc in three directions, or a flat sheet with pbc "
            f"(True, True, False); got pbc {tuple(bool(p) for p in atoms.pbc)}"
        )
    dimension = 2 if planar else 3
    found = _closed_facets(atoms, dimension)
    kept = found.measure_f > (facet_size * spacing(atoms)) ** (dimension - 1)
    order = np.lexsort((found.j_f[kept], found.i_f[kept]))
    d_bc = np.zeros((int(kept.sum()), 3))
    d_bc[:, :dimension] = found.d_fc[kept][order]
    return Bonds(found.i_f[kept][order], found.j_f[kept][order], d_bc, len(atoms), dimension)


def site_strains(bonds: Bonds, u: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Compute |Du(l)| of every site.

    Parameters
    ----------
    u : (n_sites, 3) array, Å, displacements

    Returns
    -------
    (n_sites,) array, Å
    """
    u_ic = _components(bonds, u)
    squares_b = np.sum((u_ic[bonds.j_b] - u_ic[bonds.i_b]) ** 2, axis=1)
    return np.sqrt(np.bincount(bonds.i_b, squares_b, minlength=bonds.n_sites))


def strain_norm(bonds: Bonds, u: npt.ArrayLike) -> float:
    """Compute ||Du||, Å, of displacements u, an (n_sites, 3) array in Å."""
    return float(np.linalg.norm(site_strains(bonds, u)))


def laplacian(bonds: Bonds) -> csr_array:
    """Assemble K, (n_sites, n_sites), with sum over components c of u_c' K u_c = ||Du||^2."""
    shape = (bonds.n_sites, bonds.n_sites)
    links = csr_array((np.ones(len(bonds.i_b)), (bonds.i_b, bonds.j_b)), shape=shape)
    links = links + links.T
    return csr_array(diags_array(np.asarray(links.sum(axis=1)).ravel()) - links)


class DualNorm:
    """The dual norm of one cell, factorised once: ||f||_* = sqrt(f' K^+ f) on forces that sum to zero.

    Parameters
    ----------
    bonds : of the reference cell
    """

    def __init__(self, bonds: Bonds) -> None:
        self.bonds = bonds
        # With the first site held K is positive definite; for sums of zero the pseudo-inverse differs by a constant.
        held = laplacian(bonds)[1:, 1:].tocsc()
        self._factor = None
        if bonds.n_sites > 1:
            self._factor = splu(
                held, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
            )

    def solve(self, f: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Compute K^+ f, component by component.

        Parameters
        ----------
        f : (n_sites, 3) array, eV/Å; its mean is taken off. Planar cells ignore z.

        Returns
        -------
        (n_sites, 3) array, Å times the unit of f per Å, of zero mean; z is zero for planar cells.
        """
        f_ic = _components(self.bonds, f)
        f_ic = f_ic - f_ic.mean(axis=0)
        x_ic = np.zeros((self.bonds.n_sites, 3))
        if self._factor is not None:
            x_ic[1:, : self.bonds.dimension] = self._factor.solve(f_ic[1:])
        return x_ic - x_ic.mean(axis=0)

    def root(self) -> npt.NDArray[np.float64]:
        """Return W, (n_sites, n_sites), with sum over components c of |W f_c|^2 = ||f||_*^2 where f sums to zero.

        The inverse of the Cholesky factor of K with the first site held; its first row and column are zero. Dense:
        for training cells.
        """
        W = np.zeros((self.bonds.n_sites, self.bonds.n_sites))
        if self.bonds.n_sites > 1:
            lower = np.linalg.cholesky(laplacian(self.bonds)[1:, 1:].toarray())
            W[1:, 1:] = solve_triangular(lower, np.eye(len(lower)), lower=True)
        return W

    def __call__(self, f: npt.ArrayLike) -> float:
        """Compute ||f||_*, eV/Å for forces in eV/Å."""
        f_ic = _components(self.bonds, f)
        f_ic = f_ic - f_ic.mean(axis=0)
        square = float(np.sum(f_ic * self.solve(f_ic)[:, : self.bonds.dimension]))
        return float(np.sqrt(max(square, 0.0)))


def dual_norm(bonds: Bonds | DualNorm, f: npt.ArrayLike) -> float:
    """Compute ||f||_* = sqrt(f' K^+ f) of forces (n_sites, 3), eV/Å; pass a `DualNorm` to reuse its factor."""
    norm = bonds if isinstance(bonds, DualNorm) else DualNorm(bonds)
    return norm(f)


def force_metric(atoms: Atoms) -> npt.NDArray[np.float64]:
    """Return `DualNorm.root` of a cell to the scale of components: times the root of K's mean diagonal, (n, n)."""
    links = bonds(atoms)
    return np.asarray(np.sqrt(2.0 * len(links.i_b) / links.n_sites) * DualNorm(links).root())


def _components(bonds: Bonds, field: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Give the components that count of a field on the sites."""
    field_ic = np.asarray(field, dtype=float)
    if (
        field_ic.ndim != 2
        or field_ic.shape[0] != bonds.n_sites
        or field_ic.shape[1] not in (3, bonds.dimension)
    ):
        raise ValueError(
            f"the field has shape {field_ic.shape}; expected ({bonds.n_sites}, 3), one row for each site of the bonds"
        )
    return field_ic[:, : bonds.dimension]


def _closed_facets(atoms: Atoms, dimension: int) -> Facets:
    """Compute the facets of all Voronoi cells, with as wide a rim of images as closes them.

    The pyramids over the facets must fill the cell: that holds only if no Voronoi cell misses a neighbour.
    """
    size = spacing(atoms) ** dimension * len(atoms)
    rim = RIM * spacing(atoms)
    for _ in range(6):
        points, index = images(atoms, rim, dimension)
        found = facets(Voronoi(points), index, len(atoms))
        heights = 0.5 * np.linalg.norm(found.d_fc, axis=1)
        filled = float(np.sum(found.measure_f * heights)) / dimension
        lonely = len(atoms) - len(np.unique(found.i_f))
        if lonely:
            raise ValueError(f"{lonely} sites have no Voronoi cell of their own: they coincide with others")
        if abs(filled - size) < 1e-6 * size:
            return found
        rim *= 1.5
    raise ValueError(
        f"the Voronoi cells fill {filled:.6g} of {size:.6g} Å^{dimension}: the cell is mostly empty; "
        "bonds are defined for crystals with point defects"
    )
