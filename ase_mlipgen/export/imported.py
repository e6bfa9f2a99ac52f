"""A basis whose radial functions are those of a `.yace` file, for models that were read.

ACE.jl radials become the recurrences that all kernels know. ML-PACE's own families become cubics between equidistant
points: the same look-up table as ML-PACE's, so that energies agree with LAMMPS to round-off and not only to the 1e-10
of a table; for those there is the scalar evaluator, and neither design rows nor Hessians.

Of a family, R_nl depends on l and functions of one factor take the bare g_n. Channels (mu, n, l) with n up to the largest
of R_nl stand for these; (mu, n + n_max, 0) for g_n; one more for a core, a function of one factor like g_n.
Enter at `read_model`, `basis_from_dict`.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.ace.core import PairCore
from ase_mlipgen.ace.lane_core import CoreTables
from ase_mlipgen.ace.lane_plan import LanePlan, build_lane_plan
from ase_mlipgen.ace.plan import Plan, Radial, build_plan
from ase_mlipgen.ace.specification import Block, Channel
from ase_mlipgen.basis import ACEBasis, nearest_neighbor_distance
from ase_mlipgen.export.assemble import FORMAT, VERSION, functions
from ase_mlipgen.export.bonds import Families, PolynomialPairs, Polynomials
from ase_mlipgen.export.contents import (
    Contents,
    ElementPair,
    Floats,
    Function,
    PairTerm,
    RadialTable,
    YaceError,
)
from ase_mlipgen.export.entries import Head, from_json, to_json
from ase_mlipgen.export.projecting import blocks_of, coefficients, same_channel
from ase_mlipgen.export.reading import read


class ReadModel(NamedTuple):
    """A file as a model: basis, coefficients (eV), energies of the elements (eV)."""

    basis: ACEBasis
    coefficients: Floats
    E0: dict[str, float]


class Layout(NamedTuple):
    """Where the radial functions of families lie: R_nl at l * n_max + n - 1, then g_n, then the core.

    Attributes
    ----------
    n_max, n_base, lmax : int
        Largest over all bonds.
    n_core : int
        1 with a core, else 0.
    """

    n_max: int
    n_base: int
    lmax: int
    n_core: int

    @property
    def n_functions(self) -> int:
        """Number of radial functions of a pair of elements."""
        return self.n_max * (self.lmax + 1) + self.n_base + self.n_core

    def channel(self, mu: int, n: int, l: int, order: int) -> Channel:
        """Return the channel of a factor of a file."""
        return Channel(mu, n + self.n_max, 0) if order == 1 else Channel(mu, n, l)

    def core(self, mu: int) -> Channel:
        """Return the channel of the core."""
        return Channel(mu, self.n_max + self.n_base + 1, 0)

    def radial_of_l(self) -> list[int]:
        """Return the place of the first radial function of each l; those of l = 0 go on behind all others."""
        return [self.n_functions - self._n_of_zero] + [(l - 1) * self.n_max for l in range(1, self.lmax + 1)]

    @property
    def _n_of_zero(self) -> int:
        return self.n_max + self.n_base + self.n_core

    def arranged(self, table: RadialTable, core: tuple[Floats, Floats] | None) -> tuple[Floats, Floats]:
        """Return values and slopes of all radial functions, (n_r, n_functions)."""
        n_r = len(table.g)
        found = np.zeros((2, n_r, self.n_functions))
        zero = self.n_functions - self._n_of_zero
        for k, (g, R) in enumerate(((table.g, table.R), (table.dg, table.dR))):
            for l in range(min(self.lmax + 1, R.shape[2])):
                at = zero if l == 0 else (l - 1) * self.n_max
                found[k, :, at : at + R.shape[1]] = R[:, :, l]
            at = zero + self.n_max
            found[k, :, at : at + g.shape[1]] = g
            if core is not None:
                found[k, :, -1] = 0.5 * core[k]
        return found[0], found[1]


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
        lengths = [one.cutoff for one in (*self.bonds.values(), *self.pair_terms)]
        self.cutoff = float(max(lengths))
        self.order = max((len(block) for block in blocks), default=1)
        self._blocks = [tuple(Channel(*channel) for channel in block) for block in blocks]
        self.degree = float(max((sum(c.n for c in block) for block in self._blocks), default=1))
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
    def blocks(self) -> list[Block]:  # type: ignore[override]
        """The (mu, n, l) multisets, the same for every centre element."""
        return self._blocks

    @cached_property
    def plan(self) -> Plan:
        """Static tables of the kernels, shared by all centre elements."""
        radial_of_l = self.layout.radial_of_l() if self.is_tabulated else ()
        return build_plan(self.blocks, len(self.elements), radial_of_l)

    @cached_property
    def lane_plan(self) -> LanePlan | None:
        """Tables of the fast evaluator; None for orders and radial functions that it leaves to the scalar one."""
        return None if self.is_tabulated else build_lane_plan(self.plan, self.angular.lmax)

    @cached_property
    def radial(self) -> tuple[Radial, ...]:
        """Radial parameters of each centre element."""
        one = _tabulated if self.is_tabulated else _recurrences
        return tuple(one(self, a) for a in range(len(self.elements)))

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

    def site_rows(self, atoms: Atoms) -> Floats:
        """Return the value of every function at every atom; see `ACEBasis.site_rows`."""
        if self.is_tabulated:
            self._refuse_rows()
        return super().site_rows(atoms)

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


def layout_of(bonds: Mapping[ElementPair, Any], pair_terms: Sequence[PairTerm]) -> Layout:
    """Return where the radial functions of families lie."""
    shapes = np.array([bond.crad.shape for bond in bonds.values()])
    n_max, n_l, n_base = shapes.max(axis=0).tolist()
    return Layout(n_max, n_base, n_l - 1, int(bool(pair_terms)))


def basis_from_dict(parameters: Mapping[str, Any]) -> ACEBasis:
    """Return the basis of `todict`, of the package's own kind or imported."""
    if "yace" not in parameters:
        return ACEBasis.from_dict(parameters)
    heads = [from_json(head) for head in parameters["yace"]]
    return ImportedBasis(heads, [tuple(Channel(*c) for c in block) for block in parameters["blocks"]])


