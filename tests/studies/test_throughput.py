"""The rates that `fleet` and `design` ask for are those of `estimate`."""

import pytest

import clustercast
from clustercast.estimates.question import Asked, fill
from clustercast.studies import throughput


@pytest.mark.parametrize("chip", ["h20", "h100"])
def test_training_and_decode_are_what_estimate_says(chip: str) -> None:
    asked = clustercast.estimate(chip, "llama-3.1-70b", n_chips=64)
    question = fill(Asked(chip, "llama-3.1-70b", n_chips=64))
    training, decode = throughput.training(question), throughput.decode(question)
    assert asked.training is not None
    assert asked.serving is not None
    assert training.tokens_per_s == pytest.approx(asked.training.tokens_per_s_per_chip)
    assert training.plan_text == asked.training.plan_text
    assert decode.tokens_per_s == pytest.approx(asked.serving.output_tokens_per_s_per_chip)


def test_prefill_takes_the_layout_that_is_best_for_it() -> None:
    asked = clustercast.estimate("h20", "llama-3.1-70b", n_chips=64)
    found = throughput.prefill(fill(Asked("h20", "llama-3.1-70b", n_chips=64)))
    assert asked.serving is not None
    assert (found.tokens_per_s or 0.0) >= asked.serving.prefill_tokens_per_s_per_chip


def test_a_tighter_objective_never_decodes_more() -> None:
    question = fill(Asked("h100", "llama-3.1-70b", n_chips=64))
    rates = [throughput.decode(question, tpot_s).tokens_per_s or 0.0 for tpot_s in (0.1, 0.05, 0.03, 0.02)]
    assert rates == sorted(rates, reverse=True)


def test_where_no_layout_holds_the_objective_the_fastest_does_what_it_can() -> None:
    found = throughput.decode(fill(Asked("t4", "llama-3.1-8b", n_chips=8)), 1e-4)
    assert found.tokens_per_s is not None
    assert "no layout keeps TPOT under" in found.why


def test_what_does_not_fit_has_no_rate_and_says_why() -> None:
    question = fill(Asked("t4", "llama-3.1-405b", n_chips=8))
    for job in throughput.JOBS:
        found = throughput.rate_of(question, job)
        assert found.tokens_per_s is None
        assert "fits no plan" in found.why
