"""Laws of a replica under arrivals: Little, a single server, shared service, saturation."""

import math
import random
from itertools import pairwise

import numpy as np
import pytest
from drivers import run_queueing
from hypothesis import given
from hypothesis import strategies as st
from strategies import KINDS, Served, questions, served

from clustercast.physics import grid
from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
from clustercast.physics.queueing import (
    Demand,
    Prompts,
    below_share,
    cached_tokens,
    crowd,
    cycle,
    gamma_quantile_s,
    line,
    long_rhythm,
    n_batch_services,
    n_decode_steps,
    n_pieces,
    n_prefill_turns,
    n_services,
    n_slots_of,
    new_tokens,
    open_loop,
    prefill_budget_tokens,
    saturation_requests_per_s,
    short_rhythm,
    single_server_wait_s,
    strata_of,
    stratum_share,
    tpot_percentile_s,
    ttft_percentile_s,
    turn,
)
from clustercast.physics.serving import decode_pass, prefill_pass
from clustercast.records import ServingSetting

FIXED = Demand(512.0, 129.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 16.0, 0.01)
# a chip on which a prefill of some hundred tokens takes as long as some decode steps
CHIP = SERVING_SETTING.chip._replace(
    matmul_flop_per_s=5e13, expert_flop_per_s=5e13, attention_flop_per_s=5e13, head_flop_per_s=5e13
)
RIDING = SERVING_SETTING._replace(
    chip=CHIP, engine=SERVING_SETTING.engine._replace(mixed_share=1.0, first_token_s=0.05)
)
IN_TURNS = RIDING._replace(engine=RIDING.engine._replace(mixed_share=0.0))
SETTINGS = pytest.mark.parametrize("setting", [RIDING, IN_TURNS], ids=["riding", "in turns"])


def demand_of(question: Served) -> Demand:
    job = question.job
    return Demand(
        float(job.input_len),
        float(job.output_len),
        1.3,
        1.2,
        1.1,
        0.25,
        job.n_drafts,
        job.accepted_tokens,
        16.0,
        0.01,
    )


@given(load=st.floats(0.01, 0.95))
def test_one_server_with_exponential_service_waits_as_the_textbook_says(load: float) -> None:
    assert math.isclose(single_server_wait_s(load, 1.0, 2.0), load / (1.0 - load), rel_tol=1e-12)
    assert math.isclose(single_server_wait_s(load, 1.0, 1.0), 0.5 * load / (1.0 - load), rel_tol=1e-12)


def test_a_server_at_full_load_never_ends() -> None:
    assert single_server_wait_s(1.0, 1.0, 1.0) == math.inf


def test_services_are_whole_for_fixed_sizes_and_geometric_for_exponential_ones() -> None:
    assert n_services(2.3, 1.0) == 3.0
    assert math.isclose(n_services(1.0, 2.0), 1.0 / (1.0 - math.exp(-1.0)))
    assert n_batch_services(0.0, 4.0, 1.0) == 1.0
    assert n_batch_services(8.0, 4.0, 1.0) > 1.9


@pytest.mark.parametrize(
    ("normal", "exact"), [(0.0, math.log(2.0)), (1.2816, math.log(10.0)), (2.3263, math.log(100.0))]
)
def test_percentiles_of_an_exponential_are_near(normal: float, exact: float) -> None:
    assert math.isclose(gamma_quantile_s(1.0, 1.0, normal), exact, rel_tol=0.02)


def test_one_slot_is_a_single_server() -> None:
    demand = FIXED._replace(output_square_factor=2.0)
    service_s = (
        n_decode_steps(demand) * turn(1.0, cached_tokens(demand), 0.0, 0.0, 0.0, 0.0, RIDING, SERVING_PLAN).taken_s
    )
    found = crowd(0.6 / service_s, 0.0, 1.0, 0.0, 0.0, 1.0, 0.6, demand, RIDING, SERVING_PLAN)
    assert math.isclose(found.in_flight, 0.6, rel_tol=1e-9)
    assert math.isclose(found.alone_fraction, 0.4, rel_tol=1e-9)
    assert math.isclose(found.n_waiting, 0.6 * 0.6 / 0.4, rel_tol=1e-9)


def test_many_slots_without_slowing_are_poisson() -> None:
    # a step that does not depend on the batch: only the host takes time
    engine = RIDING.engine._replace(host_step_s=1e3)
    setting = RIDING._replace(engine=engine)
    demand = FIXED._replace(output_len=2.0)
    step_s = turn(1.0, cached_tokens(demand), 0.0, 0.0, 0.0, 0.0, setting, SERVING_PLAN).taken_s
    found = crowd(9.0 / step_s, 9.0, 1.0, 0.0, 0.0, 1000.0, 0.1, demand, setting, SERVING_PLAN)
    assert math.isclose(found.in_flight, 9.0, rel_tol=1e-3)
    assert math.isclose(found.batch_deviation_factor, 3.0, rel_tol=1e-2)
    assert math.isclose(found.alone_fraction, math.exp(-9.0), rel_tol=1e-2)


