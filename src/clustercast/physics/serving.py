"""Prefill and decode of one replica: rooflines with KV capacity, batch and communication."""

import math
from typing import NamedTuple

from clustercast.physics.collectives import Spread, all_reduce_s, dispatch_s, send_s, spread, tier_bytes_per_s
from clustercast.physics.formula import formula
from clustercast.physics.layer import (
    attention_cost,
    element_traffic_bytes,
    kernels_cost,
    routed_mlp_cost,
)
from clustercast.physics.roofline import attention_flop, element_s, join_s, padded_rows, touched_experts
from clustercast.records import (
    CP_RING,
    MLA,
    RECOMPUTE_NONE,
    SCHEDULE_1F1B,
    Cluster,
    Engine,
    Model,
    Plan,
    Serving,
    ServingJob,
    ServingPlan,
    Setting,
)


class Work(NamedTuple):
    """Time of kernels of one kind in a decode step, split by what they wait for. Their sum is the time."""

    compute_s: float  # beyond what the memory traffic takes
    memory_s: float
    launch_s: float


@formula
def sum_of(one: Work, other: Work, share: float) -> Work:
    """One part and a share of another.

    Source:  arithmetic

    >>> sum_of(Work(1.0, 1.0, 1.0), Work(2.0, 2.0, 2.0), 0.5)
    Work(compute_s=2.0, memory_s=2.0, launch_s=2.0)
    """
    return Work(
        one.compute_s + share * other.compute_s,
        one.memory_s + share * other.memory_s,
        one.launch_s + share * other.launch_s,
    )


@formula
def decode_matmul(rows: float, params: float, rate: float, weight_bytes: float, setting: Setting) -> Work:
    """A matmul of few rows against `params` weights: reads them all, pads its rows to a tile.

        memory  = params * bytes / (e_m W),   compute = 2 pad(rows) params / rate

    Activations are small beside the weights and left out.
    Source:  [pope2022], section 2

    >>> from clustercast.physics.examples import SETTING
    >>> work = decode_matmul(1.0, 1e9, 1e15, 2.0, SETTING)
    >>> work.memory_s > 100 * work.compute_s
    True
    """
    kernels = setting.kernels
    compute_s = 2.0 * padded_rows(rows, kernels.tile_rows) * params / rate
    memory_s = params * weight_bytes / (kernels.matmul_memory_fraction * setting.chip.hbm_bytes_per_s)
    both_s = join_s(compute_s, memory_s, kernels.matmul_join)
    return Work(both_s - memory_s, memory_s, kernels.matmul_launch_s)


@formula
def projection_params(model: Model, tp: int) -> float:
    """Weights of one attention layer's projections that one chip reads in a decode step.

    Latent attention absorbs the key-value up-projection into queries and result: the same weights,
    read once. Down projections are replicated over TP.
    Source:  [deepseek2024v2], section 2.1

    >>> from clustercast.physics.examples import MODEL
    >>> projection_params(MODEL, 1) == 4.0 * MODEL.hidden * MODEL.hidden
    True
    """
    hidden = float(model.hidden)
    heads = float(model.n_heads) / tp
    out = heads * model.v_head_dim * hidden
    if model.attention == MLA:
        rope = float(model.qk_rope_dim)
        down = hidden * (model.kv_lora + rope)
        if model.index_heads > 0:
            down += model.q_lora * model.index_heads * model.index_dim + hidden * (model.index_dim + model.index_heads)
        up = model.kv_lora * heads * (model.qk_head_dim - rope + model.v_head_dim)
        if model.q_lora > 0:
            return out + down + up + hidden * model.q_lora + model.q_lora * heads * model.qk_head_dim
        return out + down + up + hidden * heads * model.qk_head_dim
    kv_heads = max(float(model.n_kv_heads) / tp, 1.0)
    return out + hidden * (heads * model.qk_head_dim + kv_heads * (model.qk_head_dim + model.v_head_dim))


