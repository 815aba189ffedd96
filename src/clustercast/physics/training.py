"""One optimizer step of a plan: the layers in a pipeline, data parallelism, optimizer, host; and what it holds."""

import math
from typing import NamedTuple

from clustercast.physics.collectives import all_reduce_s, send_s, shard_exchange_s, spread
from clustercast.physics.formula import formula
from clustercast.physics.layer import ends, layer, tokens_per_chip
from clustercast.physics.parameters import matmul_active_params
from clustercast.physics.roofline import attention_flop, element_s, exposed_s, mean_context
from clustercast.records import (
    SCHEDULE_DUALPIPE,
    SCHEDULE_GPIPE,
    SCHEDULE_ZERO_BUBBLE,
    Ends,
    Job,
    Layer,
    Model,
    Plan,
    Setting,
    Step,
)


class Pipeline(NamedTuple):
    """A pipeline's step: the slowest stage works all the time, the others' work shows as fill and drain."""

    total_s: float
    bubble_s: float
    n_layers: float  # of the slowest stage
    first: float  # 1: the slowest stage holds the embedding
    last: float  # 1: the slowest stage holds the head


class DataParallel(NamedTuple):
    """Communication of gradients and weights in one step."""

    raw_s: float
    exposed_s: float


class Memory(NamedTuple):
    """Bytes that the fullest chip holds."""

    weights_bytes: float
    gradients_bytes: float
    optimizer_bytes: float
    activations_bytes: float
    workspace_bytes: float
    total_bytes: float


@formula
def n_microbatches(job: Job, plan: Plan) -> float:
    """Micro-batches that each pipeline runs in one step.

        global batch / (dp * micro-batch)

    Source:  [narayanan2021], section 2.2

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> n_microbatches(SETTING.job._replace(global_batch=32), PLAN._replace(dp=4, micro_batch=2))
    4.0
    """
    return job.global_batch / (float(plan.dp) * plan.micro_batch)


@formula
def bubble_share(plan: Plan, forward_s: float, backward_s: float, weight_gradient_s: float) -> float:
    """The part of a pipeline's fill and drain that a schedule leaves, 1 for GPipe and 1F1B.

        interleaved   1 / v                            [narayanan2021]
        zero-bubble   (F + B - 2 W) / (F + B)          [deepseek2024v3], table 2, from [qi2023]
        DualPipe      (P/2 - 1)(F + 2 B - 3 W) / ((P - 1)(F + B)), with F&B = F + B     [deepseek2024v3], table 2

    B is the whole backward pass, W its weight-gradient half.
    Source:  [narayanan2021], [qi2023], [deepseek2024v3]

    >>> from clustercast.physics.examples import PLAN
    >>> bubble_share(PLAN._replace(pp=8, vpp=4), 1.0, 2.0, 1.0)
    0.25
    >>> round(bubble_share(PLAN._replace(pp=8, schedule=2), 1.0, 2.0, 1.0), 6)
    0.333333
    """
    if plan.schedule == SCHEDULE_ZERO_BUBBLE:
        return max(0.0, (forward_s + backward_s - 2.0 * weight_gradient_s) / (forward_s + backward_s))
    if plan.schedule == SCHEDULE_DUALPIPE:
        ratio = max(0.0, forward_s + 2.0 * backward_s - 3.0 * weight_gradient_s) / (forward_s + backward_s)
        return ratio * max(0.0, 0.5 * plan.pp - 1.0) / max(plan.pp - 1.0, 1.0)
    if plan.schedule == SCHEDULE_GPIPE:
        return 1.0
    return 1.0 / plan.vpp


