"""Laws of prompts and answers of many lengths, and of prefixes that the cache holds."""

from hypothesis import given
from hypothesis import strategies as st
from strategies import Served, questions

from clustercast.physics.loop import closed_loop
from clustercast.physics.serving import mean_cached_tokens, new_tokens, prefill_pass, prompts_pass

SLACK = 1.0 + 1e-9
FEWER_HEADS = 1.001  # long prompts stand for fewer sequences, each of which has one row in the head


@given(question=questions(), ranks=st.integers(1, 8))
def test_without_a_prefix_cache_a_prompt_is_prefilled_whole(question: Served, ranks: int) -> None:
    setting, job, plan = question
    whole = prefill_pass(1.0, float(job.input_len), float(ranks), setting, plan)
    assert prompts_pass(1.0, float(ranks), job, setting, plan) == whole
    assert new_tokens(job) == job.input_len


@given(question=questions(), hit_fraction=st.floats(0.0, 0.99))
def test_a_cached_prefix_never_costs_time(question: Served, hit_fraction: float) -> None:
    setting, job, plan = question
    cached = job._replace(hit_fraction=hit_fraction)
    now, then = (prompts_pass(1.0, 1.0, each, setting, plan) for each in (job, cached))
    assert then.total_s <= now.total_s * SLACK
    assert new_tokens(cached) <= new_tokens(job)
    # what is cached still has to be read
    assert mean_cached_tokens(cached) == mean_cached_tokens(job)


@given(question=questions("dense", "mixture", "latent"), square_factor=st.floats(1.0, 4.0))
def test_lengths_that_differ_cost_more_than_their_mean(question: Served, square_factor: float) -> None:
    setting, job, plan = question
    spread = job._replace(input_square_factor=square_factor, output_square_factor=square_factor)
    assert mean_cached_tokens(spread) >= mean_cached_tokens(job)
    first = prompts_pass(1.0, 1.0, job, setting, plan)
    assert prompts_pass(1.0, 1.0, spread, setting, plan).total_s >= first.total_s / FEWER_HEADS
    alone = job._replace(batch=1.0)
    assert closed_loop(setting, spread._replace(batch=1.0), plan).tpot_s * SLACK >= (
        closed_loop(setting, alone, plan).tpot_s
    )
