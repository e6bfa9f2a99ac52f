"""Weights: the paper's convention, against a loss written out, and ACEfit's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ase_mlipgen.fit import Weights
from ase_mlipgen.fit.weights import parse, weights_of

positive = st.floats(1e-6, 1e6)


def test_paper_defaults():
    assert Weights().energy == 100.0
    assert Weights().row_weight("energy") == 10.0
    assert Weights().row_weight("forces") == 1.0


@given(positive, positive, positive, st.integers(1, 1000))
def test_acefit_round_trip_and_equal_rows(energy, forces, stress, n_atoms):
    weights = Weights(energy, forces, stress)
    acefit = weights.to_acefit(n_atoms)
    assert acefit["E"] / math.sqrt(n_atoms) == pytest.approx(weights.row_weight("energy"), rel=1e-12)
    assert acefit["F"] == pytest.approx(weights.row_weight("forces"), rel=1e-12)
    assert acefit["V"] / math.sqrt(n_atoms) == pytest.approx(weights.row_weight("stress"), rel=1e-12)
    back = Weights.from_acefit(**acefit, n_atoms=n_atoms)
    np.testing.assert_allclose([back.energy, back.forces, back.stress], [energy, forces, stress], rtol=1e-12)


@given(
    st.sampled_from(["energy", "forces", "stress"]),
    st.one_of(st.floats(max_value=-1e-300), st.just(math.nan), st.just(math.inf)),
)
def test_bad_numbers_are_refused(kind, value):
    with pytest.raises(ValueError, match=f"the weight of {kind} is .*; expected a finite number"):
        Weights(**{kind: value})


@given(st.dictionaries(st.sampled_from(["energy", "forces", "stress"]), positive, min_size=1))
def test_mapping_sets_what_it_names(mapping):
    weights = weights_of(parse(mapping), "vacancy")
    for kind in ("energy", "forces", "stress"):
        assert getattr(weights, kind) == mapping.get(kind, getattr(Weights(), kind))


def test_unknown_name_is_told_the_nearest():
    with pytest.raises(
        ValueError, match=r"unknown weight 'force' \(did you mean 'forces'\?\); known are energy"
    ):
        parse({"force": 1.0})
    with pytest.raises(TypeError, match="the weight of energy is 'big'"):
        parse({"energy": "big"})
    with pytest.raises(TypeError, match="expected Weights"):
        parse(3.0)


def test_weights_a_defect():
    parsed = parse({"vacancy": {"forces": 10}, "interstitial": Weights(forces=2)})
    assert weights_of(parsed, "vacancy").forces == 10
    assert weights_of(parsed, "interstitial").forces == 2
    assert weights_of(parsed, "") == Weights()
    with pytest.raises(
        ValueError, match=r"no weights for the defect 'vacancies' \(did you mean 'vacancy'\?\)"
    ):
        weights_of(parsed, "vacancies")
    with_default = parse({"vacancy": {"forces": 10}, "default": {"forces": 3}, "perfect": {"forces": 4}})
    assert weights_of(with_default, "dumbbell").forces == 3
    assert weights_of(with_default, "").forces == 4
    with pytest.raises(ValueError, match="mix numbers with mappings"):
        parse({"energy": 1, "vacancy": {"forces": 2}})
