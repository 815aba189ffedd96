"""Laws of a closed loop: clients that ask again as soon as they are answered."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import Served, questions

from clustercast.physics.examples import SERVING_JOB, SERVING_PLAN, SERVING_SETTING
from clustercast.physics.loop import (
    Costs,
    Flow,
    Piece,
    balanced_flow,
    batch,
    between,
    burst_s,
    closed_loop,
    costs,
    demand_of_job,
    n_emitted,
    n_queued,
    prompt_s,
    run_of,
    steady_loop,
    swing_fraction,
    waves_flow,
)
from clustercast.physics.queueing import cached_tokens, n_decode_steps
from clustercast.physics.serving import decode_pass, drafting_factor, in_flight_limit, n_above_zero, prompts_pass
from clustercast.records import ServingPlan
from clustercast.studies.serving.search import (
    KEPT,
    KEPT_IN_TURNS,
    KEPT_TPOT,
    KEPT_TPOT_IN_TURNS,
    KEPT_TTFT,
    KEPT_TTFT_IN_TURNS,
)

SLACK = 1.0 + 1e-9
ALONE = ServingPlan(1, 1, 1, 1, 1)
RIDING = SERVING_SETTING._replace(engine=SERVING_SETTING.engine._replace(mixed_share=1.0))
IN_TURNS = SERVING_SETTING._replace(engine=SERVING_SETTING.engine._replace(mixed_share=0.0))


def line(fixed_s: float, each_s: float, n_places: float, decode_s: float = 0.0) -> Costs:
    """Steps of j prompts that take fixed + each j."""
    few, some, full = (Piece(fixed_s + each_s * n, fixed_s + each_s * n, 0.0) for n in (1.0, 2.0, n_places))
    return Costs(n_places, 1.0, 1.0, few, 2.0, some, n_places, full, few.riding_s + decode_s, few.quiet_s, 0.0)


@given(question=questions())
def test_one_client_waits_for_nobody(question: Served) -> None:
    setting, job, plan = question
    alone = job._replace(batch=1.0)
    plan = plan._replace(attention_dp=1)
    setting = setting._replace(engine=setting.engine._replace(interference_factor=1.0, chunk_tokens=1e6))
    done = closed_loop(setting, alone, plan)
    first_s = prompts_pass(1.0, 1.0, alone, setting, plan).total_s
    assert math.isclose(done.ttft_s, setting.engine.first_token_s + first_s, rel_tol=1e-9)
    demand = demand_of_job(alone)
    step = decode_pass(1.0, 1.0 + job.n_drafts, cached_tokens(demand), setting, plan)
    step_s = step.total_s * drafting_factor(job.n_drafts, setting.model)
    assert math.isclose(done.tpot_s * (job.output_len - 1), n_decode_steps(demand) * step_s, rel_tol=1e-9)
    assert done.interference_s == 0.0


@given(question=questions(), n_clients=st.integers(1, 3000))
def test_a_loop_holds_its_clients(question: Served, n_clients: int) -> None:
    setting, job, plan = question
    asked = job._replace(batch=float(n_clients))
    done = closed_loop(setting, asked, plan)
    assert math.isclose(done.requests_per_s * done.latency_s, n_clients, rel_tol=1e-9)
    assert 0.0 <= done.in_flight <= in_flight_limit(asked, setting, plan) * SLACK
    flow = steady_loop(setting, asked, plan)
    held_s = setting.engine.first_token_s + flow.wait_s + flow.first_s + flow.residence_s
    if flow.swing_fraction in (0.0, 1.0):
        assert math.isclose(flow.requests_per_s * held_s, n_clients, rel_tol=0.08)
    assert math.isfinite(done.ttft_s)
    assert done.tpot_s > 0.0


@given(question=questions(), more=st.integers(1, 256))
def test_more_clients_hardly_ever_get_their_answers_sooner(question: Served, more: int) -> None:
    setting, job, plan = question
    now = closed_loop(setting, job, plan)
    then = closed_loop(setting, job._replace(batch=job.batch + more), plan)
    kept, kept_tpot, kept_ttft = KEPT_IN_TURNS, KEPT_TPOT_IN_TURNS, KEPT_TTFT_IN_TURNS
    if setting.engine.mixed_share > 0.5:
        kept, kept_tpot, kept_ttft = KEPT, KEPT_TPOT, KEPT_TTFT
    assert kept * now.latency_s <= then.latency_s * SLACK
    assert kept_ttft * now.ttft_s <= then.ttft_s * SLACK
    assert kept_tpot * now.tpot_s <= then.tpot_s * SLACK


@given(question=questions())
def test_what_does_not_fit_waits(question: Served) -> None:
    setting, job, plan = question
    full = job._replace(batch=1e6)
    done = closed_loop(setting, full, plan)
    assert done.in_flight <= in_flight_limit(full, setting, plan) < full.batch
    twice = closed_loop(setting, full._replace(batch=2e6), plan)
    assert math.isclose(twice.requests_per_s, done.requests_per_s, rel_tol=1e-3)
    assert math.isclose(twice.ttft_s / done.ttft_s, 2.0, rel_tol=0.02)


@given(question=questions(), n_waves=st.floats(1.0, 100.0))
def test_a_burst_at_the_start_weighs_less_the_more_waves_follow(question: Served, n_waves: float) -> None:
    setting, job, plan = question
    steady, some, many = (
        closed_loop(setting, job._replace(n_waves=n), plan).ttft_s for n in (0.0, n_waves, 10.0 * n_waves)
    )
    assert steady <= many * SLACK <= some * SLACK * SLACK
    assert math.isclose(some - steady, 10.0 * (many - steady), rel_tol=1e-6, abs_tol=1e-9 * steady)


@given(question=questions(), more=st.integers(1, 500))
def test_a_larger_burst_takes_longer(question: Served, more: int) -> None:
    setting, job, plan = question
    assert burst_s(setting, job, plan) <= burst_s(setting, job._replace(batch=job.batch + more), plan) * 1.1


@given(question=questions(), n_prompts=st.floats(0.1, 5000.0), more=st.floats(1.0, 3.0))
def test_more_prompts_take_longer_together(question: Served, n_prompts: float, more: float) -> None:
    setting, job, plan = question
    cost = costs(4.0, 3.0, 0.01, 0.0, demand_of_job(job), setting, plan)
    assert batch(n_prompts, cost).added_s <= batch(more * n_prompts, cost).added_s * 1.001
    assert batch(n_prompts, cost).n_steps <= batch(more * n_prompts, cost).n_steps * SLACK
    assert prompt_s(cost) >= 0.0


@given(lag_s=st.floats(1e-6, 1e4), n_steps=st.floats(1.0, 1e4), square=st.floats(1.0, 2.0))
def test_no_more_steps_are_emitted_than_done_nor_than_there_are(lag_s: float, n_steps: float, square: float) -> None:
    emitted = n_emitted(lag_s, n_steps, 0.5, square)
    assert 0.0 <= emitted <= min(lag_s / 0.5, n_steps) * SLACK
    assert emitted <= n_emitted(1.1 * lag_s, n_steps, 0.5, square) * SLACK


@given(mean=st.floats(-50.0, 50.0), deviation=st.floats(0.0, 20.0))
def test_a_queue_is_above_zero_and_above_its_mean(mean: float, deviation: float) -> None:
    assert n_above_zero(mean, deviation) >= max(mean, 0.0) / SLACK
    assert n_above_zero(mean, deviation) <= n_above_zero(mean + 1.0, deviation) * SLACK


def test_without_a_way_to_the_client_a_group_is_prefilled_at_once() -> None:
    demand = demand_of_job(SERVING_JOB._replace(output_len=101))
    cost = line(0.02, 0.03, 1000.0)
    found = run_of(50.0, 1.0, 0.01, 0.01, 1.0, 0.0, 0.0, cost, demand, IN_TURNS)
    some = 1.0 - math.exp(-0.5)
    # a token: its step, the fixed part of a prefill step if anybody ended, and half a prompt
    assert math.isclose(found.token_s, 0.01 + some * 0.02 + 0.5 * 0.03, rel_tol=1e-9)
    # a first token: its own prefill and that of those who ended with it
    assert math.isclose(found.first_s, 0.02 + 0.03 * 1.49, rel_tol=1e-9)
    assert found.n_groups == 1.0


def test_a_long_way_to_the_client_makes_waves_where_prefill_is_slow() -> None:
    demand = demand_of_job(SERVING_JOB._replace(output_len=101))
    slow, fast = line(0.02, 0.1, 8.0), line(0.001, 0.001, 800.0)
    swinging = waves_flow(100.0, 1000.0, 0.01, 0.2, slow, demand, IN_TURNS)
    assert swinging.swing_fraction == 1.0
    assert swinging.first_s > slow.full.riding_s
    assert waves_flow(100.0, 1000.0, 0.01, 0.2, fast, demand, IN_TURNS).swing_fraction == 0.0
    assert waves_flow(1.0, 1000.0, 0.01, 0.2, slow, demand, IN_TURNS).swing_fraction == 0.0
    flow = Flow(100.0, 0.1, 0.1, 10.0, 0.0, 10.0, 0.0)
    assert swing_fraction(flow._replace(in_flight=500.0), 0.01, 5.0, slow, demand) == 1.0
    assert swing_fraction(flow, 0.01, 5.0, fast, demand) == 0.0


def test_flows_lie_between_others() -> None:
    one, other = Flow(1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0), Flow(3.0, 3.0, 3.0, 3.0, 2.0, 3.0, 1.0)
    assert between(one, other, 0.5) == Flow(2.0, 2.0, 2.0, 2.0, 1.0, 2.0, 0.5)
    assert between(one, other, 0.0) == one


def test_prompts_queue_where_a_step_takes_fewer_than_end() -> None:
    demand = demand_of_job(SERVING_JOB._replace(output_len=101))
    cost = line(0.02, 0.03, 4.0, 0.01)
    found = balanced_flow(1000.0, 5000.0, 400.0, 400.0, 0.01, 0.0, 0.05, 0.0, 1e-4, cost, demand, RIDING)
    # four prompts a step for a hundred steps
    assert math.isclose(found.in_flight, 400.0, rel_tol=0.05)
    assert math.isclose(found.requests_per_s, 4.0 / (0.01 + 0.14), rel_tol=0.05)
    assert n_queued(1000.0, 400.0, 1.0, 0.15, 0.05, cost, demand) > 500.0


@pytest.mark.parametrize("setting", [RIDING, IN_TURNS], ids=["riding", "in turns"])
@pytest.mark.parametrize("n_clients", [1.0, 7.0, 300.0, 20000.0])
def test_compiled_equals_plain(setting: object, n_clients: float) -> None:
    from drivers import run_loop

    from clustercast.physics import grid

    job = SERVING_JOB._replace(batch=n_clients, n_waves=10.0)
    plain, compiled = np.zeros((1, 11)), np.zeros((1, 11))
    run_loop(job, setting, SERVING_PLAN, plain)
    grid.compiled(run_loop)(job, setting, SERVING_PLAN, compiled)
    assert (plain == compiled).all()
