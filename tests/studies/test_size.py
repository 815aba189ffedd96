"""Inverse answers: they agree with the forward ones, and one granule less does not do."""

import math
import random

import pytest

import clustercast
from clustercast.errors import NoAnswer, WrongInput
from clustercast.studies.serving.pools import pools
from clustercast.studies.serving.question import ServeAsked, like
from clustercast.studies.serving.result import serve
from clustercast.studies.serving.split import PoolsAsked, Side
from clustercast.studies.size import Counts, RateAsked, TrainAsked, Trial, fewest, size_serve, size_train

TRAIN = {"tokens": 2e11, "plan": "tp=1,pp=1,cp=1"}


def test_counts_are_parts_of_a_domain_then_whole_domains() -> None:
    counts = Counts(8)
    assert [counts.at(place) for place in range(7)] == [1, 2, 4, 8, 16, 24, 32]
    for place in range(40):
        assert counts.place(counts.at(place)) == place
    assert counts.place(9) == counts.place(16)
    assert counts.place(0.5) == 0


def test_the_fewest_of_a_curve_that_one_can_invert() -> None:
    def trial(count: int) -> Trial:
        return Trial(count, 1000.0 / count, 0.1, count, 1000.0 / count)

    for start in (1, 40, 5000):
        found = fewest(trial, Counts(8), 10.0, 0.0, start)
        assert found is not None
        assert found.n_chips == 104  # 100 in whole domains of 8
    late = fewest(trial, Counts(8), 10.0, 1.0, 104)
    assert late is not None
    assert late.n_chips == math.ceil(100.0 * math.exp(0.1) / 8) * 8


def test_the_fewest_over_steps_where_idle_chips_cost_days() -> None:
    """Plans use fixed counts; what lies between leaves chips idle, and those make it a little slower."""
    for seed in range(200):
        rng = random.Random(seed)
        steps = sorted({8 * rng.randint(1, 60) for _ in range(6)} | {8})

        def trial(count: int, steps: list[int] = steps) -> Trial:
            usable = [step for step in steps if step <= count]
            if not usable:
                return Trial(count, math.inf, 0.0, count, math.inf)
            used = usable[-1]
            return Trial(count, 1000.0 / used * (1 + 1e-5 * count), 0.0, used, 1000.0 / used * (1 + 1e-5 * used))

        days = 1000.0 / rng.choice(steps) * rng.choice([1.0, 1.00002, 1.001, 1.004, 1.2])
        counts = Counts(8)
        brute = next((counts.at(n) for n in range(200) if trial(counts.at(n)).days <= days), None)
        found = fewest(trial, counts, days, 0.0, rng.randint(1, 600))
        assert (found.n_chips if found else None) == brute, seed


def test_no_number_of_chips_is_enough_where_more_bring_nothing() -> None:
    def trial(count: int) -> Trial:
        used = min(count, 64)
        return Trial(count, 1000.0 / used, 0.0, used, 1000.0 / used)

    assert fewest(trial, Counts(8), 10.0, 0.0, 1) is None


def test_training_agrees_with_the_forward_answer() -> None:
    row = clustercast.size_train("h100", "llama-3.1-8b", 12, **TRAIN).rows[0]  # type: ignore[arg-type]
    assert row.count is not None
    at = clustercast.estimate("h100", "llama-3.1-8b", n_chips=row.count, **TRAIN)  # type: ignore[arg-type]
    assert at.training is not None
    assert at.training.days == row.days
    assert at.training.days <= 12
    less = clustercast.estimate("h100", "llama-3.1-8b", n_chips=row.count - row.granule, **TRAIN)  # type: ignore[arg-type]
    assert less.training is not None
    assert less.training.days > 12
    assert row.count_low is not None
    assert row.count_high is not None
    assert row.count_low <= row.count <= row.count_high
    assert row.cost_usd == at.training.cost_usd


def test_more_days_never_need_more_chips() -> None:
    counts = []
    for days in (3.0, 6.0, 12.0, 24.0, 48.0):
        row = size_train(TrainAsked(("h100",), "llama-3.1-8b", days, tokens=2e11, plan=TRAIN["plan"])).rows[0]  # type: ignore[arg-type]
        assert row.count is not None
        counts.append(row.count)
    assert counts == sorted(counts, reverse=True)


