"""What one per cent more of a resource buys."""

import pytest
from hypothesis import given, settings
from strategies import Problem, problems

from clustercast.estimates.elasticity import RESOURCES, elasticity, improved, improved_serving, limiting
from clustercast.physics.examples import SERVING_SETTING, SETTING
from clustercast.physics.training import training_step


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
    assert sum(bought) <= 1.1
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
