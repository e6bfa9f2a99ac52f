"""From a basis and its coefficients to the entries of a `.yace` file.

Products of A's are those of `ace.plan`; the file's A is sqrt(4 pi) times ours, conjugates become
conj(A_m) = (-1)^m A_{-m}, and all invariants of one multiset of channels are summed into one entry. Of m and -m, which
have the same real part, one is kept.

The pair term of a file has one polynomial basis for all pairs of elements, with one cutoff. Cores of different lengths
therefore go into files of their own, which LAMMPS sums (`hybrid/overlay`); the model stays exactly what it is.
Enter at `parts`.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from ase_mlipgen.ace.core import PairCore
from ase_mlipgen.ace.plan import Plan, monomial_coefficients
from ase_mlipgen.ace.radial import transform
from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.export.contents import ElementPair, Floats, Function

FORMAT, VERSION = "ase_mlipgen.LinearACE", 1
LAST = "functions"
NO_LIMIT = 1e10
"""Sum of pair terms (eV) from which on ML-PACE fades the expansion out; with the usual 1e5 overlaps would lose it."""
EMBEDDING = {
    "ndensity": 1,
    "FS_parameters": [1.0, 1.0],
    "npoti": "FinnisSinclairShiftedScaled",
    "rho_core_cutoff": NO_LIMIT,
    "drho_core_cutoff": 1.0,
}


def parts(basis: ACEBasis, coefficients: Floats, E0: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the entries of each file of a model: the first has all but cores of other lengths.

    Parameters
    ----------
    basis : ACEBasis
    coefficients : (len(basis),) array, eV
    E0 : mapping of symbol to float, eV
    """
    elements = range(len(basis.elements))
    first = {
        "elements": list(basis.elements),
        "E0": [float(E0[symbol]) for symbol in basis.elements],
        "deltaSplineBins": 0.001,
        "lmax": basis.angular.lmax,
        "embeddings": dict.fromkeys(elements, EMBEDDING),
        "metadata": metadata(basis, coefficients),
        "bonds": _bonds(basis),
        "functions": {
            a: functions(basis.plan, own)
            for a, own in enumerate(np.reshape(coefficients, (len(elements), -1)))
        },
    }
    groups = _groups(basis.cores)
    found = [first]
    for k, group in enumerate(groups):
        if k > 0:
            found.append(_empty(basis, next(iter(group.values()))))
        found[-1].update(_pair_term(group, len(elements)))
    # Functions come last, behind the metadata that know all of them: a truncated file does not pass for a whole one.
    return [{**{k: v for k, v in own.items() if k != LAST}, LAST: own[LAST]} for own in found]


def metadata(basis: ACEBasis, coefficients: Floats) -> dict[str, str]:
    """Return what this package needs to have the same model again; texts, so that no reader stumbles over them."""
    return {
        "format": FORMAT,
        "version": str(VERSION),
        "basis": json.dumps(basis.todict()),
        "coefficients": json.dumps(np.asarray(coefficients).tolist()),
    }


def functions(plan: Plan, coefficients: Floats) -> list[Function]:
    """Return one entry a multiset of channels, of the functions of one centre element."""
    channel_of_A = _channels(plan)
    terms: dict[Any, dict[tuple[int, ...], float]] = defaultdict(dict)
    weights = monomial_coefficients(plan, coefficients)
    for factors, order, weight in zip(plan.monomial_factors, plan.monomial_order, weights, strict=True):
        if weight == 0.0:
            continue
        sign, members = 1.0, []
        for v in factors[:order].tolist():
            mu, n, l, m = channel_of_A[v % plan.n_A]
            if v >= plan.n_A:
                sign, m = sign * (-1.0) ** m, -m
            members.append((mu, n, l, m))
        mus, ns, ls, ms = zip(*sorted(members), strict=True)
        terms[mus, ns, ls][ms] = float(sign * weight * (4 * np.pi) ** (-order / 2))
    return [Function(mus, ns, ls, tuple(own), tuple(own.values())) for (mus, ns, ls), own in terms.items()]


