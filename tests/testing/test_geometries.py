"""Random geometries: our calculators take no notice of how a structure is said."""

import itertools
import time

import numpy as np
import pytest
from ase.neighborlist import neighbor_list
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from ase_mlipgen import NRLTB, LinearACE
from tests.testing.calculators import OURS, alloy_ace
from tests.testing.equivalences import EQUIVALENCES, broken, examine
from tests.testing.geometries import KINDS, Range, build, random_geometry
from tests.testing.mutants import FarImagesForgotten, Morse, NearestImagesOnly, PeriodicAnyway
from tests.testing.survey import NAMES, Survey, add, factory, limits_of, survey

DEFAULT = {"EAM2D, sheet": 12, "EAM2D, setfl": 6, "LinearACE, two elements": 12, "NRLTB, Gamma": 12}
ALLOY = Range(("Cu", "Ni"), 1.92, 2.56)
MINUTES = 300
"""Seconds that a calculator's thousand may take; those of NRLTB end there."""


def check(found):
    assert not found.failures, "\n".join(found.failures)
    assert len(found.refused) <= found.n_examined // 5, f"too many are refused: {found.refused}"


@pytest.mark.parametrize("name", DEFAULT)
def test_some(name):
    found = survey(name, range(DEFAULT[name]))
    check(found)
    assert found.n_examined


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_thousand(name):
    found = survey(name, range(1000), MINUTES if name.startswith("NRLTB") else np.inf)
    check(found)
    assert found.n_examined >= 100


@pytest.mark.slow
def test_kpoints_of_equal_sizes_in_other_cells():
    """A mesh through Gamma of equal sizes is the same for every choice of cell vectors."""
    found = Survey()
    for number in range(200):
        atoms = random_geometry(number, KINDS[number % len(KINDS)], limits_of("NRLTB"))
        kpts = {"size": (2, 2, 2), "gamma": True}
        add(found, lambda: NRLTB("Si", kpts=kpts, threads=1), atoms, number, ("supercell",), f"seed {number}")  # noqa: B023
    check(found)


@pytest.mark.parametrize("kind", KINDS)
def test_structures_keep_their_distance_and_kind(kind):
    """Distances from ASE's neighbour list, of the disguised cell."""
    for number in range(5):
        atoms = random_geometry(number, kind, ALLOY)
        assert 1 <= len(atoms) <= ALLOY.most
        assert not len(neighbor_list("d", atoms, ALLOY.closest))
        again = random_geometry(number, kind, ALLOY)
        assert np.array_equal(atoms.positions, again.positions)
        assert np.array_equal(atoms.cell, again.cell)


def test_all_boundaries_and_some_of_everything():
    made = [random_geometry(number, KINDS[number % len(KINDS)], ALLOY) for number in range(300)]
    assert {tuple(atoms.pbc.tolist()) for atoms in made} == set(itertools.product((False, True), repeat=3))
    assert {len(atoms) for atoms in made} == set(range(1, ALLOY.most + 1))
    assert any(len(set(atoms.symbols)) == 2 for atoms in made)
    assert any(atoms.pbc.all() and atoms.cell.lengths().max() < 4.0 for atoms in made)
    assert any(atoms.cell.rank == 0 for atoms in made)
    assert any(
        np.abs(np.cos(np.radians(atoms.cell.angles()))).max() > 0.95 for atoms in made if atoms.pbc.all()
    )
    assert any(np.abs(atoms.get_scaled_positions(wrap=False)).max() > 10 for atoms in made if atoms.pbc.all())


def test_twelve_equivalences_and_more():
    assert len(EQUIVALENCES) >= 12
    measured = examine(Morse, random_geometry(2, "skewed slab", ALLOY))
    assert set(measured) == set(EQUIVALENCES) - {"threads"}
    assert not broken(measured)


