"""Entries of a `.yace` file that are no functions: elements, embeddings, bonds, pair terms; checked, then as objects.

What is not exactly a linear potential of the forms that `bonds` knows is refused here, with its key. Enter at
`Head.checked`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from ase_mlipgen.export.bonds import FAMILIES, CorePairs, Families, PolynomialPairs, Polynomials
from ase_mlipgen.export.checks import Entry, integer, sequence
from ase_mlipgen.export.contents import Bond, ElementPair, Floats, PairTerm, YaceError

MOST_N, MOST_L, MOST_POWER = 500, 20, 24
LINEAR = ("FinnisSinclair", "FinnisSinclairShiftedScaled")
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
    kept : mapping
        The entries as numbers and texts, to be written again.
    """

    elements: tuple[str, ...]
    E0: tuple[float, ...]
    weights: tuple[Floats, ...]
    bonds: dict[ElementPair, Bond]
    pair_terms: tuple[PairTerm, ...]
    spacing: float
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
        if polynomial == {True}:
            bonds: dict[ElementPair, Bond] = {p: _polynomials(Entry(b, f"bonds {list(p)}")) for p, b in raw.items()}
            terms = _polynomial_pairs(top, n)
            return cls(elements, E0, weights, bonds, terms, 0.0, _kept(top, bonds))
        spacing = top.number("deltaSplineBins", 0.001)
        if not 1e-5 <= spacing <= 0.1:
            raise YaceError(f"deltaSplineBins = {spacing!r}: expected a spacing from 1e-05 to 0.1 Å")
        bonds, cores = _families({pair: Entry(b, f"bonds {list(pair)}") for pair, b in raw.items()})
        return cls(elements, E0, weights, bonds, cores, spacing, _kept(top, bonds))


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
    fade = own.number("rho_core_cutoff", 1e10) - own.number("drho_core_cutoff", 1.0)
    if not fade > 0:
        raise YaceError(f"{own.place}: rho_core_cutoff - drho_core_cutoff = {fade}: ML-PACE drops the expansion; expected a positive number")
    return parameters[0::2]


def _recurrence(own: Entry) -> Floats:
    n = own.integer("maxn", 1, MOST_N)
    columns = own.entry("recursion_coefficients")
    return np.stack([columns.array(name, n) for name in "ABC"], axis=1)


def _polynomials(own: Entry) -> Polynomials:
    for key in ("splinenodalvals", "splinenodalderivs"):
        if key in own:
            raise YaceError(f"{own.place}: {key}: tables of nodes are not imported; expected recursion_coefficients")
    rows = _recurrence(own)
    p, pl, pr = own.integer("p", 1, MOST_POWER), own.integer("pl", 0, MOST_POWER), own.integer("pr", 0, MOST_POWER)
    found = Polynomials(p, own.number("r0"), own.length("rcut"), own.number("xl"), own.number("xr"), pl, pr, rows)
    if not (found.r0 > -1 and found.xl < found.xr):
        raise YaceError(f"{own.place}: r0 = {found.r0}, xl = {found.xl}, xr = {found.xr}: expected r0 > -1, xl < xr")
    if pl < 2:
        raise YaceError(f"{own.place}: pl = {pl}: forces would jump at the cutoff; expected 2 or more")
    return found


def _polynomial_pairs(top: Entry, n_elements: int) -> tuple[PairTerm, ...]:
    if "polypairpot" not in top:
        return ()
    own = top.entry("polypairpot")
    basis = _polynomials(own)
    coefficients = {
        pair: np.array(sequence(c, len(basis.rows), f"polypairpot: coefficients {list(pair)}"), dtype=object)
        for pair, c in own.pairs("coefficients", n_elements).items()
    }
    checked = {
        pair: Entry({"c": c.tolist()}, f"polypairpot: coefficients {list(pair)}").array("c", len(basis.rows))
        for pair, c in coefficients.items()
    }
    below = dict.fromkeys(checked, (0.0, 0.0, 0.0, 0.0))
    if "reppot" in top:
        for pair, c in top.entry("reppot").pairs("coefficients", n_elements).items():
            one = Entry(c, f"reppot: coefficients {list(pair)}")
            ri, e0, A, B = (one.number(name) for name in ("ri", "e0", "A", "B"))
            below[pair] = (ri, e0, A, B)
    return (PolynomialPairs(basis, checked, below),)


