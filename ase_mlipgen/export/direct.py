"""Energies and forces of the contents of a file, by the letter: the check of what was written.

Plain NumPy over the terms of the file, one after another and all atoms at once; nothing of the compiled kernels takes
part. A structure of 100 atoms and a model of 1119 functions take some tenths of a second. Enter at `evaluate`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.ace.harmonics import harmonics
from ase_mlipgen.export.contents import Contents, Floats, Function, YaceError
from ase_mlipgen.neighbors import pairs

Complexes = npt.NDArray[np.complex128]
Key = tuple[int, int, int]


def evaluate(contents: Contents, atoms: Atoms) -> tuple[Floats, Floats]:
    """Return site energies (n_atoms,), eV, and forces (n_atoms, 3), eV/Å.

    Raises
    ------
    YaceError
        Atoms of an element that the file does not know.
    """
    unknown = sorted(set(atoms.symbols) - set(contents.elements))
    if unknown:
        raise YaceError(
            f"the structure contains {', '.join(unknown)}, the file {', '.join(contents.elements)}"
        )
    mu_i = np.array([contents.elements.index(symbol) for symbol in atoms.symbols])
    found = pairs(atoms, contents.cutoff)
    i_p, j_p, d_pc = found.centres(), found.j_p, found.vectors()
    energies_i = np.array(contents.E0)[mu_i]
    gradient_pc = np.zeros_like(d_pc)
    for a in range(len(contents.elements)):
        own_p = np.flatnonzero(mu_i[i_p] == a)
        centres = np.flatnonzero(mu_i == a)
        if len(own_p) == 0:
            continue
        where = np.searchsorted(centres, i_p[own_p])
        energies, gradient = _sites(contents, a, len(centres), where, mu_i[j_p[own_p]], d_pc[own_p])
        energies_i[centres] += energies
        gradient_pc[own_p] += gradient
    forces = np.zeros((len(atoms), 3))
    np.add.at(forces, i_p, gradient_pc)
    np.add.at(forces, j_p, -gradient_pc)
    return energies_i, forces


def _sites(contents: Contents, a: int, n: int, i_p: Any, mu_p: Any, d_pc: Floats) -> tuple[Floats, Floats]:
    """Return energies of n centres of element a, and dE/d(pair vector)."""
    r_p = np.linalg.norm(d_pc, axis=1)
    u_pc = d_pc / r_p[:, None]
    functions = contents.functions[a]
    basis = _PairFunctions(contents, a, mu_p, r_p, u_pc)
    A = {key: _summed(basis.values(key, mu_p), i_p, n) for key in _channels(functions)}
    energies, G = _products(functions, A, n)
    gradient = np.zeros_like(d_pc)
    for key, G_im in G.items():
        gradient += np.einsum("pm,pmc->pc", G_im[i_p], basis.slopes(key, mu_p)).real
    for b in range(len(contents.elements)):
        own = mu_p == b
        for term in contents.pair_terms:
            near = own & (r_p < term.cutoff)
            V, dV = term.evaluate(r_p[near], (a, b))
            np.add.at(energies, i_p[near], 0.5 * V)
            gradient[near] += 0.5 * dV[:, None] * u_pc[near]
    return energies, gradient


class _PairFunctions:
    """R_nl Y'_lm of all pairs of one centre element."""

    def __init__(self, contents: Contents, a: int, mu_p: Any, r_p: Floats, u_pc: Floats) -> None:
        self.lmax, self.r_p, self.u_pc = contents.lmax, r_p, u_pc
        self.Y, self.dY = harmonics(u_pc, self.lmax)
        self.tables = {}
        for b in range(len(contents.elements)):
            bond = contents.bonds[a, b]
            table = bond.evaluate(r_p[mu_p == b], self.lmax)
            inside = r_p[mu_p == b] < bond.cutoff
            self.tables[b] = [t * inside.reshape(-1, *[1] * (t.ndim - 1)) for t in table]

    def radial(self, key: tuple[int, ...], mu_p: Any) -> tuple[Floats, Floats]:
        """Return R and dR/dr of a channel (mu, n, l) or, with l = -1, g_n; zero at other elements."""
        mu, n, l = key
        R, dR = np.zeros((2, len(mu_p)))
        g, dg, Rs, dRs = self.tables[mu]
        own = mu_p == mu
        R[own], dR[own] = (g[:, n - 1], dg[:, n - 1]) if l < 0 else (Rs[:, n - 1, l], dRs[:, n - 1, l])
        return R, dR

    def values(self, key: Key, mu_p: Any) -> Complexes:
        """Return R Y', (n_pairs, 2 l + 1), m from -l to l."""
        R, _ = self.radial(key, mu_p)
        l = max(key[2], 0)
        Y: Complexes = np.stack([self._harmonic(l, m) for m in range(-l, l + 1)], axis=1)
        return Y * R[:, None]

    def slopes(self, key: Key, mu_p: Any) -> Complexes:
        """Return d(R Y')/d(pair vector), (n_pairs, 2 l + 1, 3)."""
        R, dR = self.radial(key, mu_p)
        l, u = max(key[2], 0), self.u_pc
        found = []
        for m in range(-l, l + 1):
            dY = self._harmonic(l, m, slope=True)
            across = (dY - u * np.sum(u * dY, axis=1)[:, None]) / self.r_p[:, None]
            found.append(R[:, None] * across + (dR * self._harmonic(l, m))[:, None] * u)
        return np.stack(found, axis=1)

    def _harmonic(self, l: int, m: int, slope: bool = False) -> Complexes:
        table = (self.dY if slope else self.Y)[:, l * (l + 1) // 2 + abs(m)] * np.sqrt(4 * np.pi)
        return np.asarray(table if m >= 0 else (-1.0) ** m * np.conj(table))


def _channels(functions: tuple[Function, ...]) -> list[Key]:
    return sorted({key for function in functions for key in _keys(function)})


def _keys(function: Function) -> list[Key]:
    """Return the channels of a function; l = -1 says that it is bare."""
    if len(function.mus) == 1:
        return [(function.mus[0], function.ns[0], -1)]
    return list(zip(function.mus, function.ns, function.ls, strict=True))


def _summed(values_pm: Complexes, i_p: Any, n: int) -> Complexes:
    A = np.zeros((n, values_pm.shape[1]), dtype=complex)
    np.add.at(A, i_p, values_pm)
    return A


def _products(
    functions: tuple[Function, ...], A: dict[Key, Complexes], n: int
) -> tuple[Floats, dict[Key, Complexes]]:
    """Return the sum of all terms and its derivative by each A."""
    energies = np.zeros(n)
    G = {key: np.zeros_like(table) for key, table in A.items()}
    for function in functions:
        keys = _keys(function)
        for ms, value in zip(function.ms, function.values, strict=True):
            columns = [(key, max(key[2], 0) + m) for key, m in zip(keys, ms, strict=True)]
            factors = [A[key][:, column] for key, column in columns]
            for k, (key, column) in enumerate(columns):
                others = np.full(n, value, dtype=complex)
                for other in factors[:k] + factors[k + 1 :]:
                    others = others * other
                G[key][:, column] += others
            energies += (others * factors[-1]).real
    return energies, G