@given(question=questions())
def test_a_turn_is_a_decode_step_or_a_prefill_alone(question: Served) -> None:
    setting, job, plan = question
    decode = turn(8.0, 1000.0, 0.0, 0.0, 0.0, 0.0, setting, plan)
    assert decode.taken_s == decode.first_s == decode_pass(8.0, 1.0, 1000.0, setting, plan).total_s
    alone = turn(0.0, 0.0, float(job.input_len), 0.5 * job.input_len, 1.0, 0.0, setting, plan)
    own_s = prefill_pass(1.0, float(job.input_len), 1.0, setting, plan).total_s
    assert alone.first_s >= own_s * (1 - 1e-12)
    both = turn(8.0, 1000.0, float(job.input_len), 0.5 * job.input_len, 1.0, 0.0, setting, plan)
    assert both.taken_s >= decode.taken_s
    assert both.first_s >= both.taken_s


@SETTINGS
@pytest.mark.parametrize("load", [0.1, 0.5, 0.85])
def test_an_open_loop_obeys_littles_law(setting: ServingSetting, load: float) -> None:
    rate = load * saturation_requests_per_s(FIXED, setting, SERVING_PLAN)
    done = open_loop(rate, FIXED, setting, SERVING_PLAN)
    assert math.isclose(done.in_flight, rate * 128.0 * done.tpot_s, rel_tol=1e-9)
    assert math.isclose(done.load_fraction, load)
    assert done.latency_s == done.ttft_s + 128.0 * done.tpot_s
    assert done.ttft_p50_s <= done.ttft_p90_s <= done.ttft_p99_s


@SETTINGS
def test_more_load_waits_longer(setting: ServingSetting) -> None:
    most = saturation_requests_per_s(FIXED, setting, SERVING_PLAN)
    found = [open_loop(load * most, FIXED, setting, SERVING_PLAN) for load in (0.05, 0.2, 0.4, 0.6, 0.8, 0.95)]
    for before, after in pairwise(found):
        assert before.ttft_s < after.ttft_s
        assert before.tpot_s < after.tpot_s
        assert before.kv_fraction < after.kv_fraction


@SETTINGS
def test_a_rate_beyond_capacity_never_ends(setting: ServingSetting) -> None:
    most = saturation_requests_per_s(FIXED, setting, SERVING_PLAN)
    done = open_loop(1.01 * most, FIXED, setting, SERVING_PLAN)
    assert done.ttft_s == done.tpot_s == math.inf
    assert done.requests_per_s == most


def test_hits_and_slots_are_counted() -> None:
    assert new_tokens(FIXED._replace(hit_fraction=0.5)) == 256.0
    assert prefill_budget_tokens(10.0, FIXED, RIDING, SERVING_PLAN) == 8192.0 - 10.0
    assert prefill_budget_tokens(10.0, FIXED, IN_TURNS, SERVING_PLAN) == 8192.0
    assert n_slots_of(FIXED, RIDING, SERVING_PLAN) > n_slots_of(FIXED._replace(input_len=5120.0), RIDING, SERVING_PLAN)
    assert n_pieces(FIXED, RIDING, SERVING_PLAN._replace(attention_dp=4)) == 1.0


@given(rate=st.floats(0.01, 0.5), start=st.floats(0.1, 10.0))
def test_steps_without_work_of_their_own_follow_as_a_busy_period(rate: float, start: float) -> None:
    # every prefill step as long as any other: each brings another with the same chance
    some = 1.0 - math.exp(-rate * start)
    again = 1.0 - math.exp(-rate)
    assert math.isclose(
        n_prefill_turns(rate, start, 1.0, Prompts(0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1e9, 0.0, 1.0)),
        some / (1.0 - again),
        rel_tol=1e-9,
    )


def prompts_of(fixed_s: float, prompt_s: float, places: float) -> Prompts:
    """Steps of a second without prompts, and so long with them."""
    return Prompts(1.0, fixed_s, prompt_s, 0.0, 0.0, fixed_s + prompt_s * places, places, 0.0, 1.0)


@given(load=st.floats(0.05, 0.9))
def test_prompts_much_longer_than_a_step_wait_as_before_one_server(load: float) -> None:
    demand = FIXED._replace(input_len=32768.0)
    cost = prompts_of(0.0, 8.0, 0.001)
    steps = long_rhythm(load / 8.0, 0.0, cost, demand)
    assert math.isclose(steps.idle_fraction, 1.0 - load, rel_tol=1e-6)
    rest_s = 0.5 * load * (steps.step_s + steps.deviation_s * steps.deviation_s / steps.step_s)
    waits = line(load / 8.0, rest_s, cost, 1.0)
    assert math.isclose(waits.wait_s, 8.0 + single_server_wait_s(load / 8.0, 8.0, 1.0), rel_tol=0.05)