@formula
def pipeline(
    layer_s: float,
    first_s: float,
    last_s: float,
    n_layers: int,
    n_batches: float,
    share: float,
    plan: Plan,
) -> Pipeline:
    """Time of all micro-batches through all stages.

        T = m * t_slowest + share * (sum of all stages - t_slowest)

    No stage holds more than ceil(L / P) layers. The layers that this leaves over are taken from the last
    stage as far as its head needs, then from the first as far as its embedding needs.

    layer_s  forward and backward of one layer;  first_s, last_s  the ends' own work
    share    of fill and drain left by the schedule (bubble_share)
    Source:  [narayanan2021], section 2.2, with unequal stages

    >>> from clustercast.physics.examples import PLAN
    >>> pipeline(1.0, 0.0, 0.0, 8, 6.0, 1.0, PLAN._replace(pp=4)).total_s
    18.0
    """
    n_most = math.ceil(n_layers / plan.pp)
    sum_s = n_layers * layer_s + first_s + last_s
    if plan.pp == 1:
        return Pipeline(n_batches * sum_s, 0.0, float(n_layers), 1.0, 1.0)
    n_spare = n_most * plan.pp - n_layers
    n_off_last = min(n_spare, n_most - 1, math.ceil(last_s / layer_s))
    n_off_first = min(n_spare - n_off_last, n_most - 1, math.ceil(first_s / layer_s))
    n_first = n_most - n_off_first
    n_last = n_most - n_off_last
    slowest_s = n_most * layer_s
    n_slowest = n_most
    first = 0.0
    last = 0.0
    if n_first * layer_s + first_s > slowest_s:
        slowest_s = n_first * layer_s + first_s
        n_slowest = n_first
        first = 1.0
    if n_last * layer_s + last_s > slowest_s:
        slowest_s = n_last * layer_s + last_s
        n_slowest = n_last
        first = 0.0
        last = 1.0
    bubble_s = share * (sum_s - slowest_s)
    return Pipeline(n_batches * slowest_s + bubble_s, bubble_s, float(n_slowest), first, last)


@formula
def n_shards(group: int, plan: Plan) -> int:
    """Chips that share one copy of sharded state.

    group  size of the data-parallel group;  plan.shard > 0 limits it (hybrid shard)
    Source:  [zhao2023fsdp], section 3.2

    >>> from clustercast.physics.examples import PLAN
    >>> n_shards(64, PLAN._replace(shard=8))
    8
    """
    if plan.shard > 0:
        return min(plan.shard, group)
    return group


@formula
def expert_group(plan: Plan) -> int:
    """Chips that hold the same experts: what EP and ETP leave of TP, CP and DP.

        tp cp dp / (ep etp)

    Source:  [liu2025moefolding]

    >>> from clustercast.physics.examples import PLAN
    >>> expert_group(PLAN._replace(tp=2, dp=16, ep=8))
    4
    """
    return plan.tp * plan.cp * plan.dp // (plan.ep * plan.etp)


@formula
def sharded_layer_s(setting: Setting, plan: Plan, one: Layer) -> float:
    """Weights gathered and gradients scattered for one layer and micro-batch under ZeRO-3 / FSDP.

        2 all-gathers of the weights (forward, backward) + 1 reduce-scatter of the gradients

    Source:  [rajbhandari2020], section 5.3; [zhao2023fsdp]

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> from clustercast.physics.layer import layer
    >>> sharded_layer_s(SETTING, PLAN, layer(SETTING, PLAN))
    0.0
    """
    precision = setting.precision
    group = plan.dp * plan.cp
    where = spread(n_shards(group, plan), plan.tp, setting.cluster)
    total_s = 2.0 * shard_exchange_s(one.dense_params * precision.weight_wire_bytes, where, setting.cluster)
    gradient_bytes = precision.gradient_wire_bytes * setting.stack.gradient_wire_factor
    total_s += shard_exchange_s(one.dense_params * gradient_bytes, where, setting.cluster)
    if one.expert_params > 0.0:
        experts = n_shards(expert_group(plan), plan)
        expert_where = spread(experts, plan.ep * plan.etp, setting.cluster)
        total_s += 2.0 * shard_exchange_s(
            one.expert_params * precision.weight_wire_bytes, expert_where, setting.cluster
        )
        total_s += shard_exchange_s(one.expert_params * gradient_bytes, expert_where, setting.cluster)
    return total_s * setting.stack.collective_factor


@formula
def n_slots(model: Model) -> int:
    """Layers that a pipeline divides in training: the model's and those that predict further tokens.

    Source:  [deepseek2024v3], section 2.2

    >>> from clustercast.physics.examples import MODEL
    >>> n_slots(MODEL._replace(n_mtp_layers=1)) - n_slots(MODEL)
    1
    """
    return model.n_layers + model.n_mtp_layers


@formula
def end_params(end: Ends, plan: Plan, model: Model) -> float:
    """Parameters of embedding and head that the fullest end of the pipeline holds on one chip.

    One stage, or DualPipe whose ranks hold both ends of the model: both, unless they are tied.
    Source:  [narayanan2021]; [deepseek2024v3], section 3.2.1

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> from clustercast.physics.layer import ends
    >>> end = ends(SETTING, PLAN)
    >>> end_params(end, PLAN, SETTING.model) / end_params(end, PLAN._replace(pp=2), SETTING.model)
    2.0
    """
    if (plan.pp == 1 or plan.schedule == SCHEDULE_DUALPIPE) and model.tied == 0:
        return end.embedding_params + end.head_params
    return end.embedding_params


