"""Serving on one replica: a step of any number of tokens, prefill and decode made of it, static loads and pools."""

import math
from typing import NamedTuple

from clustercast.physics.collectives import (
    Spread,
    all_reduce_s,
    direct_exchange_s,
    forwarded_exchange_s,
    send_s,
    spread,
    tier_bytes_per_s,
)
from clustercast.physics.formula import formula
from clustercast.physics.roofline import attention_flop, exposed_s, join_s, mean_context, padded_rows, touched_experts
from clustercast.records import (
    MLA,
    Cluster,
    Engine,
    Load,
    Model,
    Serving,
    ServingJob,
    ServingPlan,
    ServingSetting,
)


class Work(NamedTuple):
    """Time of kernels of one kind, split by what they wait for. Their sum is the time."""

    compute_s: float  # beyond what the memory traffic takes
    memory_s: float
    launch_s: float


class Pass(NamedTuple):
    """One step of a replica through all layers and the head. The five times add up to `total_s`."""

    total_s: float
    compute_s: float
    weights_s: float
    kv_s: float
    comm_s: float
    host_s: float
    once_s: float  # of weights and host, in one part: what new tokens that ride on the step need not spend again


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
def reached_fraction(fraction: float, factor: float, ceiling: float) -> float:
    """Share of a rate that kernels reach in the engine: what they reach alone over the engine's factor, below a bound.

        min(fraction / factor, ceiling)

    factor   time in the engine over the time alone; below 1 where its kernels beat the measured ones
    ceiling  what no kernel exceeds
    Source:  [williams2009]: a roofline is a bound

    >>> reached_fraction(0.9, 0.75, 0.95), reached_fraction(0.9, 1.2, 0.95)
    (0.95, 0.75)
    """
    return min(fraction / factor, ceiling)


@formula
def matmul_work(
    rows: float, params: float, columns: float, n_kernels: float, head: float, setting: ServingSetting
) -> Work:
    """Matmuls of `rows` tokens against `params` weights: reads the weights, pads its rows to a tile.

        memory  = (params * bytes + rows * columns * bytes) / (e_m W),   compute = 2 pad(rows) params / rate

    columns    widths of all inputs and results together
    head       1: the head, in the element format; 0: a layer's matmuls
    Source:    [pope2022], section 2; constants fitted by bench/fit_operations.py and bench/fit_serving.py

    >>> from clustercast.physics.examples import SERVING_SETTING
    >>> matmul_work(1.0, 1e9, 0.0, 1.0, 0.0, SERVING_SETTING).memory_s
    0.025
    """
    kernels = setting.kernels
    chip = setting.chip
    precision = setting.precision
    engine = setting.engine
    rate = chip.matmul_flop_per_s * reached_fraction(
        kernels.matmul_fraction, engine.matmul_factor, engine.compute_ceiling
    )
    weight_bytes = precision.weight_bytes
    activation_bytes = precision.activation_bytes
    if head > 0.5:
        rate = chip.head_flop_per_s * reached_fraction(
            kernels.head_fraction, engine.matmul_factor, engine.compute_ceiling
        )
        weight_bytes = precision.element_bytes
        activation_bytes = precision.element_bytes
    flop = 2.0 * padded_rows(rows, precision.tile_rows) * params
    traffic_bytes = params * weight_bytes + rows * columns * activation_bytes
    compute_s = flop / (rate * chip.clock_fraction)
    share = reached_fraction(kernels.matmul_memory_fraction, engine.matmul_memory_factor, engine.memory_ceiling)
    memory_s = traffic_bytes / (share * chip.hbm_bytes_per_s)
    both_s = join_s(compute_s, memory_s, kernels.matmul_join)
    return Work(both_s - memory_s, memory_s, n_kernels * engine.launch_factor * kernels.matmul_launch_s)