def test_days_that_no_number_reaches_are_refused_with_the_least() -> None:
    with pytest.raises(NoAnswer, match="days at best") as error:
        size_train(TrainAsked(("h100",), "llama-3.1-8b", 0.01, tokens=1e12, plan="tp=1,pp=1,cp=1"))
    assert error.value.numbers["least_days"] > 0.01  # type: ignore[operator]


def meets(asked: RateAsked, count: int) -> bool:
    try:
        done = serve(like(asked, chip=asked.chips[0], n_chips=count, settings=()))
    except NoAnswer:
        return False
    names = ("ttft_p90_ms", "tpot_p90_ms") if asked.percentile else ("ttft_ms", "tpot_ms")
    limits = 1e3 * (asked.ttft_s or 2.0), 1e3 * (asked.tpot_s or 0.05)
    assert all(getattr(done, name) <= limit for name, limit in zip(names, limits, strict=True))
    return True


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_serving_agrees_with_the_forward_answer(seed: int) -> None:
    rng = random.Random(seed)
    asked = RateAsked(
        (rng.choice(["h100", "h20", "v100"]),),
        "llama-3.1-8b",
        round(10.0 ** rng.uniform(0.0, 2.6), 1),
        rng.choice([512, 4096]),
        rng.choice([64, 512]),
        ttft_s=rng.choice([0.5, 2.0]),
        tpot_s=rng.choice([0.03, 0.1]),
        percentile=rng.choice([None, 90]),
        plan=rng.choice(["pp=1", "chunk=8192"]),
    )
    row = size_serve(asked).rows[0]
    assert row.count is not None
    assert meets(asked, row.count)
    assert row.count == 1 or not meets(asked, row.count - row.granule)
    assert row.count_low is not None
    assert row.count_high is not None
    assert row.count_low <= row.count <= row.count_high


def test_power_is_that_of_all_chips_as_busy_as_they_are() -> None:
    row = size_serve(RateAsked(("h100",), "llama-3.1-8b", 20.0, 1024, 128, plan="tp=1,pp=1")).rows[0]
    done = serve(ServeAsked("h100", "llama-3.1-8b", row.count, 1024, 128, rate=20.0, plan=row.plan_text))
    assert row.power_mw is not None
    joules = (done.energy_j_per_input_token or 0.0) * done.input_tokens_per_s
    joules += (done.energy_j_per_output_token or 0.0) * done.output_tokens_per_s
    assert math.isclose(1e6 * row.power_mw, joules, rel_tol=1e-9)


def test_pools_apart_have_a_row_of_the_least_rent() -> None:
    sides = Side("h100", plan="tp=1,pp=1"), Side("h20", plan="tp=1,pp=1")
    asked = RateAsked((), "llama-3.1-8b", 20.0, 4096, 512, apart=sides)
    (row,) = size_serve(asked).rows
    assert (row.prefill_count or 0) + (row.decode_count or 0) == row.count
    assert row.count is not None
    whole = PoolsAsked("llama-3.1-8b", *sides, count=row.count, input_len=4096, output_len=512, rate=20.0)
    found = pools(whole, compare=False)
    assert (found.prefill.count, found.decode.count) == (row.prefill_count, row.decode_count)
    assert math.isclose(24.0 * found.usd_per_hour, row.cost_usd_per_day or 0.0)
    assert row.count_low is not None
    assert row.count_high is not None
    assert row.count_low <= row.count <= row.count_high


def test_wrong_questions_are_refused() -> None:
    with pytest.raises(WrongInput, match="--days"):
        size_train(TrainAsked(("h100",), "llama-3.1-8b", 0.0))
    with pytest.raises(WrongInput, match="given twice"):
        size_train(TrainAsked(("h100", "h100"), "llama-3.1-8b", 30.0))
    with pytest.raises(WrongInput, match="unknown"):
        size_serve(RateAsked(("h1000000",), "llama-3.1-8b", 1.0))
