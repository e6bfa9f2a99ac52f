"""What an embedded-atom potential is made of: three kinds of functions with two derivatives each.

E = sum_i F(rho_i) + 1/2 sum_p phi(r_p), rho_i = sum_{p of i} f(r_p) (Daw and Baskes, Phys. Rev. B 29, 6443
(1984)), with pairs p counted from both ends. F depends on the element of atom i, phi and f on those of both
ends (Finnis-Sinclair tables: f of a pair differs between the two directions).
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class PairTerms(NamedTuple):
    """Density f at atom i due to neighbour j, and pair energy phi, with derivatives by r; (n_pairs,) arrays.

    Densities are in the potential's own unit, energies in eV, lengths in Å; all is zero from the cutoff on.
    """

    f: Floats
    df: Floats
    ddf: Floats
    phi: Floats
    dphi: Floats
    ddphi: Floats


class SiteTerms(NamedTuple):
    """Embedding energy (eV) with derivatives by the density; (n_atoms,) arrays."""

    F: Floats
    dF: Floats
    ddF: Floats


class EAMFunctions(Protocol):
    """The functions of one potential."""

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols; element indices count along this tuple."""

    @property
    def cutoff(self) -> float:
        """Distance from which on f and phi are zero, Å."""

    @property
    def largest_density(self) -> float:
        """Density up to which a table of F should go."""

    def pair_terms(self, r_p: Floats, a_p: Ints, b_p: Ints) -> PairTerms:
        """Return f and phi of pairs at distances r_p (Å) between elements a_p (of atom i) and b_p (of j)."""

    @property
    def form(self) -> Any:
        """Constants from which the compiled evaluator takes f and phi (a kind that `lane_terms` knows)."""

    def site_terms(self, rho_i: Floats, a_i: Ints) -> SiteTerms:
        """Return F of atoms of elements a_i at densities rho_i."""
