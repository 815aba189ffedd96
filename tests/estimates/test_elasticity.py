"""What one per cent more of a resource buys."""

from collections.abc import Callable

import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import Problem, problems

from clustercast.estimates.elasticity import RESOURCES, elasticity, improved, improved_serving, limiting
from clustercast.physics.examples import SERVING_SETTING, SETTING
from clustercast.physics.loop import closed_loop
from clustercast.physics.serving import decode_pool, prefill_pool, static_batch
from clustercast.physics.training import training_step
from clustercast.records import Load, Setting


@pytest.mark.parametrize("resource", [*RESOURCES, "hbm_capacity"])
def test_a_resource_once_as_good_changes_nothing(resource: str) -> None:
    assert improved(SETTING, resource, 1.0) == SETTING
    assert improved_serving(SERVING_SETTING, resource, 1.0) == SERVING_SETTING


@pytest.mark.parametrize("resource", ["flops", "hbm_bandwidth", "scale_up", "scale_out", "hbm_capacity"])
def test_a_resource_twice_as_good_changes_the_setting(resource: str) -> None:
    assert improved(SETTING, resource, 2.0) != SETTING
    assert improved_serving(SERVING_SETTING, resource, 2.0) != SERVING_SETTING


@settings(max_examples=500)
@given(problem=problems())
def test_nothing_buys_much_more_than_it_is_worth(problem: Problem) -> None:
    setting, plan = problem

    def step_s(resource: str, factor: float) -> float:
        return training_step(improved(setting, resource, factor), plan).step_s

    step = training_step(setting, plan)
    slopes = elasticity(step_s, bubble=step.bubble_s / step.step_s)
    bought = [getattr(slopes, resource) for resource in RESOURCES]
    assert sum(bought) == pytest.approx(1.0, abs=1e-6)
    assert limiting(slopes) in {
        "compute",
        "hbm_bandwidth",
        "hbm_capacity",
        "scale_up",
        "scale_out",
        "latency",
        "bubble",
        "host",
    }


def test_time_that_only_matmuls_take_is_limited_by_compute() -> None:
    slopes = elasticity(lambda resource, factor: 1.0 / improved(SETTING, resource, factor).chip.matmul_flop_per_s)
    assert slopes.flops == pytest.approx(1.0)
    assert slopes.hbm_bandwidth == slopes.scale_up == slopes.latency == 0.0
    assert limiting(slopes) == "compute"


def test_a_bubble_can_be_what_limits() -> None:
    assert limiting(elasticity(lambda _, __: 1.0, bubble=0.6)) == "bubble"
    assert limiting(elasticity(lambda _, __: 1.0, capacity=0.3)) == "hbm_capacity"


def everything_better(setting: Setting, factor: float) -> Setting:
    """Every rate `factor` times as high, every start and host time as much shorter."""
    for resource in RESOURCES:
        setting = improved(setting, resource, factor)
    return setting


@settings(max_examples=500)
@given(problem=problems(), factor=st.floats(0.2, 5.0))
def test_what_is_better_everywhere_is_faster_by_as_much(problem: Problem, factor: float) -> None:
    setting, plan = problem
    now_s = training_step(setting, plan).step_s
    assert training_step(everything_better(setting, factor), plan).step_s * factor == pytest.approx(now_s, rel=1e-12)


serving = strategies.seeded(strategies.served, "serving elasticity")


@settings(max_examples=200)
@given(problem=serving, factor=st.floats(0.2, 5.0), exact=st.sampled_from((0.25, 0.5, 2.0, 4.0)))
def test_so_is_serving(problem: strategies.Served, factor: float, exact: float) -> None:
    """A closed loop is found by steps whose comparisons rounding may turn: it is tried on powers of two."""
    setting, job, plan = problem.setting, problem.job, problem.plan
    for load, times in ((closed_loop, exact), (static_batch, factor), (decode_pool, factor), (prefill_pool, factor)):
        better = setting
        for resource in RESOURCES:
            better = improved_serving(better, resource, times)
        now, then = load(setting, job, plan), load(better, job, plan)
        assert then.tpot_s * times == pytest.approx(now.tpot_s, rel=1e-9)
        assert then.ttft_s * times == pytest.approx(now.ttft_s, rel=1e-9)


@settings(max_examples=200)
@given(problem=serving)
def test_and_its_slopes_add_up_to_one(problem: strategies.Served) -> None:
    setting, job, plan = problem.setting, problem.job, problem.plan
    for load in (static_batch, decode_pool):

        def tpot_s(resource: str, factor: float, load: Callable[..., Load] = load) -> float:
            return load(improved_serving(setting, resource, factor), job, plan).tpot_s

        slopes = elasticity(tpot_s)
        assert sum(getattr(slopes, resource) for resource in RESOURCES) == pytest.approx(1.0, abs=1e-6)
