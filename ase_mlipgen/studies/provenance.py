"""What numbers were made with: versions and the processor. Enter at `versions` and `processor`."""

import importlib.metadata
import platform
from pathlib import Path

PACKAGES = ("ase-mlipgen", "ase", "numpy", "scipy", "numba", "matscipy")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide on numbers."""
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def processor() -> str:
    """Return the processor's name and its widest vectors, as far as the system tells."""
    lines = _lines("/proc/cpuinfo")
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return (model + _vectors(lines)) if model else platform.processor() or platform.machine()


def _vectors(lines: list[str]) -> str:
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return next(
        (f", {name}" for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), ""
    )


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
