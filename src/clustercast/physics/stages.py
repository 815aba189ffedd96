"""Pipeline stages one by one: layers, and memory. The step itself asks for the slowest and the fullest only."""

import math

from clustercast.physics.formula import formula
from clustercast.physics.training import Memory, memory, n_slots
from clustercast.records import SCHEDULE_DUALPIPE, SCHEDULE_GPIPE, Ends, Layer, Plan, Setting


@formula
def n_stage_layers(layer_s: float, first_s: float, last_s: float, n_layers: int, n_before: int, plan: Plan) -> int:
    """Layers of one stage: as `pipeline` deals them out, none without a layer.

    The layers that ceil(L / P) a stage leaves over are taken from the last stage as far as its head needs, then from
    the first as far as its embedding needs, the rest from the stages between, the last of them first.

    layer_s   forward and backward of one layer;  first_s, last_s  the ends' own work
    n_before  stages before this one
    Source:  [narayanan2021], section 2.2, with unequal stages

    >>> from clustercast.physics.examples import PLAN
    >>> [n_stage_layers(1.0, 0.0, 1.0, 7, stage, PLAN._replace(pp=4)) for stage in range(4)]
    [2, 2, 2, 1]
    """
    n_most = math.ceil(n_layers / plan.pp)
    n_spare = n_most * plan.pp - n_layers
    if plan.pp == 1:
        return n_layers
    n_off_last = min(n_spare, n_most - 1, math.ceil(last_s / layer_s))
    n_off_first = min(n_spare - n_off_last, n_most - 1, math.ceil(first_s / layer_s))
    n_between = plan.pp - 2
    n_left = n_spare - n_off_last - n_off_first
    n_beyond = max(0, n_left - n_between * (n_most - 1))  # that the stages between do not have
    n_off_last_too = min(n_beyond, n_most - 1 - n_off_last)
    if n_before == plan.pp - 1:
        return n_most - n_off_last - n_off_last_too
    if n_before == 0:
        return n_most - n_off_first - (n_beyond - n_off_last_too)
    n_each = (n_left - n_beyond) // max(1, n_between)
    n_more = n_left - n_beyond - n_each * n_between
    if n_before > n_between - n_more:
        n_each += 1
    return n_most - n_each


@formula
def n_stage_in_flight(plan: Plan, n_batches: float, n_before: int) -> float:
    """Micro-batches whose activations one stage holds at once, in units of all its layers.

        GPipe m;  1F1B and zero-bubble P - s;  interleaved (2 (P - s - 1) + (v - 1) P + 1) / v;  DualPipe P + 1

    never more than m; s stages lie before it.
    Source:  [narayanan2021], section 2.2; [korthikanti2022], section 4.2.3; [deepseek2024v3], table 2

    >>> from clustercast.physics.examples import PLAN
    >>> [n_stage_in_flight(PLAN._replace(pp=4), 100.0, stage) for stage in range(4)]
    [4.0, 3.0, 2.0, 1.0]
    """
    stages = float(plan.pp)
    after = stages - n_before - 1.0
    if plan.schedule == SCHEDULE_GPIPE:
        return n_batches
    if plan.schedule == SCHEDULE_DUALPIPE:
        return min(n_batches, stages + 1.0)
    if plan.vpp > 1:
        return min(n_batches, (2.0 * after + (plan.vpp - 1.0) * stages + 1.0) / plan.vpp)
    return min(n_batches, after + 1.0)


@formula
def stage_memory(
    setting: Setting, plan: Plan, one: Layer, end: Ends, n_batches: float, n_layers: int, n_before: int
) -> Memory:
    """What a chip of one stage holds: `memory` asked for the stage's own layers, ends and micro-batches in flight.

    n_layers  of the stage;   n_before  stages before it
    Source:   [korthikanti2022], section 4

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> from clustercast.physics.layer import ends, layer
    >>> plan = PLAN._replace(pp=2)
    >>> one, end = layer(SETTING, plan), ends(SETTING, plan)
    >>> first = stage_memory(SETTING, plan, one, end, 8.0, 4, 0)
    >>> first.weights_bytes == memory(SETTING, plan, one, end, 8.0).weights_bytes
    True
    """
    model = setting.model
    embedding = end.embedding_params
    logit_bytes = end.logit_bytes
    if plan.pp > 1 and plan.schedule != SCHEDULE_DUALPIPE:
        if n_before < plan.pp - 1:
            logit_bytes = 0.0
        if n_before == plan.pp - 1:
            embedding = end.head_params
        elif n_before > 0:
            embedding = 0.0
    n_slots_of = n_layers * plan.pp - (n_slots(model) - model.n_layers)
    here = setting._replace(model=model._replace(n_layers=n_slots_of))
    here_end = end._replace(embedding_params=embedding, logit_bytes=logit_bytes)
    return memory(here, plan, one, here_end, n_stage_in_flight(plan, n_batches, n_before))
