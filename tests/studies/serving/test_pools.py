"""Prefill and decode in pools of their own: the best split, exactly, and what it costs."""

import itertools
import math
from dataclasses import replace

import pytest

from clustercast.errors import NoAnswer, WrongInput
from clustercast.studies.serving import pools as study
from clustercast.studies.serving import split
from clustercast.studies.serving.pools import Pools
from clustercast.studies.serving.split import PoolsAsked, Side, settings_of

SMALL = "llama-3.1-8b"
ASKED = PoolsAsked(
    SMALL,
    Side("h100", plan="tp=1,pp=1"),
    Side("h20", plan="tp=1,pp=1"),
    count=12,
    input_len=4096,
    output_len=512,
)


def pools(asked: PoolsAsked) -> Pools:
    return study.pools(asked, compare=False)


def test_the_rate_is_that_of_the_slower_pool_and_the_other_idles() -> None:
    found = pools(ASKED)
    first, second = found.prefill, found.decode
    assert found.requests_per_s <= min(first.capacity_requests_per_s, second.capacity_requests_per_s) * (1 + 1e-9)
    assert found.bottleneck in ("prefill", "decode")
    for pool in (first, second):
        assert math.isclose(pool.used_fraction, found.requests_per_s / pool.capacity_requests_per_s, rel_tol=1e-9)
        assert math.isclose(pool.idle_fraction, max(0.0, 1 - pool.used_fraction), abs_tol=1e-9)
    slower = first if found.bottleneck == "prefill" else second
    assert slower.idle_fraction < 0.02


def test_the_split_is_the_cheapest_of_all_splits() -> None:
    found = pools(ASKED)
    costs = {}
    for n in range(1, 12):
        one, two = replace(ASKED.prefill, count=n), replace(ASKED.decode, count=12 - n)
        costs[n] = pools(replace(ASKED, prefill=one, decode=two)).cost_usd_per_million_output_tokens_all_in
    best = min(costs, key=lambda n: costs[n])
    assert found.prefill.count == best
    assert math.isclose(found.cost_usd_per_million_output_tokens_all_in, costs[best], rel_tol=1e-9)


def test_the_objectives_hold_and_cost_and_throughput_follow_from_the_rate() -> None:
    found = pools(ASKED)
    assert found.ttft_ms <= found.ttft_objective_ms * (1 + 1e-6)
    assert found.tpot_ms <= found.tpot_objective_ms * (1 + 1e-6)
    assert math.isclose(found.output_tokens_per_s, found.requests_per_s * 512)
    assert math.isclose(found.output_tokens_per_s_per_chip, found.output_tokens_per_s / 12)
    usd = found.prefill.count * found.prefill.usd_per_chip_hour + found.decode.count * found.decode.usd_per_chip_hour
    assert math.isclose(found.usd_per_hour, usd)
    assert math.isclose(found.cost_usd_per_million_output_tokens_all_in, usd / 3600 / found.output_tokens_per_s * 1e6)
    parts = found.cost_usd_per_million_input_tokens * 4096 / 512 + found.cost_usd_per_million_output_tokens
    assert math.isclose(found.cost_usd_per_million_output_tokens_all_in, parts)


def test_the_cache_of_a_prompt_is_what_one_can_count() -> None:
    # 32 layers, 8 heads of 128 + 128 numbers, 2 bytes
    assert pools(ASKED).transfer.bytes_per_sequence == 32 * 8 * 256 * 2 * 4096


def test_a_latent_cache_is_sent_once_whatever_tensor_parallelism_replicates() -> None:
    asked = PoolsAsked(
        "deepseek-v3", Side("h20", plan="tp=8,pp=2"), Side("h20", plan="tp=8,pp=2"), count=64, input_len=4096,
        output_len=512, ttft_s=30.0, tpot_s=0.2,
    )  # fmt: skip
    found = pools(asked)
    assert found.transfer.bytes_per_sequence == 61 * 576 * 2 * 4096
    assert found.transfer.link == "nic"


def test_pools_of_one_chip_that_fit_a_node_meet_inside_it() -> None:
    asked = replace(ASKED, prefill=replace(ASKED.prefill, chip="h20"), count=8, ttft_s=5.0)
    near = pools(asked).transfer
    far = pools(replace(asked, count=16)).transfer
    assert (near.link, far.link) == ("scale-up", "nic")
    assert near.bytes_per_s > far.bytes_per_s


def test_a_slower_nic_never_serves_more() -> None:
    slow = replace(ASKED, decode=replace(ASKED.decode, settings=("chip.scale_out=0.4GB/s",)), ttft_s=20.0)
    found, slower = pools(replace(ASKED, ttft_s=20.0)), pools(slow)
    assert slower.requests_per_s < found.requests_per_s
    assert slower.transfer.alone_ms > found.transfer.alone_ms
    assert slower.bottleneck == "transfer"