@formula
def projection_params(model: Model, tp: int) -> float:
    """Weights of one attention layer's projections that one chip reads in a step.

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
def decode_attention(batch: float, queries: float, context: float, setting: ServingSetting, tp: int) -> Work:
    """Attention of one decode step in one layer: every sequence reads its cache.

        grouped   2 c (a / tp) (d_qk + d_v) FLOPs;   latent, absorbed   2 c (a / tp) (2 d_latent + d_rope)

    With 128 heads on one shared latent, the absorbed form does 242 FLOPs per byte of a 16-bit cache: above the
    ridge of a compute-capped chip, below that of an uncapped one.

    queries  tokens of each sequence in the step: 1, more where guessed tokens are verified
    Source:  [deepseek2024v2], section 2.1; [pope2022]

    >>> from clustercast.physics.examples import SERVING_SETTING
    >>> decode_attention(1.0, 1.0, 1000.0, SERVING_SETTING, 1).memory_s > 0
    True
    """
    model = setting.model
    kernels = setting.kernels
    engine = setting.engine
    heads = float(model.n_heads) / tp
    width = float(model.qk_head_dim + model.v_head_dim)
    if model.attention == MLA:
        width = 2.0 * model.kv_lora + model.qk_rope_dim
    flop = attention_flop(batch * queries, context, heads, width, 0.0)
    traffic_bytes = batch * context * kv_token_bytes(model, tp, setting.precision.kv_bytes)
    rate = reached_fraction(kernels.decode_attention_fraction, engine.kv_factor, engine.compute_ceiling)
    compute_s = flop / (rate * setting.chip.attention_flop_per_s * setting.chip.clock_fraction)
    share = reached_fraction(kernels.decode_attention_memory_fraction, engine.kv_factor, engine.memory_ceiling)
    memory_s = traffic_bytes / (share * setting.chip.hbm_bytes_per_s)
    both_s = join_s(compute_s, memory_s, kernels.matmul_join)
    return Work(both_s - memory_s, memory_s, engine.launch_factor * kernels.attention_launch_s)


@formula
def decode_mixers(batch: float, queries: float, context: float, setting: ServingSetting, tp: int) -> Work:
    """Attention of all layers in one decode step, by kind: full (or indexed), window, linear.

    Source:  the parts above; [deepseek2025v32] for indexed attention; [yang2024deltanet] for the linear state

    >>> from clustercast.physics.examples import SERVING_SETTING
    >>> one = decode_attention(2.0, 1.0, 100.0, SERVING_SETTING, 1).memory_s
    >>> abs(decode_mixers(2.0, 1.0, 100.0, SERVING_SETTING, 1).memory_s / one - SERVING_SETTING.model.n_layers) < 1e-9
    True
    """
    model = setting.model
    kernels = setting.kernels
    engine = setting.engine
    hbm = setting.chip.hbm_bytes_per_s
    total = Work(0.0, 0.0, 0.0)
    if model.n_full_layers > 0:
        seen = context
        if model.index_topk > 0:
            seen = min(context, float(model.index_topk))
        total = sum_of(total, decode_attention(batch, queries, seen, setting, tp), float(model.n_full_layers))
        if model.index_topk > 0:
            keys_bytes = batch * context * model.index_dim * setting.precision.kv_bytes
            share = reached_fraction(kernels.decode_attention_memory_fraction, engine.kv_factor, engine.memory_ceiling)
            memory_s = keys_bytes / (share * hbm)
            flop = attention_flop(batch * queries, context, float(model.index_heads), float(model.index_dim), 0.0)
            compute_s = flop / (kernels.decode_attention_fraction * setting.chip.attention_flop_per_s)
            both_s = join_s(compute_s, memory_s, kernels.matmul_join)
            start_s = engine.launch_factor * kernels.attention_launch_s + engine.sparse_layer_s
            total = sum_of(total, Work(both_s - memory_s, memory_s, start_s), float(model.n_full_layers))
    if model.n_window_layers > 0:
        seen = min(context, float(model.window))
        total = sum_of(total, decode_attention(batch, queries, seen, setting, tp), float(model.n_window_layers))
    if model.n_linear_layers > 0:
        state_bytes = 8.0 * batch * model.linear_v_heads / tp * model.linear_k_dim * model.linear_v_dim
        state_s = state_bytes / (kernels.element_fraction * hbm)
        linear = Work(0.0, state_s, engine.launch_factor * kernels.attention_launch_s)
        total = sum_of(total, linear, float(model.n_linear_layers))
    return total


@formula
def prefill_attention(tokens: float, context: float, setting: ServingSetting, tp: int) -> Work:
    """Attention core of `tokens` new tokens in one layer, each seeing `context` keys on average; latent: expanded.

    Source:  [dao2022]; fractions fitted by bench/fit_operations.py

    >>> from clustercast.physics.examples import SERVING_SETTING
    >>> prefill_attention(1000.0, 500.0, SERVING_SETTING, 1).compute_s > 0
    True
    """
    model = setting.model
    kernels = setting.kernels
    chip = setting.chip
    heads = float(model.n_heads) / tp
    kv_heads = max(float(model.n_kv_heads) / tp, 1.0)
    if model.attention == MLA:
        kv_heads = heads
    width = float(model.qk_head_dim + model.v_head_dim)
    flop = attention_flop(tokens, context, heads, float(model.qk_head_dim), float(model.v_head_dim))
    traffic_bytes = tokens * (heads + kv_heads) * width * setting.precision.element_bytes
    engine = setting.engine
    share = reached_fraction(kernels.attention_forward_fraction, engine.attention_factor, engine.compute_ceiling)
    compute_s = flop / (share * chip.attention_flop_per_s * chip.clock_fraction)
    memory_s = traffic_bytes / (kernels.element_fraction * chip.hbm_bytes_per_s)
    both_s = join_s(compute_s, memory_s, kernels.matmul_join)
    return Work(both_s - memory_s, memory_s, engine.launch_factor * kernels.attention_launch_s)


@formula
def prefill_mixers(tokens: float, length: float, setting: ServingSetting, tp: int) -> Work:
    """Attention of all layers over `tokens` new tokens of sequences `length` long, by kind.

    A linear layer's chunked recurrence does 6 T H d_k d_v FLOPs.
    Source:  the parts above; [deepseek2025v32]; [yang2024deltanet]

    >>> from clustercast.physics.examples import SERVING_SETTING
    >>> one = prefill_attention(100.0, 50.0, SERVING_SETTING, 1).compute_s
    >>> abs(prefill_mixers(100.0, 100.0, SERVING_SETTING, 1).compute_s / one - SERVING_SETTING.model.n_layers) < 1e-9
    True
    """
    model = setting.model
    kernels = setting.kernels
    chip = setting.chip
    engine = setting.engine
    total = Work(0.0, 0.0, 0.0)
    share = reached_fraction(kernels.attention_forward_fraction, engine.attention_factor, engine.compute_ceiling)
    rate = share * chip.attention_flop_per_s * chip.clock_fraction
    if model.n_full_layers > 0:
        context = mean_context(length, float(model.index_topk))
        total = sum_of(total, prefill_attention(tokens, context, setting, tp), float(model.n_full_layers))
        if model.index_topk > 0:
            flop = attention_flop(tokens, 0.5 * length, float(model.index_heads), float(model.index_dim), 0.0)
            index = Work(flop / rate, 0.0, engine.launch_factor * kernels.attention_launch_s + engine.sparse_layer_s)
            total = sum_of(total, index, float(model.n_full_layers))
    if model.n_window_layers > 0:
        context = mean_context(length, float(model.window))
        total = sum_of(total, prefill_attention(tokens, context, setting, tp), float(model.n_window_layers))
    if model.n_linear_layers > 0:
        heads = float(model.linear_v_heads) / tp
        flop = attention_flop(3.0 * tokens, float(model.linear_k_dim), heads, float(model.linear_v_dim), 0.0)
        linear = Work(flop / rate, 0.0, engine.launch_factor * kernels.attention_launch_s)
        total = sum_of(total, linear, float(model.n_linear_layers))
    return total


@formula
def unequal_factor(rows: float, n_experts: float, ep: float, imbalance: float) -> float:
    """Rows of the busiest of `ep` ranks over the mean, when some experts are liked better than others.

        1 + sqrt(2 ln(ep) (c^2 / experts of a rank + 1 / rows)),   at most ep

    c is the deviation of an expert's tokens over their mean. A rank's experts together vary less than one of them; few
    rows vary by chance; the largest of n such sums lies about sqrt(2 ln n) deviations above their mean.

    rows       of one rank, on average
    n_experts  copies included
    imbalance  c; 0: routing is forced to balance
    Source:    [fisher1928] for the largest of n; measured matmuls under a power law of routing give c of 0.45 to 1.1

    >>> unequal_factor(1e9, 256.0, 1.0, 0.7), round(unequal_factor(1e9, 256.0, 32.0, 0.7), 2)
    (1.0, 1.65)
    """
    if ep <= 1.0 or imbalance <= 0.0:
        return 1.0
    variance = imbalance * imbalance * ep / n_experts + 1.0 / rows
    return min(ep, 1.0 + math.sqrt(2.0 * math.log(ep) * variance))


@formula
def experts_work(all_tokens: float, setting: ServingSetting, plan: ServingPlan) -> Work:
    """The routed experts of one layer on one chip.

        rows of an expert = uneven tokens k / ep / experts here,   experts here = max(touched / ep, 1)
        traffic of the tokens   = tokens k / ep * (4 h + m f / etp),   unequal: the busiest rank's

    Copies of experts are read too, and share their tokens. An engine with grouped matmuls of its own moves tokens in
    other kernels; else a fused layer does all three at once.

    all_tokens  of the replica
    Source:     [fedus2021]; occupancy in roofline.touched_experts

    >>> from clustercast.physics.examples import MOE, SERVING_PLAN, SERVING_SETTING
    >>> experts_work(1.0, SERVING_SETTING._replace(model=MOE), SERVING_PLAN).memory_s > 0
    True
    """
    model = setting.model
    chip = setting.chip
    kernels = setting.kernels
    engine = setting.engine
    precision = setting.precision
    choices = all_tokens * model.n_active_experts
    spread_tokens = max(1.0, all_tokens) ** engine.distinct_exponent
    touched = touched_experts(float(model.n_experts), float(model.n_active_experts), spread_tokens)
    copies = 1.0 + engine.redundant_experts / model.n_experts
    here = max(touched * copies / plan.ep, min(1.0, touched))
    width = float(model.n_mlp_matrices) * model.expert_ffn / plan.etp
    params = width * model.hidden * here
    uneven = unequal_factor(choices / plan.ep, model.n_experts * copies, float(plan.ep), engine.expert_imbalance)
    rows = uneven * choices / (plan.ep * here)
    peak = chip.expert_flop_per_s * chip.clock_fraction
    elements = choices / plan.ep * (4.0 * model.hidden + width)
    moved_bytes = uneven * engine.expert_traffic_factor * elements * precision.element_bytes
    moved_s = moved_bytes / (kernels.element_fraction * chip.hbm_bytes_per_s)
    weight_bytes = params * precision.expert_weight_bytes
    if engine.grouped_fraction > 0.0:
        flop = 2.0 * padded_rows(rows, engine.grouped_tile_rows) * params
        read_s = weight_bytes / (engine.grouped_memory_fraction * chip.hbm_bytes_per_s)
        both_s = join_s(flop / (peak * engine.grouped_fraction), read_s, engine.grouped_join)
        return Work(both_s - read_s, read_s + moved_s, 2.0 * engine.launch_factor * engine.grouped_launch_s)
    flop = 2.0 * padded_rows(rows, precision.expert_tile_rows) * params
    compute_s = flop / (peak * reached_fraction(kernels.expert_fraction, engine.expert_factor, engine.compute_ceiling))
    share = reached_fraction(kernels.expert_memory_fraction, engine.expert_memory_factor, engine.memory_ceiling)
    read_s = weight_bytes / (share * chip.hbm_bytes_per_s)
    both_s = join_s(compute_s, read_s + moved_s, kernels.matmul_join)
    return Work(both_s - read_s - moved_s, read_s + moved_s, 2.0 * engine.launch_factor * kernels.expert_launch_s)


@formula
def layers_work(tokens: float, all_tokens: float, setting: ServingSetting, plan: ServingPlan) -> Work:
    """All matmuls of the layers and their element-wise work, for `tokens` of one rank.

    Dense parts see this rank's tokens; experts those of the whole replica, and only the experts
    that some token chose are read. Element-wise traffic: 10 h a layer, rotary 2 (q + k).

    all_tokens  of the replica
    Source:     [pope2022]

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> layers_work(1.0, 1.0, SERVING_SETTING, SERVING_PLAN).memory_s > 0
    True
    """
    model = setting.model
    hidden = float(model.hidden)
    matrices = float(model.n_mlp_matrices)
    total = Work(0.0, 0.0, 0.0)
    n_attention = model.n_full_layers + model.n_window_layers
    heads = float(model.n_heads) / plan.tp
    if n_attention > 0:
        n_kernels = 2.0
        if model.attention == MLA:
            n_kernels = 6.0
        columns = 2.0 * hidden + heads * (2.0 * model.qk_head_dim + 2.0 * model.v_head_dim)
        one = matmul_work(tokens, projection_params(model, plan.tp), columns, n_kernels, 0.0, setting)
        total = sum_of(total, one, float(n_attention))
    if model.n_linear_layers > 0:
        params = model.linear_params / plan.tp
        columns = 2.0 * hidden + 2.0 * params / hidden
        total = sum_of(total, matmul_work(tokens, params, columns, 3.0, 0.0, setting), float(model.n_linear_layers))
    if model.n_dense_layers > 0:
        width = matrices * model.ffn / plan.tp
        one = matmul_work(tokens, width * hidden, 2.0 * hidden + width, 2.0, 0.0, setting)
        total = sum_of(total, one, float(model.n_dense_layers))
    if model.n_moe_layers > 0:
        moe = experts_work(all_tokens, setting, plan)
        if model.shared_ffn > 0:
            width = matrices * model.shared_ffn / plan.tp
            moe = sum_of(moe, matmul_work(tokens, width * hidden, 2.0 * hidden + width, 2.0, 0.0, setting), 1.0)
        router = matmul_work(tokens, hidden * model.n_experts, hidden, 1.0, 0.0, setting)
        total = sum_of(total, sum_of(moe, router, 1.0), float(model.n_moe_layers))
    n_blocks = float(n_attention + model.n_linear_layers + model.n_dense_layers + model.n_moe_layers)
    elements = 5.0 * hidden * n_blocks + 4.0 * heads * model.qk_head_dim * n_attention
    traffic_bytes = tokens * elements * setting.precision.element_bytes
    moved_s = traffic_bytes / (setting.kernels.element_fraction * setting.chip.hbm_bytes_per_s)
    return sum_of(total, Work(0.0, moved_s, 0.5 * n_blocks * setting.engine.layer_s), 1.0)


@formula
def small_all_reduce_s(payload_bytes: float, n_ranks: int, engine: Engine, cluster: Cluster) -> float:
    """All-reduce of a step: the faster of a one-shot kernel in the graph and the library's.

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
def once_exchange_s(tokens: float, wire_bytes: float, setting: ServingSetting, plan: ServingPlan) -> float:
    """One dispatch (or combine) of one mixture layer: the faster of sending straight and of forwarding inside nodes.

    tokens      of one chip
    wire_bytes  of one element
    Source:     [deepep2025] for both kernels

    >>> from clustercast.physics.examples import MOE, SERVING_PLAN, SERVING_SETTING
    >>> once_exchange_s(4.0, 2.0, SERVING_SETTING._replace(model=MOE), SERVING_PLAN)
    0.0
    """
    model = setting.model
    where = spread(plan.ep * plan.etp, 1, setting.cluster)
    token_bytes = model.hidden * wire_bytes
    choices = float(model.n_active_experts)
    straight_s = direct_exchange_s(tokens, token_bytes, choices, setting.engine.exchange_s, where, setting.cluster)
    forwarded_s = forwarded_exchange_s(
        tokens,
        token_bytes,
        choices,
        model.n_groups,
        model.n_active_groups,
        setting.engine.forward_s,
        where,
        setting.cluster,
    )
    return min(straight_s, forwarded_s)


