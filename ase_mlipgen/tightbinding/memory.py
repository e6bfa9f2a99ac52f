"""How much memory there is, and a refusal with figures where it is not enough."""

import os
from pathlib import Path


class InsufficientMemoryError(MemoryError):
    """An evaluation needs more memory than there is."""


def available_memory() -> float:
    """Return the bytes this process may still take: of the machine, and of its control group; infinite if unknown."""
    return min(_of_machine(), _of_group())


def _of_machine() -> float:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    except OSError:
        pass
    try:
        return 0.8 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return float("inf")


def _of_group() -> float:
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text().strip()
        if limit == "max":
            return float("inf")
        cache = sum(
            int(line.split()[1])
            for line in (folder / "memory.stat").read_text().splitlines()
            if line.startswith("inactive_file ")
        )
        return float(limit) - int((folder / "memory.current").read_text()) + cache
    except (OSError, ValueError):
        return float("inf")


def readable(n_bytes: float) -> str:
    """Return a size as people read it."""
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} GB"
