"""Files of other programs for tests, as texts: a model of ours with other radial functions and cores."""

import numpy as np

from ase_mlipgen import ACEBasis
from ase_mlipgen.export.assemble import parts
from ase_mlipgen.export.spelling import text_of

PAIRS = [(0, 0), (0, 1), (1, 0), (1, 1)]


def entries(core="zbl", order=3, degree=6, elements=("C", "Si")):
    """Return the entries of a model whose cores have one length, without metadata."""
    basis = ACEBasis(elements, order=order, degree=degree, cutoff=4.5, r0=2.1, core=core)
    values = 0.1 * np.random.default_rng(3).normal(size=len(basis))
    [found] = parts(basis, values, dict.fromkeys(basis.elements, -1.25))
    del found["metadata"]
    return found


def pacemaker(family, inner="density", **size):
    """Return the entries of a model with functions of pacemaker that depend on l and on the ordered pair."""
    found, rng = entries(core=None, **size), np.random.default_rng(4)
    found["bonds"] = {}
    for k, pair in enumerate(PAIRS):
        bond = {
            "nradmax": 6, "lmax": 4, "nradbasemax": 7, "radbasename": family,
            "radparameters": [2.5 + 0.1 * k], "radcoefficients": rng.normal(size=(6, 5, 7)).tolist(),
            "prehc": 0.0, "lambdahc": 1.0, "rcut": 4.5 - 0.1 * k, "dcut": 0.5, "rcut_in": 0.0, "dcut_in": 0.0,
        }  # fmt: skip
        if inner == "distance":
            bond |= {"prehc": 60.0 + k, "rcut_in": 1.6, "dcut_in": 0.4, "inner_cutoff_type": inner}
        found["bonds"][pair] = bond
    found["deltaSplineBins"] = 5e-4
    del found["lmax"]
    return {**{key: one for key, one in found.items() if key != "functions"}, "functions": found["functions"]}


def write(path, found):
    """Write entries to a file."""
    path.write_text(text_of(found))
    return path
