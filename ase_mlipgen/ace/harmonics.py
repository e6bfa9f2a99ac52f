"""Spherical harmonics on unit vectors for m >= 0, and their Cartesian derivatives.

Y_lm(u) = Q_lm(u_z) (u_x + i u_y)^m, orthonormal, Condon-Shortley phase; Q_lm is a polynomial, so nothing is singular
at the poles, and dQ_lm/dz = -sqrt((l - m)(l + m + 1)) Q_{l,m+1} with the phase in Q. Y_{l,-m} = (-1)^m conj(Y_lm).
Entries are ordered (l, m) = (0, 0), (1, 0), (1, 1), (2, 0), ...: index l (l + 1) / 2 + m.
Source: Limpanuparb & Milthorpe, arXiv:1410.1748 (2014), the recurrences of normalised Legendre functions.
"""

import numpy as np
import numpy.typing as npt


def n_lm(lmax: int) -> int:
    """Return the number of (l, m >= 0) entries up to `lmax`."""
    return (lmax + 1) * (lmax + 2) // 2


def recurrence(lmax: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the factors of the recurrence Q_lm = a (z Q_{l-1,m} - b Q_{l-2,m}) and of dQ_lm/dz = c Q_{l,m+1}.

    Returns
    -------
    a, b, c : (n_lm,) arrays
        At m = l, a holds Q_ll itself; at m = l - 1, b is zero.
    """
    a, b, c = np.zeros(n_lm(lmax)), np.zeros(n_lm(lmax)), np.zeros(n_lm(lmax))
    top = np.sqrt(1.0 / (4.0 * np.pi))
    for l in range(lmax + 1):
        for m in range(l + 1):
            k = l * (l + 1) // 2 + m
            c[k] = -np.sqrt((l - m) * (l + m + 1.0))
            if m == l:
                top *= 1.0 if l == 0 else -np.sqrt((2 * l + 1.0) / (2 * l))
                a[k] = top
            else:
                a[k] = np.sqrt((4.0 * l * l - 1.0) / (l * l - m * m))
                if m < l - 1:
                    b[k] = np.sqrt(((l - 1.0) ** 2 - m * m) / (4.0 * (l - 1.0) ** 2 - 1.0))
    return a, b, c


def harmonics(
    u_pc: npt.NDArray[np.float64], lmax: int
) -> tuple[npt.NDArray[np.complex128], npt.NDArray[np.complex128]]:
    """Evaluate Y_lm(u), m >= 0, and the gradient of its polynomial extension in u.

    Parameters
    ----------
    u_pc : (n_pairs, 3) array
        Unit vectors.
    lmax : int
        Largest angular momentum.

    Returns
    -------
    Y : (n_pairs, n_lm) complex array
    dY : (n_pairs, n_lm, 3) complex array
        Partial derivatives in (x, y, z) of Q_lm(z) (x + i y)^m; the physical gradient at distance r is
        (dY - u (u . dY)) / r.
    """
    a, b, c = recurrence(lmax)
    x, y, z = u_pc.T
    power = (x + 1j * y)[:, None] ** np.arange(lmax + 2)
    Q = np.zeros((len(u_pc), n_lm(lmax)))
    dQ = np.zeros_like(Q)
    for l in range(lmax + 1):
        row, below, second = l * (l + 1) // 2, l * (l - 1) // 2, (l - 1) * (l - 2) // 2
        for m in range(l + 1):
            if m == l:
                Q[:, row + m] = a[row + m]
            elif m == l - 1:
                Q[:, row + m] = a[row + m] * z * Q[:, below + m]
            else:
                Q[:, row + m] = a[row + m] * (z * Q[:, below + m] - b[row + m] * Q[:, second + m])
        for m in range(l):
            dQ[:, row + m] = c[row + m] * Q[:, row + m + 1]
    ms = np.concatenate([np.arange(l + 1) for l in range(lmax + 1)])
    Y = Q * power[:, ms]
    dY = np.empty((*Y.shape, 3), dtype=complex)
    lowered = ms * power[:, np.maximum(ms - 1, 0)]
    dY[..., 0] = Q * lowered
    dY[..., 1] = 1j * Q * lowered
    dY[..., 2] = dQ * power[:, ms]
    return Y, dY
