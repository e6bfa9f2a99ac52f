"""The iteration for the weight of energies, on models whose errors are known functions of the weight."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_mlipgen.fit.balance import FIRST, LARGEST, MOST, SPOILT, Trial, balance


def errors(e, f, price, knee=1e4):
    """Energies fall as 1 / sqrt(W), forces rise from the knee on."""

    def measure(W):
        force = f * (1.0 + price * (W / knee) ** 0.5)
        return Trial(W, e / W**0.5, force, 0.8 * force)

    return measure


def test_balanced_from_the_start_costs_one_fit():
    found = balance(errors(1e-9, 1e-2, 0.0))
    assert (found.reached, len(found.trials), found.chosen.W_E) == (True, 1, FIRST[0])
    assert "balance reached in 1 fits" in str(found)


def test_the_weight_is_found_where_forces_do_not_pay():
    """eps_E = e / sqrt(W) meets eps_F^2 at W = (e / f^2)^2."""
    found = balance(errors(1.0, 0.05, 0.0))
    assert found.reached
    assert found.chosen.eps_E <= found.chosen.eps_F**2
    assert pytest.approx((1.0 / 0.05**2) ** 2, rel=0.3) == found.chosen.W_E
    assert len(found.trials) <= 5


def test_forces_are_not_spoilt_and_it_says_so():
    found = balance(errors(1.0, 1e-3, 1.0))
    assert not found.reached
    assert "balance not reachable" in str(found)
    best = min(trial.eps_F for trial in found.trials)
    assert found.chosen.eps_F <= (1.0 + SPOILT) * best
    assert FIRST[1] / 2 < found.chosen.W_E
    assert found.chosen.eps_E == min(t.eps_E for t in found.trials if t.eps_F <= (1.0 + SPOILT) * best)


def test_energies_that_no_weight_improves():
    found = balance(lambda W: Trial(W, 1.0, 0.1, 0.08))
    assert not found.reached
    assert len(found.trials) <= MOST
    assert found.chosen.eps_F == 0.1


@given(
    e=st.floats(1e-12, 1e3),
    f=st.floats(1e-9, 10),
    price=st.floats(0, 10),
    knee=st.floats(1, 1e9),
    noise=st.integers(0, 99),
)
@settings(max_examples=200)
def test_bounded_and_never_spoilt(e, f, price, knee, noise):
    """Whatever the errors do: at most MOST fits, weights in bounds, forces within SPOILT of the best in RMSE."""
    from numpy.random import default_rng

    rng, smooth = default_rng(noise), errors(e, f, price, knee)

    def measure(W):
        trial, factor = smooth(W), rng.uniform(0.5, 2.0, 3)
        return Trial(W, trial.eps_E * factor[0], trial.eps_F * factor[1], trial.eps_F_rmse * factor[2])

    found = balance(measure)
    assert 1 <= len(found.trials) <= MOST
    assert all(FIRST[0] <= trial.W_E <= LARGEST for trial in found.trials)
    assert found.chosen.eps_F_rmse <= (1.0 + SPOILT) * min(t.eps_F_rmse for t in found.trials)
    assert found.reached == (found.chosen.eps_E <= found.chosen.eps_F**2)


def test_perfect_forces_divide_by_nothing():
    assert balance(lambda W: Trial(W, 1.0, 0.0, 0.0)).reached is False
    assert balance(lambda W: Trial(W, 0.0, 0.0, 0.0)).chosen.eps_E == pytest.approx(0.0)
