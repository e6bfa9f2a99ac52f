"""Counts against the paper's Table 2 and against a second route: the dimension of a null space."""

import itertools
import time

import numpy as np
import pytest

from ase_mlipgen.ace.specification import (
    _block_bound,
    blocks,
    check_extent,
    invariant_count,
    multiplicities,
    symmetric_power_weights,
)

TABLE_2 = [
    (3, 10, 110), (3, 12, 211), (3, 14, 383), (3, 16, 668), (3, 18, 1119), (3, 20, 1809),
    (2, 10, 51), (4, 16, 1445), (4, 18, 2849),
]  # fmt: skip


@pytest.mark.parametrize(("order", "degree", "expected"), TABLE_2)
def test_number_of_functions_is_the_papers(order, degree, expected):
    assert sum(invariant_count(multiplicities(b)) for b in blocks(1, order, degree)) == expected


@pytest.mark.parametrize(("l", "k"), [(0, 3), (1, 2), (2, 3), (3, 4), (5, 2)])
def test_symmetric_power_weights_against_enumeration(l, k):
    counted = {}
    for ms in itertools.combinations_with_replacement(range(-l, l + 1), k):
        counted[sum(ms)] = counted.get(sum(ms), 0) + 1
    assert symmetric_power_weights(l, k) == counted


def raising_null_space_dimension(groups):
    """Invariants are the M = 0 vectors that the raising operator kills: count them numerically."""
    spaces = [list(itertools.combinations_with_replacement(range(-l, l + 1), k)) for l, k in groups]
    monomials = list(itertools.product(*spaces))
    sectors = {M: [m for m in monomials if sum(map(sum, m)) == M] for M in (0, 1)}
    position = {m: k for k, m in enumerate(sectors[1])}
    raising = np.zeros((max(len(sectors[1]), 1), len(sectors[0])))
    for column, monomial in enumerate(sectors[0]):
        for g, (l, _) in enumerate(groups):
            for slot, m in enumerate(monomial[g]):
                if m < l:
                    part = tuple(sorted((*monomial[g][:slot], m + 1, *monomial[g][slot + 1 :])))
                    target = (*monomial[:g], part, *monomial[g + 1 :])
                    raising[position[target], column] += np.sqrt(l * (l + 1) - m * (m + 1))
    return len(sectors[0]) - np.linalg.matrix_rank(raising)


@pytest.mark.parametrize(
    "groups",
    [((2, 1), (2, 1)), ((1, 2),), ((1, 4),), ((2, 3),), ((2, 4),), ((2, 2), (3, 2)), ((1, 1), (2, 1), (3, 1)),
     ((2, 3), (2, 1)), ((1, 1), (1, 1), (2, 1), (2, 1)), ((4, 4),)],
)  # fmt: skip
def test_rank_formula_against_the_raising_operator(groups):
    assert invariant_count(groups) == raising_null_space_dimension(groups)


def test_several_elements_multiply_the_channels():
    two = blocks(2, 3, 8)
    assert sum(invariant_count(multiplicities(b)) for b in two) == 249
    assert {channel.mu for block in two for channel in block} == {0, 1}


def test_every_block_obeys_the_selection_rule():
    for block in blocks(1, 4, 9):
        assert sum(c.n + 1.5 * c.l for c in block) <= 9
        assert sum(c.l for c in block) % 2 == 0
        assert list(block) == sorted(block)
        assert len(block) > 1 or block[0].l == 0


@pytest.mark.parametrize(
    "basis", [(1, 3, 18, 1.5), (2, 4, 8, 1.0), (3, 2, 9.3, 0.7), (1, 6, 12, 2.3), (2, 1, 6, 0.4)]
)
def test_extent_is_counted_from_above(basis):
    bound = _block_bound(*basis)
    assert len(blocks(*basis)) <= bound <= 12 * len(blocks(*basis)) + 100


@pytest.mark.parametrize("basis", [(1, 6, 60, 1.5), (1, 3, 14, 1e-9), (80, 4, 20, 1.5), (1, 2, 60, 1e-300)])
def test_what_cannot_be_built_is_refused_at_once(basis):
    begun = time.process_time()
    with pytest.raises(
        ValueError, match=r"products of channels .* expected at most 300000: lower order or degree"
    ):
        check_extent(*basis)
    assert time.process_time() - begun < 0.5