@formula
def kv_token_bytes(model: Model, tp: int, kv_bytes: float) -> float:
    """Cache that one token takes in one full-attention layer on one chip.

        grouped   max(k / tp, 1) (d_qk + d_v)      latent   d_latent + d_rope, the same on every TP rank

    Source:  [ainslie2023]; [deepseek2024v2], section 2.1

    >>> from clustercast.physics.examples import MODEL
    >>> kv_token_bytes(MODEL, 2, 2.0) == 2.0 * 4 * 256
    True
    """
    if model.attention == MLA:
        return kv_bytes * (model.kv_lora + model.qk_rope_dim)
    return kv_bytes * max(float(model.n_kv_heads) / tp, 1.0) * (model.qk_head_dim + model.v_head_dim)


@formula
def kv_sequence_bytes(model: Model, tp: int, kv_bytes: float, context: float) -> float:
    """Cache that one sequence of `context` tokens takes in all layers on one chip.

    Full layers keep every token, window layers at most the window, linear layers a fixed state of
    d_k d_v numbers per value head (32 bit).
    Source:  [ainslie2023], [beltagy2020], [yang2024deltanet]

    >>> from clustercast.physics.examples import MODEL
    >>> kv_sequence_bytes(MODEL, 1, 2.0, 10.0) == 8 * 10 * 2.0 * 8 * 256
    True
    """
    token_bytes = kv_token_bytes(model, tp, kv_bytes)
    total_bytes = model.n_full_layers * context * token_bytes
    if model.n_window_layers > 0:
        total_bytes += model.n_window_layers * min(context, float(model.window)) * token_bytes
    if model.n_linear_layers > 0:
        state = 4.0 * model.linear_v_heads / tp * model.linear_k_dim * model.linear_v_dim
        total_bytes += model.n_linear_layers * state
    if model.index_heads > 0:
        total_bytes += model.n_full_layers * context * model.index_dim * kv_bytes
    return total_bytes


@formula
def decode_attention(batch: float, context: float, setting: Setting, tp: int) -> Work:
    """Attention of one decode step in one layer: every sequence reads its cache.

        grouped   2 c (a / tp) (d_qk + d_v) FLOPs;   latent, absorbed   2 c (a / tp) (2 d_latent + d_rope)

    With 128 heads on one shared latent, the absorbed form does 242 FLOPs per byte of a 16-bit cache: above the
    ridge of a compute-capped chip, below that of an uncapped one.
    Source:  [deepseek2024v2], section 2.1; [pope2022]

    >>> from clustercast.physics.examples import SETTING
    >>> decode_attention(1.0, 1000.0, SETTING, 1).memory_s > 0
    True
    """
    model = setting.model
    kernels = setting.kernels
    heads = float(model.n_heads) / tp
    width = float(model.qk_head_dim + model.v_head_dim)
    if model.attention == MLA:
        width = 2.0 * model.kv_lora + model.qk_rope_dim
    flop = attention_flop(batch, context, heads, width, 0.0)
    traffic_bytes = batch * context * kv_token_bytes(model, tp, setting.precision.kv_bytes)
    rate = kernels.decode_attention_fraction * setting.chip.attention_flop_per_s * setting.chip.clock_fraction
    compute_s = flop / rate
    memory_s = traffic_bytes / (kernels.decode_attention_memory_fraction * setting.chip.hbm_bytes_per_s)
    both_s = join_s(compute_s, memory_s, kernels.matmul_join)
    return Work(both_s - memory_s, memory_s, kernels.attention_launch_s)