@formula
def step_exchange_s(tokens: float, setting: ServingSetting, plan: ServingPlan) -> float:
    """Dispatch and combine of all mixture layers of one step, nothing hidden; only attention ranks exchange tokens.

    The port of the busiest rank sets the pace.

    tokens   of one rank
    Source:  [deepseek2024v3], section 3.4

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> step_exchange_s(4.0, SERVING_SETTING, SERVING_PLAN)
    0.0
    """
    model = setting.model
    if model.n_moe_layers == 0 or plan.attention_dp <= 1:
        return 0.0
    held = model.n_experts + setting.engine.redundant_experts
    rows = tokens * plan.attention_dp * model.n_active_experts / plan.ep
    sent = tokens / plan.tp * unequal_factor(rows, held, float(plan.ep), setting.engine.expert_imbalance)
    there_s = once_exchange_s(sent, setting.precision.dispatch_wire_bytes, setting, plan)
    back_s = once_exchange_s(sent, setting.precision.combine_wire_bytes, setting, plan)
    return (there_s + back_s) * model.n_moe_layers


@formula
def step_reduce_s(tokens: float, setting: ServingSetting, plan: ServingPlan) -> float:
    """What else a step communicates: two all-reduces a layer over TP, sends from stage to stage.

    With attention data parallelism a mixture's routed experts need none; its shared expert does.

    tokens   of one rank
    Source:  [shoeybi2019]

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> step_reduce_s(4.0, SERVING_SETTING, SERVING_PLAN)
    0.0
    """
    model = setting.model
    payload_bytes = tokens * model.hidden * setting.precision.wire_bytes
    once_s = small_all_reduce_s(payload_bytes, plan.tp, setting.engine, setting.cluster)
    total_s = once_s * float(model.n_full_layers + model.n_window_layers + model.n_linear_layers + model.n_dense_layers)
    if model.n_moe_layers > 0 and (plan.attention_dp <= 1 or model.shared_ffn > 0):
        total_s += once_s * model.n_moe_layers
    if plan.pp > 1:
        total_s += (plan.pp - 1.0) * send_s(payload_bytes, plan.tp * plan.attention_dp, setting.cluster)
    return total_s


