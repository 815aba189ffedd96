"""Chips side by side: what is held equal is equal, equivalents agree with single answers, ranks with speeds."""

import math

import pytest

import clustercast
from clustercast.errors import NoAnswer, WrongInput
from clustercast.studies.compare import Comparison, whole_nodes

CHIPS = ("h100", "h20", "a100")


@pytest.fixture(scope="module")
def found() -> Comparison:
    return clustercast.compare(CHIPS, ["llama-3.1-8b", "mixtral-8x7b"], n_chips=64, tokens=1e12)


def test_every_model_has_a_row_per_chip(found: Comparison) -> None:
    assert [(row.model, row.chip) for row in found.rows] == [(m, c) for m in found.models for c in found.chips]


def test_a_row_is_what_estimate_says(found: Comparison) -> None:
    row = next(row for row in found.rows if row.chip == "h20-96gb")
    alone = clustercast.estimate("h20", "llama-3.1-8b", n_chips=64, tokens=1e12)
    assert alone.training is not None
    assert alone.serving is not None
    assert row.days == alone.training.days
    assert row.cost_usd == alone.training.cost_usd
    assert row.jobs["decode"].tokens_per_s == pytest.approx(alone.serving.output_tokens_per_s_per_chip * 64)


def test_a_reference_equals_itself_and_others_by_their_speed(found: Comparison) -> None:
    for model in found.models:
        rows = [row for row in found.rows if row.model == model]
        for job in ("training", "prefill", "decode"):
            own = rows[0].jobs[job]
            assert own.equals_reference == own.equals_reference_low == own.equals_reference_high == 1.0
            for row in rows[1:]:
                one = row.jobs[job]
                assert one.equals_reference == pytest.approx(own.tokens_per_s_per_chip / one.tokens_per_s_per_chip)
                assert one.equals_reference_low is not None
                assert one.equals_reference_high is not None
                assert one.equals_reference_low < one.equals_reference < one.equals_reference_high


def test_ranks_follow_speed(found: Comparison) -> None:
    for model in found.models:
        for job in ("training", "prefill", "decode"):
            jobs = sorted((row.jobs[job] for row in found.rows if row.model == model), key=lambda one: one.rank)
            assert [one.rank for one in jobs] == [1, 2, 3]
            speeds = [one.tokens_per_s for one in jobs]
            assert speeds == sorted(speeds, reverse=True)


def test_six_times_the_compute_trains_faster_for_certain(found: Comparison) -> None:
    best = next(row.jobs["training"] for row in found.rows if row.jobs["training"].rank == 1)
    assert best.certain


@pytest.mark.parametrize("equal", ["dollars", "megawatts", "tpp"])
def test_what_is_held_equal_is_equal_to_within_a_node(equal: str) -> None:
    found = clustercast.compare(CHIPS, ["llama-3.1-8b"], n_chips=512, tokens=1e12, equal=equal)
    counts = [row.count for row in found.rows]
    assert counts[0] == 512
    assert len(set(counts)) > 1
    for row in found.rows[1:]:
        assert 1.0 - 8.0 / row.count <= row.share <= 1.0 + 1e-9


def test_equal_tpp_gives_the_h20_as_many_cards_as_its_tpp_is_lower() -> None:
    found = clustercast.compare(["h100", "h20"], ["llama-3.1-8b"], n_chips=512, tokens=1e12, equal="tpp")
    assert found.rows[1].count == whole_nodes(512 * 15832 / 2368)


def test_money_is_by_the_hour(found: Comparison) -> None:
    decode = found.rows[0].jobs["decode"]
    assert decode.usd_per_million_tokens == pytest.approx(2.35 / 3600 / decode.tokens_per_s_per_chip * 1e6)


def test_at_its_even_price_a_token_costs_as_much(found: Comparison) -> None:
    for model in found.models:
        reference, *others = [row for row in found.rows if row.model == model]
        for row in others:
            for job, one in row.jobs.items():
                assert one.even_usd_per_chip_hour is not None
                usd = one.usd_per_million_tokens * one.even_usd_per_chip_hour / row.usd_per_chip_hour
                assert usd == pytest.approx(reference.jobs[job].usd_per_million_tokens)


def test_what_does_not_fit_is_said_in_its_row() -> None:
    found = clustercast.compare(["h100", "v100"], ["deepseek-v3"], n_chips=64, tokens=1e12)
    row = found.rows[1]
    assert row.days is None
    assert row.training_reason is not None
    assert "does not fit" in row.training_reason
    assert "training" not in row.jobs
    assert "decode" in row.jobs


def test_one_chip_can_be_changed_by_its_name() -> None:
    now = clustercast.compare(["h100", "h20"], ["llama-3.1-8b"], n_chips=64, tokens=1e12)
    then = clustercast.compare(
        ["h100", "h20"], ["llama-3.1-8b"], n_chips=64, tokens=1e12, settings=("h20.flops=300TFLOP/s",)
    )
    assert then.rows[0].days == now.rows[0].days
    assert then.rows[1].days is not None
    assert now.rows[1].days is not None
    assert then.rows[1].days < 0.7 * now.rows[1].days


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"chips": ["h100", "h100"]}, "twice"),
        ({"equal": "weight"}, "expected one of cards"),
        ({"reference": "a800"}, "not among the chips"),
        ({"chips": []}, "at least one"),
        ({"chips": ["h1000"]}, "h1000"),
    ],
)
def test_a_wrong_question_says_what_was_expected(given: dict[str, object], said: str) -> None:
    asked: dict[str, object] = {"chips": ["h100", "h20"], "models": ["llama-3.1-8b"], "n_chips": 8} | given
    with pytest.raises(WrongInput) as caught:
        clustercast.compare(**asked)  # type: ignore[arg-type]
    assert said in caught.value.message


def test_the_document_is_finite(found: Comparison) -> None:
    def numbers(value: object) -> list[float]:
        if isinstance(value, dict):
            return [number for each in value.values() for number in numbers(each)]
        if isinstance(value, (list, tuple)):
            return [number for each in value for number in numbers(each)]
        return [value] if isinstance(value, float) else []

    document = found.as_dict()
    assert document["schema"] == "clustercast.compare/1"
    assert all(math.isfinite(number) for number in numbers(document))


@pytest.mark.parametrize(("count", "cards"), [(0.4, 1), (7.9, 7), (8.0, 8), (15.99, 8), (16.0, 16)])
def test_counts_are_whole_nodes(count: float, cards: int) -> None:
    assert whole_nodes(count) == cards


def test_every_model_has_its_own_count_where_none_is_given() -> None:
    found = clustercast.compare(["h20"], ["llama-3.1-8b", "llama-3.1-70b"], batch=8)
    assert list(found.amounts) == [row.count for row in found.rows]
    assert found.amount == found.amounts[0] != found.amounts[1]


def test_where_no_chip_does_any_job_there_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match="does not fit 8 x h20-96gb"):
        clustercast.compare(["h20", "h100"], ["1.8T"], n_chips=8)


def test_a_guessed_price_says_so() -> None:
    found = clustercast.compare(["h100", "h800"], ["llama-3.1-8b"], n_chips=8, tokens=1e12)
    assert ["guessed" in row.price_basis for row in found.rows] == [False, True]