@formula
def decode_mixers(batch: float, context: float, setting: Setting, tp: int) -> Work:
    """Attention of all layers in one decode step, by kind: full (or indexed), window, linear.

    Source:  the parts above

    >>> from clustercast.physics.examples import SETTING
    >>> one = decode_attention(2.0, 100.0, SETTING, 1).memory_s
    >>> abs(decode_mixers(2.0, 100.0, SETTING, 1).memory_s / one - SETTING.model.n_layers) < 1e-9
    True
    """
    model = setting.model
    total = Work(0.0, 0.0, 0.0)
    if model.n_full_layers > 0:
        seen = context
        if model.index_topk > 0:
            seen = min(context, float(model.index_topk))
        total = sum_of(total, decode_attention(batch, seen, setting, tp), float(model.n_full_layers))
        if model.index_topk > 0:
            keys_bytes = batch * context * model.index_dim * setting.precision.kv_bytes
            memory_s = keys_bytes / (setting.kernels.decode_attention_memory_fraction * setting.chip.hbm_bytes_per_s)
            flop = attention_flop(batch, context, float(model.index_heads), float(model.index_dim), 0.0)
            compute_s = flop / (setting.kernels.decode_attention_fraction * setting.chip.attention_flop_per_s)
            both_s = join_s(compute_s, memory_s, setting.kernels.matmul_join)
            index = Work(both_s - memory_s, memory_s, setting.kernels.attention_launch_s)
            total = sum_of(total, index, float(model.n_full_layers))
    if model.n_window_layers > 0:
        seen = min(context, float(model.window))
        total = sum_of(total, decode_attention(batch, seen, setting, tp), float(model.n_window_layers))
    if model.n_linear_layers > 0:
        state_bytes = 8.0 * batch * model.linear_v_heads / tp * model.linear_k_dim * model.linear_v_dim
        state_s = state_bytes / (setting.kernels.element_fraction * setting.chip.hbm_bytes_per_s)
        linear = Work(0.0, state_s, setting.kernels.element_launch_s)
        total = sum_of(total, linear, float(model.n_linear_layers))
    return total


@formula
def decode_weights(batch: float, all_tokens: float, setting: Setting, plan: ServingPlan) -> Work:
    """All matmuls of one decode step on one chip, the head included.

    Dense parts see this rank's sequences; experts those of the whole replica, and only the experts
    that some token chose are read.

    batch       sequences of one attention rank;  all_tokens  of the replica
    Source:     [pope2022]; touched experts as in roofline.touched_experts

    >>> from clustercast.physics.examples import SERVING_PLAN, SETTING
    >>> decode_weights(1.0, 1.0, SETTING, SERVING_PLAN).memory_s > 0
    True
    """
    model = setting.model
    chip = setting.chip
    weight_bytes = setting.precision.weight_bytes
    rate = chip.matmul_flop_per_s * chip.clock_fraction * setting.kernels.matmul_fraction
    hidden = float(model.hidden)
    total = Work(0.0, 0.0, 0.0)
    n_attention = model.n_full_layers + model.n_window_layers
    if n_attention > 0:
        params = projection_params(model, plan.tp)
        total = sum_of(total, decode_matmul(batch, params, rate, weight_bytes, setting), float(n_attention))
        # two launches at least: into and out of attention
        total = sum_of(total, Work(0.0, 0.0, setting.kernels.matmul_launch_s), float(n_attention))
    if model.n_linear_layers > 0:
        linear = decode_matmul(batch, model.linear_params / plan.tp, rate, weight_bytes, setting)
        total = sum_of(total, linear, float(model.n_linear_layers))
    if model.n_dense_layers > 0:
        params = float(model.n_mlp_matrices) * hidden * model.ffn / plan.tp
        dense = decode_matmul(batch, params, rate, weight_bytes, setting)
        dense = sum_of(dense, Work(0.0, 0.0, setting.kernels.matmul_launch_s), 1.0)
        total = sum_of(total, dense, float(model.n_dense_layers))
    if model.n_moe_layers > 0:
        moe = decode_experts(all_tokens, setting, plan)
        if model.shared_ffn > 0:
            params = float(model.n_mlp_matrices) * hidden * model.shared_ffn / plan.tp
            moe = sum_of(moe, decode_matmul(batch, params, rate, weight_bytes, setting), 1.0)
        moe = sum_of(moe, decode_matmul(batch, hidden * model.n_experts, rate, weight_bytes, setting), 1.0)
        total = sum_of(total, moe, float(model.n_moe_layers))
    head_rate = chip.head_flop_per_s * chip.clock_fraction * setting.kernels.head_fraction
    head = decode_matmul(batch, hidden * model.vocab / plan.tp, head_rate, setting.precision.element_bytes, setting)
    return sum_of(total, head, 1.0)


