"""A basis whose radial functions are those of a `.yace` file, for models that were read.

ACE.jl radials become the recurrences that all kernels know. ML-PACE's own families become cubics between equidistant
points, the same look-up table as ML-PACE's, so that energies agree with LAMMPS to round-off and not only to the 1e-10
of a table; for those there are no design rows.
Enter at `ImportedBasis`, `basis_from_dict`.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.ace.core import PairCore
from ase_mlipgen.ace.lane_plan import LanePlan, build_lane_plan
from ase_mlipgen.ace.plan import Plan, Radial, build_plan
from ase_mlipgen.ace.specification import Block, Channel
from ase_mlipgen.basis import ACEBasis, nearest_neighbor_distance
from ase_mlipgen.export.assemble import functions
from ase_mlipgen.export.bonds import PolynomialPairs, Polynomials
from ase_mlipgen.export.contents import Bond, ElementPair, Floats, Function, PairTerm, YaceError
from ase_mlipgen.export.entries import Head, from_json, to_json
from ase_mlipgen.export.layout import Layout, layout_of, tabulated


class ImportedBasis(ACEBasis):
    """Linear ACE basis of a `.yace` file: its blocks, with its radial functions and pair term.

    Parameters
    ----------
    heads : sequence of mappings
        Checked entries of the file, and of those that are summed with it: `entries.Head.kept`.
    blocks : sequence of Block
        Multisets of channels (mu, n, l).

    Raises
    ------
    YaceError
        A pair term that the package has no form for.
    """

    def __init__(self, heads: Sequence[Mapping[str, Any]], blocks: Sequence[Block]) -> None:
        checked = [Head.checked(head) for head in heads]
        self.heads = tuple(dict(head) for head in heads)
        self.elements = checked[0].elements
        self.bonds, self.spacing = checked[0].bonds, checked[0].spacing
        self.pair_terms: tuple[PairTerm, ...] = tuple(term for one in checked for term in one.pair_terms)
        lengths = [bond.cutoff for bond in self.bonds.values()] + [term.cutoff for term in self.pair_terms]
        self.cutoff = float(max(lengths))
        self.order = max((len(block) for block in blocks), default=1)
        self._blocks = [tuple(Channel(*channel) for channel in block) for block in blocks]
        self.degree = float(max((sum(c.n for c in block) for block in self._blocks), default=1))
        self.r_in = {symbol: _inner(self.bonds[a, a]) for a, symbol in enumerate(self.elements)}
        self.r0 = {symbol: nearest_neighbor_distance(symbol) for symbol in self.elements}
        self.core = None if not self.pair_terms else "file"
        if not self.is_tabulated:
            _ = self.cores  # what cannot be represented is refused here

    @property
    def is_tabulated(self) -> bool:
        """Whether the radial functions are ML-PACE's own families, from a look-up table."""
        return self.spacing > 0

    @cached_property
    def layout(self) -> Layout:
        """Where the radial functions of families lie."""
        return layout_of(self.bonds, self.pair_terms)

    @property
    def blocks(self) -> list[Block]:
        """The (mu, n, l) multisets, the same for every centre element."""
        return self._blocks

    @cached_property
    def plan(self) -> Plan:
        """Static tables of the kernels, shared by all centre elements."""
        radial_of_l = self.layout.radial_of_l() if self.is_tabulated else ()
        return build_plan(self.blocks, len(self.elements), radial_of_l)

    @cached_property
    def lane_plan(self) -> LanePlan | None:
        """Tables of the fast evaluator; None for orders that it leaves to the scalar one."""
        return build_lane_plan(self.plan, self.angular.lmax)

    @cached_property
    def radial(self) -> tuple[Radial, ...]:
        """Radial parameters of each centre element."""
        centres = range(len(self.elements))
        if not self.is_tabulated:
            return tuple(_recurrences(self, a) for a in centres)
        return tuple(tabulated(self.layout, self.bonds, self.pair_terms, self.spacing, a) for a in centres)

    @cached_property
    def cores(self) -> dict[ElementPair, PairCore]:
        """Pair term of each ordered pair of elements; empty without one, and where it is among the functions."""
        if self.is_tabulated or not self.pair_terms:
            return {}
        return {pair: _core(self.pair_terms, pair) for pair in self.bonds}

    def _columns(
        self, atoms: Atoms, virial: bool, part: slice | None, velocity_ic: Floats | None = None
    ) -> Floats:
        if self.is_tabulated:
            self._refuse_rows()
        return super()._columns(atoms, virial, part, velocity_ic)

    def site_row_parts(self, atoms: Atoms) -> Iterator[Floats]:
        """Yield the value of every function at every atom; see `ACEBasis.site_row_parts`."""
        if self.is_tabulated:
            self._refuse_rows()
        return super().site_row_parts(atoms)

    def _refuse_rows(self) -> NoReturn:
        raise ValueError(
            f"{self!r} has radial functions from a table, for which there are no design rows; fit with an ACEBasis"
        )

    def entries(self, values: Floats, E0: Mapping[str, float]) -> list[dict[str, Any]]:
        """Return the entries of each file of a model with this basis; compare `assemble.parts`.

        Raises
        ------
        YaceError
            The core of tabulated functions was given another strength, which the file cannot hold.
        """
        listed = {}
        for a, own in enumerate(np.reshape(values, (len(self.elements), -1))):
            found = functions(self.plan, own)
            listed[a] = self._named(found) if self.is_tabulated else found
        first = {**self.heads[0], "E0": [float(E0[symbol]) for symbol in self.elements], "functions": listed}
        nothing: dict[int, list[Function]] = {a: [] for a in listed}
        return [first, *({**head, "functions": nothing} for head in self.heads[1:])]

    def _named(self, found: Sequence[Function]) -> list[Function]:
        """Return functions with the indices of the file, without the core."""
        named, n_max = [], self.layout.n_max
        cores = {self.layout.core(mu)[:2] for mu in range(len(self.elements)) if self.layout.n_core}
        for one in found:
            if len(one.mus) > 1:
                named.append(one)
            elif (one.mus[0], one.ns[0]) not in cores:
                named.append(one._replace(ns=(one.ns[0] - n_max,)))
            elif abs(one.values[0] - 1.0) > 1e-12:
                raise YaceError(f"the core has the strength {one.values[0]}; expected 1, as it was read")
        return named

    def todict(self) -> dict[str, Any]:
        """Return the parameters from which `basis_from_dict` builds the same basis; JSON can hold them."""
        blocks = [[list(channel) for channel in block] for block in self.blocks]
        return {
            "elements": list(self.elements),
            "yace": [to_json(head) for head in self.heads],
            "blocks": blocks,
        }

    def __repr__(self) -> str:
        kinds = {type(bond).__name__ for bond in self.bonds.values()}
        return (
            f"ImportedBasis({list(self.elements)}, {', '.join(sorted(kinds)).lower()}, order={self.order}, "
            f"cutoff={self.cutoff:g})"
        )