def test_a_cheaper_decode_chip_never_makes_a_token_dearer() -> None:
    cheap = replace(ASKED, decode=replace(ASKED.decode, settings=("chip.price_rent=0.5USD/h",)))
    dear = replace(ASKED, decode=replace(ASKED.decode, settings=("chip.price_rent=5USD/h",)))
    costs = [pools(each).cost_usd_per_million_output_tokens_all_in for each in (cheap, dear)]
    assert costs[0] < costs[1]


def test_a_lighter_load_is_faster_and_binds_nothing() -> None:
    full = pools(ASKED)
    sides = {
        "prefill": replace(ASKED.prefill, count=full.prefill.count),
        "decode": replace(ASKED.decode, count=full.decode.count),
    }
    light = pools(replace(ASKED, rate=0.3 * full.requests_per_s, **sides))  # type: ignore[arg-type]
    assert light.bottleneck == "load"
    assert math.isclose(light.requests_per_s, 0.3 * full.requests_per_s)
    assert light.tpot_ms < full.tpot_ms
    assert light.ttft_ms < full.ttft_ms


def test_a_load_takes_only_the_chips_that_it_needs() -> None:
    full = pools(ASKED)
    light = pools(replace(ASKED, rate=0.3 * full.requests_per_s))
    assert light.count < full.count
    assert light.usd_per_hour < full.usd_per_hour
    assert max(light.ttft_ms / light.ttft_objective_ms, light.tpot_ms / light.tpot_objective_ms) <= 1 + 1e-6
    counts = light.prefill.count, light.decode.count
    for first, second in ((counts[0] - 1, counts[1]), (counts[0], counts[1] - 1)):
        one, two = replace(ASKED.prefill, count=first), replace(ASKED.decode, count=second)
        with pytest.raises((NoAnswer, WrongInput)):
            pools(replace(ASKED, count=None, prefill=one, decode=two, rate=light.requests_per_s))


def test_the_plans_that_are_shown_give_the_same_answer() -> None:
    found = pools(replace(ASKED, prefill=Side("h100"), decode=Side("h20"), count=16))
    one = Side("h100", found.prefill.count, found.prefill.plan_text)
    two = Side("h20", found.decode.count, found.decode.plan_text)
    again = pools(replace(ASKED, count=None, prefill=one, decode=two))
    for name in ("ttft_ms", "tpot_ms", "requests_per_s", "usd_per_hour", "cost_usd_per_million_output_tokens_all_in"):
        assert getattr(again, name) == getattr(found, name), name
    assert (again.prefill.plan, again.decode.plan) == (found.prefill.plan, found.decode.plan)


def test_the_chunk_of_prefill_is_the_best_of_those_that_are_tried() -> None:
    free = pools(ASKED)
    rates = {}
    for chunk in (2048, 4096, 8192, 16384):
        side = replace(ASKED.prefill, plan=f"tp=1,pp=1,chunk={chunk}")
        rates[chunk] = pools(replace(ASKED, prefill=side)).cost_usd_per_million_output_tokens_all_in
    assert free.cost_usd_per_million_output_tokens_all_in == min(rates.values())


def test_each_pool_has_its_own_engine_and_fabric() -> None:
    side = replace(ASKED.decode, engine="sglang", fabric="hgx-h100-nvswitch")
    found = pools(replace(ASKED, decode=side))
    assert (found.prefill.engine, found.decode.engine) == ("vllm", "sglang")
    assert found.decode.fabric == "hgx-h100-nvswitch"