@formula
def decode_experts(all_tokens: float, setting: Setting, plan: ServingPlan) -> Work:
    """The routed experts of one layer on one chip in a decode step.

        rows per touched expert = tokens k / touched,   weights read = touched / ep * f / etp

    Source:  [fedus2021]; occupancy in roofline.touched_experts

    >>> from clustercast.physics.examples import MOE, SERVING_PLAN, SETTING
    >>> decode_experts(1.0, SETTING._replace(model=MOE), SERVING_PLAN).memory_s > 0
    True
    """
    model = setting.model
    chip = setting.chip
    kernels = setting.kernels
    touched = touched_experts(float(model.n_experts), float(model.n_active_experts), all_tokens)
    here = max(touched / plan.ep, min(1.0, touched))
    rows = all_tokens * model.n_active_experts / touched
    params = float(model.n_mlp_matrices) * model.hidden * model.expert_ffn / plan.etp * here
    rate = chip.expert_flop_per_s * chip.clock_fraction * kernels.expert_fraction
    uneven = 1.0 + setting.stack.expert_imbalance * math.log2(float(plan.ep))
    compute_s = uneven * 2.0 * padded_rows(rows, kernels.tile_rows) * params / rate
    memory_s = params * setting.precision.weight_bytes / (kernels.expert_memory_fraction * chip.hbm_bytes_per_s)
    both_s = join_s(compute_s, memory_s, kernels.matmul_join)
    return Work(both_s - memory_s, memory_s, 2.0 * kernels.expert_launch_s)


@formula
def small_all_reduce_s(payload_bytes: float, n_ranks: int, engine: Engine, cluster: Cluster) -> float:
    """All-reduce of a decode step: the faster of a one-shot kernel in the graph and the library's.

        one-shot   start + (n - 1) V / B      every rank reads every other's vector

    Source:  one-shot kernels of serving engines [kwon2023]; [thakur2005] for the library's

    >>> from clustercast.physics.examples import CLUSTER, ENGINE
    >>> small_all_reduce_s(1e6, 1, ENGINE, CLUSTER)
    0.0
    """
    if n_ranks <= 1:
        return 0.0
    where: Spread = spread(n_ranks, 1, cluster)
    library_s = all_reduce_s(payload_bytes, where, cluster)
    if where.n_rail * where.n_spine > 1.0:
        return library_s
    bandwidth = tier_bytes_per_s(cluster.scale_up, float(n_ranks))
    return min(library_s, engine.all_reduce_s + (n_ranks - 1.0) * payload_bytes / bandwidth)


@formula
def decode_comm_s(batch: float, setting: Setting, plan: ServingPlan, engine: Engine) -> float:
    """Communication of one decode step: TP all-reduces, expert dispatch and combine, pipeline sends.

    Two all-reduces a layer over TP. With attention data parallelism the experts' share is dispatch
    and combine over the whole replica instead.
    Source:  [shoeybi2019]; [deepseek2024v3], section 3.4.2

    >>> from clustercast.physics.examples import ENGINE, SERVING_PLAN, SETTING
    >>> decode_comm_s(4.0, SETTING, SERVING_PLAN, ENGINE)
    0.0
    """
    model = setting.model
    payload_bytes = batch * model.hidden * setting.precision.tp_wire_bytes
    once_s = small_all_reduce_s(payload_bytes, plan.tp, engine, setting.cluster)
    n_mixers = float(model.n_full_layers + model.n_window_layers + model.n_linear_layers)
    total_s = once_s * (n_mixers + model.n_dense_layers)
    if model.n_moe_layers > 0:
        if plan.attention_dp > 1:
            where = spread(plan.ep, plan.etp, setting.cluster)
            sent = batch / plan.tp
            choices = float(model.n_active_experts)
            size_bytes = float(model.hidden)
            there_s = dispatch_s(
                sent,
                size_bytes * setting.precision.dispatch_wire_bytes,
                choices,
                model.n_groups,
                model.n_active_groups,
                1.0,
                where,
                setting.cluster,
            )
            back_s = dispatch_s(
                sent,
                size_bytes * setting.precision.combine_wire_bytes,
                choices,
                model.n_groups,
                model.n_active_groups,
                1.0,
                where,
                setting.cluster,
            )
            total_s += (there_s + back_s) * model.n_moe_layers
            if model.shared_ffn > 0:
                total_s += once_s * model.n_moe_layers
        else:
            total_s += once_s * model.n_moe_layers
    if plan.pp > 1:
        total_s += (plan.pp - 1.0) * send_s(payload_bytes, plan.tp * plan.attention_dp, setting.cluster)
    return total_s


