"""GPAW as the reference, where it is installed with its setups: energy and forces of one function."""

from functools import partial

import pytest
from ase.build import bulk

from ase_mlipgen.labels import identity, label

gpaw = pytest.importorskip("gpaw", reason="gpaw is not installed: it is built from source, with libxc")


def make(**settings):
    from gpaw import GPAW, PW, FermiDirac

    return GPAW(mode=PW(150), kpts=(2, 2, 2), occupations=FermiDirac(0.3), txt=None, **settings)


def silicon(shift=0.0):
    atoms = bulk("Si", a=5.4)
    atoms.positions[1, 0] += 0.1 + shift
    return atoms


@pytest.fixture(autouse=True)
def _setups():
    if not any(True for _ in gpaw.setup_paths):
        pytest.skip("GPAW's setups are not installed: gpaw install-data")


def test_the_energy_is_the_one_whose_gradient_the_forces_are():
    settings = {"convergence": {"forces": 1e-4}}
    at, plus, minus = label([silicon(), silicon(0.01), silicon(-0.01)], partial(make, **settings))
    assert at.forces[1, 0] == pytest.approx(-(plus.energy - minus.energy) / 0.02, abs=5e-3)


def test_a_less_symmetric_cell_gets_its_own_calculator():
    """One calculator for both would refuse the second: its symmetry is another."""
    perfect, moved = label([bulk("Si", a=5.4), silicon()], make)
    assert moved.energy > perfect.energy


def test_identity_has_the_version():
    assert f'"makes": ["gpaw.calculator.GPAW", "gpaw {gpaw.__version__}"]' in identity(
        make
    ) or "gpaw " in identity(make)
