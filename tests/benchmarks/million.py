"""A million atoms beside four thousand in one process: costs in µs an atom and the peak of memory in GB, as JSON.

`python -m tests.benchmarks.million`; 30 s.
"""

import json
import time

import numpy as np

from tests.benchmarks.apart import peak, seconds
from tests.benchmarks.models import SILICON, calculator, crystal


def main():
    few, many = crystal(8), crystal(50)
    small, large = calculator(SILICON, 3, 14), calculator(SILICON, 3, 14)
    few_inputs = small._inputs(few)
    small.evaluate(*few_inputs)
    begun = time.perf_counter()
    many_inputs = large._inputs(many)
    listed = time.perf_counter() - begun
    costs = [
        (
            np.median([seconds(lambda: small.evaluate(*few_inputs)) for _ in range(50)]) / len(few),
            seconds(lambda: large.evaluate(*many_inputs)) / len(many),
        )
        for _ in range(3)
    ]
    few_cost, many_cost = np.median(costs, axis=0) * 1e6
    found = {"few": len(few), "many": len(many), "few_cost": few_cost, "many_cost": many_cost}
    print(json.dumps({**found, "list_cost": listed / len(many) * 1e6, "peak": peak()}))


if __name__ == "__main__":
    main()