@formula
def serving_weights_bytes(setting: Setting, plan: ServingPlan) -> float:
    """Weights that one chip of a replica holds: TP divides dense parts, EP and ETP experts, PP layers.

    Embedding and head stay in the element format.
    Source:  [pope2022]; [deepseek2024v3], section 3.4

    >>> from clustercast.physics.examples import SERVING_PLAN, SETTING
    >>> serving_weights_bytes(SETTING, SERVING_PLAN) > 0
    True
    """
    model = setting.model
    hidden = float(model.hidden)
    n_attention = float(model.n_full_layers + model.n_window_layers)
    params = n_attention * projection_params(model, plan.tp) + model.n_linear_layers * model.linear_params / plan.tp
    matrices = float(model.n_mlp_matrices)
    params += model.n_dense_layers * matrices * hidden * model.ffn / plan.tp
    if model.n_moe_layers > 0:
        expert = matrices * hidden * model.expert_ffn / plan.etp * model.n_experts / plan.ep
        params += model.n_moe_layers * (expert + matrices * hidden * model.shared_ffn / plan.tp)
        params += model.n_moe_layers * hidden * model.n_experts
    ends = hidden * model.vocab / plan.tp
    if model.tied == 0 and plan.pp == 1:
        ends *= 2.0
    stage_share = math.ceil(model.n_layers / plan.pp) / float(model.n_layers)
    return params * stage_share * setting.precision.weight_bytes + ends * setting.precision.element_bytes


@formula
def prefill_plan(plan: ServingPlan) -> Plan:
    """The layout of a replica as the layer formulas see it: one sequence, forward only.

    Source:  arithmetic

    >>> from clustercast.physics.examples import SERVING_PLAN
    >>> prefill_plan(SERVING_PLAN).tp
    1
    """
    return Plan(
        plan.tp, 1, 1, plan.attention_dp, 1, plan.ep, plan.etp, 0, 0, 1, RECOMPUTE_NONE, 0, SCHEDULE_1F1B, 0, CP_RING, 0
    )


