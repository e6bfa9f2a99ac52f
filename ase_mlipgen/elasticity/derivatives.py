"""Second derivatives of an energy by strain, and what the relaxation of the atoms adds.

Positions and cell follow x -> (1 + G) x. With E the sum of site energies, an *open* list of pairs has every periodic
image as an atom of its own, without pairs: then a strain is one displacement G x of these atoms, and the Hessian H of
the open list has all second derivatives, also where an atom is its own neighbour:

    non-affine forces   Xi_icab = dF_ic / dG_ab = - sum_{images k of i} sum_l H_kc,la x_lb
    affine              D_abcd = d2E / dG_ab dG_cd = sum_kl x_kb H_ka,lc x_ld
    Born                C_abcd = D_abcd / V - delta_ac sigma_bd, by the Green-Lagrange strain

Elastic constants at a stress sigma are those of the Cauchy stress, d sigma_ab / d epsilon_cd (Birch coefficients;
Wallace, Phys. Rev. 162, 776 (1967)), and atoms relax: B = C + stress term - Xi H^-1 Xi / V.
Enter at `strain_derivatives`, `differences_by_strain` and `relaxation`; `properties` has what users call.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, cg

from ase_mlipgen.neighbors import Pairs
from ase_mlipgen.symmetry.differences import slope

Floats = npt.NDArray[np.float64]

TOLERANCE = 1e-10
"""Of the non-affine displacements, relative to the largest force constant times 1 Å."""


class UnstableError(ArithmeticError):
    """The non-affine displacements have no minimum: the Hessian has a negative eigenvalue."""


class StrainDerivatives(NamedTuple):
    """Second derivatives at fixed scaled positions.

    Parameters
    ----------
    nonaffine_icab : (n_atoms, 3, 3, 3) array
        dF_ic / dG_ab, eV/Å.
    born_abcd : (3, 3, 3, 3) array
        By the Green-Lagrange strain, eV: Born constants times the volume.
    """

    nonaffine_icab: Floats
    born_abcd: Floats


def opened(pairs: Pairs) -> tuple[Pairs, npt.NDArray[np.int64]]:
    """Return the pairs with every image as an atom of its own that has no pairs, and whose image each atom is.

    The first atoms are those of `pairs`, in their order.
    """
    n_atoms = len(pairs.positions)
    is_image_p = np.any(pairs.shifts != 0.0, axis=1)[pairs.s_p]
    keys = pairs.s_p[is_image_p].astype(np.int64) * n_atoms + pairs.j_p[is_image_p]
    images, place = np.unique(keys, return_inverse=True)
    j_p = pairs.j_p.copy()
    j_p[is_image_p] = n_atoms + place
    of_images = images % n_atoms
    positions = np.concatenate(
        [pairs.positions, pairs.positions[of_images] + pairs.shifts[images // n_atoms]]
    )
    first_i = np.concatenate([pairs.first_i, np.full(len(images), pairs.first_i[-1])])
    found = Pairs(positions, first_i, j_p, np.zeros_like(pairs.s_p), np.zeros((1, 3)))
    return found, np.concatenate([np.arange(n_atoms), of_images])


def strain_derivatives(
    H: sp.csr_matrix, positions: Floats, source_k: npt.NDArray[np.int64], virial: Floats
) -> StrainDerivatives:
    """Return second derivatives by strain from the Hessian of an open list.

    Parameters
    ----------
    H : (3 n, 3 n) sparse matrix
        Of the pairs of `opened`, eV/Å^2.
    positions : (n, 3) array
        Of its atoms, Å.
    source_k : (n,) ints
        The atom that each is an image of.
    virial : (3, 3) array
        eV.
    """
    n = len(positions)
    fields = np.zeros((n, 3, 3, 3))
    for a in range(3):
        fields[:, a, a, :] = positions
    change_kcab = -np.asarray(H @ fields.reshape(3 * n, 9)).reshape(n, 3, 3, 3)
    nonaffine_icab = np.zeros((int(source_k.max()) + 1, 3, 3, 3))
    np.add.at(nonaffine_icab, source_k, change_kcab)
    born_abcd = -np.einsum("kb,kacd->abcd", positions, change_kcab)
    born_abcd -= np.einsum("ac,bd->abcd", np.eye(3), virial)
    return StrainDerivatives(nonaffine_icab, born_abcd)


def differences_by_strain(
    evaluate: Callable[[Floats], tuple[Floats, Floats]], step: float
) -> StrainDerivatives:
    """Return second derivatives by strain from differences, of fourth order: 25 evaluations.

    Six strains are enough: under a rotation forces and virial turn.

    Parameters
    ----------
    evaluate : callable
        Turns F, (3, 3), into forces, (n_atoms, 3), eV/Å, and the virial, (3, 3), eV, of atoms and cell at F x.
    step : float
        Largest strain.
    """
    forces, _ = evaluate(np.eye(3))
    turned = np.einsum("ca,ib->icab", np.eye(3), forces)
    nonaffine_icab = 0.5 * (turned - turned.swapaxes(2, 3))
    born_abcd = np.empty((3, 3, 3, 3))
    for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        along = np.zeros((3, 3))
        along[a, b] += 0.5
        along[b, a] += 0.5

        def both(h: float, along: Floats = along) -> Floats:
            """Return the forces and the derivative of the energy by the Green-Lagrange strain."""
            F = np.eye(3) + h * along
            forces, virial = evaluate(F)
            back = np.linalg.inv(F)
            return np.concatenate([forces, back @ virial @ back.T])

        change = slope(both, step)
        born_abcd[:, :, a, b] = born_abcd[:, :, b, a] = change[-3:]
        nonaffine_icab[:, :, a, b] += change[:-3]
        if a != b:
            nonaffine_icab[:, :, b, a] += change[:-3]
    born_abcd = 0.5 * (born_abcd + born_abcd.transpose(2, 3, 0, 1))
    return StrainDerivatives(nonaffine_icab, born_abcd)


def relaxation(H: sp.csr_matrix, nonaffine_icab: Floats, options: Mapping[str, Any]) -> Floats:
    """Return what the relaxation of the atoms adds to the second derivatives by strain, (3, 3, 3, 3), eV.

    Parameters
    ----------
    H : (3 n_atoms, 3 n_atoms) sparse matrix, eV/Å^2
    nonaffine_icab : (n_atoms, 3, 3, 3) array, eV/Å
    options : mapping
        Of `scipy.sparse.linalg.cg`, over the defaults.

    Raises
    ------
    UnstableError
        No minimum is found.
    """
    symmetric = 0.5 * (nonaffine_icab + nonaffine_icab.swapaxes(2, 3))
    symmetric -= symmetric.mean(axis=0)  # rounding, along translations
    sides = symmetric.reshape(-1, 9)
    scale = float(abs(H).max()) if H.nnz else 1.0
    settings = {"rtol": 0.0, "atol": TOLERANCE * scale, "maxiter": 10 * len(sides), **options}
    u = np.zeros_like(sides)
    for k in range(9):
        a, b = divmod(k, 3)
        if a > b:
            u[:, k] = u[:, 3 * b + a]
            continue
        u[:, k], info = cg(_checked(H, f"{'xyz'[a]}{'xyz'[b]}"), sides[:, k], **settings)
        if info != 0:
            raise UnstableError(
                f"conjugate gradients did not converge in {info} steps: expected a Hessian without zero or negative "
                f"eigenvalues but for translations; relax the atoms, or pass cg_parameters with a preconditioner M"
            )
    return -(sides.T @ u).reshape(3, 3, 3, 3)


def _checked(H: sp.csr_matrix, strain: str) -> LinearOperator:
    """Return H times a vector, which raises where the curvature along the vector is negative."""

    def times(v: Floats) -> Floats:
        H_v = H @ v
        if np.vdot(v, H_v) < -TOLERANCE * np.linalg.norm(v) * np.linalg.norm(H_v):
            raise UnstableError(
                f"the atoms do not relax under the strain {strain}: the energy has negative curvature; relax the "
                f"atoms, or look for soft modes of the structure"
            )
        return np.asarray(H_v)

    return LinearOperator(H.shape, times, dtype=float)