@formula
def step_comm_s(tokens: float, setting: ServingSetting, plan: ServingPlan) -> float:
    """Communication of one step, nothing hidden: TP all-reduces, expert dispatch and combine, pipeline sends.

    tokens   of one rank
    Source:  [shoeybi2019]; [deepseek2024v3], section 3.4.2

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> step_comm_s(4.0, SERVING_SETTING, SERVING_PLAN)
    0.0
    """
    return step_reduce_s(tokens, setting, plan) + step_exchange_s(tokens, setting, plan)


@formula
def most_parts(setting: ServingSetting, plan: ServingPlan) -> float:
    """Parts that the engine may cut a step into, so that one computes while another exchanges.

    1 where nothing is exchanged. It cuts where that is faster: see decode_pass.
    Source:  [deepseek2024v3], section 3.4: two micro-batches

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> most_parts(SERVING_SETTING, SERVING_PLAN)
    1.0
    """
    if setting.model.n_moe_layers == 0 or plan.attention_dp <= 1:
        return 1.0
    return setting.engine.micro_batches


@formula
def beside_s(tokens: float, all_tokens: float, setting: ServingSetting, plan: ServingPlan) -> float:
    """Compute of one batch that needs no result of its own exchange: the shared expert, and the last expert matmul.

    The shared expert runs while tokens arrive; finished rows leave while the last matmul (one of 2 or 3) runs.

    all_tokens  of the replica
    Source:     [sglang2025], single-batch overlap

    >>> from clustercast.physics.examples import MOE, SERVING_PLAN, SERVING_SETTING
    >>> beside_s(4.0, 4.0, SERVING_SETTING._replace(model=MOE), SERVING_PLAN) > 0.0
    True
    """
    model = setting.model
    matrices = float(model.n_mlp_matrices)
    routed = experts_work(all_tokens, setting, plan)
    total_s = (routed.compute_s + routed.memory_s) / matrices
    if model.shared_ffn > 0:
        width = matrices * model.shared_ffn / plan.tp
        shared = matmul_work(tokens, width * model.hidden, 2.0 * model.hidden + width, 2.0, 0.0, setting)
        total_s += shared.compute_s + shared.memory_s
    return total_s * model.n_moe_layers


