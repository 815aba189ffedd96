"""The step that counts: warm-up, pauses, changes of level, drift."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustercast.studies.logs.steady import Timed, steady


def timed(seconds, after=None):
    return [Timed(n, value, n, tuple((after or {}).get(n, ()))) for n, value in enumerate(seconds, 1)]


def noisy(level, n, seed=0, spread=0.01):
    draw = random.Random(seed)
    return [level * (1 + spread * draw.uniform(-1, 1)) for _ in range(n)]


def test_the_first_slow_steps_are_warm_up():
    found = steady(timed([60.0, 20.0, *noisy(5.0, 20)]))
    assert (found.n_warm_up, found.n) == (2, 20)
    assert found.median_s == pytest.approx(5.0, rel=0.01)
    assert found.patterns == ()


def test_one_step_is_itself():
    found = steady(timed([5.0]))
    assert (found.n, found.n_warm_up, found.median_s, found.patterns) == (1, 0, 5.0, ("still-warm",))


def test_pauses_have_the_name_that_the_log_gives_them_and_their_period():
    seconds, after = noisy(5.0, 60), {}
    for step in (20, 40, 60):
        seconds[step - 1] = 25.0
        after[step] = ("checkpoint",)
    found = steady(timed(seconds, after))
    (pause,) = found.pauses
    assert (pause.cause, pause.n, pause.every_steps) == ("checkpoint", 3, 20)
    assert pause.extra_s == pytest.approx(20.0, rel=0.02)
    assert found.lost_fraction == pytest.approx(60 / 360, rel=0.05)
    assert found.median_s == pytest.approx(5.0, rel=0.01)
    assert "periodic" not in found.patterns  # the log says what it is


def test_pauses_without_a_name_that_come_at_equal_distances_are_a_pattern():
    seconds = noisy(5.0, 64)
    for step in range(8, 65, 8):
        seconds[step - 1] = 9.0
    assert "periodic" in steady(timed(seconds)).patterns


def test_a_change_of_level_is_found_with_its_step():
    found = steady(timed([*noisy(5.0, 30), *noisy(6.5, 30, seed=1)]))
    assert found.shift_step == 31
    assert found.shift_factor == pytest.approx(1.3, rel=0.02)
    assert "shift" in found.patterns
    assert found.levels is None


def test_steps_that_jump_between_two_levels_are_found():
    draw = random.Random(3)
    seconds = [draw.choice((5.0, 5.0, 8.0)) * (1 + 0.005 * draw.uniform(-1, 1)) for _ in range(60)]
    found = steady(timed(seconds))
    assert found.levels == pytest.approx((5.0, 8.0), rel=0.02)
    assert "two-levels" in found.patterns


def test_a_drift_is_found_and_scatter_is_none():
    slow = [5.0 * (1 + 0.004 * n) for n in range(60)]
    assert steady(timed(slow)).drift_fraction == pytest.approx(0.2, rel=0.2)
    assert steady(timed(noisy(5.0, 60, spread=0.03))).drift_fraction == 0.0


def test_steps_of_another_batch_do_not_count():
    found = steady(timed([1.0] * 10 + [2.0] * 10), [64] * 10 + [128] * 10)
    assert (found.median_s, found.n, found.n_other_batch) == (2.0, 10, 10)


@given(st.lists(st.floats(1e-6, 1e7), min_size=1, max_size=40), st.integers(0, 3))
def test_whatever_the_times_the_middle_lies_among_them(seconds, warm):
    found = steady(timed(seconds))
    assert min(seconds) <= found.low_s <= found.median_s <= found.high_s <= max(seconds)
    assert 0.0 <= found.lost_fraction < 1.0
    assert found.n + found.n_warm_up + sum(pause.n for pause in found.pauses) == len(seconds)


@given(st.lists(st.floats(0.1, 100.0), min_size=1, max_size=30), st.floats(0.1, 10.0))
def test_a_clock_that_runs_faster_changes_nothing_else(seconds, factor):
    one, other = steady(timed(seconds)), steady(timed([value * factor for value in seconds]))
    assert other.median_s == pytest.approx(one.median_s * factor)
    assert (other.n, other.n_warm_up) == (one.n, one.n_warm_up)