def read_model(path: str | Path) -> ReadModel:
    """Read a linear potential from a `.yace` file.

    Raises
    ------
    FileNotFoundError
    YaceError
        Not a complete file of a linear potential, or one whose metadata belong to another model.
    """
    contents = read(path)
    E0 = dict(zip(contents.elements, contents.E0, strict=True))
    try:
        if contents.metadata.get("format") == FORMAT:
            return ReadModel(*_own(contents), E0)
        return ReadModel(*without_metadata(contents), E0)
    except YaceError as error:
        raise YaceError(f"{path}: {error}") from None


def without_metadata(contents: Contents) -> tuple[ACEBasis, Floats]:
    """Return a basis of the file's own functions, and their coefficients by projection."""
    tabulated = isinstance(next(iter(contents.bonds.values())), Families)
    layout = layout_of(contents.bonds, contents.pair_terms) if tabulated else None
    channel_of = layout.channel if layout is not None else same_channel
    blocks = blocks_of(contents.functions, channel_of)
    found = [coefficients(own, blocks, channel_of) for own in contents.functions]
    if layout is not None and layout.n_core:
        # The core comes first among the functions of one factor; the file's A is sqrt(4 pi) times ours.
        extra: list[Block] = [(layout.core(mu),) for mu in range(len(contents.elements))]
        blocks = extra + blocks
        found = [np.concatenate([np.full(len(extra), np.sqrt(4 * np.pi)), own]) for own in found]
    if not blocks:
        raise YaceError("functions: there are none; expected an expansion")
    return ImportedBasis(contents.heads, blocks), np.concatenate(found)


def _own(contents: Contents) -> tuple[ACEBasis, Floats]:
    """Return basis and coefficients of the metadata, if the entries are those that they give."""
    version = contents.metadata.get("version")
    if version != str(VERSION):
        raise YaceError(
            f"metadata: version = {version!r}, this release reads {VERSION}: update ase-mlipgen, or remove the "
            "entry metadata to read the functions alone"
        )
    try:
        basis = ACEBasis.from_dict(json.loads(contents.metadata["basis"]))
        values = np.array(json.loads(contents.metadata["coefficients"]), dtype=float)
        if values.shape != (len(basis),) or basis.elements != contents.elements:
            raise ValueError(f"{basis!r} does not fit {values.shape[0]} coefficients of {contents.elements}")
    except (KeyError, TypeError, ValueError) as error:
        raise YaceError(
            f"metadata: not those of a model ({error}); remove the entry to read the functions alone"
        ) from None
    projected = np.concatenate([coefficients(own, basis.blocks, same_channel) for own in contents.functions])
    same = np.allclose(projected, values, rtol=1e-9, atol=1e-12 * np.abs(values).max(initial=0.0))
    if not (same and _same_radials(basis, contents) and _same_cores(basis, contents)):
        raise YaceError(
            "metadata: they are of another model than bonds, functions and pair terms, which were changed; "
            "remove the entry metadata to read what the file says"
        )
    return basis, values