@formula
def gradients_s(params: float, n_replicas: int, stride: int, zero: int, setting: Setting) -> float:
    """Gradients of one chip's parameters brought together between its replicas, once.

        ZeRO 0      all-reduce
        ZeRO 1 on   reduce-scatter

    Source:  [rajbhandari2020], section 7

    >>> from clustercast.physics.examples import SETTING
    >>> gradients_s(1e9, 1, 1, 1, SETTING)
    0.0
    """
    if n_replicas <= 1 or params <= 0.0:
        return 0.0
    where = spread(n_replicas, stride, setting.cluster)
    payload_bytes = params * setting.precision.gradient_wire_bytes * setting.stack.gradient_wire_factor
    if zero == 0:
        return all_reduce_s(payload_bytes, where, setting.cluster) * setting.stack.collective_factor
    return shard_exchange_s(payload_bytes, where, setting.cluster) * setting.stack.collective_factor


@formula
def weights_s(params: float, n_replicas: int, stride: int, zero: int, setting: Setting) -> float:
    """Updated weights of one chip's parameters gathered from its replicas, once; nothing under ZeRO 0.

    Source:  [rajbhandari2020], section 7

    >>> from clustercast.physics.examples import SETTING
    >>> weights_s(1e9, 8, 1, 0, SETTING)
    0.0
    """
    if n_replicas <= 1 or params <= 0.0 or zero == 0:
        return 0.0
    where = spread(n_replicas, stride, setting.cluster)
    payload_bytes = params * setting.precision.weight_wire_bytes
    return shard_exchange_s(payload_bytes, where, setting.cluster) * setting.stack.collective_factor


