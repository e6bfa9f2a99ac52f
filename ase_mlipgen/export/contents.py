"""What a `.yace` file says, as numbers: elements, bonds, functions and the pair term.

The energy of atom i of element a, with neighbours j at r_j - r_i:

    E_i = E0_a + sum over functions of a, sum over their terms, of c Re prod_k A_{mu_k n_k l_k m_k}
        + sum_j (1/2) V_{a mu_j}(r_ij),          A_{mu n l m} = sum_{j of mu} R^{a mu}_{nl}(r_ij) Y'_lm,

where Y' = sqrt(4 pi) Y with orthonormal harmonics and the Condon-Shortley phase, so that Y'_00 = 1. A function of one
factor takes the bare radial functions g_n of the bond in the place of R_n0. Radial indices count from 1 in the file and
here. Source: the reader of ML-PACE (lammps-user-pace); Lysogorskiy et al., npj Comput. Mater. 7, 97 (2021).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
ElementPair = tuple[int, int]


class RadialTable(NamedTuple):
    """Functions of one bond at some distances, with derivatives by r.

    Attributes
    ----------
    g, dg : (n_r, n_base) arrays
        For functions of one factor.
    R, dR : (n_r, n_max, lmax + 1) arrays
    """

    g: Floats
    dg: Floats
    R: Floats
    dR: Floats


class Bond(Protocol):
    """Radial functions of an ordered pair of elements, centre first."""

    @property
    def cutoff(self) -> float:
        """Distance from which on they are zero, Å."""

    def evaluate(self, r: Floats, lmax: int) -> RadialTable:
        """Return the functions at distances r (Å) for momenta up to lmax."""


class PairTerm(Protocol):
    """V of every ordered pair of elements."""

    @property
    def cutoff(self) -> float:
        """Distance from which on it is zero, Å."""

    def evaluate(self, r: Floats, pair: ElementPair) -> tuple[Floats, Floats]:
        """Return V (eV) and dV/dr (eV/Å) at distances r (Å)."""


class Function(NamedTuple):
    """One line of a file: the terms over one multiset of channels.

    Attributes
    ----------
    mus, ns, ls : tuples of ints, one entry a factor
    ms : tuple of tuples
        Magnetic numbers of each term.
    values : tuple of floats
        Coefficient of each term, eV.
    """

    mus: tuple[int, ...]
    ns: tuple[int, ...]
    ls: tuple[int, ...]
    ms: tuple[tuple[int, ...], ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Contents:
    """The numbers of one file, or of several that are summed (the extra ones hold pair terms only).

    Attributes
    ----------
    elements : tuple of str
    E0 : tuple of floats, eV
    bonds : mapping of ordered pair to Bond
    functions : tuple, one entry a centre element
    pair_terms : tuple of PairTerm
        Summed.
    metadata : mapping of str to str
        What this package keeps beside: see `assemble`.
    heads : tuple of mappings
        Each file's own entries but functions and metadata, to be written again.
    """

    elements: tuple[str, ...]
    E0: tuple[float, ...]
    bonds: dict[ElementPair, Bond]
    functions: tuple[tuple[Function, ...], ...]
    pair_terms: tuple[PairTerm, ...]
    metadata: dict[str, str]
    heads: tuple[dict[str, Any], ...]

    @property
    def cutoff(self) -> float:
        """The longest range, Å."""
        lengths = [b.cutoff for b in self.bonds.values()] + [t.cutoff for t in self.pair_terms]
        return max(lengths)

    @property
    def lmax(self) -> int:
        """Largest angular momentum of a function."""
        return max((l for own in self.functions for f in own for l in f.ls), default=0)


class YaceError(ValueError):
    """A file that cannot be read as a linear potential, or a model that the format cannot hold."""
