"""QUIP's own NRL tight binding (quippy-ase), fed with our parameter sets as the XML that it reads.

QUIP cuts off by the cosine tail. Its `energy` is the band energy, without -T S; its forces are the derivatives of
that at fixed occupations, which are ours where no level is partly filled. Source of the format: the reader and the
parameter files distributed with QUIP.
"""

import os

import numpy as np
import pytest
from ase.data import atomic_masses, atomic_numbers

from ase_mlipgen.tightbinding.parameters import BONDS

NOTHING = (0.0, 0.0, 0.0, 100.0)  # e^(-100 r) hides the delta that QUIP adds to overlaps of new style
UNUSED_ONSITE = (10.0, 0.0, 0.0, 0.0)
LIKE = ("sss", "pps", "ppp", "dds", "ddp", "ddd")  # integrals between orbitals of one kind


def available():
    """Skip the calling test if quippy is not installed.

    QUIP talks while it reads; unbuffered, a test's output is captured with the test.
    """
    os.environ.setdefault("GFORTRAN_UNBUFFERED_PRECONNECTED", "1")
    return pytest.importorskip("quippy", reason="quippy-ase is not installed: pip install '.[oracles]'")


def listed(table):
    return " ".join(repr(float(x)) for row in table for x in row)


def is_new_style(parameters):
    """Say whether overlaps are delta + c1 r + c2 r^2 + c3 r^3, the form that goes to one at no distance."""
    deltas = np.array([bond in LIKE for bond in BONDS[: len(parameters.overlap_bk)]], dtype=float)
    c0, c3 = parameters.overlap_bk[:, 0], parameters.overlap_bk[:, 3]
    # d-d integrals that are zero altogether are neither.
    some = parameters.overlap_bk[:, :4].any(axis=1)
    new = bool(np.array_equal(c0[some], deltas[some]))
    assert new or not c3.any(), f"the overlaps of {parameters.name} are of neither form"
    return new


def xml(parameters, kT, points=None):
    """Return the XML of a parameter set; `points` are scaled k-points and weights, (n_k, 3) and (n_k,)."""
    new, p = is_new_style(parameters), parameters
    shells, n_bonds = (1, 2, 3)[: len(p.basis)], len(p.hopping_bk)
    onsite = [p.onsite_ok[k] if k < p.n_orbitals else UNUSED_ONSITE for k in (0, 1, 4)]
    hopping = [*p.hopping_bk, *[NOTHING] * (10 - n_bonds)]
    overlap = [
        row[[1, 2, 3, 4] if new else [0, 1, 2, 4]] if row[:4].any() else NOTHING for row in p.overlap_bk
    ]
    overlap += [NOTHING] * (10 - n_bonds)
    mesh = ""
    if points is not None:
        each = "".join(
            f'<point weight="{float(w)!r}">{listed([k])}</point>' for k, w in zip(*points, strict=True)
        )
        mesh = f'<KPoints N="{len(points[1])}">{each}</KPoints>'
    Z = atomic_numbers[p.element]
    flag = "T" if new else "F"
    return f"""<params>{mesh}<NRL_TB_params header_str="{"NN00001" if new else "NN00000"}" label="">
<defaults fermi_T="{kT!r}"/>
<header is_orthogonal="F" is_magnetic="F" has_pair_repulsion="F" overlap_zero_limit="{flag}"
 force_harrison_signs="F"/>
<n_types v="1"/><cutoff v="{p.cutoff!r}"/>
<per_type_data type="1" atomic_num="{Z}" atomic_mass="{float(atomic_masses[Z])!r}" n_orbs="{p.n_orbitals}"
 n_elecs="{p.electrons:.0f}" n_orb_sets="{len(shells)}" lambda_sq="{p.decay!r}">
<orb_set_type>{" ".join(map(str, shells))}</orb_set_type></per_type_data>
<per_pair_data type1="1" type2="1" r_cut="{p.cutoff!r}" screen_l="{p.width!r}">
<abcd>{listed(onsite)}</abcd><H_coeff>{listed(hopping)}</H_coeff><S_coeff>{listed(overlap)}</S_coeff>
</per_pair_data></NRL_TB_params></params>"""


def potential(parameters, kT, points=None):
    """Return QUIP's calculator of a parameter set."""
    available()
    from quippy.potential import Potential

    return Potential("TB NRL-TB", param_str=xml(parameters, float(kT), points))