@pytest.mark.parametrize(
    ("mutant", "kind"),
    [(NearestImagesOnly, "tiny"), (FarImagesForgotten, "unwrapped"), (PeriodicAnyway, "partly periodic")],
)
def test_planted_faults_are_found(mutant, kind):
    """Within twelve structures of a kind; the calculator without the fault passes them."""
    structures = [random_geometry(number, kind, ALLOY) for number in range(12)]
    assert not any(broken(examine(Morse, atoms)) for atoms in structures)
    assert any(broken(examine(mutant, atoms)) for atoms in structures)


def test_failing_seed_is_told(monkeypatch):
    monkeypatch.setitem(OURS, "planted", (NearestImagesOnly, None, {}))
    monkeypatch.setattr("tests.testing.survey.limits_of", lambda _: ALLOY)
    failures = survey("planted", range(1, 61, len(KINDS))).failures
    assert failures
    assert all("planted, seed " in text for text in failures)
    assert any("tiny" in text for text in failures)


# Hypothesis chooses the numbers that `build` takes, and makes them simple where something fails.
WORK = ("EAM2D, sheet", "LinearACE, two elements", "NRLTB, Gamma")
FRACTION = st.floats(0, 1, exclude_max=True, allow_subnormal=False)
STEP = st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-3, 3))


@st.composite
def structures(draw, limits):
    n = draw(st.integers(1, limits.most))
    lengths = draw(st.tuples(*[st.floats(0.3, 12.0)] * 3))
    shears = np.reshape(draw(st.tuples(*[st.floats(-0.35, 0.35)] * 9)), (3, 3))
    return build(
        draw(st.lists(st.sampled_from(limits.elements), min_size=n, max_size=n)),
        np.reshape(draw(st.lists(FRACTION, min_size=3 * n, max_size=3 * n)), (n, 3)),
        limits.bond * np.diag(lengths) @ (np.eye(3) + shears),
        np.array(draw(st.tuples(*[st.booleans()] * 3))),
        limits.closest,
        most=n,
        steps=draw(st.lists(STEP, max_size=3)),
        cells_ic=np.reshape(draw(st.lists(st.integers(-50, 50), min_size=3 * n, max_size=3 * n)), (n, 3)),
        origin=np.array(draw(st.tuples(*[st.floats(-1e3, 1e3)] * 3))),
        has_cell=draw(st.booleans()),
    )  # fmt: skip


def hunt(name, n_examples, seconds=0.0, phases=(Phase.generate, Phase.shrink)):
    """Let hypothesis look for a structure that fails, with seeds 0, 1, ... until so many seconds are over."""
    make, skip = factory(name), OURS[name][2]
    end, found = time.monotonic() + seconds, Survey()

    def look(atoms):
        n_before = len(found.failures)
        add(found, make, atoms, 0, skip, f"{name}, {atoms}")
        assert len(found.failures) == n_before, found.failures[-1]

    limits = settings(
        max_examples=n_examples,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    for k in itertools.count():
        seed(k)(limits(given(structures(limits_of(name)))(look)))()
        if time.monotonic() >= end:
            break
    return found


@pytest.mark.parametrize("name", WORK)
def test_hypothesis_finds_nothing(name):
    assert hunt(name, 10).n_examined >= 5


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_hypothesis_finds_nothing_in_ten_minutes(name):
    """Shared by all calculators."""
    assert hunt(name, 100, 600 / len(NAMES)).n_examined >= 20


def test_hypothesis_finds_a_planted_fault(monkeypatch):
    monkeypatch.setitem(OURS, "LinearACE, two elements", (NearestImagesOnly, None, {}))
    with pytest.raises(AssertionError, match="Atoms"):
        hunt("LinearACE, two elements", 100, phases=(Phase.generate,))


def test_every_thread_count_is_tried():
    seen = set()

    class Threaded(LinearACE):
        def evaluate(self, numbers_i, pairs):
            seen.add(self.threads)
            return super().evaluate(numbers_i, pairs)

    good = alloy_ace()
    examine(lambda: Threaded(good.basis, good.coefficients, good.E0), random_geometry(0, "crystal", ALLOY))
    assert {1, 2, 3} <= seen
