"""Serving questions: plans, lengths, loads and objectives as people write them."""

from pathlib import Path

import pytest

from clustercast.errors import WrongInput
from clustercast.studies.serving.question import ServeAsked, fill_serve, parse_plan, sizes_from, sizes_of

ASKED = ServeAsked("h100", "llama-3.1-8b", 8)


def asked(**changes: object) -> ServeAsked:
    values = {name: getattr(ASKED, name) for name in ServeAsked.__dataclass_fields__}
    return ServeAsked(**(values | changes))  # type: ignore[arg-type]


def test_fixed_lengths_have_no_spread() -> None:
    found = sizes_of("--isl", "4k")
    assert (found.mean, found.square_factor, found.inverse_factor, found.longest) == (4000.0, 1.0, 1.0, 4000.0)


def test_percentiles_are_straight_between_and_flat_outside() -> None:
    found = sizes_of("--isl", "p50=100,p90=500")
    # half at 100, two fifths from 100 to 500, a tenth at 500
    assert found.mean == pytest.approx(0.5 * 100 + 0.4 * 300 + 0.1 * 500)
    square = 0.5 * 100**2 + 0.4 * (100**2 + 100 * 500 + 500**2) / 3 + 0.1 * 500**2
    assert found.square_factor == pytest.approx(square / found.mean**2)
    assert found.longest == 500.0
    assert found.inverse_factor > 1.0


def test_a_file_weighs_its_requests(tmp_path: Path) -> None:
    file = tmp_path / "lengths.csv"
    file.write_text("input,output,weight\n100,11,3\n1k,101,1\n")
    prompt, answer = sizes_from(str(file))
    assert prompt.mean == pytest.approx(0.75 * 100 + 0.25 * 1000)
    assert prompt.square_factor == pytest.approx((0.75 * 100**2 + 0.25 * 1000**2) / 325**2)
    assert answer.inverse_factor == pytest.approx((0.75 / 10 + 0.25 / 100) * (0.75 * 10 + 0.25 * 100))
    assert (prompt.longest, answer.longest) == (1000.0, 101.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a first line with the columns input, output"),
        ("input,output\n", "holds no request"),
        ("input,output\n100,ten\n", "lengths.csv:2: expected numbers of tokens"),
        ("input,output\n100,10\n0,10\n", "lengths.csv:3: expected lengths from 1"),
        ("input,output,weight\n100,10,-1\n", "a weight of at least 0"),
        ("input,output,weight\n100,10,0\n", "holds no request"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "lengths.csv"
    file.write_text(text)
    with pytest.raises(WrongInput, match=said):
        sizes_from(str(file))


@pytest.mark.parametrize(
    "text", ["0", "-1", "1.5", "much", "p50", "p50=x", "50=1k", "p101=5", "p50=9,p90=8", "p50=1,p50=2"]
)
def test_wrong_lengths_are_refused(text: str) -> None:
    with pytest.raises(WrongInput, match="--isl"):
        sizes_of("--isl", text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tpp=8", "unknown field 'tpp'"),
        ("tp=8,tp=4", "tp is given twice"),
        ("dp=2,attention_dp=4", "attention_dp is given twice"),
        ("tp", "tp needs a value"),
        ("tp=0", "expected a whole number from 1"),
        ("tp=eight", "expected a whole number from 1"),
    ],
)
def test_a_wrong_plan_is_refused(text: str, said: str) -> None:
    with pytest.raises(WrongInput, match=said):
        parse_plan(text)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rate": 1.0, "concurrency": 1}, "give one load or the other"),
        ({"rate": 0.0}, "--rate: expected requests per second above 0"),
        ({"concurrency": 0}, "--concurrency: expected a whole number of at least 1"),
        ({"ttft_s": 0.0}, "--ttft: expected a time above 0"),
        ({"tpot_s": -1.0}, "--tpot: expected a time above 0"),
        ({"percentile": 90}, "percentiles come from arrivals"),
        ({"percentile": 100, "rate": 1.0}, "above 0 and below 100"),
        ({"hit_fraction": 1.0}, "--prefix-hit: expected a share from 0 to below 1"),
        ({"accepted_tokens": 3.0, "n_drafts": 1.0}, "with 1 drafts a step yields 1 to 2 tokens"),
        ({"n_drafts": 1.0}, "say with --accept"),
        ({"plan": "batch=8", "rate": 1.0}, "the load decides the batch"),
        ({"lengths": "x.csv", "input_len": 5}, "the file gives both lengths"),
        ({"precision": "nvfp4"}, "h100-sxm5-80gb has no fp4"),
        ({"chip": "h1000"}, "h1000"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(WrongInput, match=said):
        fill_serve(asked(**changes))


def test_without_load_and_objectives_tokens_take_fifty_milliseconds() -> None:
    found = fill_serve(ASKED)
    assert (found.load, found.limits.tpot_s, found.limits_assumed) == ("full", 0.05, True)
    assert "tpot_s" in {each.name for each in found.assumptions}
    for changes in ({"rate": 1.0}, {"concurrency": 4}, {"ttft_s": 1.0}, {"plan": "batch=4"}):
        assert not fill_serve(asked(**changes)).limits_assumed


def test_the_job_takes_mean_and_spread() -> None:
    found = fill_serve(asked(input_len="p50=1k,p90=8k", output_len=100, hit_fraction=0.25, accepted_tokens=1.8))
    assert found.job.input_len == round(found.input.mean)
    assert found.job.input_square_factor == found.input.square_factor == found.demand.input_square_factor
    assert (found.job.output_square_factor, found.job.hit_fraction) == (1.0, 0.25)
    assert (found.job.n_drafts, found.job.accepted_tokens) == (1.0, 1.8)
    assert (found.demand.n_drafts, found.demand.accepted_tokens, found.demand.hit_fraction) == (1.0, 1.8, 0.25)
    assert {"tokens", "global_batch", "stack"}.isdisjoint(each.name for each in found.assumptions)