def _families(entries: dict[ElementPair, Entry]) -> tuple[dict[ElementPair, Bond], tuple[PairTerm, ...]]:
    kinds = [own.text("inner_cutoff_type") if "inner_cutoff_type" in own else "density" for own in entries.values()]
    kind = kinds[-1]  # ML-PACE takes the last one for all
    if kind not in ("density", "distance"):
        raise YaceError(
            f"bonds: inner_cutoff_type = {kind!r} is not additive: the expansion fades with the nearest neighbour; "
            "expected 'density' without prehc, or 'distance'"
        )
    bonds: dict[ElementPair, Bond] = {}
    strengths = {}
    for pair, own in entries.items():
        name = own.text("radbasename")
        family = ALIASES.get(name, name)
        if family not in FAMILIES:
            raise YaceError(f"{own.place}: radbasename = {name!r}: expected ACE.jl..., {', '.join(FAMILIES)}")
        n_max, n_base = own.integer("nradmax", 0, MOST_N), own.integer("nradbasemax", 1, MOST_N)
        lmax = own.integer("lmax", 0, MOST_L)
        parameters = own.array("radparameters", None)
        if len(parameters) < 1 or (family != "SBessel" and not parameters[0] > 0):
            raise YaceError(f"{own.place}: radparameters = {parameters.tolist()}: expected [lambda], above 0")
        crad = own.array("radcoefficients", n_max, lmax + 1, n_base).reshape(n_max, lmax + 1, n_base)
        cutoff, width = own.length("rcut"), own.number("dcut", 0.01)
        end, fall = own.number("rcut_in", 0.0), own.number("dcut_in", 0.0)
        a, b = own.number("prehc", 0.0), own.number("lambdahc", 1.0)
        if kind == "density" and (a != 0.0 or end - fall > 0):
            raise YaceError(
                f"{own.place}: prehc = {a}, rcut_in = {end}: a core of type 'density' is not additive; "
                "expected prehc = 0 and no inner cutoff, or inner_cutoff_type 'distance'"
            )
        if end > 0 and not 0 < fall <= end:
            raise YaceError(f"{own.place}: dcut_in = {fall}: expected a width above 0, up to rcut_in = {end}")
        inner = (end, fall) if kind == "distance" and end > 0 else None
        bonds[pair] = Families(family, float(parameters[0]), cutoff, width, crad, inner)
        strengths[pair] = (a, b, cutoff, end, fall)
    has_core = kind == "distance" and any(a != 0.0 and end > 0 for a, _, _, end, _ in strengths.values())
    return bonds, (CorePairs(strengths),) if has_core else ()


def _kept(top: Entry, bonds: dict[ElementPair, Bond]) -> dict[str, Any]:
    """Return the entries to be written again, with numbers in the place of texts that are numbers."""
    n = len(top.content["elements"])
    kept = {"bonds": {pair: _plain(one) for pair, one in top.pairs("bonds", n).items()}}
    kept["embeddings"] = {
        a: {
            "ndensity": 1,
            "FS_parameters": [1.0, 1.0],
            "npoti": LINEAR[1],
            **{k: top.entry("embeddings").entry(a).number(k, d) for k, d in (("rho_core_cutoff", 1e10), ("drho_core_cutoff", 1.0))},
        }
        for a in range(n)
    }
    for key in ("deltaSplineBins", "lmax", "polypairpot", "reppot"):
        if key in top:
            kept[key] = _plain(top.content[key])
    return kept


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
