"""The fit alone: what is known comes back, what is not stays, and the errors mean what they say."""

import math
import random
import statistics

import pytest

from clustercast.catalog.constants import Constant
from clustercast.errors import NoAnswer
from clustercast.studies.calibrate.fit import PACE, Parameter, fit, half_width, parameter, prior_spread, scatter_of

RATE = Parameter("rate", "1", 1.0, 0.5, 2.0, 0.0, math.inf)
START = Parameter("start", "s", 1e-5, 5e-6, 2e-5, 0.0, math.inf)
IDLE = Parameter("idle", "1", 0.3, 0.2, 0.4, 0.0, 1.0)
SIZES = [2.0**power for power in range(-20, 10)]


def seconds(values, size):
    return values["start"] + 1e-6 * size / values["rate"]


def measured(rate, start, spread, seed):
    drawn = random.Random(seed)
    return [seconds({"rate": rate, "start": start}, size) * math.exp(drawn.gauss(0, spread)) for size in SIZES]


def fitted(rate=1.7, start=1.5e-5, spread=0.03, seed=1, parameters=(RATE, START, IDLE)):
    return fit("collectives", parameters, lambda v, i: seconds(v, SIZES[i]), measured(rate, start, spread, seed), SIZES)


def test_exact_points_give_exact_constants():
    found = {each.parameter.name: each for each in fitted(spread=0.0).constants}
    assert found["rate"].value == pytest.approx(1.7, rel=2e-3)
    assert found["start"].value == pytest.approx(1.5e-5, rel=2e-3)


def test_what_no_point_depends_on_stays_as_it_was():
    idle = next(each for each in fitted().constants if each.parameter is IDLE)
    assert (idle.value, idle.identified, idle.low, idle.high) == (0.3, False, 0.2, 0.4)


def test_standard_errors_are_those_of_repeated_measurements():
    runs = [fitted(seed=seed, parameters=(RATE, START)) for seed in range(30)]
    values = [math.log(run.constants[0].value) for run in runs]
    errors = [run.constants[0].standard_error / run.constants[0].value for run in runs]
    assert 0.5 < statistics.stdev(values) / statistics.mean(errors) < 1.6


def test_the_half_width_holds_four_points_in_five():
    widths = [fitted(seed=seed, spread=0.1, parameters=(RATE, START)) for seed in range(20)]
    inside = [abs(math.log1p(error)) <= run.half_width for run in widths for error in run.left_out]
    assert 0.7 < sum(inside) / len(inside) < 0.9


def test_one_wild_point_moves_little():
    times = measured(1.7, 1.5e-5, 0.02, 3)
    times[20] *= 3.0
    found = fit("collectives", (RATE, START), lambda v, i: seconds(v, SIZES[i]), times, SIZES)
    assert found.constants[0].value == pytest.approx(1.7, rel=0.05)


def test_a_value_never_leaves_what_it_can_be():
    share = Parameter("share", "1", 0.9, 0.8, 0.95, 0.0, 1.0)
    found = fit("collectives", (share,), lambda v, i: SIZES[i] / v["share"], [0.85 * size for size in SIZES], SIZES)
    (only,) = found.constants
    assert 0.99 < only.value <= only.high <= 1.0


def test_points_that_say_nothing_are_refused():
    with pytest.raises(NoAnswer, match="too little data: 4 different points of kind collectives narrow none of rate"):
        fit("collectives", (RATE,), lambda _, i: SIZES[i], SIZES[:4], SIZES[:4])


def test_left_out_points_show_what_was_only_memorised():
    found = fitted(spread=0.1)
    assert statistics.mean(map(abs, found.left_out)) > statistics.mean(map(abs, found.after))
    assert len(fitted().left_out) == len(SIZES)


def test_a_constant_without_a_range_may_still_move():
    exact = parameter("launch", Constant(1e-5, 1e-5, 1e-5, "reported", "", ""), "s")
    assert prior_spread(exact) > 0.1
    none = parameter("host_layer_forward_s", Constant(0.0, 0.0, 0.0, "reported", "", ""), "s")
    assert prior_spread(none) == 0.0


def test_few_configurations_widen_the_interval_and_none_narrows_it_to_nothing():
    errors = [0.1, -0.1, 0.1, -0.1, 0.1, -0.1]
    assert half_width(errors, 3) > half_width(errors, 30) > 1.28 * 0.1
    assert half_width([0.001] * 100, 90) == 0.05


def test_a_value_stays_within_a_band_around_what_is_published_and_says_so():
    share = Parameter("rate", "1", 1.0, 0.8, 1.25, 0.0, math.inf, band=2.0)
    found = fit(
        "collectives", (share,), lambda v, i: SIZES[i] / v["rate"], [size / 3.2 for size in SIZES[:8]], SIZES[:8]
    )
    (only,) = found.constants
    assert only.value == pytest.approx(2.75, rel=0.02)
    assert (only.pressing, only.far) == (True, True)


def test_the_pace_moves_all_that_follows_it():
    rate = RATE._replace(exponent=-1.0)
    start = START._replace(exponent=1.0, own=False)
    pace = Parameter(PACE, "1", 1.0, 0.7, 1.4, 0.0, math.inf)
    times = [1.3 * seconds({"rate": 1.0, "start": 1e-5}, size) for size in SIZES]
    found = fit("collectives", (pace, rate, start), lambda v, i: seconds(v, SIZES[i]), times, SIZES)
    after = {each.parameter.name: each for each in found.constants}
    assert set(after) == {"rate", "start"}
    assert found.pace is not None
    assert after["start"].value == pytest.approx(1.3e-5, rel=0.01)
    assert after["rate"].value == pytest.approx(1 / 1.3, rel=0.01)
    assert (after["start"].identified, after["start"].alone) == (True, False)
    assert 0.0 < after["start"].standard_error < 1e-6


def test_scatter_is_that_of_most_points():
    assert scatter_of([0.1, -0.1, 0.1, -0.1, 5.0], 0) == pytest.approx(0.148, rel=0.01)