def basis_from_dict(parameters: Mapping[str, Any]) -> ACEBasis:
    """Return the basis of `todict`, of the package's own kind or imported."""
    if "yace" not in parameters:
        return ACEBasis.from_dict(parameters)
    heads = [from_json(head) for head in parameters["yace"]]
    return ImportedBasis(heads, [tuple(Channel(*c) for c in block) for block in parameters["blocks"]])


def _inner(bond: Bond) -> float:
    """Return the distance below which the functions vanish, Å; 0 if there is none."""
    return bond.distance(bond.xr) if isinstance(bond, Polynomials) and bond.pr > 0 else 0.0


def _recurrences(basis: ImportedBasis, a: int) -> Radial:
    """Return the parameters of ACE.jl radials of one centre element; shorter recurrences are padded with zeros."""
    bonds: list[Any] = [basis.bonds[a, b] for b in range(len(basis.elements))]
    n_max = max(channel.n for block in basis.blocks for channel in block)
    rows = np.zeros((len(bonds), n_max, 3))
    for k, bond in enumerate(bonds):
        n = min(n_max, len(bond.rows))
        rows[k, :n] = bond.rows[:n]

    def floats(values: list[float]) -> Floats:
        return np.array(values, dtype=float)

    def ints(values: list[int]) -> npt.NDArray[np.int64]:
        return np.array(values, dtype=np.int64)

    return Radial(
        floats([bond.cutoff for bond in bonds]),
        floats([_inner(bond) for bond in bonds]),
        floats([bond.r0 for bond in bonds]),
        ints([bond.p for bond in bonds]),
        floats([bond.xl for bond in bonds]),
        floats([bond.xr for bond in bonds]),
        ints([bond.pl for bond in bonds]),
        ints([bond.pr for bond in bonds]),
        rows,
        np.zeros(len(bonds)),
        1,
        np.zeros((1, 1, 1, 4)),
    )


def _core(terms: Sequence[PairTerm], pair: ElementPair) -> PairCore:
    """Return the one pair term that is not zero.

    Raises
    ------
    YaceError
        Two of them, or an inner envelope.
    """
    chosen = None
    for term in terms:
        if not isinstance(term, PolynomialPairs):
            raise YaceError("polypairpot: a pair term of another kind cannot stand beside ACE.jl radials")
        if term.basis.pr != 0:
            raise YaceError(
                f"polypairpot: pr = {term.basis.pr}: an envelope inwards has no form here; expected 0"
            )
        if chosen is None or term.is_zero(pair) is False:
            if chosen is not None and not chosen.is_zero(pair):
                raise YaceError(f"polypairpot: the pair {list(pair)} has a term in two of the summed files")
            chosen = term
    assert chosen is not None
    longest = max(len(term.basis.rows) for term in terms if isinstance(term, PolynomialPairs))
    rows, c = np.zeros((longest, 3)), np.zeros(longest)
    rows[: len(chosen.basis.rows)], c[: len(chosen.basis.rows)] = chosen.basis.rows, chosen.coefficients[pair]
    ri, e0, A, B = chosen.below[pair]
    one = chosen.basis
    return PairCore(one.cutoff, ri, one.r0, one.p, rows, c, A, B, e0, one.pl)
