"""Quantum ESPRESSO as the reference of a TOML file: `factory = "references/quantum_espresso.py:espresso"`.

pw.x is looked for on the PATH; pseudopotentials in the directory of ASE's configuration ([espresso] pseudo_dir), in
ESPRESSO_PSEUDO, and where Debian's package puts them.
"""

import os
from pathlib import Path

from ase.calculators.espresso import Espresso, EspressoProfile
from ase.config import cfg

DEBIAN = "/usr/share/espresso/pseudo"


def pseudo_dir(names):
    """Return the first directory that has all these pseudopotentials."""
    own = cfg.parser.get("espresso", "pseudo_dir", fallback=None)
    places = [place for place in (own, os.environ.get("ESPRESSO_PSEUDO"), DEBIAN) if place]
    for place in places:
        if all((Path(place) / name).is_file() for name in names):
            return place
    raise FileNotFoundError(
        f"no directory among {', '.join(places)} has {', '.join(names)}; set ESPRESSO_PSEUDO"
    )


def espresso(
    pseudopotentials,
    ecutwfc=30.0,
    kspacing=0.04,
    degauss=0.01,
    conv_thr=1e-9,
    command=None,
    system=None,
    electrons=None,
):
    """Return a calculator.

    ecutwfc and degauss (Gaussian smearing) in Ry; kspacing in 1/Å, without 2 pi: the mesh follows the cell. conv_thr in
    Ry, for the whole cell. `system` and `electrons` are further entries of these namelists.
    """
    profile = EspressoProfile(
        command=command or cfg.parser.get("espresso", "command", fallback="env OMP_NUM_THREADS=1 pw.x"),
        pseudo_dir=pseudo_dir(pseudopotentials.values()),
    )
    smearing = {"occupations": "smearing", "smearing": "gaussian", "degauss": degauss}
    data = {
        # Forces and stress are printed only if asked for; wave functions are not written.
        "control": {"tprnfor": True, "tstress": True, "disk_io": "none", "outdir": "."},
        "system": {"ecutwfc": ecutwfc, **smearing, **(system or {})},
        "electrons": {"conv_thr": conv_thr, **(electrons or {})},
    }
    return Espresso(profile=profile, pseudopotentials=pseudopotentials, kspacing=kspacing, input_data=data)
