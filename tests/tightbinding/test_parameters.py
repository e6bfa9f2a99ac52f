"""The parameter sets against values printed elsewhere, the checks that told transcriptions apart, and refusals."""

import json
from importlib.resources import files

import numpy as np
import pytest

from ase_mlipgen.tightbinding.parameters import BONDS, Parameters, find_parameters, parameter_sets

NAMES = {
    "Si_sp", "Si_spd", "Cu_spd", "C_sp", "Al_spd", "Cu_spd_99", "Mo_spd", "W_spd", "W_spd_new", "Fe_spd_para", "Pb_sp",
}  # fmt: skip


def raw():
    return json.loads(files("ase_mlipgen.tightbinding").joinpath("nrl_parameters.json").read_text())


def bond(name, kind, which):
    table = getattr(find_parameters(name), f"{kind}_bk")
    return table[BONDS.index(which)]


def test_every_set_is_complete():
    sets = parameter_sets()
    assert set(sets) == NAMES
    for name, p in sets.items():
        assert p.name == name
        assert name.startswith(p.element + "_" + p.basis)
        assert p.n_orbitals == (4 if p.basis == "sp" else 9) == len(p.orbitals)
        n_bonds = 4 if p.basis == "sp" else 10
        assert p.onsite_ok.shape == (p.n_orbitals, 4)
        assert p.hopping_bk.shape == (n_bonds, 4)
        assert p.overlap_bk.shape == (n_bonds, 5)
        assert np.isfinite(p.hopping_bk).all()
        assert np.isfinite(p.overlap_bk).all()
        assert (p.hopping_bk[:, 3] > 0).all()
        assert (p.overlap_bk[:, 4] > 0).all()
        assert p.citation
        assert (
            p.electrons == {"Si": 4, "C": 4, "Pb": 4, "Al": 3, "Cu": 11, "Mo": 6, "W": 6, "Fe": 8}[p.element]
        )
        # Orbitals of a shell share their on-site terms.
        for shell in (slice(1, 4), slice(4, 9)):
            assert (p.onsite_ok[shell] == p.onsite_ok[shell][:1]).all()


@pytest.mark.parametrize(
    ("name", "cutoff", "width"),
    [
        *[(name, 12.5, 0.5) for name in ("Si_sp", "Si_spd")],
        ("C_sp", 10.5, 0.5),
        ("Cu_spd_99", 12.5, 0.25),
        *[(name, 16.5, 0.5) for name in sorted(NAMES - {"Si_sp", "Si_spd", "C_sp", "Cu_spd_99"})],
    ],
)
def test_cutoffs(name, cutoff, width):
    p = find_parameters(name)
    assert (p.cutoff, p.width) == (cutoff, width)


def test_values_as_printed():
    """A few of each set, as printed in files and papers, with the squares that enter."""
    assert find_parameters("Si_sp").decay == pytest.approx(1.10356625153**2, rel=1e-14)
    np.testing.assert_allclose(
        bond("Si_sp", "hopping", "sss"),
        [219.5608136, -16.2132459618, -15.5048968097, 1.26439940008**2],
        rtol=1e-9,
    )
    np.testing.assert_allclose(
        bond("Si_sp", "overlap", "ppp"),
        [1, -692.184231145, 396.153248956, -13.817210627, 1.5724855951**2],
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        find_parameters("Si_sp").onsite_ok[0],
        [-0.0532334619024, -0.907642743186, -8.83084913674, 56.5661321469],
    )
    np.testing.assert_allclose(
        find_parameters("C_sp").onsite_ok[1], [0.542619178314, 2.73454062799, -67.139709883, 438.52883145]
    )
    np.testing.assert_allclose(bond("Mo_spd", "hopping", "sss")[:3], [-0.759133703453, -2.42754971712, 0])
    np.testing.assert_allclose(bond("W_spd", "hopping", "sss")[:3], [4.59796726097, -1.06278503707, 0])
    np.testing.assert_allclose(
        bond("Pb_sp", "overlap", "sss")[:3], [-197.272429391, 45.8304680659, -2.00095130139]
    )
    np.testing.assert_allclose(
        find_parameters("Fe_spd_para").onsite_ok[0, :2], [0.111237776825, 157.472037798]
    )


def test_conflicts_between_transcriptions():
    """Public copies have lost powers of ten of Si_spd and doubled a digit of Al: these are the originals."""
    np.testing.assert_allclose(bond("Si_spd", "hopping", "sds")[1:3], [223.54, 701.22], rtol=1e-4)
    np.testing.assert_allclose(bond("Si_spd", "hopping", "pds")[:3], [-1808.73, -346.95, -77.637], rtol=1e-4)
    assert not bond("Si_spd", "overlap", "dds")[:4].any()
    assert find_parameters("Al_spd").decay == pytest.approx(1.17756357713, abs=1e-10)
    old, new = find_parameters("Cu_spd"), find_parameters("Cu_spd_99")
    assert abs(old.hopping_bk - new.hopping_bk).max() > 1
    assert any("Si_spd" in text for text in raw()["about"]["conflicts"])


def test_overlaps_are_of_one_form_or_the_other():
    """Those of new style begin with delta_ll' and have a cubic term; those of old style have none."""
    for name, p in parameter_sets().items():
        some = p.overlap_bk[:, :4].any(axis=1)
        deltas = np.array([x in ("sss", "pps", "ppp", "dds", "ddp", "ddd") for x in BONDS[: len(some)]])
        new = np.array_equal(p.overlap_bk[some, 0], deltas[some])
        assert new == (name in ("Si_sp", "Si_spd", "C_sp"))
        assert new or not p.overlap_bk[:, 3].any()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("Si",), "Si_sp"),
        (("Si", "sp"), "Si_sp"),
        (("Si", "spd"), "Si_spd"),
        (("W",), "W_spd"),
        (("W_spd_new",), "W_spd_new"),
        (("Cu", "spd"), "Cu_spd"),
        (("Fe",), "Fe_spd_para"),
    ],
)
def test_sets_are_found_by_element_basis_and_name(arguments, name):
    assert find_parameters(*arguments).name == name


@pytest.mark.parametrize("arguments", [("Xx",), ("si",), ("W", "sp"), ("C", "spd"), ("Si_sp", "spd"), ("",)])
def test_unknown_sets(arguments):
    with pytest.raises(ValueError, match=r"no NRL parameters for .*; there are Si_sp, Si_spd"):
        find_parameters(*arguments)


def test_wrong_entries_are_refused():
    entry = raw()["sets"]["Si_sp"]
    assert Parameters.from_mapping("mine", entry).name == "mine"
    with pytest.raises(ValueError, match="basis = 'f' of the set mine"):
        Parameters.from_mapping("mine", {**entry, "basis": "f"})
    lacking = {**entry, "hopping": {k: v for k, v in entry["hopping"].items() if k != "pps"}}
    with pytest.raises(ValueError, match="the hopping of the set mine lacks the bond integrals pps"):
        Parameters.from_mapping("mine", lacking)
    with pytest.raises(ValueError, match="overlap of the set mine lacks the bond integrals sds, pds"):
        Parameters.from_mapping("mine", {**raw()["sets"]["W_spd"], "overlap": entry["overlap"]})
