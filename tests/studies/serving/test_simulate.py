"""The simulated scheduler: what must hold of any run, and that the steady-state formulas agree with it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from clustercast.errors import NoAnswer, WrongInput
from clustercast.physics.examples import SERVING_JOB, SERVING_PLAN, SERVING_SETTING
from clustercast.physics.loop import closed_loop
from clustercast.physics.queueing import n_slots_of, open_loop, saturation_requests_per_s
from clustercast.physics.serving import decode_pass, free_bytes, prefill_pass, rank_sequence_bytes
from clustercast.records import ServingSetting
from clustercast.studies.serving.simulate import (
    Traffic,
    accept_fraction,
    by_percentiles,
    demand_of,
    empirical,
    fixed,
    simulate,
)

ROOT = Path(__file__).parents[3]

# a chip on which a prefill of some hundred tokens takes as long as some decode steps
CHIP = SERVING_SETTING.chip._replace(
    matmul_flop_per_s=5e13, expert_flop_per_s=5e13, attention_flop_per_s=5e13, head_flop_per_s=5e13
)
RIDING = SERVING_SETTING._replace(
    chip=CHIP, engine=SERVING_SETTING.engine._replace(mixed_share=1.0, first_token_s=0.05)
)
IN_TURNS = RIDING._replace(engine=RIDING.engine._replace(mixed_share=0.0))
SETTINGS = pytest.mark.parametrize("setting", [RIDING, IN_TURNS], ids=["riding", "in turns"])
SPREAD = Traffic(by_percentiles({5: 100, 50: 400, 95: 1000}), by_percentiles({5: 8, 50: 24, 95: 64}))
LEVEL = Traffic(fixed(512), fixed(32))


def rate_at(load: float, traffic: Traffic, setting: ServingSetting) -> float:
    return load * saturation_requests_per_s(demand_of(traffic), setting, SERVING_PLAN)


def cramped(setting: ServingSetting, n_sequences: float) -> ServingSetting:
    """The same replica with cache for so many of the level requests."""
    used = setting.chip.hbm_bytes - free_bytes(setting, SERVING_PLAN) / setting.engine.memory_fraction
    wanted = n_sequences * rank_sequence_bytes(544.0, setting, SERVING_PLAN) / setting.engine.memory_fraction
    return setting._replace(chip=setting.chip._replace(hbm_bytes=used + wanted))


@SETTINGS
def test_the_same_seed_gives_the_same_run(setting: ServingSetting) -> None:
    traffic = SPREAD._replace(requests_per_s=rate_at(0.6, SPREAD, setting))
    one, same, other = (
        simulate(setting, SERVING_PLAN, traffic, n_requests=60, seed=seed, compiled=False) for seed in (3, 3, 4)
    )
    assert np.array_equal(one.ttft_s, same.ttft_s)
    assert one.summary() == same.summary()
    assert not np.array_equal(one.ttft_s, other.ttft_s)


@SETTINGS
def test_one_client_sees_the_physics_alone(setting: ServingSetting) -> None:
    done = simulate(setting, SERVING_PLAN, LEVEL._replace(concurrency=1), n_requests=5, compiled=False)
    alone_s = prefill_pass(1.0, 512.0, 1.0, setting, SERVING_PLAN).total_s
    steps_s = [decode_pass(1.0, 1.0, 512.0 + i, setting, SERVING_PLAN).total_s for i in range(31)]
    assert np.allclose(done.ttft_s, alone_s + 0.05, rtol=1e-9)
    assert np.allclose(done.tpot_s, math.fsum(steps_s) / 31, rtol=1e-9)
    assert np.allclose(done.latency_s, done.ttft_s + 31 * done.tpot_s)
    assert done.in_flight < 1.0
    assert done.preemptions_per_request == 0.0


@SETTINGS
def test_a_run_obeys_littles_law(setting: ServingSetting) -> None:
    traffic = SPREAD._replace(requests_per_s=rate_at(0.5, SPREAD, setting))
    done = simulate(setting, SERVING_PLAN, traffic, n_requests=290, compiled=False)
    inside_s = float(done.latency_s.mean()) - 0.05
    assert math.isclose(done.in_system, done.requests_per_s * inside_s, rel_tol=0.15)


def test_hits_and_drafts_save_time() -> None:
    plain = LEVEL._replace(concurrency=4)
    mean = {}
    for name, traffic in {
        "plain": plain,
        "hits": plain._replace(hit_fraction=0.75),
        "drafts": plain._replace(n_drafts=1.0, accepted_tokens=1.8),
    }.items():
        mean[name] = simulate(RIDING, SERVING_PLAN, traffic, n_requests=40, compiled=False).summary()
    assert mean["hits"]["ttft_s"] < mean["plain"]["ttft_s"]
    assert mean["drafts"]["tpot_s"] < mean["plain"]["tpot_s"]


@SETTINGS
def test_short_memory_preempts_and_everybody_is_served(setting: ServingSetting) -> None:
    small = cramped(setting, 4.2)
    traffic = LEVEL._replace(output_len=fixed(200), input_len=fixed(256), concurrency=12, reserve_fraction=0.0)
    done = simulate(small, SERVING_PLAN, traffic, n_requests=40, compiled=False)
    assert done.n_preempted.sum() > 0
    assert np.isfinite(done.latency_s).all()
    assert (done.latency_s > done.ttft_s).all()
    assert 0.5 < done.kv_fraction <= 1.0
    roomy = simulate(setting, SERVING_PLAN, traffic, n_requests=40, compiled=False)
    assert roomy.n_preempted.sum() == 0
    assert roomy.requests_per_s > done.requests_per_s


def test_a_burst_waits_longer_than_clients_who_come_one_by_one() -> None:
    slow = LEVEL._replace(concurrency=20)
    spread = simulate(RIDING, SERVING_PLAN, slow, n_requests=20, n_warm=0, compiled=False)
    burst = simulate(RIDING, SERVING_PLAN, slow._replace(burst=True), n_requests=20, n_warm=0, compiled=False)
    assert burst.ttft_s.mean() > spread.ttft_s.mean()


def test_a_request_that_does_not_fit_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match=r"544 tokens needs .* GiB of cache per chip"):
        simulate(cramped(RIDING, 0.5), SERVING_PLAN, LEVEL._replace(concurrency=1), n_requests=1)


def test_half_a_load_is_wrong_input() -> None:
    with pytest.raises(WrongInput, match="a rate or a concurrency, and not both"):
        simulate(RIDING, SERVING_PLAN, LEVEL, n_requests=1)
    with pytest.raises(WrongInput, match=r"prefix cache hits: expected a share from 0 to below 1, got 1\.5"):
        simulate(RIDING, SERVING_PLAN, LEVEL._replace(concurrency=1, hit_fraction=1.5), n_requests=1)
    with pytest.raises(WrongInput, match=r"accepted tokens: expected 1 to 2 with 1 drafts, got 2\.5"):
        accept_fraction(1.0, 2.5)


@pytest.mark.parametrize("percentiles", [{}, {120: 5}, {10: 50, 90: 20}, {50: 0}])
def test_impossible_percentiles_are_wrong_input(percentiles: dict[float, float]) -> None:
    with pytest.raises(WrongInput, match="lengths: expected"):
        by_percentiles(percentiles)


def test_lengths_know_their_moments() -> None:
    rng = np.random.default_rng(0)
    for lengths in (fixed(100), empirical([10, 20, 600]), by_percentiles({10: 50, 50: 200, 99: 900})):
        drawn = lengths.draw(rng, 200_000)
        assert math.isclose(drawn.mean(), lengths.mean, rel_tol=0.01)
        assert math.isclose(drawn.var() / drawn.mean() ** 2, lengths.variation, rel_tol=0.03, abs_tol=1e-9)
        assert math.isclose((1.0 / (drawn - 1)).mean() * (drawn - 1).mean(), lengths.inverse, rel_tol=0.03)


def test_drafts_are_accepted_as_often_as_their_length_says() -> None:
    assert accept_fraction(0.0, 1.0) <= 1.0
    assert math.isclose(accept_fraction(1.0, 1.7), 0.7)
    share = accept_fraction(3.0, 2.5)
    assert math.isclose(1 + share + share**2 + share**3, 2.5)


@pytest.mark.slow
@SETTINGS
def test_compiled_equals_plain_bit_for_bit(setting: ServingSetting) -> None:
    loads = (
        SPREAD._replace(requests_per_s=rate_at(0.7, SPREAD, setting)),
        SPREAD._replace(concurrency=9, n_drafts=2.0, accepted_tokens=2.2),
        LEVEL._replace(concurrency=30, burst=True, hit_fraction=0.4),
    )
    for traffic in loads:
        for each in (setting, cramped(setting, 6.0)):
            plain, fast = (
                simulate(each, SERVING_PLAN, traffic, n_requests=80, seed=1, compiled=compiled)
                for compiled in (False, True)
            )
            for one, other in zip(plain, fast, strict=True):
                assert np.array_equal(one, other, equal_nan=True)


@pytest.mark.slow
@SETTINGS
@pytest.mark.parametrize("load", [0.2, 0.5, 0.75])
@pytest.mark.parametrize("traffic", [SPREAD, LEVEL], ids=["spread", "level"])
def test_the_formulas_agree_with_the_simulation_under_arrivals(
    setting: ServingSetting, load: float, traffic: Traffic
) -> None:
    rate = rate_at(load, traffic, setting)
    formula = open_loop(rate, demand_of(traffic), setting, SERVING_PLAN)
    n_warm = 2000 + int(10 * formula.in_flight)
    seen = simulate(
        setting, SERVING_PLAN, traffic._replace(requests_per_s=rate), n_requests=60_000, n_warm=n_warm, compiled=True
    ).summary()
    assert math.isclose(formula.requests_per_s, seen["requests_per_s"], rel_tol=0.03)
    assert math.isclose(formula.tpot_s, seen["tpot_s"], rel_tol=0.05)
    assert math.isclose(formula.ttft_s, seen["ttft_s"], rel_tol=0.15)


@pytest.mark.slow
@SETTINGS
@pytest.mark.parametrize("concurrency", [1, 4, 32])
def test_the_formulas_agree_with_the_simulation_in_a_closed_loop(setting: ServingSetting, concurrency: int) -> None:
    demand = demand_of(SPREAD)
    assert concurrency < n_slots_of(demand, setting, SERVING_PLAN)
    job = SERVING_JOB._replace(
        input_len=demand.input_len,
        output_len=demand.output_len,
        batch=float(concurrency),
        input_square_factor=demand.input_square_factor,
        output_square_factor=demand.output_square_factor,
    )
    formula = closed_loop(setting, job, SERVING_PLAN)
    seen = simulate(
        setting, SERVING_PLAN, SPREAD._replace(concurrency=concurrency), n_requests=20_000, compiled=True
    ).summary()
    assert math.isclose(formula.requests_per_s, seen["requests_per_s"], rel_tol=0.03)
    assert math.isclose(formula.tpot_s, seen["tpot_s"], rel_tol=0.05)
    assert math.isclose(formula.ttft_s, seen["ttft_s"], rel_tol=0.15)


def test_the_committed_run_of_closed_loops_holds_what_is_claimed() -> None:
    result = json.loads((ROOT / "bench" / "results" / "simulate.json").read_text(encoding="utf-8"))
    for part in ("closed_loop_spread_lengths", "closed_loop_spread_lengths_fresh_seed"):
        table = result[part]
        assert table["scenarios"] >= 100
        assert table["inside_all"] >= 0.8
        assert all(table[metric]["inside"] >= 0.85 for metric in ("throughput", "tpot", "ttft"))
        assert all(table[metric]["median"] <= 0.02 for metric in ("throughput", "tpot", "ttft"))