@formula
def serve(setting: Setting, job: ServingJob, plan: ServingPlan, engine: Engine) -> Serving:
    """Prefill of one sequence and a steady decode step of a full batch on one replica.

        TTFT = layers * (kernels + communication) + host,   one sequence alone
        TPOT = compute beyond memory + weights + cache + communication + host

    The decode step is taken at the mean context, input + output / 2. With PP the batch is cut into pp
    parts that follow one another, so a token passes every stage: TPOT is pp stage times.
    setting.job.seq_len  the input length
    Source:  [pope2022]; [kwon2023] for the paged cache

    >>> from clustercast.physics.examples import ENGINE, SERVING_JOB, SERVING_PLAN, SETTING
    >>> done = serve(SETTING, SERVING_JOB, SERVING_PLAN, ENGINE)
    >>> terms = done.decode_compute_s + done.decode_weights_s + done.decode_kv_s
    >>> abs(done.tpot_s - terms - done.decode_comm_s - done.decode_host_s) < 1e-12
    True
    """
    model = setting.model
    chip = setting.chip
    tokens = float(job.input_len)

    layout = prefill_plan(plan)
    n_layers = float(model.n_layers)
    attention = attention_cost(tokens, setting, layout)
    dense = kernels_cost(tokens, setting, layout)
    kernels_s = attention.forward_s + dense.forward_s
    if model.n_moe_layers > 0:
        routed = routed_mlp_cost(tokens, setting, layout)
        kernels_s += routed.forward_s * model.n_moe_layers / n_layers
    kernels_s += element_s(element_traffic_bytes(tokens, setting, layout), 8.0, chip.hbm_bytes_per_s, setting.kernels)
    head = decode_matmul(
        1.0,
        float(model.hidden) * model.vocab / plan.tp,
        chip.head_flop_per_s * setting.kernels.head_fraction,
        setting.precision.element_bytes,
        setting,
    )
    prefill_compute_s = n_layers * kernels_s + head.compute_s + head.memory_s
    payload_bytes = tokens * model.hidden * setting.precision.tp_wire_bytes
    exchanges = float(model.n_full_layers + model.n_window_layers + model.n_linear_layers + model.n_dense_layers)
    if plan.attention_dp == 1 or model.shared_ffn > 0:
        exchanges += model.n_moe_layers
    prefill_comm_s = exchanges * all_reduce_s(payload_bytes, spread(plan.tp, 1, setting.cluster), setting.cluster)
    if plan.attention_dp > 1 and model.n_moe_layers > 0:
        where = spread(plan.ep, plan.etp, setting.cluster)
        size_bytes = model.hidden * (setting.precision.dispatch_wire_bytes + setting.precision.combine_wire_bytes)
        prefill_comm_s += model.n_moe_layers * dispatch_s(
            tokens / plan.tp,
            size_bytes,
            float(model.n_active_experts),
            model.n_groups,
            model.n_active_groups,
            1.0,
            where,
            setting.cluster,
        )
    if plan.pp > 1:
        prefill_comm_s += (plan.pp - 1.0) * send_s(payload_bytes, plan.tp * plan.attention_dp, setting.cluster)
    prefill_host_s = engine.prefill_step_s
    ttft_s = prefill_compute_s + prefill_comm_s + prefill_host_s

    part = job.batch / plan.pp
    per_rank = part / plan.attention_dp
    context = job.input_len + 0.5 * job.output_len
    weights = decode_weights(per_rank, part, setting, plan)
    mixers = decode_mixers(per_rank, context, setting, plan.tp)
    elements_s = n_layers * element_s(
        element_traffic_bytes(per_rank, setting, layout), 0.0, chip.hbm_bytes_per_s, setting.kernels
    )
    stages = float(plan.pp)
    decode_compute = weights.compute_s + mixers.compute_s + elements_s
    host_s = engine.host_step_s * stages + n_layers * engine.host_layer_s + weights.launch_s + mixers.launch_s
    comm_s = decode_comm_s(per_rank, setting, plan, engine)
    tpot_s = decode_compute + weights.memory_s + mixers.memory_s + comm_s + host_s

    weights_bytes = serving_weights_bytes(setting, plan)
    longest = float(job.input_len + job.output_len)
    stage_share = math.ceil(model.n_layers / plan.pp) / n_layers
    sequence_bytes = kv_sequence_bytes(model, plan.tp, setting.precision.kv_bytes, longest) * stage_share
    capacity_bytes = (chip.hbm_bytes - chip.reserved_bytes) * engine.memory_fraction
    workspace_bytes = setting.stack.workspace_bytes
    free_bytes = max(0.0, capacity_bytes - weights_bytes - workspace_bytes)
    kv_bytes = math.ceil(job.batch / plan.attention_dp) * sequence_bytes
    return Serving(
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        prefill_tokens_per_s=tokens * plan.attention_dp * plan.pp / ttft_s,
        output_tokens_per_s=job.batch / tpot_s,
        weights_bytes=weights_bytes,
        kv_bytes=kv_bytes,
        workspace_bytes=workspace_bytes,
        memory_bytes=weights_bytes + kv_bytes + workspace_bytes,
        capacity_bytes=capacity_bytes,
        max_batch=math.floor(free_bytes / sequence_bytes) * float(plan.attention_dp),
        decode_compute_s=decode_compute,
        decode_weights_s=weights.memory_s,
        decode_kv_s=mixers.memory_s,
        decode_comm_s=comm_s,
        decode_host_s=host_s,
        prefill_compute_s=prefill_compute_s,
        prefill_comm_s=prefill_comm_s,
        prefill_host_s=prefill_host_s,
    )