@formula
def exposed_exchange_s(
    parts: float, tokens: float, all_tokens: float, kernels_s: float, setting: ServingSetting, plan: ServingPlan
) -> float:
    """What dispatch and combine add to a step: what the compute beside them does not hide, and the cores they take.

        raw - hidden + cores hidden,   hidden = min(overlap raw, compute beside)

    With two micro-batches all kernels of the other part are beside; with one the shared expert and the last matmul.
    Only exchanges that are forwarded take cores: what is sent straight, the network card moves.

    parts       that the step is cut into
    tokens      of one rank, all parts together
    all_tokens  of the replica
    kernels_s   all kernels of the layers
    Source:     [deepep2025]; [deepseek2024v3], section 3.4

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> exposed_exchange_s(1.0, 4.0, 4.0, 1.0, SERVING_SETTING, SERVING_PLAN)
    0.0
    """
    engine = setting.engine
    if setting.model.n_moe_layers == 0 or plan.attention_dp <= 1:
        return 0.0
    raw_s = parts * step_exchange_s(tokens / parts, setting, plan)
    window_s = kernels_s
    if parts <= 1.0:
        window_s = beside_s(tokens, all_tokens, setting, plan)
    late_s = exposed_s(raw_s, engine.exchange_overlap, window_s)
    taken = 0.0
    if tokens / parts / plan.tp > engine.direct_tokens:
        taken = engine.forward_core_fraction
    return late_s + taken * (raw_s - late_s)


@formula
def head_work(rows: float, setting: ServingSetting, plan: ServingPlan) -> Work:
    """Logits of `rows` tokens.

    Source:  [pope2022]

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> head_work(1.0, SERVING_SETTING, SERVING_PLAN).memory_s > 0
    True
    """
    columns = float(setting.model.vocab) / plan.tp
    hidden = float(setting.model.hidden)
    return matmul_work(rows, hidden * columns, hidden + columns, 1.0, 1.0, setting)


@formula
def decode_parts(
    parts: float, batch: float, queries: float, context: float, setting: ServingSetting, plan: ServingPlan
) -> Pass:
    """One decode step of a full replica in so many parts; with PP the batch is cut further, one piece a stage.

        t = compute beyond memory + weights + cache + communication + launches + host

    Every part reads the weights. No part has less than one token a rank: with fewer, the rest is padding.
    Every guessed token costs another head and another start by the host; its layer is not counted here.
    A token passes every stage, so the sum over all layers at the part's size is its time.

    batch    sequences of the replica
    queries  tokens of each sequence in the step
    Source:  [pope2022]; [kwon2023] for the paged cache; [deepseek2024v3], section 3.4, for the parts

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> one, two = (decode_parts(n, 8.0, 1.0, 1000.0, SERVING_SETTING, SERVING_PLAN) for n in (1.0, 2.0))
    >>> two.weights_s > 1.5 * one.weights_s
    True
    """
    engine = setting.engine
    part = max(batch / plan.pp, min(batch, 1.0))
    rank = max(part / plan.attention_dp, min(part, 1.0))
    tokens = rank * queries
    grown = 1.0
    if parts > 1.0:
        grown = max(1.0, parts / tokens)
    here = tokens * grown
    everywhere = part * queries * grown
    none = Work(0.0, 0.0, 0.0)
    layers = layers_work(here / parts, everywhere / parts, setting, plan)
    weights = sum_of(none, layers, parts)
    mixers = sum_of(none, decode_mixers(rank * grown / parts, queries, context, setting, plan.tp), parts)
    kernels_s = weights.compute_s + weights.memory_s + mixers.compute_s + mixers.memory_s
    comm_s = step_reduce_s(tokens, setting, plan)
    comm_s += exposed_exchange_s(parts, here, everywhere, kernels_s, setting, plan)
    weights = sum_of(weights, head_work(tokens, setting, plan), 1.0)
    weights = sum_of(weights, head_work(rank, setting, plan), queries - 1.0)
    starts_s = plan.pp * (queries * engine.host_step_s + engine.host_sequence_s * rank)
    host_s = starts_s + weights.launch_s + mixers.launch_s
    compute_s = weights.compute_s + mixers.compute_s
    total_s = compute_s + weights.memory_s + mixers.memory_s + comm_s + host_s
    again_s = (parts - 1.0) * (layers.memory_s + layers.launch_s + mixers.launch_s / parts)
    once_s = weights.memory_s + host_s - again_s
    return Pass(total_s, compute_s, weights.memory_s, mixers.memory_s, comm_s, host_s, once_s)


@formula
def decode_pass(batch: float, queries: float, context: float, setting: ServingSetting, plan: ServingPlan) -> Pass:
    """One decode step of a full replica, whole or in parts, whichever is faster.

    More sequences, a longer context or a slower chip never make it faster.

    batch    sequences of the replica
    queries  tokens of each sequence in the step
    Source:  the parts above

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> done = decode_pass(8.0, 1.0, 1000.0, SERVING_SETTING, SERVING_PLAN)
    >>> abs(done.compute_s + done.weights_s + done.kv_s + done.comm_s + done.host_s - done.total_s) < 1e-12
    True
    """
    whole = decode_parts(1.0, batch, queries, context, setting, plan)
    parts = most_parts(setting, plan)
    if parts > 1.0:
        cut = decode_parts(parts, batch, queries, context, setting, plan)
        if cut.total_s < whole.total_s:
            return cut
    return whole


