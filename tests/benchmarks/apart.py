"""Programs of their own: a module run in a new process prints JSON, so that the peak of memory is its own.

`run` starts one; `seconds` and `peak` are what such a module measures with.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes, of ru_maxrss


def run(module, *arguments):
    """Return what ``python -m tests.benchmarks.<module> arguments`` prints."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *map(str, arguments)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{finished.stderr}")
    return json.loads(finished.stdout)


def seconds(call):
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def peak():
    """Return the largest resident memory of this process so far, GB.

    Linux's getrusage counts what the parent held when it started us, so the kernel's own mark is asked first.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT / 1e9
