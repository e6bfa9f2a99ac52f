"""The readable evaluator: site energies of the basis functions and their gradients, in plain NumPy.

It follows the formulas literally, with dense coupling tensors and A_{mu n l m} for every m, and serves as the oracle of
the compiled kernels. A function of a block (channels c_1..c_N) with tensor T is
B = sum_{m_1..m_N} T_{m_1..m_N} prod_k A_{c_k m_k}; its derivative leaves one factor open at a time.
Cost: milliseconds a function and atom.
"""

import numpy as np
import numpy.typing as npt

from ase_mlipgen.ace.coupling import dense_tensor, invariants
from ase_mlipgen.ace.harmonics import harmonics
from ase_mlipgen.ace.radial import RadialBasis
from ase_mlipgen.ace.specification import Block, Channel, multiplicities

Floats = npt.NDArray[np.float64]


def site(
    blocks: list[Block], bases: list[RadialBasis], mu_p: npt.NDArray[np.int64], d_pc: Floats
) -> tuple[Floats, Floats]:
    """Evaluate every function at one centre.

    Parameters
    ----------
    blocks : list of Block
    bases : list of RadialBasis
        One a neighbour element.
    mu_p : (n_pairs,) ints
        Element index of each neighbour.
    d_pc : (n_pairs, 3) array
        Pair vectors from the centre to its neighbours, Å.

    Returns
    -------
    B : (n_functions,) array
    dB : (n_functions, n_pairs, 3) array, 1/Å
    """
    densities = {channel: _density(channel, bases, mu_p, d_pc) for block in blocks for channel in block}
    values, gradients = [], []
    for block in blocks:
        A = [densities[channel][0] for channel in block]
        dA = [densities[channel][1] for channel in block]
        for invariant in invariants(multiplicities(block)):
            tensor = dense_tensor(invariant, multiplicities(block)).astype(complex)
            gradient = np.zeros(d_pc.shape, dtype=complex)
            for open_slot in range(len(block)):
                left = tensor
                for k in reversed(range(len(block))):
                    if k != open_slot:
                        left = np.tensordot(left, A[k], axes=(k, 0))
                gradient += np.tensordot(left, dA[open_slot], axes=(0, 0))
            values.append(np.dot(left, A[-1]).real)
            gradients.append(gradient.real)
    return np.array(values), np.array(gradients).reshape(-1, *d_pc.shape)


def _density(
    channel: Channel, bases: list[RadialBasis], mu_p: npt.NDArray[np.int64], d_pc: Floats
) -> tuple[npt.NDArray[np.complex128], npt.NDArray[np.complex128]]:
    """Return A_m, m = -l..l, and dA_m/dd, (2 l + 1, n_pairs, 3)."""
    mu, n, l = channel
    chosen = (mu_p == mu) & (np.linalg.norm(d_pc, axis=1) < bases[mu].cutoff)
    A, dA = np.zeros(2 * l + 1, complex), np.zeros((2 * l + 1, *d_pc.shape), complex)
    if not chosen.any():
        return A, dA
    r = np.linalg.norm(d_pc[chosen], axis=1)
    u = d_pc[chosen] / r[:, None]
    R, dR = (table[:, n - 1] for table in bases[mu].evaluate(r, n))
    Y, dY = harmonics(u, l)
    for m in range(l + 1):
        k = l * (l + 1) // 2 + m
        tangent = (dY[:, k] - u * np.sum(u * dY[:, k], axis=1)[:, None]) / r[:, None]
        A[l + m] = np.sum(R * Y[:, k])
        dA[l + m, chosen] = R[:, None] * tangent + (dR * Y[:, k])[:, None] * u
        A[l - m] = (-1) ** m * np.conj(A[l + m])
        dA[l - m] = (-1) ** m * np.conj(dA[l + m])
    return A, dA
