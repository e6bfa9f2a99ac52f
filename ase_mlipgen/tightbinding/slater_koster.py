"""Two-centre blocks of the Hamiltonian and of the overlap, and their derivatives; compiled.

With u the unit vector from i to j and Q_v the traceless symmetric matrix of the d orbital v (tr Q_v Q_w = delta_vw),
q_v = Q_v u and Y_v = sqrt(3/2) u.q_v, the table of Slater and Koster (Phys. Rev. 94, 1498 (1954)) reads

    s-s  sss                   p-p  pps u u + ppp (1 - u u)
    s-p  sps u                 p-d  pds u Y_v + ppd sqrt(2) (q_v - u (u.q_v))
    s-d  sds Y_v               d-d  dds Y_v Y_w + ddp 2 T_vw + ddd (delta_vw - Y_v Y_w - 2 T_vw),
                                    T_vw = q_v.q_w - (u.q_v)(u.q_w)

and the lower blocks follow from parity, B_ji(-D) = B_ij(D)^T. A block depends on the direction by rotation alone, so
its derivative needs no table of its own: turning the bond by omega changes it by [omega.L, B], L the generators of
rotations of the orbitals. Lengths in bohr, energies in rydberg.
"""

import numpy as np

from ase_mlipgen.jit import helper

ORIGINAL, COSINE, FORCESHIFT = 0, 1, 2
STEEPNESS = 5.0  # L_c of the cutoff function
R3, R6 = np.sqrt(3.0), np.sqrt(6.0)


def d_orbitals():
    """Return the traceless symmetric matrices of xy, yz, zx, x2-y2, 3z2-r2, (5, 3, 3), of unit Frobenius norm."""
    Q_vcc = np.zeros((5, 3, 3))
    for v, (a, b) in enumerate(((0, 1), (1, 2), (2, 0))):
        Q_vcc[v, a, b] = Q_vcc[v, b, a] = np.sqrt(0.5)
    Q_vcc[3] = np.diag([1.0, -1.0, 0.0]) * np.sqrt(0.5)
    Q_vcc[4] = np.diag([-1.0, -1.0, 2.0]) / R6
    return Q_vcc


Q = d_orbitals()


def rotation_matrix(R):
    """Return how nine orbitals s, p, d transform when an atom's surroundings are turned by R: a (9, 9) matrix D(R)."""
    D = np.zeros((9, 9))
    D[0, 0] = 1.0
    D[1:4, 1:4] = R
    D[4:, 4:] = np.einsum("uab,bc,vcd,ad->uv", Q, R, Q, R)
    return D


def rotation_generators():
    """Return the derivatives of `rotation_matrix` by angles about x, y, z at the identity, (3, 9, 9), antisymmetric."""
    L = np.zeros((3, 9, 9))
    for a in range(3):
        turn = np.zeros((3, 3))
        turn[(a + 2) % 3, (a + 1) % 3], turn[(a + 1) % 3, (a + 2) % 3] = 1.0, -1.0
        L[a, 1:4, 1:4] = turn
        L[a, 4:, 4:] = np.einsum("uab,bc,vca->uv", Q, turn, Q) + np.einsum("uab,vbc,ac->uv", Q, Q, turn)
    return L


L = rotation_generators()


@helper
def cutoff_function(r, cutoff, width, variant):
    """Return f_c and its derivative by r."""
    if r >= cutoff:
        return 0.0, 0.0
    e = np.exp((r - cutoff) / width + STEEPNESS)
    f, df = 1.0 / (1.0 + e), -e / (width * (1.0 + e) ** 2)
    if variant == COSINE and r > cutoff - width:
        x = np.pi * (r - cutoff + width) / width
        tail, dtail = 0.5 * (1.0 + np.cos(x)), -0.5 * np.pi / width * np.sin(x)
        f, df = f * tail, df * tail + f * dtail
    elif variant == FORCESHIFT:
        e = np.exp(STEEPNESS)
        f_end, df_end = 1.0 / (1.0 + e), -e / (width * (1.0 + e) ** 2)
        f, df = f - f_end - df_end * (r - cutoff), df - df_end
    return f, df


@helper
def bond_integrals(r, f, df, hopping_bk, overlap_bk, h_b, dh_b, s_b, ds_b):
    """Fill hoppings and overlaps at distance r and their derivatives, given the cutoff function there."""
    for b in range(hopping_bk.shape[0]):
        c = hopping_bk[b]
        value, slope, decay = c[0] + r * (c[1] + r * c[2]), c[1] + 2 * r * c[2], np.exp(-c[3] * r)
        h_b[b] = value * decay * f
        dh_b[b] = ((slope - c[3] * value) * f + value * df) * decay
        c = overlap_bk[b]
        value, slope = c[0] + r * (c[1] + r * (c[2] + r * c[3])), c[1] + r * (2 * c[2] + 3 * r * c[3])
        decay = np.exp(-c[4] * r)
        s_b[b] = value * decay * f
        ds_b[b] = ((slope - c[4] * value) * f + value * df) * decay


@helper
def fill_block(v_b, u, B):
    """Fill the block of two atoms from bond integrals v_b along u."""
    B[0, 0] = v_b[0]
    for a in range(3):
        B[0, 1 + a] = v_b[1] * u[a]
        B[1 + a, 0] = -B[0, 1 + a]
        for b in range(3):
            B[1 + a, 1 + b] = (v_b[2] - v_b[3]) * u[a] * u[b]
        B[1 + a, 1 + a] += v_b[3]
    if B.shape[0] == 9:
        _fill_d(v_b, u, B)


@helper
def _fill_d(v_b, u, B):
    q = np.empty((5, 3))
    for v in range(5):
        for a in range(3):
            q[v, a] = Q[v, a, 0] * u[0] + Q[v, a, 1] * u[1] + Q[v, a, 2] * u[2]
    for v in range(5):
        along = q[v, 0] * u[0] + q[v, 1] * u[1] + q[v, 2] * u[2]
        Y = np.sqrt(1.5) * along
        B[0, 4 + v] = B[4 + v, 0] = v_b[4] * Y
        for a in range(3):
            B[1 + a, 4 + v] = v_b[5] * u[a] * Y + v_b[6] * np.sqrt(2.0) * (q[v, a] - u[a] * along)
            B[4 + v, 1 + a] = -B[1 + a, 4 + v]
        for w in range(v + 1):
            along_w = q[w, 0] * u[0] + q[w, 1] * u[1] + q[w, 2] * u[2]
            sigma = 1.5 * along * along_w
            pi = 2.0 * (q[v, 0] * q[w, 0] + q[v, 1] * q[w, 1] + q[v, 2] * q[w, 2] - along * along_w)
            value = (v_b[7] - v_b[9]) * sigma + (v_b[8] - v_b[9]) * pi
            if v == w:
                value += v_b[9]
            B[4 + v, 4 + w] = B[4 + w, 4 + v] = value


@helper
def add_torque(P, B, sign, torque):
    """Add sign times P : [L_a, B], the derivative of P : B by the angles of the bond, to torque."""
    n = B.shape[0]
    for u in range(n):
        for v in range(n):
            # L is antisymmetric and connects orbitals of one shell only.
            if shell(u) != shell(v) or u == v:
                continue
            moment = 0.0
            for w in range(n):
                moment += P[u, w] * B[v, w] - P[w, v] * B[w, u]
            for a in range(3):
                torque[a] += sign * L[a, u, v] * moment


@helper
def shell(u):
    """Return the angular momentum of an orbital."""
    return 0 if u == 0 else (1 if u < 4 else 2)
