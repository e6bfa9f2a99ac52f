"""`mlipgen compile`: compile the numerical kernels ahead of time, so that the first run does not wait."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import typer

from ase_mlipgen.cli.common import Debug, Json, show_json
from ase_mlipgen.progress import duration


def compile_kernels(as_json: Json = False, debug: Debug = False) -> None:
    """Compile the kernels and keep them on disk; say how long each part took and where they are."""
    begun, cpu_times = time.perf_counter(), {}
    for part, use in parts():
        before = time.process_time()
        use()
        cpu_times[part] = time.process_time() - before
        if not as_json:
            typer.echo(f"{part}: {cpu_times[part]:.1f} CPU s")
    elapsed, folder = time.perf_counter() - begun, cache_folder()
    if as_json:
        units = {"wall_time": "s", "cpu_times": "s"}
        show_json({"wall_time": elapsed, "cpu_times": cpu_times, "cache": str(folder), "units": units})
    else:
        typer.echo(f"kernels ready in {duration(elapsed)}; cache: {folder}")


def parts() -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what has kernels of its own, and a call on a small structure that compiles them."""
    import numpy as np

    from ase_mlipgen.basis import ACEBasis
    from ase_mlipgen.calculators.base import PairCalculator
    from ase_mlipgen.calculators.eam2d import EAM2D
    from ase_mlipgen.calculators.linear_ace import LinearACE
    from ase_mlipgen.defects import triangular_lattice

    atoms = triangular_lattice("W", 2.72711, (2, 2))
    basis = ACEBasis(["W"], order=3, degree=6, cutoff=6.0)
    still = np.zeros((len(atoms), 3))
    calculators: dict[str, PairCalculator] = {
        "LinearACE": LinearACE(basis, np.zeros(len(basis))),
        "EAM2D": EAM2D(),
    }
    for name, calculator in calculators.items():
        yield f"{name}, energies and forces", partial(calculator.get_forces, atoms)
    yield "design rows", partial(basis.design, atoms)
    yield "extrapolation grades", partial(basis.site_rows, atoms)
    for name, calculator in calculators.items():
        yield f"{name}, Hessian", partial(calculator.get_hessian, atoms)
        yield f"{name}, Hessian products", partial(calculator.hessian_product, atoms, still)


def cache_folder() -> Path:
    """Return where Numba keeps the compiled kernels."""
    from ase_mlipgen.ace import kernels

    return Path(kernels.evaluate.stats.cache_path)