@given(load=st.floats(0.01, 0.98), places=st.floats(0.2, 60.0), square=st.floats(1.0, 3.0))
def test_work_in_line_obeys_littles_law(load: float, places: float, square: float) -> None:
    cost = prompts_of(0.5, 0.25, places)
    rate = load * places / cost.whole_s
    waits = line(rate, 0.5 * load * cost.whole_s, cost, square)
    assert waits.wait_s >= waits.rest_s
    assert 0.0 <= waits.n_beside <= places
    least = rate * waits.rest_s
    assert least * (1 - 1e-9) <= waits.n_ahead <= (least + load * 0.5 * square) / (1.0 - load) * (1 + 1e-9)


def test_a_decode_step_is_lengthened_by_the_work_of_prompts_alone_where_they_add_no_more() -> None:
    steps = short_rhythm(0.4, 4.0, prompts_of(1.0, 0.5, 20.0), FIXED)
    assert math.isclose(steps.step_s, 1.0 / (1.0 - 0.4 * 0.5), rel_tol=1e-6)


@SETTINGS
def test_percentiles_of_any_share_rise_and_agree_with_those_named(setting: ServingSetting) -> None:
    demand = FIXED._replace(input_square_factor=1.6, input_strata=strata_of(1.6), output_strata=strata_of(1.0))
    done = open_loop(0.5 * saturation_requests_per_s(demand, setting, SERVING_PLAN), demand, setting, SERVING_PLAN)
    shares = (0.01, 0.1, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
    for percentile in (ttft_percentile_s, tpot_percentile_s):
        times = [percentile(share, done.shape, demand) for share in shares]
        assert times == sorted(times)
        assert times[0] < times[-1]
    assert ttft_percentile_s(0.5, done.shape, demand) == done.ttft_p50_s
    assert ttft_percentile_s(0.99, done.shape, demand) == done.ttft_p99_s
    assert tpot_percentile_s(0.9, done.shape, demand) == done.tpot_p90_s


@given(square=st.floats(1.0, 4.0))
def test_strata_average_to_the_mean_and_rise(square: float) -> None:
    strata = strata_of(square)
    assert math.isclose(math.fsum(stratum_share(i) * strata[i] for i in range(5)), 1.0, rel_tol=1e-12)
    assert list(strata) == sorted(strata)


def test_shares_of_a_gamma_variable_are_near_those_of_an_exponential() -> None:
    for value in (0.2, 0.7, 1.0, 2.0, 4.0):
        assert math.isclose(below_share(value, 0.0, 1.0, 1.0), -math.expm1(-value), abs_tol=0.012)


@SETTINGS
def test_saturation_is_where_slots_or_prefill_end(setting: ServingSetting) -> None:
    slots = n_slots_of(FIXED, setting, SERVING_PLAN)
    most = saturation_requests_per_s(FIXED, setting, SERVING_PLAN)
    step_s = turn(slots, cached_tokens(FIXED), 0.0, 0.0, 0.0, 0.0, setting, SERVING_PLAN).taken_s
    assert most < slots / (n_decode_steps(FIXED) * step_s)
    fewer = setting._replace(engine=setting.engine._replace(max_batch=8.0))
    assert saturation_requests_per_s(FIXED, fewer, SERVING_PLAN) < most


@given(question=questions())
def test_a_quiet_replica_decodes_undisturbed(question: Served) -> None:
    setting, _, plan = question
    demand = demand_of(question)
    quiet = cycle(0.0, 4.0, demand, setting, plan)
    step_s = turn(4.0, cached_tokens(demand), 0.0, 0.0, 0.0, demand.n_drafts, setting, plan).taken_s
    assert math.isclose(quiet.token_s, step_s, rel_tol=1e-12)


@pytest.mark.slow
def test_compiled_equals_plain_bit_for_bit() -> None:
    rng = random.Random(0)
    driver = grid.compiled(run_queueing)
    for kind in KINDS:
        for _ in range(8):
            question = served(rng, kind)
            demand = demand_of(question)
            setting, _, plan = question
            rate = rng.uniform(0.1, 0.9) * saturation_requests_per_s(demand, setting, plan)
            done = open_loop(rate, demand, setting, plan)
            expected = (*done[:-1], *done.shape)
            out = np.zeros((1, len(expected)))
            driver(rate, demand, setting, plan, out)
            assert tuple(out[0]) == expected