@formula
def prefill_parts(
    parts: float, n_sequences: float, length: float, n_busy: float, setting: ServingSetting, plan: ServingPlan
) -> Pass:
    """Prefill of whole sequences on each of `n_busy` attention ranks at once, each step in so many parts.

    With PP the stages in turn.

    n_sequences  of one rank;   length  tokens of each
    Source:      [pope2022]; [deepseek2024v3], section 3.4, for the parts

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> one, two = (prefill_parts(n, 1.0, 1000.0, 1.0, SERVING_SETTING, SERVING_PLAN) for n in (1.0, 2.0))
    >>> one.total_s < two.total_s
    True
    """
    engine = setting.engine
    tokens = n_sequences * length
    n_steps = max(1.0, tokens / engine.chunk_tokens)
    at_once = tokens / n_steps
    here = at_once
    if parts > 1.0:
        here = max(at_once, parts)
    none = Work(0.0, 0.0, 0.0)
    weights = sum_of(none, layers_work(here / parts, here * n_busy / parts, setting, plan), parts)
    mixers = sum_of(none, prefill_mixers(here / parts, length, setting, plan.tp), parts)
    head = head_work(n_sequences, setting, plan)
    compute_s = n_steps * (weights.compute_s + mixers.compute_s) + head.compute_s
    weights_s = n_steps * (weights.memory_s + mixers.memory_s) + head.memory_s
    host_s = n_steps * (weights.launch_s + mixers.launch_s + engine.prefill_step_s)
    kernels_s = weights.compute_s + weights.memory_s + mixers.compute_s + mixers.memory_s
    comm_s = step_reduce_s(at_once, setting, plan)
    comm_s = n_steps * (comm_s + exposed_exchange_s(parts, here, here * n_busy, kernels_s, setting, plan))
    total_s = compute_s + weights_s + comm_s + host_s
    return Pass(total_s, compute_s, weights_s, 0.0, comm_s, host_s, weights_s + host_s)


@formula
def prefill_pass(n_sequences: float, length: float, n_busy: float, setting: ServingSetting, plan: ServingPlan) -> Pass:
    """Prefill of whole sequences on each of `n_busy` attention ranks at once, whole or in parts: the faster.

    n_sequences  of one rank;   length  tokens of each
    Source:      the parts above

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> done = prefill_pass(1.0, 1000.0, 1.0, SERVING_SETTING, SERVING_PLAN)
    >>> abs(done.compute_s + done.weights_s + done.kv_s + done.comm_s + done.host_s - done.total_s) < 1e-12
    True
    """
    whole = prefill_parts(1.0, n_sequences, length, n_busy, setting, plan)
    parts = most_parts(setting, plan)
    if parts > 1.0:
        cut = prefill_parts(parts, n_sequences, length, n_busy, setting, plan)
        if cut.total_s < whole.total_s:
            return cut
    return whole


@formula
def serving_weights_bytes(setting: ServingSetting, plan: ServingPlan) -> float:
    """Weights that one chip of a replica holds: TP divides dense parts, EP and ETP experts, PP layers.

    Embedding and head stay in the element format; they share the first and the last stage, so a stage holds one.
    A layer that guesses tokens (`n_mtp_layers`: none unless the engine guesses) is a whole one behind a projection
    of two joined hidden states, on the last stage.
    Source:  [pope2022]; [deepseek2024v3], section 3.4

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> serving_weights_bytes(SERVING_SETTING, SERVING_PLAN) > 0
    True
    """
    model = setting.model
    precision = setting.precision
    hidden = float(model.hidden)
    n_attention = float(model.n_full_layers + model.n_window_layers)
    params = n_attention * projection_params(model, plan.tp) + model.n_linear_layers * model.linear_params / plan.tp
    matrices = float(model.n_mlp_matrices)
    params += model.n_dense_layers * matrices * hidden * model.ffn / plan.tp
    experts = 0.0
    if model.n_moe_layers > 0:
        params += model.n_moe_layers * hidden * (matrices * model.shared_ffn / plan.tp + model.n_experts)
        held = model.n_experts + setting.engine.redundant_experts
        experts = matrices * hidden * model.expert_ffn / plan.etp * held / plan.ep * model.n_moe_layers
    ends = hidden * model.vocab / plan.tp
    if model.tied == 0 and plan.pp == 1:
        ends *= 2.0
    stage_share = math.ceil(model.n_layers / plan.pp) / float(model.n_layers)
    held_bytes = params * precision.weight_bytes + experts * precision.expert_weight_bytes
    guessing_bytes = 0.0
    if model.n_mtp_layers > 0:
        dense = projection_params(model, plan.tp) + 2.0 * hidden * hidden
        if model.n_moe_layers > 0:
            dense += hidden * (matrices * model.shared_ffn / plan.tp + model.n_experts)
            guessing_bytes = experts / model.n_moe_layers * precision.expert_weight_bytes
        else:
            dense += matrices * hidden * model.ffn / plan.tp
        guessing_bytes = model.n_mtp_layers * (guessing_bytes + dense * precision.weight_bytes)
    return held_bytes * stage_share + guessing_bytes + ends * precision.element_bytes


@formula
def free_bytes(setting: ServingSetting, plan: ServingPlan) -> float:
    """Memory of one chip that is left for the cache.

        (capacity - reserved) * the engine's share - weights - workspace

    Source:  [kwon2023]

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> free_bytes(SERVING_SETTING, SERVING_PLAN) < SERVING_SETTING.chip.hbm_bytes
    True
    """
    capacity_bytes = (setting.chip.hbm_bytes - setting.chip.reserved_bytes) * setting.engine.memory_fraction
    return max(0.0, capacity_bytes - serving_weights_bytes(setting, plan) - setting.engine.workspace_bytes)


@formula
def rank_sequence_bytes(tokens: float, setting: ServingSetting, plan: ServingPlan) -> float:
    """Cache of one sequence of `tokens` on one chip of a replica: PP divides the layers.

    Layers that guess tokens keep every one, on the last stage.

    Source:  [kwon2023]

    >>> from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
    >>> rank_sequence_bytes(10.0, SERVING_SETTING, SERVING_PLAN) == 8 * 10 * 2.0 * 8 * 256
    True
    """
    stage_share = math.ceil(setting.model.n_layers / plan.pp) / float(setting.model.n_layers)
    layers_bytes = kv_sequence_bytes(setting.model, plan.tp, setting.precision.kv_bytes, tokens) * stage_share
    each_bytes = kv_token_bytes(setting.model, plan.tp, setting.precision.kv_bytes)
    return layers_bytes + setting.model.n_mtp_layers * tokens * each_bytes


@formula
def mean_cached_tokens(job: ServingJob) -> float:
    """Tokens that a decoding sequence holds on average: longer answers are seen longer.

        L + E[O^2] / (2 E[O])

    Source:  [kleinrock1975], the mean residual life

    >>> from clustercast.physics.examples import SERVING_JOB
    >>> mean_cached_tokens(SERVING_JOB)
    1152.0
    """
    return job.input_len + 0.5 * job.output_len * job.output_square_factor