def _channels(plan: Plan) -> list[tuple[int, int, int, int]]:
    """Return (mu, n, l, m) of each A."""
    found = []
    for mu, lm, n_max in zip(plan.row_mu.tolist(), plan.row_lm.tolist(), plan.row_n.tolist(), strict=True):
        l = int((np.sqrt(8 * lm + 1) - 1) / 2 + 1e-9)
        found += [(mu, n, l, lm - l * (l + 1) // 2) for n in range(1, n_max + 1)]
    return found


def _bonds(basis: ACEBasis) -> dict[ElementPair, dict[str, Any]]:
    """Return the radial functions of every ordered pair; all of one length, of two or more (ML-PACE needs that)."""
    n_max = max(basis.radial[0].recurrence.shape[1], 2)
    found = {}
    for pair, radial in basis.radial_bases.items():
        x_cut, x_in = radial.interval
        found[pair] = {
            "radbasename": "ACE.jl.Basic",
            **_transform(radial.p, radial.r0, radial.cutoff, x_cut, x_in, radial.pcut, radial.pin),
            **_recurrence(radial.recurrence(n_max)),
        }
    return found


def _transform(
    p: int, r0: float, rcut: float, xl: float, xr: float, pl: int, pr: int
) -> dict[str, int | float]:
    return {"p": p, "r0": r0, "rcut": rcut, "xl": xl, "xr": xr, "pl": pl, "pr": pr}


def _recurrence(rows: Floats) -> dict[str, Any]:
    """Return the rows (A_n, B_n, C_n) in the file's form."""
    columns = dict(zip("ABC", rows.T.tolist(), strict=True))
    return {"maxn": len(rows), "recursion_coefficients": columns}


def _groups(cores: Mapping[ElementPair, PairCore]) -> list[dict[ElementPair, PairCore]]:
    """Return the cores by their polynomial basis."""
    found: dict[tuple[float, ...], dict[ElementPair, PairCore]] = defaultdict(dict)
    for pair, core in cores.items():
        found[core.cutoff, core.r_i, core.r0, core.p, core.envelope][pair] = core
    return list(found.values())


def _pair_term(group: Mapping[ElementPair, PairCore], n_elements: int) -> dict[str, Any]:
    """Return the entries of cores on one basis; the other pairs get zeros, which ML-PACE does not fill in."""
    one = next(iter(group.values()))
    pairs = [(a, b) for a in range(n_elements) for b in range(n_elements)]
    x_cut, x_i = (float(transform(r, one.r0, one.p)) for r in (one.cutoff, one.r_i))
    nothing = [0.0] * len(one.coefficients)
    polynomial = {
        **_transform(one.p, one.r0, one.cutoff, x_cut, x_i, one.envelope, 0),
        **_recurrence(one.recurrence),
        "coefficients": {p: group[p].coefficients.tolist() if p in group else nothing for p in pairs},
    }
    return {"polypairpot": polynomial, "reppot": {"coefficients": {p: _below(group.get(p)) for p in pairs}}}


def _below(core: PairCore | None) -> dict[str, float]:
    """Return the exponential below r_i; none of it without a core."""
    if core is None:
        return {"ri": 0.0, "e0": 0.0, "A": 0.0, "B": 0.0}
    return {"ri": core.r_i, "e0": core.e0, "A": core.A, "B": core.B}


def _empty(basis: ACEBasis, core: PairCore) -> dict[str, Any]:
    """Return a file without functions, for a core of another length."""
    elements = range(len(basis.elements))
    bond = {
        "radbasename": "ACE.jl.Basic",
        **_transform(core.p, core.r0, core.cutoff, float(transform(core.cutoff, core.r0, core.p)), 2.0, 2, 0),
        **_recurrence(np.eye(2, 3)),
    }
    return {
        "elements": list(basis.elements),
        "E0": [0.0] * len(elements),
        "deltaSplineBins": 0.001,
        "lmax": 0,
        "embeddings": dict.fromkeys(elements, EMBEDDING),
        "bonds": {(a, b): bond for a in elements for b in elements},
        "functions": {a: [] for a in elements},
    }
