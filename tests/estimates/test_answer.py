"""The one question, on real profiles: the story that the project was built to tell, and the bracket around it."""

import math
from functools import cache

import pytest

from clustercast.errors import NoAnswer, WrongInput
from clustercast.estimates.answer import estimate
from clustercast.estimates.question import Asked
from clustercast.estimates.result import Estimate, Serving, Training

YEAR_DAYS = 365.25
HEADLINE_TOKENS = 1.3e13
HEADLINE_BATCH = 60e6  # tokens
SEQ_LEN = 8192


@cache
def asked(chip: str, model: str, **rest: object) -> Estimate:
    return estimate(Asked(chip, model, **rest))  # type: ignore[arg-type]


def headline(chip: str, precision: str = "bf16") -> Training:
    """The reported 1.8T mixture on ten thousand chips: the question that the public claim answers."""
    answer = asked(
        chip,
        "1.8T",
        n_chips=10_000,
        tokens=HEADLINE_TOKENS,
        seq_len=SEQ_LEN,
        precision=precision,
    )
    assert answer.training is not None
    assert answer.training.plan["global_batch"] * SEQ_LEN == pytest.approx(HEADLINE_BATCH, rel=0.03)
    return answer.training


def served(chip: str, model: str, **rest: object) -> Serving:
    answer = asked(chip, model, **rest)
    assert answer.serving is not None
    return answer.serving


def test_ten_thousand_h100_take_about_three_months() -> None:
    assert 45.0 <= headline("h100").days <= 125.0


def test_ten_thousand_v100_take_about_two_years() -> None:
    assert 1.2 <= headline("v100", "fp16").days / YEAR_DAYS <= 2.6


def test_v100_takes_six_to_ten_times_as_long_as_h100() -> None:
    assert 6.5 <= headline("v100", "fp16").days / headline("h100").days <= 10.0


def test_h20_trains_three_to_seven_times_slower_than_h100() -> None:
    assert 3.5 <= headline("h20").days / headline("h100").days <= 7.0


def test_h20_decodes_a_dense_model_as_fast_as_h100_or_faster() -> None:
    h20, h100 = (served(chip, "llama-3.1-70b", n_chips=8, batch=16) for chip in ("h20", "h100"))
    assert 1.0 <= h100.tpot_ms / h20.tpot_ms <= 1.35
    assert h20.limiting_decode == h100.limiting_decode == "hbm_bandwidth"
    assert h20.limiting_prefill == "compute"
    assert h20.ttft_ms > h100.ttft_ms


def test_latent_attention_makes_h20_and_not_h100_compute_bound() -> None:
    h20, h100 = (served(chip, "deepseek-v3", n_chips=32, batch=2048, precision="fp8-block") for chip in ("h20", "h100"))
    assert h20.limiting_decode == "compute"
    assert h100.limiting_decode == "hbm_bandwidth"


def test_a800_loses_a_few_percent_to_a100() -> None:
    a800, a100 = (asked(chip, "1.8T").training for chip in ("a800", "a100"))
    assert a800 is not None
    assert a100 is not None
    assert 1.0 <= a800.days / a100.days <= 1.05


@pytest.mark.parametrize("chip", ["h100", "v100", "h20"])
def test_a_training_estimate_adds_up_and_lies_in_its_brackets(chip: str) -> None:
    half = headline(chip, "fp16" if chip == "v100" else "bf16")
    terms = half.time_s
    total_s = math.fsum(getattr(terms, name) for name in type(terms).__dataclass_fields__)
    assert total_s == pytest.approx(half.step_s, rel=1e-9)
    lowest_s, highest_s = half.step_s_bracket
    assert lowest_s <= half.step_s <= highest_s
    assert half.step_s_low <= half.step_s <= half.step_s_high
    assert half.days_low <= half.days <= half.days_high
    assert 0.0 < half.mfu <= half.hfu <= 1.0
    assert 0.0 < half.goodput <= 1.0
    held = half.memory_bytes
    parts = held.weights + held.gradients + held.optimizer + held.activations + held.workspace
    assert parts == pytest.approx(held.total, rel=1e-9)
    assert held.total <= held.capacity
    plan = half.plan
    assert plan["tp"] * plan["pp"] * plan["cp"] * plan["dp"] == plan["chips"]
    assert plan["chips"] + plan["idle"] == 10_000
    assert half.days == pytest.approx(half.tokens / (half.tokens_per_s * half.goodput) / 86_400)
    assert half.search.n_considered > half.search.n_feasible > 0


