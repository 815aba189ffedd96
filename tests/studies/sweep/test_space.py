"""studies/sweep/space.py: any block of points is the same block of the whole."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustercast.studies.sweep import space as space_module
from clustercast.studies.sweep.space import (
    LATIN,
    LEGAL,
    NAME,
    PART_GIVEN,
    PLAN,
    SOBOL,
    TRAINING,
    Axis,
    Range,
    Samples,
    Space,
    between,
    drawn,
)

RANGES = (Range("job.pue", 1.1, 1.5), Range("chip.latency", 0.5, 2.0, log=True, relative=True))


def space_of(*lengths, samples=None, conditions=(), part_size=PART_GIVEN):
    axes = tuple(Axis("abcdefgh"[at], PLAN, tuple(range(1, n + 1))) for at, n in enumerate(lengths))
    return Space(
        "t", TRAINING, axes, samples, {}, frozenset(), conditions, False, ("days",), LEGAL, part_size, "text"
    )  # fmt: skip


def test_the_first_axis_varies_slowest():
    assert space_of(2, 3).indices(0, 6).tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]


def test_samples_are_the_fastest_axis():
    space = space_of(2, samples=Samples(SOBOL, 2, 0, RANGES))
    assert space.indices(0, 4).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert space.n_points == 4


@settings(max_examples=300)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.data())
def test_a_block_of_points_is_that_block_of_the_whole(lengths, data):
    space = space_of(*lengths)
    first = data.draw(st.integers(0, space.n_points))
    last = data.draw(st.integers(first, space.n_points))
    whole = space.indices(0, space.n_points)
    assert np.array_equal(space.indices(first, last), whole[first:last])
    assert len({tuple(row) for row in whole.tolist()}) == space.n_points


@settings(max_examples=300)
@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=3), st.integers(0, 10**12))
def test_an_index_says_its_point(lengths, point):
    space = space_of(*lengths)
    point %= space.n_points
    (row,) = space.indices(point, point + 1).tolist()
    again = 0
    for digit, length in zip(row, lengths, strict=True):
        again = again * length + digit
    assert again == point


@settings(max_examples=300)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(1, 50))
def test_parts_join_to_the_whole(lengths, part_size):
    space = space_of(*lengths, part_size=part_size)
    blocks = [space.indices(*space.part(number)) for number in range(space.n_parts)]
    assert np.array_equal(np.concatenate(blocks), space.indices(0, space.n_points))


def test_a_study_of_ten_million_million_points_is_only_numbers():
    space = space_of(*([10_000] * 3), 10)
    assert space.n_points == 10**13
    assert space.indices(10**13 - 1, 10**13).tolist() == [[9999, 9999, 9999, 9]]


@pytest.mark.parametrize(("method", "n"), [(SOBOL, 64), (LATIN, 50)])
@pytest.mark.parametrize("kept", [True, False])
@settings(max_examples=40)
@given(data=st.data())
def test_a_block_of_samples_is_that_block_of_the_whole(method, n, kept, data):
    samples = Samples(method, n, 7, RANGES)
    space = space_of(1, samples=samples)
    whole = drawn(samples, 0, n)
    first = data.draw(st.integers(0, n - 1))
    last = data.draw(st.integers(first + 1, n))
    block = space.sampled(first, last) if kept else drawn(samples, first, last)
    assert np.array_equal(block, whole[first:last])


def test_more_samples_than_are_kept_are_drawn_block_by_block(monkeypatch):
    space = space_of(1, samples=Samples(SOBOL, 64, 7, RANGES))
    whole = space.sampled(0, 64).copy()
    monkeypatch.setattr(space_module, "KEPT_SAMPLES", 8)
    other = space_of(1, samples=Samples(SOBOL, 64, 7, RANGES))
    assert np.array_equal(other.sampled(24, 40), whole[24:40])


@pytest.mark.parametrize("method", [SOBOL, LATIN])
def test_samples_lie_between_their_ends_and_fill_them(method):
    found = drawn(Samples(method, 256, 3, RANGES), 0, 256)
    for column, ends in enumerate(RANGES):
        assert ends.low <= found[:, column].min() < found[:, column].max() <= ends.high
    assert np.mean(found[:, 0] < 1.3) == 0.5  # stratified: exactly half on either side
    assert np.mean(found[:, 1] < 1.0) == 0.5  # of the logarithm


def test_another_seed_draws_other_numbers():
    one, two = (drawn(Samples(SOBOL, 16, seed, RANGES), 0, 16) for seed in (1, 2))
    assert not np.array_equal(one, two)


def test_no_samples_are_no_columns():
    assert space_of(2).sampled(0, 5).shape == (5, 0)


@settings(max_examples=300)
@given(
    st.floats(1e-9, 1e15),
    st.floats(1.0001, 1e12),
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=5),
    st.booleans(),
)
def test_shares_of_a_range_are_what_the_formula_says(low, times, shares, log):
    high = low * times
    expected = [low * times**share if log else low + (high - low) * share for share in shares]
    found = between(low, high, shares, log=log)
    assert found.tolist() == pytest.approx(expected, rel=1e-13)
    assert all(low <= each <= high for each in found)


def test_ends_of_a_range_are_met_exactly():
    assert between(0.3, 0.7, [0.0, 1.0], log=True).tolist() == [0.3, 0.7]
    assert between(0.3, 0.7, [0.0, 1.0], log=False).tolist() == [0.3, 0.7]


def test_passing_points_are_counted_one_by_one():
    space = space_of(30, 40, conditions=("a * b <= 60",), part_size=100)
    expected = sum(a * b <= 60 for a in range(1, 31) for b in range(1, 41))
    assert space.count_passing() == (expected, True)
    assert space_of(3, 4).count_passing() == (12, True)


def test_passing_points_of_a_large_study_are_estimated(monkeypatch):
    monkeypatch.setattr(space_module, "COUNT_ALL_TO", 10)
    space = space_of(100, 100, conditions=("a > b",))
    found = space.count_passing()
    assert not found.exact
    assert math.isclose(found.n, 4950, rel_tol=0.02)


def test_passes_are_those_of_the_points():
    space = space_of(5, 6, conditions=("a + b = 7", "a > 2"))
    for first, last in ((0, 30), (7, 19), (4, 4)):
        rows = space.indices(first, last) + 1
        assert space.passes(first, last).tolist() == [a + b == 7 and a > 2 for a, b in rows.tolist()]


def test_names_are_axes_too():
    axes = (Axis("chip", NAME, ("x", "y")), Axis("tp", PLAN, (1, 2)))
    space = Space("t", TRAINING, axes, None, {}, frozenset(), ("chip = 'y'",), False, (), LEGAL, 4, "")
    assert space.passes(0, 4).tolist() == [False, False, True, True]
