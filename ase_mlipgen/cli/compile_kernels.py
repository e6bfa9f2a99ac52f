"""`mlipgen compile`: compile the numerical kernels ahead of time, so that the first run does not wait."""

import time
from pathlib import Path
from typing import Any

import typer

from ase_mlipgen.cli.common import Debug, Json, show_json
from ase_mlipgen.progress import duration


def compile_kernels(as_json: Json = False, debug: Debug = False) -> None:
    """Compile the kernels and keep them on disk; say how long it took and where they are."""
    begun = time.perf_counter()
    warm()
    elapsed, folder = time.perf_counter() - begun, cache_folder()
    if as_json:
        show_json({"wall_time": elapsed, "cache": str(folder), "units": {"wall_time": "s"}})
    else:
        typer.echo(f"kernels ready in {duration(elapsed)}; cache: {folder}")


def warm() -> None:
    """Evaluate every calculator and the design matrix on a small structure, which compiles what they use."""
    import numpy as np

    from ase_mlipgen.basis import ACEBasis
    from ase_mlipgen.calculators.eam2d import EAM2D
    from ase_mlipgen.calculators.linear_ace import LinearACE
    from ase_mlipgen.defects import triangular_lattice

    atoms = triangular_lattice("W", 2.72711, (2, 2))
    basis = ACEBasis(["W"], order=3, degree=6, cutoff=6.0)
    basis.design(atoms)
    models: tuple[Any, ...] = (EAM2D(), LinearACE(basis, np.zeros(len(basis))))
    for calculator in models:
        atoms.calc = calculator
        atoms.get_forces()
        calculator.hessian_product(atoms, np.zeros((len(atoms), 3)))
        calculator.get_hessian(atoms)


def cache_folder() -> Path:
    """Return where Numba keeps the compiled kernels."""
    from ase_mlipgen.ace import kernels

    return Path(kernels.evaluate.stats.cache_path)
