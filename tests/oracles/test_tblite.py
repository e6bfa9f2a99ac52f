"""GFN1-xTB by tblite as the reference, at Gamma: units, signs, identity, workers."""

from functools import partial

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from threadpoolctl import threadpool_limits

from ase_mlipgen.config import build, default
from ase_mlipgen.config.schema import Reference
from ase_mlipgen.executors import named
from ase_mlipgen.labels import IdentityError, identity, label

TBLite = pytest.importorskip("tblite.ase", reason="tblite is not installed: pip install '.[oracles]'").TBLite
quiet = partial(TBLite, method="GFN1-xTB", verbosity=0)
HYDROGEN = Atoms("H2", [[0, 0, 0], [0, 0, 0.75]])


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    """On a busy machine threads that wait for one another take longer than the work."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of workers
    with threadpool_limits(1):
        yield


def silicon(shift=0.0, strain=0.0):
    atoms = bulk("Si", a=5.4)
    atoms.rattle(0.05, seed=1)
    atoms.positions[1, 1] += 0.1 + shift
    atoms.set_cell(atoms.cell.array * (1 + strain), scale_atoms=True)
    return atoms


def test_labels_are_of_one_energy_function():
    """The forces are the gradient of the energy of the label, and the stress its derivative by strain, over V."""
    h, e = 1e-3, 1e-4
    cells = [silicon(), silicon(h), silicon(-h), silicon(strain=e), silicon(strain=-e)]
    at, plus, minus, wide, narrow = label(cells, quiet, observations=("energy", "forces", "stress"))
    assert at.forces[1, 1] == pytest.approx(-(plus.energy - minus.energy) / (2 * h), abs=2e-3)
    volume = silicon().get_volume()
    assert sum(at.stress[:3]) == pytest.approx((wide.energy - narrow.energy) / (2 * e) / volume, abs=2e-3)
    assert abs(sum(at.stress[:3])) > 0.05


def test_hydrogen_is_bound_by_the_known_energy():
    """GFN1-xTB's H2: -1.0358 Hartree (as the xtb program prints)."""
    (found,) = label([HYDROGEN], quiet)
    assert found.energy / 27.2114 == pytest.approx(-1.0358, abs=2e-3)


def test_identity_has_version_and_method():
    text = identity(quiet)
    assert '"version": "tblite ' in text
    assert identity(partial(quiet, method="GFN2-xTB")) != text
    with pytest.raises(IdentityError, match="todict"):  # an instance tells only what is not its default
        identity(TBLite())


def test_workers_give_the_same_labels():
    cells = [HYDROGEN.copy() for _ in range(4)]
    for k, atoms in enumerate(cells):
        atoms.set_distance(0, 1, 0.7 + 0.02 * k)
    here = label(cells, quiet)
    with named("processes", workers=2) as pool:
        there = label(cells, quiet, pool)
    for a, b in zip(here, there, strict=True):
        assert a.energy == pytest.approx(b.energy, abs=1e-7)
        np.testing.assert_allclose(a.forces, b.forces, rtol=0, atol=1e-6)


def test_from_toml():
    table = {"factory": "tblite.ase:TBLite", "arguments": {"method": "GFN1-xTB", "verbosity": 0}}
    config = default().model_copy(update={"reference": Reference(**table)})
    (found,), (expected,) = label([HYDROGEN], build.reference(config)), label([HYDROGEN], quiet)
    assert found.energy == pytest.approx(expected.energy, abs=1e-9)
