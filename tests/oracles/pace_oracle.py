"""ML-PACE's own evaluator (python-ace) for a model of ours, through a `.yace` file with radials of ACE.jl kind.

Only what comparisons need: linear models, one or several elements, without the repulsive core. Source of the format:
the reader in lammps-user-pace; of the conventions: Lysogorskiy et al., npj Comput. Mater. 7, 97 (2021). A of PACE is
sqrt(4 pi) times ours, and the conjugate of A_m is (-1)^m A_{-m}.
"""

from collections import defaultdict

import numpy as np
import pytest

from ase_mlipgen.ace.plan import monomial_coefficients

LARGE = "1.0e+10"  # rho_core beyond which ML-PACE would fade the expansion out


def available():
    """Skip the calling test if python-ace is not installed."""
    return pytest.importorskip("pyace", reason="python-ace is not installed: pip install '.[oracles]'")


def number(x):
    text = repr(float(x))
    return text if "." in text or "inf" in text else text.replace("e", ".0e")


def listed(values):
    return "[" + ", ".join(number(x) if isinstance(x, float) else str(x) for x in values) + "]"


def bonds(basis):
    """Yield the lines of the radial functions of every ordered pair of elements."""
    n_max = max(basis.radial[0].recurrence.shape[1], 2)
    for (a, b), radial in basis.radial_bases.items():
        rows = radial.recurrence(n_max)
        x_cut, x_in = radial.interval
        A, B, C = (listed(rows[:, c].tolist()) for c in range(3))
        yield (
            f"  [{a}, {b}]: {{radbasename: ACE.jl.Basic, p: {radial.p}, r0: {number(radial.r0)}, "
            f"rcut: {number(radial.cutoff)}, xl: {number(x_cut)}, xr: {number(x_in)}, pl: {radial.pcut}, "
            f"pr: {radial.pin}, maxn: {n_max}, recursion_coefficients: {{A: {A}, B: {B}, C: {C}}}}}"
        )


def functions(basis, coefficients):
    """Yield one line a (mu, n, l) multiset: its products of A's, and their coefficients."""
    plan = basis.plan
    of_A = {}
    for q in range(len(plan.row_lm)):
        lm = int(plan.row_lm[q])
        l = int((np.sqrt(8 * lm + 1) - 1) // 2)
        for n in range(int(plan.row_n[q])):
            of_A[int(plan.row_start[q]) + n] = (int(plan.row_mu[q]), n + 1, l, lm - l * (l + 1) // 2)
    entries = defaultdict(list)
    weights = monomial_coefficients(plan, coefficients)
    for factors, order, weight in zip(plan.monomial_factors, plan.monomial_order, weights, strict=True):
        channels, sign = [], 1.0
        for v in factors[:order]:
            mu, n, l, m = of_A[int(v) % plan.n_A]
            if v >= plan.n_A:
                sign, m = sign * (-1.0) ** m, -m
            channels.append((mu, n, l, m))
        channels.sort()
        mus, ns, ls, ms = (tuple(c[k] for c in channels) for k in range(4))
        entries[mus, ns, ls].append((ms, sign * weight * (4 * np.pi) ** (-order / 2)))
    for (mus, ns, ls), terms in entries.items():
        yield mus, ns, ls, [m for ms, _ in terms for m in ms], [float(c) for _, c in terms]


def write_yace(path, basis, coefficients):
    """Write a model without core to a file of ML-PACE."""
    assert basis.core is None
    n = len(basis.elements)
    lmax = basis.angular.lmax
    lines = [
        "elements: [" + ", ".join(f'"{s}"' for s in basis.elements) + "]",
        f"E0: {listed([0.0] * n)}",
        "deltaSplineBins: 0.001",
        f"lmax: {lmax}",
        "embeddings:",
        *(
            f"  {a}: {{ndensity: 1, FS_parameters: [1.0, 1.0], npoti: FinnisSinclairShiftedScaled, "
            f"rho_core_cutoff: {LARGE}, drho_core_cutoff: 1.0}}"
            for a in range(n)
        ),
        "bonds:",
        *bonds(basis),
        "functions:",
    ]
    for a, own in enumerate(np.reshape(coefficients, (n, -1))):
        lines.append(f"  {a}:")
        for mus, ns, ls, ms, values in functions(basis, own):
            lines.append(
                f"    - {{mu0: {a}, rank: {len(mus)}, ndensity: 1, num_ms_combs: {len(values)}, mus: {listed(mus)}, "
                f"ns: {listed(ns)}, ls: {listed(ls)}, ms_combs: {listed(ms)}, ctildes: {listed(values)}}}"
            )
    path.write_text("\n".join(lines) + "\n")
    return path


class PACE:
    """A `.yace` file evaluated on one structure, neighbour list made once: `compute` is energies and forces."""

    def __init__(self, path, atoms, *, recursive=True):
        from pyace import PyACECalculator

        self.calculator = PyACECalculator(str(path), recursive_evaluator=recursive, recursive=recursive)
        self.environment = self.calculator.get_atomic_env(atoms)

    def compute(self):
        self.calculator.ace.compute(self.environment, compute_projections=False)

    @property
    def energies(self):
        return np.array(self.calculator.ace.energies)

    @property
    def forces(self):
        return np.array(self.calculator.ace.forces)