def test_no_point_of_the_frontier_is_beaten_in_both() -> None:
    front = study.pools(ASKED, compare=False, frontier=True).frontier
    assert front is not None
    assert len(front) > 4
    for faster, slower in itertools.pairwise(front):
        assert faster.tokens_per_s_per_user > slower.tokens_per_s_per_user
        assert faster.output_tokens_per_s_per_chip < slower.output_tokens_per_s_per_chip
    point = front[len(front) // 2]
    again = pools(
        replace(
            ASKED,
            count=None,
            prefill=replace(ASKED.prefill, count=point.prefill_count),
            decode=replace(ASKED.decode, count=point.decode_count),
            rate=0.999 * point.requests_per_s,
            tpot_s=1.001e-3 * point.tpot_ms,
        )
    )
    assert math.isclose(again.requests_per_s, 0.999 * point.requests_per_s)


def test_a_percentile_is_dearer_than_the_mean() -> None:
    asked = replace(ASKED, ttft_s=0.8)
    mean, late, latest = (pools(replace(asked, percentile=percentile)) for percentile in (None, 90, 97.5))
    costs = [each.cost_usd_per_million_output_tokens_all_in for each in (mean, late, latest)]
    assert costs == sorted(costs)
    assert late.ttft_p90_ms <= 800 * (1 + 1e-3)
    assert (latest.percentile, (latest.ttft_percentile_ms or math.inf) <= 800 * (1 + 1e-6)) == ("p97.5", True)


def test_what_no_pool_meets_is_said_with_the_nearest_point() -> None:
    with pytest.raises(NoAnswer, match="keeps TTFT under") as first:
        pools(replace(ASKED, ttft_s=0.05))
    assert first.value.numbers["least_ttft_s"] > 0.05  # type: ignore[operator]
    with pytest.raises(NoAnswer, match="keeps TPOT under") as second:
        pools(replace(ASKED, tpot_s=0.001))
    assert second.value.numbers["least_tpot_s"] > 0.001  # type: ignore[operator]
    with pytest.raises(NoAnswer, match="requests/s are more than") as third:
        pools(replace(ASKED, rate=1e4))
    assert third.value.numbers["most"] < 1e4  # type: ignore[operator]
    with pytest.raises(NoAnswer, match="on the link alone") as fourth:
        pools(replace(ASKED, decode=replace(ASKED.decode, settings=("chip.scale_out=0.1GB/s",))))
    assert fourth.value.numbers["transfer_s"] > 2.0  # type: ignore[operator]
    with pytest.raises(NoAnswer, match="holds"):
        pools(PoolsAsked("llama-3.1-405b", Side("h100"), Side("h20"), count=4, input_len=1024, output_len=128))


def test_a_question_that_contradicts_itself_is_refused() -> None:
    both = replace(ASKED, prefill=replace(ASKED.prefill, count=4), decode=replace(ASKED.decode, count=4))
    with pytest.raises(WrongInput, match="is not --prefill-count 4 and --decode-count 4 together"):
        pools(both)
    with pytest.raises(WrongInput, match="at least 2 chips"):
        pools(replace(ASKED, count=1))
    with pytest.raises(WrongInput, match="at least 2 tokens"):
        pools(replace(ASKED, output_len=1))
    with pytest.raises(WrongInput, match="percentile"):
        pools(replace(ASKED, percentile=100))
    with pytest.raises(WrongInput, match="owner one of a, b, fabric"):
        settings_of(("c.power=1W",), ("a", "b"))


@pytest.mark.slow
def test_compiled_and_plain_give_the_same_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    question = split.question_of(ASKED, ASKED.decode, 16)
    goal = split.goal_of(ASKED, question)
    for kind in (split.PREFILL, split.DECODE, split.TOGETHER, split.BOUND):
        demand = split.only_prefill(goal) if kind == split.PREFILL else goal.demand
        found = [each for each in split.candidates(question.setting, 16, {}) if each[1].pp <= 2]
        monkeypatch.setattr(split, "PLAIN_ROWS", (99,) * 4)
        plain = split.rates(question.setting, demand, found, kind, goal, 16)
        monkeypatch.setattr(split, "PLAIN_ROWS", (0,) * 4)
        assert split.rates(question.setting, demand, found, kind, goal, 16) == plain


@pytest.mark.slow
def test_the_best_of_one_pool_is_the_best_of_all_its_layouts() -> None:
    question = split.question_of(ASKED, ASKED.decode, 16)
    goal = split.goal_of(ASKED, question)
    found = split.best_together(question.setting, 16, goal)
    assert found is not None
    for size, plan in split.even_candidates(question.setting, 16, {}):
        ((rate, _),) = split.rates(question.setting, goal.demand, [(size, plan)], split.TOGETHER, goal, 16)
        assert 16 // size * rate <= found.rate * (1 + 1e-4)


@pytest.mark.slow
def test_under_a_load_the_alternatives_serve_the_same_requests() -> None:
    found = study.pools(replace(ASKED, rate=10.0))
    for each in found.alternatives:
        assert each.requests_per_s in (None, 10.0)
        assert each.count <= 12
    best = next(each for each in found.alternatives if each.kind == "one pool" and each.requests_per_s)
    assert best.cost_usd_per_million_output_tokens_all_in == pytest.approx(
        (best.usd_per_hour or 0.0) / 3600 / (10.0 * 512) * 1e6
    )


@pytest.mark.slow
def test_alternatives_are_judged_on_as_many_chips() -> None:
    found = study.pools(replace(ASKED, count=8))
    kinds = [(each.chip.partition("-")[0], each.kind) for each in found.alternatives]
    assert kinds == [("h100", "one pool"), ("h100", "pools"), ("h20", "one pool"), ("h20", "pools")]
    for each in found.alternatives:
        assert each.count == 8
        assert each.tpot_ms is not None
        assert each.tpot_ms <= 50 * (1 + 1e-6)
    even = found.decode_usd_per_chip_hour_break_even
    assert even is not None
    settings = (f"chip.price_rent={even:.6f}USD/h",)
    fixed = replace(
        ASKED,
        count=8,
        prefill=replace(ASKED.prefill, count=found.prefill.count),
        decode=replace(ASKED.decode, count=found.decode.count, settings=settings),
    )
    best = min(
        each.cost_usd_per_million_output_tokens_all_in or math.inf
        for each in found.alternatives
        if each.chip == found.prefill.chip
    )
    assert math.isclose(pools(fixed).cost_usd_per_million_output_tokens_all_in, best, rel_tol=1e-4)