@formula
def between_shards_s(params: float, group: int, stride: int, plan: Plan, setting: Setting) -> float:
    """Hybrid shard: gradients of the shards all-reduced between the groups that hold a copy each.

    Source:  [zhao2023fsdp], section 3.2

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> between_shards_s(1e9, 8, 1, PLAN, SETTING)
    0.0
    """
    shards = n_shards(group, plan)
    return gradients_s(params / shards, group // shards, stride * shards, 0, setting)


@formula
def data_parallel(
    setting: Setting, plan: Plan, one: Layer, end: Ends, n_layers: float, n_batches: float, window_s: float
) -> DataParallel:
    """Gradient and weight traffic of one step outside the layers.

    Gradients leave during the backward pass of the last micro-batch (of every micro-batch under
    ZeRO-2), weights come back during the next forward pass; a layer's worth at either end has no
    compute to hide behind, nor has what other communication hides behind already. Under ZeRO-3 only
    the ends are left here, and with hybrid shard the all-reduce between the shard groups.

    window_s  compute of one layer and micro-batch that nothing hides behind yet
    Source:  [li2020ddp] for the overlap; [rajbhandari2020]

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> from clustercast.physics.layer import ends, layer
    >>> data_parallel(SETTING, PLAN, layer(SETTING, PLAN), ends(SETTING, PLAN), 4.0, 8.0, 1.0).raw_s
    0.0
    """
    group = plan.dp * plan.cp
    experts_group = expert_group(plan)
    if group <= 1 and experts_group <= 1:
        return DataParallel(0.0, 0.0)
    stride = plan.tp
    experts_stride = plan.ep * plan.etp
    dense = end_params(end, plan, setting.model)
    experts = 0.0
    times = 1.0
    between_s = 0.0
    if plan.zero >= 3:
        between_s = between_shards_s(one.dense_params * n_layers, group, stride, plan, setting)
        between_s += between_shards_s(one.expert_params * n_layers, experts_group, experts_stride, plan, setting)
    else:
        dense += one.dense_params * n_layers
        experts = one.expert_params * n_layers
    if plan.zero == 2:
        times = n_batches
    out_s = gradients_s(dense, group, stride, plan.zero, setting)
    out_s += gradients_s(experts, experts_group, experts_stride, plan.zero, setting)
    back_s = weights_s(dense, group, stride, plan.zero, setting)
    back_s += weights_s(experts, experts_group, experts_stride, plan.zero, setting)
    kernels_s = one.forward_s + one.backward_s + one.recompute_s
    free_s = max(n_layers - 1.0, 0.0) * window_s
    forward_share = one.forward_s / kernels_s
    sent_s = times * out_s + between_s
    overlap = plan.dp_overlap * setting.stack.dp_overlap
    exposed_out_s = exposed_s(sent_s, overlap, times * free_s * (1.0 - forward_share))
    exposed_back_s = exposed_s(back_s, overlap, free_s * forward_share)
    return DataParallel(sent_s + back_s, exposed_out_s + exposed_back_s)


@formula
def model_flop(model: Model, job: Job) -> float:
    """FLOPs that one step needs by the model alone, all chips together.

        tokens * (6 N + 3 * 2 c H (d_qk + d_v) per attention layer)

    N counts active parameters in matmuls, with the head and without the input embedding; c is the
    causal mean context. Nothing that is recomputed counts.
    Source:  [chowdhery2022], appendix B, with causal attention halved

    >>> from clustercast.physics.examples import SETTING
    >>> model_flop(SETTING.model, SETTING.job) > 0
    True
    """
    tokens = float(job.global_batch) * job.seq_len
    seq_len = float(job.seq_len)
    heads = float(model.n_heads)
    full = attention_flop(
        tokens, mean_context(seq_len, float(model.index_topk)), heads, float(model.qk_head_dim), float(model.v_head_dim)
    )
    windowed = attention_flop(
        tokens, mean_context(seq_len, float(model.window)), heads, float(model.qk_head_dim), float(model.v_head_dim)
    )
    attention = full * model.n_full_layers + windowed * model.n_window_layers
    return 6.0 * tokens * matmul_active_params(model) + 3.0 * attention


@formula
def in_flight(plan: Plan, n_batches: float) -> float:
    """Micro-batches whose activations the first stage holds at once.

        GPipe m;  1F1B and zero-bubble P;  interleaved P (1 + (P - 1) / (P v));  DualPipe P + 1;  never more than m

    Source:  [korthikanti2022], section 4.2.3; [deepseek2024v3], table 2

    >>> from clustercast.physics.examples import PLAN
    >>> in_flight(PLAN._replace(pp=4), 100.0)
    4.0
    """
    stages = float(plan.pp)
    if plan.schedule == SCHEDULE_GPIPE:
        return n_batches
    if plan.schedule == SCHEDULE_DUALPIPE:
        return min(n_batches, stages + 1.0)
    if plan.vpp > 1:
        return min(n_batches, stages * (1.0 + (stages - 1.0) / (stages * plan.vpp)))
    return min(n_batches, stages)


@formula
def memory(setting: Setting, plan: Plan, one: Layer, end: Ends, n_batches: float) -> Memory:
    """What the fullest chip of the pipeline holds: the first stage (activations) or the last (head, logits).

        weights       (w + copies) per parameter, / shards under ZeRO-3, two layers gathered; 16 bit at the ends
        gradients     / shards under ZeRO-2 and 3
        optimizer     / shards under ZeRO-1, 2 and 3; in host memory when offloaded
        activations   in flight x layers of the stage x saved bytes + one layer that recomputes
        workspace     of the stack, the logits on the last stage; a share is lost to fragmentation

    DualPipe keeps two copies of the stage's weights, which share the sharded optimizer, and both ends.
    Source:  [korthikanti2022], section 4; [rajbhandari2020], figure 1; [deepseek2024v3], table 2

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> from clustercast.physics.layer import ends, layer
    >>> held = memory(SETTING, PLAN, layer(SETTING, PLAN), ends(SETTING, PLAN), 8.0)
    >>> held.total_bytes > held.weights_bytes > 0
    True
    """
    precision = setting.precision
    stack = setting.stack
    copies = 1.0
    if plan.schedule == SCHEDULE_DUALPIPE:
        copies = 2.0
    n_most = float(math.ceil(n_slots(setting.model) / plan.pp))
    dense = one.dense_params * n_most * copies
    experts = one.expert_params * n_most * copies
    at_end = end_params(end, plan, setting.model)
    dense_shards = float(n_shards(plan.dp * plan.cp, plan))
    expert_shards = float(n_shards(expert_group(plan), plan))
    per_weight = precision.weight_bytes + precision.weight_copy_bytes
    weights_bytes = (dense + experts) * per_weight + at_end * precision.element_bytes
    whole = dense + experts + at_end
    sharded = (dense + at_end) / dense_shards + experts / expert_shards
    gradients = whole
    updated = whole
    if plan.zero >= 3:
        gathered = 2.0 * (one.dense_params + one.expert_params)
        held_bytes = (dense / dense_shards + experts / expert_shards + gathered) * per_weight
        weights_bytes = min(weights_bytes, held_bytes + at_end * precision.element_bytes)
    if plan.zero >= 2:
        gradients = min(whole, sharded + one.dense_params + one.expert_params)
    if plan.zero >= 1:
        updated = (dense / copies + at_end) / dense_shards + experts / copies / expert_shards
    gradients_bytes = gradients * precision.gradient_bytes
    optimizer_bytes = (1.0 - plan.offload) * updated * precision.optimizer_bytes
    logit_bytes = end.logit_bytes * (1.0 + setting.model.n_mtp_layers)
    first_bytes = in_flight(plan, n_batches) * n_most * one.saved_bytes + one.peak_bytes
    last_bytes = n_most * one.saved_bytes + one.peak_bytes + logit_bytes
    if plan.pp == 1 or plan.schedule == SCHEDULE_DUALPIPE:
        last_bytes = first_bytes + logit_bytes
    activations_bytes = max(first_bytes, last_bytes)
    live_bytes = weights_bytes + gradients_bytes + optimizer_bytes + activations_bytes
    workspace_bytes = stack.workspace_bytes + stack.fragmentation * activations_bytes
    return Memory(
        weights_bytes,
        gradients_bytes,
        optimizer_bytes,
        activations_bytes,
        workspace_bytes,
        live_bytes + workspace_bytes,
    )


@formula
def optimizer_s(setting: Setting, plan: Plan, one: Layer, end: Ends) -> float:
    """Time of the optimizer step: memory-bound over the parameters that one chip updates.

        parameters / shards * bytes per parameter / bandwidth,   the host link's when offloaded

    Source:  [rajbhandari2020] for what is sharded; [ren2021offload]

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> from clustercast.physics.layer import ends, layer
    >>> optimizer_s(SETTING, PLAN, layer(SETTING, PLAN), ends(SETTING, PLAN)) > 0
    True
    """
    n_most = float(math.ceil(n_slots(setting.model) / plan.pp))
    dense = one.dense_params * n_most + end_params(end, plan, setting.model)
    experts = one.expert_params * n_most
    if plan.zero >= 1:
        dense /= n_shards(plan.dp * plan.cp, plan)
        experts /= n_shards(expert_group(plan), plan)
    params = dense + experts
    update_s = element_s(
        params * setting.stack.optimizer_pass_bytes, 0.0, setting.chip.hbm_bytes_per_s, setting.kernels
    )
    if plan.offload == 1:
        moved_bytes = params * (setting.precision.gradient_bytes + setting.precision.weight_bytes)
        moved_bytes += params * setting.stack.optimizer_pass_bytes
        return moved_bytes / setting.chip.host_bytes_per_s
    return update_s


@formula
def step_of(setting: Setting, plan: Plan, one: Layer, end: Ends) -> Step:
    """One optimizer step, given what one layer and the ends cost.

        step = m t_slowest + bubble + data parallel + optimizer + host + straggler

    The bracket: everything that can overlap does (each layer takes the longest of compute,
    communication and host) <= step <= nothing overlaps (each layer takes their sum).
    Source:  [narayanan2021] for the pipeline; the parts name theirs

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> from clustercast.physics.layer import ends, layer
    >>> step = step_of(SETTING, PLAN, layer(SETTING, PLAN), ends(SETTING, PLAN))
    >>> step.lower_s <= step.step_s <= step.upper_s
    True
    """
    model = setting.model
    stack = setting.stack
    job = setting.job
    n_batches = n_microbatches(job, plan)
    n_layers = n_slots(model)

    fsdp_raw_s = 0.0
    if plan.zero >= 3:
        fsdp_raw_s = sharded_layer_s(setting, plan, one)
    fsdp_exposed_s = exposed_s(fsdp_raw_s, plan.dp_overlap * stack.fsdp_overlap, one.window_s)
    fsdp_slowdown_s = stack.overlap_slowdown * (fsdp_raw_s - fsdp_exposed_s)

    kernels_s = one.forward_s + one.backward_s + one.recompute_s
    compute_s = kernels_s + one.slowdown_s + fsdp_slowdown_s
    comm_s = one.tp_exposed_s + one.cp_exposed_s + one.ep_exposed_s + fsdp_exposed_s
    comm_raw_s = one.tp_raw_s + one.cp_raw_s + one.ep_raw_s + fsdp_raw_s
    n_heads_run = 1.0 + model.n_mtp_layers
    head_s = n_heads_run * (end.head_forward_s + end.head_backward_s)
    head_comm_s = n_heads_run * end.head_comm_s
    share = bubble_share(plan, one.forward_s, one.backward_s + one.recompute_s, one.weight_gradient_s)
    layer_s = compute_s + comm_s + one.host_s
    flow = pipeline(layer_s, end.embedding_s, head_s + head_comm_s, n_layers, n_batches, share, plan)
    lowest_s = max(kernels_s, comm_raw_s, one.host_raw_s)
    lowest = pipeline(lowest_s, end.embedding_s, head_s, n_layers, n_batches, share, plan)
    highest_s = kernels_s + comm_raw_s + one.host_raw_s
    highest = pipeline(highest_s, end.embedding_s, head_s + head_comm_s, n_layers, n_batches, share, plan)

    batches_layers = n_batches * flow.n_layers
    send_raw_s = 0.0
    if plan.pp > 1:
        tokens = tokens_per_chip(setting, plan)
        sent_bytes = tokens * model.hidden * setting.precision.element_bytes / plan.tp
        once_s = send_s(sent_bytes, plan.tp * plan.cp * plan.dp, setting.cluster) * stack.collective_factor
        send_raw_s = 2.0 * once_s * (n_batches * plan.vpp + plan.pp - 1.0)
    window_s = one.window_s - (fsdp_raw_s - fsdp_exposed_s)
    replicas = data_parallel(setting, plan, one, end, float(math.ceil(n_layers / plan.pp)), n_batches, window_s)
    free_s = batches_layers * window_s - (replicas.raw_s - replicas.exposed_s)
    send_exposed_s = exposed_s(send_raw_s, stack.pp_overlap, free_s)
    update_s = optimizer_s(setting, plan, one, end)
    host_once_s = n_batches * stack.host_microbatch_s + stack.host_step_s
    n_chips = float(plan.tp * plan.pp * plan.cp * plan.dp)
    before_s = flow.total_s + send_exposed_s + replicas.exposed_s + update_s + host_once_s
    straggler_s = before_s * stack.straggler_per_doubling * math.log2(n_chips)
    highest_total_s = highest.total_s + send_raw_s + replicas.raw_s + update_s + host_once_s
    held = memory(setting, plan, one, end, n_batches)
    needed_flop = model_flop(model, job)
    again_flop = one.recompute_flop * n_layers * n_batches * plan.tp * plan.cp * plan.dp
    end_s = flow.first * end.embedding_s + flow.last * head_s
    return Step(
        step_s=before_s + straggler_s,
        lower_s=lowest.total_s + update_s,
        upper_s=highest_total_s * (1.0 + stack.straggler_per_doubling * math.log2(n_chips)),
        compute_s=batches_layers * compute_s + n_batches * end_s,
        tp_comm_s=batches_layers * one.tp_exposed_s + n_batches * flow.last * head_comm_s,
        cp_comm_s=batches_layers * one.cp_exposed_s,
        ep_comm_s=batches_layers * one.ep_exposed_s,
        pp_comm_s=send_exposed_s,
        dp_comm_s=replicas.exposed_s + batches_layers * fsdp_exposed_s,
        bubble_s=flow.bubble_s,
        optimizer_s=update_s,
        host_s=host_once_s + batches_layers * one.host_s,
        straggler_s=straggler_s,
        weights_bytes=held.weights_bytes,
        gradients_bytes=held.gradients_bytes,
        optimizer_bytes=held.optimizer_bytes,
        activations_bytes=held.activations_bytes,
        workspace_bytes=held.workspace_bytes,
        memory_bytes=held.total_bytes,
        capacity_bytes=setting.chip.hbm_bytes - setting.chip.reserved_bytes,
        n_microbatches=n_batches,
        model_flop=needed_flop,
        hardware_flop=needed_flop + again_flop,
        recompute_s=batches_layers * one.recompute_s,
    )


@formula
def training_step(setting: Setting, plan: Plan) -> Step:
    """One optimizer step of a plan: layers, ends, pipeline, everything.

    Source:  the parts name theirs

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> step = training_step(SETTING, PLAN)
    >>> abs(step.step_s - step.compute_s - step.optimizer_s) < 1e-12
    True
    """
    return step_of(setting, plan, layer(setting, plan), ends(setting, plan))