@formula
def new_tokens(job: ServingJob) -> float:
    """Tokens of a prompt that the prefix cache does not hold, at least one.

    Source:  arithmetic

    >>> from clustercast.physics.examples import SERVING_JOB
    >>> new_tokens(SERVING_JOB._replace(hit_fraction=0.25))
    768.0
    """
    return max(job.input_len * (1.0 - job.hit_fraction), 1.0)


@formula
def prompts_pass(n_prompts: float, n_busy: float, job: ServingJob, setting: ServingSetting, plan: ServingPlan) -> Pass:
    """Prefill of the new tokens of `n_prompts` of a job on each of `n_busy` attention ranks.

    A new token sees the cached prefix and half of the new tokens; long prompts weigh by their square.
    Source:  [zheng2024] for the prefix cache

    >>> from clustercast.physics.examples import SERVING_JOB, SERVING_PLAN, SERVING_SETTING
    >>> prompts_pass(1.0, 1.0, SERVING_JOB, SERVING_SETTING, SERVING_PLAN) == (
    ...     prefill_pass(1.0, 1024.0, 1.0, SERVING_SETTING, SERVING_PLAN))
    True
    """
    new = new_tokens(job)
    length = 2.0 * (job.input_len - 0.5 * new) * job.input_square_factor
    return prefill_pass(n_prompts * (new / length), length, n_busy, setting, plan)


@formula
def in_flight_limit(job: ServingJob, setting: ServingSetting, plan: ServingPlan) -> float:
    """Sequences that decode at once: those asked for, those whose cache fits, those the engine takes.

    A sequence holds its input and half its output on average (more where lengths differ). One per rank always runs:
    what memory alone forbids was evidently run in another way (offload, fewer bytes than counted).
    Source:  [kwon2023]

    >>> from clustercast.physics.examples import SERVING_JOB, SERVING_PLAN, SERVING_SETTING
    >>> in_flight_limit(SERVING_JOB._replace(batch=2.0), SERVING_SETTING, SERVING_PLAN)
    2.0
    """
    each_bytes = rank_sequence_bytes(mean_cached_tokens(job), setting, plan)
    per_rank = min(free_bytes(setting, plan) / each_bytes, setting.engine.max_batch)
    return min(job.batch, max(per_rank, 1.0) * plan.attention_dp)


@formula
def drafting_factor(n_drafts: float, model: Model) -> float:
    """Time of a step that guesses tokens over one that does not: a draft runs about one layer more.

        1 + drafts / layers

    Source:  [deepseek2024v3], section 2.2: one layer a predicted token

    >>> from clustercast.physics.examples import MODEL
    >>> drafting_factor(0.5 * MODEL.n_layers, MODEL)
    1.5
    """
    return 1.0 + n_drafts / float(model.n_layers)


@formula
def token_steps_factor(job: ServingJob, model: Model) -> float:
    """Decode steps, of those that guess nothing, that one output token costs.

        drafting / accepted

    Source:  [deepseek2024v3], section 5.4.3 for accepted tokens

    >>> from clustercast.physics.examples import MODEL, SERVING_JOB
    >>> token_steps_factor(SERVING_JOB._replace(n_drafts=0.0, accepted_tokens=2.0), MODEL)
    0.5
    """
    return drafting_factor(job.n_drafts, model) / job.accepted_tokens


@formula
def static_batch(setting: ServingSetting, job: ServingJob, plan: ServingPlan) -> Load:
    """A whole batch at once: one prefill of all sequences, then the other tokens step by step.

        t = waves * (P(batch) + (O - 1) S)       waves: what does not fit follows

    Source:  [pope2022]

    >>> from clustercast.physics.examples import SERVING_JOB, SERVING_PLAN, SERVING_SETTING
    >>> done = static_batch(SERVING_SETTING, SERVING_JOB, SERVING_PLAN)
    >>> abs(done.latency_s - done.ttft_s - (SERVING_JOB.output_len - 1) * done.tpot_s) < 1e-9
    True
    """
    engine = setting.engine
    limit = in_flight_limit(job, setting, plan)
    waves = job.batch / limit
    context = mean_cached_tokens(job)
    step = decode_pass(limit, 1.0 + job.n_drafts, context, setting, plan)
    drafted = token_steps_factor(job, setting.model)
    ranks = float(plan.attention_dp)
    first = prompts_pass(max(limit / ranks, 1.0), min(ranks, limit), job, setting, plan)
    ttft_s = first.total_s + engine.first_token_s
    tpot_s = step.total_s * drafted
    latency_s = waves * (ttft_s + (job.output_len - 1.0) * tpot_s)
    return Load(
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        latency_s=latency_s,
        requests_per_s=job.batch / latency_s,
        in_flight=limit,
        decode_compute_s=step.compute_s * drafted,
        decode_weights_s=step.weights_s * drafted,
        decode_kv_s=step.kv_s * drafted,
        decode_comm_s=step.comm_s * drafted,
        decode_host_s=step.host_s * drafted,
        interference_s=0.0,
    )


@formula
def decode_pool(setting: ServingSetting, job: ServingJob, plan: ServingPlan) -> Load:
    """A worker that only decodes, `batch` sequences at once: a token is a step.

    Source:  [patel2024], [zhong2024] for prefill and decode apart

    >>> from clustercast.physics.examples import SERVING_JOB, SERVING_PLAN, SERVING_SETTING
    >>> done = decode_pool(SERVING_SETTING, SERVING_JOB, SERVING_PLAN)
    >>> done.tpot_s == decode_pass(8.0, 1.0, 1024.0 + 128.0, SERVING_SETTING, SERVING_PLAN).total_s
    True
    """
    in_flight = in_flight_limit(job, setting, plan)
    step = decode_pass(in_flight, 1.0 + job.n_drafts, mean_cached_tokens(job), setting, plan)
    drafted = token_steps_factor(job, setting.model)
    tpot_s = step.total_s * drafted
    return Load(
        ttft_s=tpot_s,
        tpot_s=tpot_s,
        latency_s=job.output_len * tpot_s,
        requests_per_s=in_flight / (job.output_len * tpot_s),
        in_flight=in_flight,
        decode_compute_s=step.compute_s * drafted,
        decode_weights_s=step.weights_s * drafted,
        decode_kv_s=step.kv_s * drafted,
        decode_comm_s=step.comm_s * drafted,
        decode_host_s=step.host_s * drafted,
        interference_s=0.0,
    )


