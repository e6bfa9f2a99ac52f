"""Entries of a `.yace` file that are no functions: elements, embeddings, bonds, pair terms; checked, then as objects.

What is not exactly a linear potential of the forms that `bonds` knows is refused here, with its key. Enter at
`Head.checked`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from ase_mlipgen.export.bonds import FAMILIES, CorePairs, Families, PolynomialPairs, Polynomials
from ase_mlipgen.export.checks import Entry, array, sequence
from ase_mlipgen.export.contents import Bond, ElementPair, Floats, PairTerm, YaceError

MOST_N, MOST_L, MOST_POWER = 500, 40, 24
LARGEST_TABLE = 2**31
KEPT = ("deltaSplineBins", "lmax", "polypairpot", "reppot")
FADE = {"rho_core_cutoff": 1e10, "drho_core_cutoff": 1.0}
BY_KEY = "entries by key"
LINEAR = ("FinnisSinclair", "FinnisSinclairShiftedScaled")
MOST_LAMBDA = 100
ALIASES = {"TEST_SBessel": "SBessel"}


@dataclass(frozen=True)
class Head:
    """Checked entries.

    Attributes
    ----------
    elements : tuple of str
    E0 : tuple of floats, eV
    weights : tuple of arrays
        Factor of each density of an element, summed into one.
    bonds : mapping of ordered pair to Bond
    pair_terms : tuple of PairTerm
    spacing : float
        Of ML-PACE's look-up tables, Å; 0 where it evaluates the formulas.
    lmax : int
        Up to which ML-PACE has harmonics.
    kept : mapping
        The entries as numbers and texts, to be written again.
    """

    elements: tuple[str, ...]
    E0: tuple[float, ...]
    weights: tuple[Floats, ...]
    bonds: dict[ElementPair, Bond]
    pair_terms: tuple[PairTerm, ...]
    spacing: float
    lmax: int
    kept: dict[str, Any]

    @classmethod
    def checked(cls, content: Any) -> "Head":
        """Return the entries of a file.

        Raises
        ------
        YaceError
            An entry that is missing, out of range, or beyond linear potentials; its key is named.
        """
        top = Entry(content, "")
        elements = _elements(top.get("elements"))
        n = len(elements)
        raw = top.pairs("bonds", n)
        names = {pair: Entry(one, f"bonds {list(pair)}").text("radbasename") for pair, one in raw.items()}
        polynomial = {name.startswith("ACE.jl") for name in names.values()}
        if len(polynomial) == 2:
            raise YaceError("bonds: ACE.jl radials and others in one file; ML-PACE cannot mix them")
        E0 = tuple(top.array("E0", n).tolist()) if "E0" in top else (0.0,) * n
        weights = tuple(_weights(top.entry("embeddings"), a) for a in range(n))
        kept = {**_kept(top, n), "elements": list(elements), "E0": list(E0)}
        if polynomial == {True}:
            bonds: dict[ElementPair, Bond] = {
                p: _polynomials(Entry(b, f"bonds {list(p)}")) for p, b in raw.items()
            }
            terms = _polynomial_pairs(top, n)
            return cls(elements, E0, weights, bonds, terms, 0.0, top.integer("lmax", 0, MOST_L), kept)
        spacing = top.number("deltaSplineBins", 0.001)
        if not 1e-5 <= spacing <= 0.1:
            raise YaceError(f"deltaSplineBins = {spacing!r}: expected a spacing from 1e-05 to 0.1 Å")
        bonds, cores = _families({pair: Entry(b, f"bonds {list(pair)}") for pair, b in raw.items()})
        _check_table(bonds, spacing)
        return cls(elements, E0, weights, bonds, cores, spacing, MOST_L, kept)


def _elements(value: Any) -> tuple[str, ...]:
    """Return symbols; YAML 1.1 readers take No for false and Y, N for themselves."""
    found = tuple("No" if one is False else one for one in sequence(value, None, "elements"))
    known = [one for one in found if isinstance(one, str) and atomic_numbers.get(one, 0) > 0]
    if not found or len(known) != len(found) or len(set(found)) != len(found):
        raise YaceError(f"elements = {list(found)!r}: expected different chemical symbols")
    return found


def _weights(embeddings: Entry, a: int) -> Floats:
    own = embeddings.entry(a)
    n = own.integer("ndensity", 1, 100)
    name = own.text("npoti") if "npoti" in own else LINEAR[1]
    parameters = own.array("FS_parameters", 2 * n)
    if name not in LINEAR or (parameters[1::2] != 1.0).any():
        raise YaceError(
            f"{own.place}: {name} with FS_parameters {parameters.tolist()} is no linear potential: expected "
            f"exponents of 1, [w, 1.0, ...]. A fit of one linear density gives such a file"
        )
    end, width = (own.number(key, default) for key, default in FADE.items())
    if not end - width > 0:
        raise YaceError(
            f"{own.place}: rho_core_cutoff - drho_core_cutoff = {end - width}: ML-PACE then drops the expansion; "
            "expected a positive number"
        )
    return parameters[0::2]


def _recurrence(own: Entry) -> Floats:
    n = own.integer("maxn", 1, MOST_N)
    columns = own.entry("recursion_coefficients")
    return np.stack([columns.array(name, n) for name in "ABC"], axis=1)


def _polynomials(own: Entry) -> Polynomials:
    for key in ("splinenodalvals", "splinenodalderivs"):
        if key in own:
            raise YaceError(
                f"{own.place}: {key}: tables of nodes are not imported; expected recursion_coefficients"
            )
    rows = _recurrence(own)
    p, pl, pr = (own.integer(key, low, MOST_POWER) for key, low in (("p", 1), ("pl", 2), ("pr", 0)))
    r0, rcut, xl, xr = own.number("r0"), own.length("rcut"), own.number("xl"), own.number("xr")
    if not (r0 > -1 and xl > 0 and (pr == 0 or xl < xr)):
        raise YaceError(f"{own.place}: r0 = {r0}, xl = {xl}, xr = {xr}: expected r0 > -1 and 0 < xl < xr")
    found = Polynomials(p, r0, rcut, xl, xr, pl, pr, rows)
    reach = found.distance(xl)
    if reach > rcut * (1 + 1e-9):
        raise YaceError(
            f"{own.place}: xl = {xl} is reached at {reach} Å: expected that at rcut = {rcut} Å or before"
        )
    return found if abs(reach - rcut) < 1e-9 * rcut else replace(found, cutoff=reach)


def _polynomial_pairs(top: Entry, n_elements: int) -> tuple[PairTerm, ...]:
    if "polypairpot" not in top:
        return ()
    own = top.entry("polypairpot")
    basis = _polynomials(own)
    checked = {
        pair: array(c, (len(basis.rows),), f"polypairpot: coefficients {list(pair)}")
        for pair, c in own.pairs("coefficients", n_elements).items()
    }
    below = dict.fromkeys(checked, (0.0, 0.0, 0.0, 0.0))
    if "reppot" in top:
        for pair, c in top.entry("reppot").pairs("coefficients", n_elements).items():
            one = Entry(c, f"reppot: coefficients {list(pair)}")
            ri, e0, A, B = (one.number(name) for name in ("ri", "e0", "A", "B"))
            below[pair] = (ri, e0, A, B)
    return (PolynomialPairs(basis, checked, below),)


def _families(entries: dict[ElementPair, Entry]) -> tuple[dict[ElementPair, Bond], tuple[PairTerm, ...]]:
    kinds = [
        own.text("inner_cutoff_type") if "inner_cutoff_type" in own else "density" for own in entries.values()
    ]
    kind = kinds[-1]  # ML-PACE takes the last one for all
    if kind not in ("density", "distance"):
        raise YaceError(
            f"bonds: inner_cutoff_type = {kind!r} is not additive: the expansion fades with the nearest neighbour; "
            "expected 'density' without prehc, or 'distance'"
        )
    bonds: dict[ElementPair, Bond] = {}
    strengths = {}
    for pair, own in entries.items():
        bonds[pair], strengths[pair] = _family(own, kind)
    has_core = any(a != 0.0 and end > 0 for a, _, _, end, _ in strengths.values())
    return bonds, (CorePairs(strengths),) if has_core else ()


def _family(own: Entry, kind: str) -> tuple[Families, tuple[float, float, float, float, float]]:
    """Return one bond, and strength, decay, cutoff, inner cutoff and its width of the core."""
    name = own.text("radbasename")
    family = ALIASES.get(name, name)
    if family not in FAMILIES:
        raise YaceError(f"{own.place}: radbasename = {name!r}: expected ACE.jl..., {', '.join(FAMILIES)}")
    n_max, n_base = own.integer("nradmax", 0, MOST_N), own.integer("nradbasemax", 1, MOST_N)
    lmax = own.integer("lmax", 0, MOST_L)
    parameters = own.array("radparameters", None)
    if len(parameters) < 1 or (family != "SBessel" and not 0 < parameters[0] < MOST_LAMBDA):
        raise YaceError(
            f"{own.place}: radparameters = {parameters.tolist()}: expected [lambda], above 0 and below {MOST_LAMBDA}"
        )
    crad = own.array("radcoefficients", n_max, lmax + 1, n_base).reshape(n_max, lmax + 1, n_base)
    cutoff, width = own.length("rcut"), own.number("dcut", 0.01)
    end, fall = own.number("rcut_in", 0.0), own.number("dcut_in", 0.0)
    a, b = own.number("prehc", 0.0), own.number("lambdahc", 1.0)
    if kind == "density" and (a != 0.0 or end - fall > 0):
        raise YaceError(
            f"{own.place}: prehc = {a}, rcut_in = {end}: a core of type 'density' is not additive; "
            "expected prehc = 0 and no inner cutoff, or inner_cutoff_type 'distance'"
        )
    if kind == "distance" and end > 0 and not 0 < fall <= end:
        raise YaceError(f"{own.place}: dcut_in = {fall}: expected a width above 0, up to rcut_in = {end}")
    inner = (end, fall) if kind == "distance" and end > 0 else None
    bond = Families(family, float(parameters[0]), cutoff, width, crad, inner)
    return bond, (a, b, cutoff, end if inner else 0.0, fall)


def _check_table(bonds: dict[ElementPair, Bond], spacing: float) -> None:
    """Refuse look-up tables that would not fit into memory."""
    widest = max(b.crad.size // b.crad.shape[2] + b.crad.shape[2] + 1 for b in bonds.values())  # type: ignore[attr-defined]
    n_bytes = 32 * len(bonds) * widest * max(b.cutoff for b in bonds.values()) / spacing
    if n_bytes > LARGEST_TABLE:
        raise YaceError(
            f"deltaSplineBins = {spacing}: the look-up table would have {n_bytes:.0e} bytes; choose a wider spacing"
        )


def _kept(top: Entry, n_elements: int) -> dict[str, Any]:
    """Return the entries to be written again, with numbers in the place of texts that are numbers."""
    kept = {key: _plain(top.content[key]) for key in KEPT if key in top}
    kept["bonds"] = {pair: _plain(one) for pair, one in top.pairs("bonds", n_elements).items()}
    embeddings: dict[int, dict[str, Any]] = {}
    for a in range(n_elements):
        own = top.entry("embeddings").entry(a)
        fade = {key: own.number(key, default) for key, default in FADE.items()}
        embeddings[a] = {"ndensity": 1, "FS_parameters": [1.0, 1.0], "npoti": LINEAR[1], **fade}
    return {**kept, "embeddings": embeddings}


def to_json(value: Any) -> Any:
    """Return entries in a form that JSON can hold: mappings by pairs or numbers become lists."""
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: to_json(one) for key, one in value.items()}
        return {BY_KEY: [[to_json(key), to_json(one)] for key, one in value.items()]}
    if isinstance(value, list | tuple):
        return [to_json(one) for one in value]
    return value


def from_json(value: Any) -> Any:
    """Return the entries of `to_json`."""
    if isinstance(value, Mapping):
        if set(value) == {BY_KEY}:
            keys = [(tuple(key) if isinstance(key, list) else key, one) for key, one in value[BY_KEY]]
            return {key: from_json(one) for key, one in keys}
        return {key: from_json(one) for key, one in value.items()}
    return [from_json(one) for one in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
