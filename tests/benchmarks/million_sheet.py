"""A million atoms of the tungsten sheet in one process: seconds of list and evaluation, peak of memory, as JSON.

`python -m tests.benchmarks.million_sheet`; 15 s.
"""

import json
import time

from ase_mlipgen.calculators.eam2d import EAM2D
from tests.benchmarks.apart import peak, seconds
from tests.benchmarks.models import sheet


def main():
    EAM2D(threads=1).get_forces(sheet((25, 20)))  # compiled or read
    atoms, calculation = sheet((1000, 500)), EAM2D(threads=1)
    begun = time.perf_counter()
    inputs = calculation._inputs(atoms)
    listed = time.perf_counter() - begun
    evaluated = seconds(lambda: calculation.evaluate(*inputs))
    print(json.dumps({"atoms": len(atoms), "list": listed, "evaluation": evaluated, "peak": peak()}))


if __name__ == "__main__":
    main()
