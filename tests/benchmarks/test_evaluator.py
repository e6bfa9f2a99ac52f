"""Energies, forces and virial of rattled silicon on a list that is kept, one thread, beside other codes.

ML-PACE's recursive evaluator (python-ace) computes the very same function, to round-off. ace-jax's compiled kernel
has radial functions of its own, so its model has as many functions of the same order, degree and cutoff, and is held to
ace-jax's own ASE calculator; it computes no virial.
"""

import functools

import numpy as np
import pytest

from tests.benchmarks.models import CUTOFF, SILICON, basis, calculator, crystal, yace
from tests.benchmarks.races import at_least
from tests.oracles import ace_jax_oracle, pace_oracle

GROUP = "Energy, forces and virial on a kept list, one thread"
TITLE = "order 3, one element, 512 atoms"
ORDER_3 = [
    pytest.param(10, 15, id="110 functions"),
    pytest.param(14, 25, id="383 functions"),
    pytest.param(18, 25, id="1119 functions"),
    pytest.param(20, 25, id="1809 functions"),
]


@functools.cache
def pace(elements, order, degree, repeats):
    pace_oracle.available()
    return pace_oracle.PACE(yace(elements, order, degree), crystal(repeats, elements))


def ours(elements, order, degree, atoms):
    calculation = calculator(elements, order, degree)
    inputs = calculation._inputs(atoms)
    return lambda: calculation.evaluate(*inputs)


def same_function(found, peer):
    """Hold energies and forces of a peer to ours, to round-off of the largest."""
    peer.compute()
    largest_energy, largest_force = np.abs(found.energies_i).max(), np.abs(found.forces).max()
    np.testing.assert_allclose(peer.energies, found.energies_i, rtol=0, atol=1e-10 * largest_energy)
    np.testing.assert_allclose(peer.forces, found.forces, rtol=0, atol=1e-10 * largest_force)


def against_pace(race, elements, order, degree, repeats, bar, peers=(), **about):
    atoms = crystal(repeats, elements)
    evaluate, peer = ours(elements, order, degree, atoms), pace(elements, order, degree, repeats)
    same_function(evaluate(), peer)
    n = basis(elements, order, degree).n_functions_per_element
    case = f"{'-'.join(elements)}, order {order}, {n} functions, {len(atoms)} atoms"
    race(
        GROUP,
        case,
        evaluate,
        {"ML-PACE": peer.compute, **dict(peers)},
        units=len(atoms),
        bar=at_least(bar, "ML-PACE"),
        **about,
    )


def ace_jax(degree, atoms):
    """Return the kernel's call by name, after a look at its forces; nothing where ace-jax is not installed."""
    try:
        import ace_jax
    except ImportError:
        return {}
    model, meta = ace_jax_oracle.random_model("Si", 3, degree, CUTOFF, np.random.default_rng(0))
    assert meta["n_B"] == basis(SILICON, 3, degree).n_functions_per_element
    kernel = ace_jax_oracle.Kernel(model, meta, atoms)
    reference = atoms.copy()
    reference.calc = ace_jax.ACECalculator(model, meta)
    forces = reference.get_forces()
    np.testing.assert_allclose(kernel.forces, forces, rtol=0, atol=1e-7 * np.abs(forces).max())
    return {"ace-jax kernel": kernel.compute}


@pytest.mark.parametrize(("degree", "bar"), ORDER_3)
def test_one_element(race, degree, bar):
    peers = ace_jax(degree, crystal(4))
    where = {"panel": "functions", "x": basis(SILICON, 3, degree).n_functions_per_element}
    against_pace(race, SILICON, 3, degree, 4, bar, peers, **where, series="ase-mlipgen", title=TITLE)


@pytest.mark.parametrize(("degree", "bar"), ORDER_3)
def test_one_element_4096_atoms(race, degree, bar):
    against_pace(race, SILICON, 3, degree, 8, bar)


@pytest.mark.parametrize("degree", [16, 18], ids=["1445 functions", "2849 functions"])
def test_order_4(race, degree):
    against_pace(race, SILICON, 4, degree, 4, 15)


def test_two_elements(race):
    against_pace(race, ("Si", "C"), 3, 11, 4, 15)