@formula
def n_above_zero(n_mean: float, n_deviation: float) -> float:
    """Mean of a normal variable above zero, given that it is above zero.

        m + s phi(m / s) / Phi(m / s)

    Source:  [kleinrock1976], the diffusion approximation of a queue

    >>> round(n_above_zero(0.0, 1.0), 4)
    0.7979
    """
    if n_deviation <= 0.0:
        return max(n_mean, 0.0)
    at = n_mean / n_deviation
    if at < -8.0:
        far = 1.0 / (at * at)  # the series of Mills' ratio, where the difference below has no digits left
        return -n_deviation / at * (1.0 - far * (2.0 - far * (10.0 - 74.0 * far)))
    density = math.exp(-0.5 * at * at) / math.sqrt(2.0 * math.pi)
    return n_mean + n_deviation * density / (0.5 * math.erfc(-at / math.sqrt(2.0)))


@formula
def prefill_pool(setting: ServingSetting, job: ServingJob, plan: ServingPlan) -> Load:
    """A worker that only prefills and hands the cache on; `batch` requests share it and are elsewhere meanwhile.

        TTFT = T0 + handing over + P + W Q,   W = P of full steps / sequences in them
        Q    = normal above zero of mean C - k, variance k / 2,  k = away / W,  times min(C / k, 1)^2
        the first of n waves, all at once: W (C - 1) / 2

    away  T0, handing over, P and the time elsewhere: so many requests are on their way where the worker is full
    Source:  [patel2024], [zhong2024]; [kleinrock1976] for the queue of a closed loop

    >>> from clustercast.physics.examples import SERVING_JOB, SERVING_PLAN, SERVING_SETTING
    >>> done = prefill_pool(SERVING_SETTING, SERVING_JOB, SERVING_PLAN)
    >>> done.requests_per_s > 0.0 and done.ttft_s > 0.0
    True
    """
    engine = setting.engine
    alone = prompts_pass(1.0, 1.0, job, setting, plan)
    n_together = max(1.0, engine.chunk_tokens / new_tokens(job))
    ranks = float(plan.attention_dp)
    full = prompts_pass(n_together, ranks, job, setting, plan)
    request_s = full.total_s / n_together / ranks / plan.pp
    first_s = engine.first_token_s + engine.handover_s + alone.total_s
    n_away = (first_s + job.elsewhere_s) / request_s
    load = min(job.batch / n_away, 1.0)
    queue_s = request_s * n_above_zero(job.batch - n_away, math.sqrt(0.5 * n_away)) * load * load
    if job.batch <= 1.0:
        queue_s = 0.0
    ttft_s = first_s + queue_s
    if job.n_waves > 0.0:
        burst_s = 0.5 * request_s * max(job.batch - 1.0, 0.0)
        ttft_s += max(burst_s - queue_s, 0.0) / job.n_waves
    return Load(
        ttft_s=ttft_s,
        tpot_s=0.0,
        latency_s=ttft_s,
        requests_per_s=1.0 / request_s,
        in_flight=n_together,
        decode_compute_s=0.0,
        decode_weights_s=0.0,
        decode_kv_s=0.0,
        decode_comm_s=0.0,
        decode_host_s=0.0,
        interference_s=0.0,
    )


@formula
def serve(setting: ServingSetting, job: ServingJob, plan: ServingPlan) -> Serving:
    """Prefill of one sequence, alone, and a steady decode step of a full batch on one replica.

        TTFT = compute + communication + host,   one sequence alone
        TPOT = compute beyond memory + weights + cache + communication + host

    The decode step is taken at the mean context, input + output / 2.
    Source:  [pope2022]; [kwon2023] for the paged cache

    >>> from clustercast.physics.examples import SERVING_JOB, SERVING_PLAN, SERVING_SETTING
    >>> done = serve(SERVING_SETTING, SERVING_JOB, SERVING_PLAN)
    >>> terms = done.decode_compute_s + done.decode_weights_s + done.decode_kv_s
    >>> abs(done.tpot_s - terms - done.decode_comm_s - done.decode_host_s) < 1e-12
    True
    """
    engine = setting.engine
    tokens = float(job.input_len)
    first = prompts_pass(1.0, 1.0, job, setting, plan)
    busy = prompts_pass(1.0, float(plan.attention_dp), job, setting, plan)
    context = mean_cached_tokens(job)
    step = decode_pass(job.batch, 1.0 + job.n_drafts, context, setting, plan)
    drafted = token_steps_factor(job, setting.model)
    tpot_s = step.total_s * drafted
    weights_bytes = serving_weights_bytes(setting, plan)
    sequence_bytes = rank_sequence_bytes(float(job.input_len + job.output_len), setting, plan)
    capacity_bytes = (setting.chip.hbm_bytes - setting.chip.reserved_bytes) * engine.memory_fraction
    kv_bytes = math.ceil(job.batch / plan.attention_dp) * sequence_bytes
    return Serving(
        ttft_s=first.total_s,
        tpot_s=tpot_s,
        prefill_tokens_per_s=tokens * plan.attention_dp * plan.pp / busy.total_s,
        output_tokens_per_s=job.batch / tpot_s,
        weights_bytes=weights_bytes,
        kv_bytes=kv_bytes,
        workspace_bytes=engine.workspace_bytes,
        memory_bytes=weights_bytes + kv_bytes + engine.workspace_bytes,
        capacity_bytes=capacity_bytes,
        max_batch=math.floor(free_bytes(setting, plan) / sequence_bytes) * float(plan.attention_dp),
        decode_compute_s=step.compute_s * drafted,
        decode_weights_s=step.weights_s * drafted,
        decode_kv_s=step.kv_s * drafted,
        decode_comm_s=step.comm_s * drafted,
        decode_host_s=step.host_s * drafted,
        prefill_compute_s=first.compute_s + first.weights_s,
        prefill_comm_s=first.comm_s,
        prefill_host_s=first.host_s,
    )
