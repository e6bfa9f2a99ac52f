"""What a user's step costs beyond the kernel, and how cost goes with atoms and threads; no peer but ourselves."""

from itertools import cycle

import numpy as np
import pytest

from ase_mlipgen.threads import available_threads
from tests.benchmarks import apart
from tests.benchmarks.models import SILICON, calculator, crystal
from tests.benchmarks.races import Record, at_least, at_most

DEGREE = 18  # 1119 functions
STEPS = "A step: atoms.get_forces(), every atom moved 0.01 Å, one thread"
SIZES = "Cost against atoms, 1119 functions, one thread"
MILLION = "A million atoms, 383 functions, one thread"
THREADS = "Cost against threads, 4096 atoms, 1119 functions"
COUNTS = sorted({2**k for k in range(1, 12) if 2**k <= available_threads()} | {available_threads()} - {1})


def step(atoms):
    """Return a call that moves every atom by 0.01 Å, there and back, and asks ASE for the forces."""
    moves = np.random.default_rng(2).normal(size=(len(atoms), 3))
    moves *= 0.01 / np.linalg.norm(moves, axis=1, keepdims=True)
    places = cycle([atoms.positions + moves, atoms.positions.copy()])

    def call():
        atoms.positions = next(places)
        return atoms.get_forces()

    return call


@pytest.mark.parametrize("repeats", [2, 4, 8], ids=lambda n: f"{8 * n**3} atoms")
def test_step(race, repeats):
    atoms = crystal(repeats)
    atoms.calc, kernel = calculator(SILICON, 3, DEGREE), calculator(SILICON, 3, DEGREE)
    inputs = kernel._inputs(atoms)
    call = step(atoms)
    call()
    np.testing.assert_array_equal(call(), kernel.evaluate(*inputs).forces)  # back at the same place
    race(
        STEPS,
        f"{len(atoms)} atoms",
        call,
        {"kernel alone": lambda: kernel.evaluate(*inputs)},
        units=len(atoms),
        bar=at_most(1.5, "kernel alone") if repeats == 8 else None,
    )


@pytest.mark.parametrize("repeats", [2, 4, 8, 16], ids=lambda n: f"{8 * n**3} atoms")
def test_size(race, repeats):
    atoms = crystal(repeats)
    calculation = calculator(SILICON, 3, DEGREE)
    inputs = calculation._inputs(atoms)
    np.testing.assert_allclose(calculation.evaluate(*inputs).forces.sum(axis=0), 0, atol=1e-6)
    race(
        SIZES,
        f"{len(atoms)} atoms",
        lambda: calculation.evaluate(*inputs),
        units=len(atoms),
        seconds=1.5,
        panel="atoms",
        x=len(atoms),
        series="1119 functions",
        title="order 3, one thread",
    )


@pytest.mark.parametrize("threads", COUNTS)
def test_threads(race, threads):
    atoms = crystal(8)
    many, one = calculator(SILICON, 3, DEGREE, threads), calculator(SILICON, 3, DEGREE, 1)
    inputs = one._inputs(atoms)
    for found, expected in zip(many.evaluate(*inputs), one.evaluate(*inputs), strict=True):
        np.testing.assert_array_equal(found, expected)  # every bit
    race(
        THREADS,
        f"{threads} threads",
        lambda: many.evaluate(*inputs),
        {"one thread": lambda: one.evaluate(*inputs)},
        units=len(atoms),
        bar=at_least(1.7, "one thread") if threads == 2 else None,
        panel="threads",
        x=threads,
        series="1119 functions",
        title="4096 atoms, order 3",
    )


@pytest.mark.slow
def test_million_atoms(measuring, keep):
    """In a process of its own, so that the peak is its own (see `million`)."""
    found = apart.run("million")
    few, ratio = f"{found['few']} atoms", found["few_cost"] / found["many_cost"]
    keep(
        Record(
            MILLION,
            f"{found['many']} atoms: evaluation",
            "us/atom",
            found["many_cost"],
            {few: found["few_cost"]},
            {few: ratio},
            at_most(1.3, few),
        )
    )
    keep(Record(MILLION, f"{found['many']} atoms: list", "us/atom", found["list_cost"]))
    keep(Record(MILLION, f"{found['many']} atoms: peak memory", "GB", found["peak"], bar=at_most(8)))
