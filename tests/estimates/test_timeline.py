"""The timeline: a stage does one thing at a time, nothing starts before what it needs, and the formula's time holds."""

import itertools

import pytest

from clustercast import records
from clustercast.estimates import timeline, training
from clustercast.estimates.question import Asked, fill
from clustercast.estimates.timeline import BACKWARD, FORWARD, WEIGHTS, Block
from clustercast.physics.examples import PLAN
from clustercast.physics.training import pipeline
from clustercast.plans import text
from clustercast.records import SCHEDULE_GPIPE, SCHEDULE_ZERO_BUBBLE

PLANS = [
    PLAN._replace(pp=4),
    PLAN._replace(pp=4, schedule=SCHEDULE_GPIPE),
    PLAN._replace(pp=4, schedule=SCHEDULE_ZERO_BUBBLE),
    PLAN._replace(pp=4, vpp=2),
    PLAN._replace(pp=2, vpp=4),
]


def blocks(plan: records.Plan, n: int) -> list[Block]:
    delayed = 1.0 if plan.schedule == SCHEDULE_ZERO_BUBBLE else 0.0
    spent = timeline.Costs([1.0] * plan.pp, [2.0 - delayed] * plan.pp, [delayed] * plan.pp)
    return timeline.run(timeline.orders(plan, n), spent, plan)


@pytest.mark.parametrize("plan", PLANS)
def test_a_stage_does_one_thing_at_a_time_and_all_of_it(plan: records.Plan) -> None:
    found = blocks(plan, 8)
    kinds = 3 if plan.schedule == SCHEDULE_ZERO_BUBBLE else 2
    for stage in range(plan.pp):
        own = sorted((each for each in found if each.stage == stage), key=lambda each: each.start_s)
        assert len({(each.kind, each.micro_batch, each.chunk) for each in own}) == len(own) == 8 * plan.vpp * kinds
        assert all(one.end_s <= two.start_s + 1e-12 for one, two in itertools.pairwise(own))


@pytest.mark.parametrize("plan", PLANS)
def test_nothing_starts_before_what_it_needs(plan: records.Plan) -> None:
    end = {(each.stage, each.kind, each.micro_batch, each.chunk): each.end_s for each in blocks(plan, 8)}
    for each in blocks(plan, 8):
        if each.kind == FORWARD and each.stage > 0:
            assert each.start_s >= end[each.stage - 1, FORWARD, each.micro_batch, each.chunk]
        if each.kind == BACKWARD:
            assert each.start_s >= end[each.stage, FORWARD, each.micro_batch, each.chunk]
            if each.stage < plan.pp - 1:
                assert each.start_s >= end[each.stage + 1, BACKWARD, each.micro_batch, each.chunk]
        if each.kind == WEIGHTS:
            assert each.start_s >= end[each.stage, BACKWARD, each.micro_batch, each.chunk]


@pytest.mark.parametrize("plan", PLANS[:2] + PLANS[3:])
def test_equal_stages_take_as_long_as_the_formula_says(plan: records.Plan) -> None:
    formula = pipeline(3.0, 0.0, 0.0, plan.pp, 8.0, 1.0 / plan.vpp, plan)
    assert max(each.end_s for each in blocks(plan, 8)) == pytest.approx(formula.total_s)


def test_putting_off_weight_gradients_shortens_the_bubble() -> None:
    plain, zero = (max(each.end_s for each in blocks(plan, 8)) for plan in (PLANS[0], PLANS[2]))
    assert 24.0 <= zero < plain


def test_a_deep_pipeline_is_drawn_in_part() -> None:
    setting = fill(Asked("h20", "gpt-4-1.8t", 10_000)).setting()
    plan = training.given(setting, text.parse("tp=4,pp=61,dp=5,cp=8,ep=4,zero=1"))
    found = timeline.timeline("h20", setting, plan)
    assert found is not None
    assert (found.n_stages, found.n_microbatches, found.n_drawn) == (61, 1440, 65)
    assert (found.shown[0], found.shown[-1]) == (0, 60)
    assert len(found.shown) <= timeline.MOST_STAGES
    assert {each.stage for each in found.blocks} == set(found.shown)


def test_one_stage_has_no_timeline() -> None:
    setting = fill(Asked("h20", "llama-3.1-8b", 8)).setting()
    assert timeline.timeline("h20", setting, PLAN) is None