def _same_radials(basis: ACEBasis, contents: Contents) -> bool:
    for pair, bond in contents.bonds.items():
        if not isinstance(bond, Polynomials):
            return False
        radial = basis.radial_bases[pair]
        ours = (radial.p, radial.r0, *radial.interval, radial.pcut, radial.pin)
        theirs = (bond.p, bond.r0, bond.xl, bond.xr, bond.pl, bond.pr)
        if not (
            np.allclose(ours, theirs, rtol=1e-12)
            and np.allclose(bond.rows, radial.recurrence(len(bond.rows)), rtol=1e-12, atol=1e-12)
        ):
            return False
    return True


def _same_cores(basis: ACEBasis, contents: Contents) -> bool:
    r = np.linspace(0.1, basis.cutoff, 200)
    for pair in contents.bonds:
        theirs = np.zeros(len(r))
        for term in contents.pair_terms:
            theirs += term.evaluate(r, pair)[0] * (r < term.cutoff)
        ours = np.zeros(len(r))
        if pair in basis.cores:
            core = basis.cores[pair]
            ours = core.evaluate(r)[0] * (r < core.cutoff)
        if not np.allclose(ours, theirs, rtol=1e-9, atol=1e-9):
            return False
    return True


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
        floats([bond.distance(bond.xr) if bond.pr > 0 else 0.0 for bond in bonds]),
        floats([bond.r0 for bond in bonds]),
        ints([bond.p for bond in bonds]),
        floats([bond.xl for bond in bonds]),
        floats([bond.xr for bond in bonds]),
        ints([bond.pl for bond in bonds]),
        ints([bond.pr for bond in bonds]),
        rows,
        np.zeros(len(bonds)),
        np.zeros((1, 1, 1, 4)),
    )


def _tabulated(basis: ImportedBasis, a: int) -> Radial:
    """Return cubics of the families of one centre element, with values and slopes of the formulas at every point."""
    layout, n = basis.layout, len(basis.elements)
    cutoffs = np.array([basis.bonds[a, b].cutoff for b in range(n)])
    n_intervals = [int(cutoff / basis.spacing) for cutoff in cutoffs]
    table = np.zeros((n, max(n_intervals), layout.n_functions, 4))
    for b in range(n):
        step = cutoffs[b] / n_intervals[b]
        r = step * np.arange(1, n_intervals[b] + 1)
        core = None
        if basis.pair_terms:
            core = basis.pair_terms[0].evaluate(r, (a, b))
        values, slopes = layout.arranged(basis.bonds[a, b].evaluate(r, layout.lmax), core)
        values[-1], slopes[-1] = 0.0, 0.0  # at the cutoff itself, where round-off decides
        f0, f1, s0, s1 = values[:-1], values[1:], slopes[:-1] * step, slopes[1:] * step
        cubic = np.stack([f0, s0, 3 * (f1 - f0) - s1 - 2 * s0, 2 * (f0 - f1) + s1 + s0], axis=-1)
        table[b, 1 : n_intervals[b]] = cubic
        table[b, 0] = _shifted(cubic[0])  # ML-PACE stops at distances below the first point
    zeros, ones = np.zeros(n), np.ones(n, dtype=np.int64)
    rows = np.zeros((n, layout.n_functions, 3))
    rates = np.array(n_intervals) / cutoffs
    return Radial(cutoffs, zeros, zeros, ones, zeros, zeros, ones, ones, rows, rates, table)


def _shifted(cubic: Floats) -> Floats:
    """Return the cubics of the first interval about the point before it."""
    c0, c1, c2, c3 = np.moveaxis(cubic, -1, 0)
    return np.stack([c0 - c1 + c2 - c3, c1 - 2 * c2 + 3 * c3, c2 - 3 * c3, c3], axis=-1)


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
