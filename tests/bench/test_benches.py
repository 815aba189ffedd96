"""What the benches count and compare, in small; how fast it is, no test asks."""

import math
import random
from pathlib import Path

import machine
import plan_rate
import pytest
import search_rate
import strategies
import sweep_rate

from clustercast.physics import examples
from clustercast.physics.roofline import join_s
from clustercast.plans import search
from clustercast.records import Plan
from clustercast.studies.sweep import run


def test_a_number_that_counts_counts_divisions_apart() -> None:
    plan_rate.tally.clear()
    done = (plan_rate.Counted(3.0) * 2 + 1) / 2 if plan_rate.Counted(1.0) < 2 else 0.0
    assert plan_rate.tally == {"simple": 3, "divisions": 1}
    assert done == 3.5


def test_operations_of_a_step_are_counted_and_nothing_stays_changed() -> None:
    before = math.sqrt, join_s(3.0, 1.0, 4.0)
    once = plan_rate.operations(examples.SETTING, [examples.PLAN])
    twice = plan_rate.operations(examples.SETTING, [examples.PLAN, examples.PLAN])
    assert once == twice
    assert once["simple"] > once["divisions"] > once["square_roots"] > 0
    assert (math.sqrt, join_s(3.0, 1.0, 4.0)) == before


def test_shares_of_the_peak_add_each_kind_at_its_own_rate() -> None:
    peak = {"scalar_operations_per_s": 100.0, "divide_per_s": 10.0, "square_root_per_s": 5.0, "logarithm_per_s": 5.0}
    count = {"simple": 10.0, "divisions": 1.0, "square_roots": 1.0, "logarithms": 0.0}
    shares = plan_rate.shares(count, 2.0, peak)
    assert shares == {"share_of_scalar_peak": 0.24, "share_of_mixed_peak": 0.8}


def test_costing_every_plan_finds_what_the_search_finds() -> None:
    setting = strategies.setting(random.Random(5), "dense", global_batch=8)
    fixed = {"micro_batch": 1, "cp": 1}
    space = search.space_of(setting, 16, fixed)
    counts, best = [0.0, 0.0, 0.0, math.inf, 0.0], [0] * len(Plan._fields)
    capacity_bytes = setting.chip.hbm_bytes - setting.chip.reserved_bytes
    n_vpps = [len(some) for some in space.vpps]
    search_rate.cost_all(
        setting, space.keys, space.pps, space.vpps, n_vpps, space.dps, space.zeros, space.base, 16, capacity_bytes,
        best, counts,
    )  # fmt: skip
    found = search.fastest(setting, 16, fixed, compiled=False)
    assert counts[0] == found.n_considered
    assert counts[2] > 0
    assert [counts[3]] == found.steps_s
    assert Plan(*best) == found.plans[0]


@pytest.mark.parametrize("n_points", sweep_rate.SIZES)
def test_a_study_of_the_bench_has_as_many_points_as_it_says(n_points: int) -> None:
    text = sweep_rate.study_of(n_points)
    assert run.space_of(text.encode(), Path("study.yaml")).n_points == n_points


def test_facts_say_where_and_with_what_a_figure_was_measured() -> None:
    facts = machine.facts()
    assert facts["cores"] >= 1
    assert {"python", "numpy", "numba"} <= set(facts["versions"])
    assert set(facts) == {"machine", "cores", "load_average_before", "date", "versions"}
