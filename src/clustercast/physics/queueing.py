"""A replica under arrivals: what one scheduler step takes, and the steady state of many, by queueing theory."""

import math
from typing import NamedTuple

from clustercast.physics.formula import formula
from clustercast.physics.serving import decode_pass, prefill_pass
from clustercast.records import ServingPlan, ServingSetting


class Turn(NamedTuple):
    """One step of a replica's scheduler."""

    taken_s: float  # until the next step begins
    first_s: float  # until the first tokens of its prompts are out: later than the next step where stages follow


@formula
def turn(
    n_decoding: float,
    context: float,
    prefill_tokens: float,
    prefill_context: float,
    n_prompts: float,
    n_drafts: float,
    setting: ServingSetting,
    plan: ServingPlan,
) -> Turn:
    """One scheduler step: `n_decoding` sequences each decode a token, and `prefill_tokens` of new prompts ride on it.

        taken = D + max(i P / p - m (weights and starts of D), what P computes)
        first = D + ... + (1 - i / p) P          p stages, i the share of a prefill that decoding waits for

    context          mean tokens in the cache of a decoding sequence
    prefill_context  mean keys that a prefilled token sees
    n_prompts        prompts that these tokens belong to, spread over the attention ranks
    Source:          [agrawal2024] for prefills that ride on decode steps; [kwon2023] for turns of either

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> turn(8.0, 1000.0, 0.0, 0.0, 0.0, 0.0, SERVING_SETTING, SERVING_PLAN).taken_s == (
    ...     decode_pass(8.0, 1.0, 1000.0, SERVING_SETTING, SERVING_PLAN).total_s)
    True
    """
    engine = setting.engine
    decode_s = 0.0
    shared_s = 0.0
    if n_decoding > 0.0:
        step = decode_pass(n_decoding, 1.0 + n_drafts, context, setting, plan)
        decode_s = step.total_s * (1.0 + n_drafts / float(setting.model.n_layers))
        shared_s = engine.mixed_share * (step.weights_s + step.host_s)
    if prefill_tokens <= 0.0:
        return Turn(decode_s, decode_s)
    n_busy = min(n_prompts, float(plan.attention_dp))
    length = 2.0 * prefill_context
    alone = prefill_pass(prefill_tokens / n_busy / length, length, n_busy, setting, plan)
    waited_s = engine.interference_factor * alone.total_s / plan.pp
    added_s = max(waited_s - shared_s, waited_s * alone.compute_s / alone.total_s)
    return Turn(decode_s + added_s, decode_s + added_s + max(alone.total_s - waited_s, 0.0))
