"""The load of a serving answer as traffic of one replica, for the event simulation of its scheduler."""

from typing import Final

from clustercast.errors import WrongInput
from clustercast.studies.serving.question import ServeQuestion, drawn_from
from clustercast.studies.serving.simulate import PERCENTILES, Traffic, simulate

__all__ = ["PERCENTILES", "check", "said", "simulate", "traffic_of"]

MOST_REQUESTS: Final = 1_000_000
MOST_SEED: Final = 2**63


def check(n_requests: int, seed: int) -> None:
    """Refuse numbers that no simulation can take. Raises WrongInput."""
    if not 0 <= n_requests <= MOST_REQUESTS:
        raise WrongInput(f"--simulate: expected 1 to {MOST_REQUESTS:,} requests, got {n_requests:,}")
    if not 0 <= seed < MOST_SEED:
        raise WrongInput(f"--seed: expected a whole number from 0, got {seed}")


def traffic_of(question: ServeQuestion, replicas: int, batch: float) -> Traffic:
    """One replica's share of the load: arrivals at random, or as many clients as it holds requests.

    batch  requests in flight on one replica, where no rate is given
    """
    asked = question.asked
    prompts, answers = drawn_from(asked, question.base.input_len, question.base.output_len)
    return Traffic(
        input_len=prompts,
        output_len=answers,
        requests_per_s=0.0 if asked.rate is None else asked.rate / replicas,
        concurrency=0 if asked.rate is not None else max(round(batch), 1),
        hit_fraction=question.job.hit_fraction,
        n_drafts=question.job.n_drafts,
        accepted_tokens=question.job.accepted_tokens,
        block_tokens=int(question.demand.block_tokens),
        reserve_fraction=question.demand.reserve_fraction,
    )


def said(traffic: Traffic) -> str:
    """What the traffic is, in words."""
    load = f"{traffic.requests_per_s:.3g} requests/s at random times"
    if traffic.concurrency:
        load = f"{traffic.concurrency:,} clients that ask again at once"
    spread = "" if len(traffic.input_len.values) == len(traffic.output_len.values) == 1 else ", lengths drawn apart"
    return f"one replica with {load}{spread}"