@pytest.mark.parametrize("chip", ["h100", "h20"])
def test_a_serving_estimate_adds_up_and_lies_in_its_brackets(chip: str) -> None:
    half = served(chip, "llama-3.1-70b", n_chips=8, batch=16)
    assert sum(half.decode_time_ms.values()) == pytest.approx(half.tpot_ms)
    assert sum(half.prefill_time_ms.values()) == pytest.approx(half.ttft_ms)
    assert half.tpot_ms_low <= half.tpot_ms <= half.tpot_ms_high
    assert half.ttft_ms_low <= half.ttft_ms <= half.ttft_ms_high
    assert half.memory_bytes.total <= half.memory_bytes.capacity
    assert half.replicas * half.plan["chips"] + half.plan["idle"] == 8
    assert half.output_tokens_per_s_per_chip == pytest.approx(half.batch / half.tpot_ms * 1e3 / 8)


def test_more_memory_bandwidth_moves_the_answer() -> None:
    usual = served("h20", "llama-3.1-70b", n_chips=8, batch=16)
    better = served("h20", "llama-3.1-70b", n_chips=8, batch=16, settings=("chip.hbm_bandwidth=6TB/s",))
    assert better.tpot_ms < usual.tpot_ms


def test_a_plan_that_is_given_is_the_plan_that_is_answered() -> None:
    text = "tp=8,pp=4,dp=4,micro_batch=1,recompute=full,zero=1"
    half = asked("h100", "llama-3.1-70b", n_chips=128, plan=text).training
    assert half is not None
    assert {name: half.plan[name] for name in ("tp", "pp", "dp", "zero")} == {"tp": 8, "pp": 4, "dp": 4, "zero": 1}
    assert half.plan["recompute"] == "full"
    best = asked("h100", "llama-3.1-70b", n_chips=128).training
    assert best is not None
    assert best.step_s <= half.step_s


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (Asked("h100", "llama-3.1-70b", n_chips=0), "--count: expected a whole number from 1 to 10,000,000, got 0"),
        (Asked("h100", "llama-3.1-70b", seq_len=-1), "--seq: expected a whole number from 1 to 10,000,000, got -1"),
        (
            Asked("h100", "llama-3.1-70b", n_chips=64, plan="tp=3"),
            "--plan: tensor parallel 3 does not divide 64 attention heads",
        ),
        (
            Asked("h100", "llama-3.1-70b", settings=("chip.hbm_bandwidth",)),
            "--set chip.hbm_bandwidth: expected <owner>.<key>=<value> with one of chip, fabric, engine, job",
        ),
        (
            Asked("h100", "llama-3.1-70b", settings=("model.x=1",)),
            "--set model.x=1: expected <owner>.<key>=<value> with one of chip, fabric, engine, job",
        ),
    ],
)
def test_a_wrong_question_is_named(question: Asked, message: str) -> None:
    with pytest.raises(WrongInput) as caught:
        estimate(question)
    assert caught.value.message == message


def test_a_model_that_fits_nowhere_says_what_is_missing() -> None:
    with pytest.raises(NoAnswer) as caught:
        estimate(Asked("v100", "1.8T", n_chips=8))
    numbers = caught.value.numbers
    assert isinstance(numbers["training_needed_bytes"], float)
    assert isinstance(numbers["training_available_bytes"], float)
    assert numbers["training_needed_bytes"] > numbers["training_available_bytes"]


def test_one_half_without_an_answer_says_why_and_leaves_the_other() -> None:
    answer = asked("h20", "llama-3.1-70b", n_chips=8, batch=16)
    assert answer.training is None
    assert answer.training_reason is not None
    assert "does not fit 8 x h20-96gb" in answer.training_reason
    assert answer.serving is not None
    assert answer.serving_reason is None


def test_a_given_plan_that_does_not_fit_is_no_answer() -> None:
    text = "tp=1,pp=1,dp=8,micro_batch=1,recompute=none,zero=0"
    with pytest.raises(NoAnswer, match="the given plan needs"):
        estimate(Asked("h100", "llama-3.1-70b", n_chips=8, plan=text))
