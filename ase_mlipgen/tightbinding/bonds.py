"""Pairs of the atoms that stand for all others -> densities, blocks of H and S, and later their derivatives; compiled.

Only atoms r that represent an orbit of the symmetry group have bonds here; without symmetry that is every atom. The
first bond of each is the atom itself: the on-site energies, and the identity. All in bohr and rydberg.

The free energy A is a function of directed pair vectors D = R_j - R_i. With the density matrices P (occupations) and W
(occupations times energies), q_i = sum_v P_iv,iv d eps_v / d rho and rho(r) one pair's part of the density,

    dA/dD_ij = P_ij : dH_ij/dD - W_ij : dS_ij/dD + q_i rho'(r) D/r

(Hellmann and Feynman; Mehl and Papaconstantopoulos, Phys. Rev. B 54, 4519 (1996), for the model).
Entry points: `find_bonds`, `fill_blocks`, `differentiate`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.jit import helper, kernel
from ase_mlipgen.tightbinding.slater_koster import add_torque, bond_integrals, cutoff_function, fill_block

Floats = npt.NDArray[np.float64]


class Model(NamedTuple):
    """What the kernels know of a parameter set; see `Parameters`. `variant` is that of the cutoff function."""

    cutoff: float
    width: float
    variant: int
    decay: float
    onsite_ok: Floats
    hopping_bk: Floats
    overlap_bk: Floats


class Bonds(NamedTuple):
    """Bonds of the representative atoms, those of r being ``first_r[r]:first_r[r + 1]``, r itself first.

    Attributes
    ----------
    first_r : (n_r + 1,) int64
    j_p : (n_bonds,) int32, the other atom
    s_p : (n_bonds,) int32, which of its periodic images: row of the table of shifts
    D_pc : (n_bonds, 3), bohr, from r to j; zero for r itself
    """

    first_r: npt.NDArray[np.int64]
    j_p: npt.NDArray[np.int32]
    s_p: npt.NDArray[np.int32]
    D_pc: Floats


class Blocks(NamedTuple):
    """The Hamiltonian and the overlap between a representative and its neighbours, rydberg.

    Attributes
    ----------
    H_puv, S_puv : (n_bonds, n_orbitals, n_orbitals)
    density_r : (n_r,) rho
    slopes_rv : (n_r, n_orbitals) d eps_v / d rho
    """

    H_puv: Floats
    S_puv: Floats
    density_r: Floats
    slopes_rv: Floats


@kernel
def find_bonds(atoms_r, origin, positions, first_i, j_p, s_p, shifts, scale, cutoff):
    """Return the bonds of some atoms, from a list of pairs that may reach further.

    Parameters
    ----------
    atoms_r : atoms that represent the others
    origin : row of `shifts` that is zero
    positions, first_i, j_p, s_p, shifts : of the neighbour list, in units of its own
    scale : the list's unit of length in bohr
    cutoff : bohr
    """
    count = len(atoms_r)
    for i in atoms_r:
        for p in range(first_i[i], first_i[i + 1]):
            count += _square(positions, i, j_p[p], shifts, s_p[p]) * scale**2 < cutoff**2
    first_r = np.zeros(len(atoms_r) + 1, np.int64)
    j_q, s_q, D_qc = np.empty(count, np.int32), np.empty(count, np.int32), np.zeros((count, 3))
    q = 0
    for r in range(len(atoms_r)):
        i = atoms_r[r]
        j_q[q], s_q[q] = i, origin
        q += 1
        for p in range(first_i[i], first_i[i + 1]):
            if _square(positions, i, j_p[p], shifts, s_p[p]) * scale**2 < cutoff**2:
                j_q[q], s_q[q] = j_p[p], s_p[p]
                for c in range(3):
                    D_qc[q, c] = (positions[j_p[p], c] - positions[i, c] + shifts[s_p[p], c]) * scale
                q += 1
        first_r[r + 1] = q
    return first_r, j_q, s_q, D_qc


@helper
def _square(positions, i, j, shifts, s):
    square = 0.0
    for c in range(3):
        square += (positions[j, c] - positions[i, c] + shifts[s, c]) ** 2
    return square


@helper
def _length(D):
    return np.sqrt(D[0] ** 2 + D[1] ** 2 + D[2] ** 2)


@kernel
def fill_blocks(bonds, model):
    """Return H_puv, S_puv, density_r, slopes_rv of `Blocks`."""
    n_p, n_r, n_o = len(bonds.j_p), len(bonds.first_r) - 1, len(model.onsite_ok)
    H, S = np.zeros((n_p, n_o, n_o)), np.zeros((n_p, n_o, n_o))
    density_r, slopes_rv = np.zeros(n_r), np.zeros((n_r, n_o))
    v = np.empty((4, len(model.hopping_bk)))
    for r in range(n_r):
        rho = 0.0
        own = bonds.first_r[r]
        for p in range(own + 1, bonds.first_r[r + 1]):
            D = bonds.D_pc[p]
            length = _length(D)
            f, df = cutoff_function(length, model.cutoff, model.width, model.variant)
            rho += np.exp(-model.decay * length) * f
            bond_integrals(length, f, df, model.hopping_bk, model.overlap_bk, v[0], v[1], v[2], v[3])
            fill_block(v[0], D / length, H[p])
            fill_block(v[2], D / length, S[p])
        density_r[r] = rho
        x = rho ** (2.0 / 3.0)
        for o in range(n_o):
            a, b, c, d = model.onsite_ok[o]
            H[own, o, o] = a + x * (b + x * (c + x * d))
            S[own, o, o] = 1.0
            if rho > 0.0:
                slopes_rv[r, o] = (b + x * (2.0 * c + x * 3.0 * d)) * (2.0 / 3.0) * x / rho
    return H, S, density_r, slopes_rv


@kernel
def onsite_strengths(bonds, slopes_rv, P_puv):
    """Return q_r = sum_v P_rv,rv d eps_v / d rho, (n_r,)."""
    q_r = np.zeros(len(slopes_rv))
    for r in range(len(q_r)):
        for v in range(slopes_rv.shape[1]):
            q_r[r] += P_puv[bonds.first_r[r], v, v] * slopes_rv[r, v]
    return q_r


@kernel
def differentiate(bonds, model, P_puv, W_puv, q_r, orbit_i, size_r):
    """Return the forces on the representatives, and the virial of all atoms before it is made symmetric.

    Parameters
    ----------
    bonds : Bonds
    model : Model
    P_puv, W_puv : density matrices of the bonds
    q_r : see `onsite_strengths`
    orbit_i : which representative stands for each atom
    size_r : number of atoms that each stands for

    Returns
    -------
    (n_r, 3) array, rydberg/bohr, and (3, 3) array, rydberg: sum over pairs of D_a dA/dD_b
    """
    n_r, n_o = len(q_r), len(model.onsite_ok)
    forces, virial = np.zeros((n_r, 3)), np.zeros((3, 3))
    v, B, dB = np.empty((4, len(model.hopping_bk))), np.zeros((n_o, n_o)), np.zeros((n_o, n_o))
    torque = np.empty(3)
    for r in range(n_r):
        for p in range(bonds.first_r[r] + 1, bonds.first_r[r + 1]):
            D = bonds.D_pc[p]
            length = _length(D)
            u = D / length
            f, df = cutoff_function(length, model.cutoff, model.width, model.variant)
            bond_integrals(length, f, df, model.hopping_bk, model.overlap_bk, v[0], v[1], v[2], v[3])
            torque[:] = 0.0
            along = 0.0
            for matrix, sign, term in ((P_puv, 1.0, 0), (W_puv, -1.0, 2)):
                fill_block(v[term], u, B)
                fill_block(v[term + 1], u, dB)
                add_torque(matrix[p], B, sign, torque)
                for a in range(n_o):
                    for b in range(n_o):
                        along += sign * matrix[p, a, b] * dB[a, b]
            slope = (df - model.decay * f) * np.exp(-model.decay * length)
            q_j = q_r[orbit_i[bonds.j_p[p]]]
            for c in range(3):
                turned = torque[(c + 1) % 3] * u[(c + 2) % 3] - torque[(c + 2) % 3] * u[(c + 1) % 3]
                g = along * u[c] + turned / length
                forces[r, c] += 2.0 * g + (q_r[r] + q_j) * slope * u[c]
                for a in range(3):
                    virial[a, c] += size_r[r] * D[a] * (g + q_r[r] * slope * u[c])
    return forces, virial
