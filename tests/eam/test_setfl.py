"""Setfl files: what is written is read back to the last bit, and lines stand where the format has them."""

import numpy as np
import pytest
from matscipy.calculators.eam.io import read_eam

from ase_mlipgen.eam.analytic import TUNGSTEN
from ase_mlipgen.eam.setfl import tabulate, write
from tests.eam.synthetic import tables

MASSES = [55.845, 63.546]


@pytest.mark.parametrize("kind", ["eam/alloy", "eam/fs"])
def test_read_back_by_matscipy(tmp_path, kind):
    t = tables(n_r=50, n_rho=40, symmetric=kind == "eam/alloy")
    write(tmp_path / "t", t, [26, 29], MASSES, kind, "one\ntwo\nthree\nfour")
    _, header, F, f, z = read_eam(str(tmp_path / "t"), kind=kind)
    np.testing.assert_array_equal(F, t.F_ak)
    np.testing.assert_array_equal(z, t.rphi_abk)
    np.testing.assert_array_equal(f, t.f_abk[0] if kind == "eam/alloy" else t.f_abk.swapaxes(0, 1))
    assert (header.cutoff, header.distance_grid_spacing, header.density_grid_spacing) == (5.0, t.dr, t.drho)
    assert header.atomic_masses.tolist() == MASSES
    lines = (tmp_path / "t").read_text().splitlines()
    assert lines[:4] == ["# one", "# two", "# three", "2 Fe Cu"]


def test_tabulated_tungsten_interpolates_the_analytic():
    """Between grid points; away from the steps of F at rho_n and rho_o, where splines ring."""
    t = tabulate(TUNGSTEN, 10001, 10001)
    r = np.random.default_rng(0).uniform(1.5, 6.0, 200)
    zero = np.zeros(200, dtype=np.int64)
    tabulated, exact = t.pair_terms(r, zero, zero), TUNGSTEN.pair_terms(r, zero, zero)
    for name, tolerance in {
        "f": 1e-10,
        "df": 1e-8,
        "ddf": 1e-6,
        "phi": 1e-10,
        "dphi": 1e-8,
        "ddphi": 1e-6,
    }.items():
        scale = np.abs(getattr(exact, name)).max()
        np.testing.assert_allclose(getattr(tabulated, name), getattr(exact, name), atol=tolerance * scale)
    rho = np.random.default_rng(1).uniform(1.0, 30.0, 200)
    for mine, theirs in zip(t.site_terms(rho, zero), TUNGSTEN.site_terms(rho, zero), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-8)
    assert t.cutoff == pytest.approx(6.0, rel=1e-14)


def test_refusals(tmp_path):
    with pytest.raises(ValueError, match="one density an element"):
        write(tmp_path / "t", tables(), [26, 29], MASSES, "eam/alloy")
    with pytest.raises(ValueError, match="kind = 'funcfl'"):
        write(tmp_path / "t", tables(), [26, 29], MASSES, "funcfl")
    for points in ((3, 100), (100, 0)):
        with pytest.raises(ValueError, match="at least 4 grid points"):
            tabulate(TUNGSTEN, *points)
    assert not (tmp_path / "t").exists()
