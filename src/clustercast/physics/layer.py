"""One mean layer and the two ends of a model on one chip, for one micro-batch: time, memory, FLOPs.

A layer is the mean over the model's kinds (full, window, linear attention; dense, mixture MLPs),
weighted by how many of them there are.
"""

import math
from typing import NamedTuple

from clustercast.physics.collectives import (
    Spread,
    all_reduce_s,
    dispatch_s,
    even_all_to_all_s,
    send_s,
    shard_exchange_s,
    spread,
)
from clustercast.physics.formula import formula
from clustercast.physics.roofline import (
    attention_flop,
    attention_s,
    element_s,
    exposed_s,
    grouped_matmul_s,
    join_s,
    matmul_s,
    mean_context,
)
from clustercast.records import (
    CP_RING,
    MLA,
    RECOMPUTE_BLOCK,
    RECOMPUTE_FULL,
    RECOMPUTE_SELECTIVE,
    Ends,
    Layer,
    Plan,
    Setting,
)


class Cost(NamedTuple):
    """Kernels of a part of a layer: forward, gradient of the input, gradient of the weights; parameters held; FLOPs."""

    forward_s: float
    input_gradient_s: float
    weight_gradient_s: float
    params: float
    flop: float  # forward


NO_COST = Cost(0.0, 0.0, 0.0, 0.0, 0.0)


@formula
def add(one: Cost, other: Cost, share: float) -> Cost:
    """One part and a share of another, added field by field.

    Source:  arithmetic

    >>> add(Cost(1.0, 1.0, 1.0, 1.0, 1.0), Cost(2.0, 2.0, 2.0, 2.0, 2.0), 0.5).flop
    2.0
    """
    return Cost(
        one.forward_s + share * other.forward_s,
        one.input_gradient_s + share * other.input_gradient_s,
        one.weight_gradient_s + share * other.weight_gradient_s,
        one.params + share * other.params,
        one.flop + share * other.flop,
    )


@formula
def tokens_per_chip(setting: Setting, plan: Plan) -> float:
    """Tokens of one micro-batch that one chip works on, before tensor parallelism divides the features.

        b s / cp

    Source:  [korthikanti2022]

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> tokens_per_chip(SETTING, PLAN._replace(micro_batch=2, cp=4)) * 2 == SETTING.job.seq_len
    True
    """
    return float(plan.micro_batch) * setting.job.seq_len / plan.cp


@formula
def matmul_fraction(setting: Setting) -> float:
    """Share of peak that large matmuls reach once the casts that the micro-benchmark includes are counted apart.

        min(e_c * factor, max(e_c, ceiling))

    Source:  fitted by bench/fit_operations.py and bench/fit_training.py

    >>> from clustercast.physics.examples import SETTING
    >>> matmul_fraction(SETTING)
    0.8
    """
    own = setting.kernels.matmul_fraction
    return min(own * setting.precision.matmul_factor, max(own, setting.precision.matmul_ceiling))


@formula
def linear_cost(rows: float, columns: float, depth: float, setting: Setting) -> Cost:
    """A linear layer [rows, depth] x [depth, columns]: the matmul forward and its two gradients.

    Each of the three reads two operands and writes a result:

        y = x W,   dx = dy W^T,   dW = x^T dy

    Quantised recipes also cast every operand (`cast_bytes` per element).
    Source:  [narayanan2021], appendix

    >>> from clustercast.physics.examples import SETTING
    >>> linear_cost(10.0, 20.0, 30.0, SETTING).flop
    12000.0
    """
    chip = setting.chip
    precision = setting.precision
    rate = chip.matmul_flop_per_s * chip.clock_fraction * setting.stack.matmul_factor * matmul_fraction(setting)
    inputs = rows * depth
    outputs = rows * columns
    weights = depth * columns
    in_bytes = inputs * precision.activation_bytes
    out_bytes = outputs * precision.element_bytes
    weight_bytes = weights * precision.weight_bytes
    gradient_bytes = weights * setting.stack.gradient_pass_bytes
    cast_s = element_s(inputs * precision.cast_bytes, 0.0, chip.hbm_bytes_per_s, setting.kernels)
    gradient_cast_s = element_s(outputs * precision.cast_bytes, 0.0, chip.hbm_bytes_per_s, setting.kernels)
    forward_s = matmul_s(
        rows, columns, depth, in_bytes + weight_bytes + out_bytes, rate, chip.hbm_bytes_per_s, setting.kernels
    )
    input_gradient_s = matmul_s(
        rows, depth, columns, out_bytes + weight_bytes + in_bytes, rate, chip.hbm_bytes_per_s, setting.kernels
    )
    weight_gradient_s = matmul_s(
        depth, columns, rows, in_bytes + out_bytes + gradient_bytes, rate, chip.hbm_bytes_per_s, setting.kernels
    )
    return Cost(
        forward_s + cast_s, input_gradient_s + gradient_cast_s, weight_gradient_s, weights, 2.0 * rows * weights
    )


@formula
def experts_cost(rows: float, columns: float, depth: float, n_experts: float, setting: Setting) -> Cost:
    """The same linear layer in every expert of one chip: grouped matmuls forward and backward.

        rate = dense rate * factor * sqrt(side / (side + 3 half)),   side = sqrt(n k)

    so that the rate is halved where the side is `half`, the stack's expert_half_width.

    Narrow experts run slower: their tiles are few and their inner loops short.

    rows       of all experts together
    n_experts  held by the chip
    Source:    [gale2023megablocks] for grouping; as linear_cost

    >>> from clustercast.physics.examples import SETTING
    >>> experts_cost(10.0, 20.0, 30.0, 2.0, SETTING).params
    1200.0
    """
    chip = setting.chip
    precision = setting.precision
    hbm = chip.hbm_bytes_per_s
    rate = chip.expert_flop_per_s * chip.clock_fraction * setting.stack.matmul_factor
    rate *= matmul_fraction(setting) * setting.stack.expert_factor
    side = math.sqrt(columns * depth)
    rate *= math.sqrt(side / (side + 3.0 * setting.stack.expert_half_width))
    inputs = rows * depth
    outputs = rows * columns
    weights = depth * columns * n_experts
    in_bytes = inputs * precision.activation_bytes
    out_bytes = outputs * precision.element_bytes
    weight_bytes = weights * precision.weight_bytes
    gradient_bytes = weights * setting.stack.gradient_pass_bytes
    cast_s = element_s(inputs * precision.cast_bytes, 0.0, hbm, setting.kernels)
    gradient_cast_s = element_s(outputs * precision.cast_bytes, 0.0, hbm, setting.kernels)
    traffic_bytes = in_bytes + weight_bytes + out_bytes
    forward_s = grouped_matmul_s(rows, columns, depth, n_experts, traffic_bytes, rate, hbm, setting.kernels)
    input_gradient_s = grouped_matmul_s(rows, depth, columns, n_experts, traffic_bytes, rate, hbm, setting.kernels)
    weight_gradient_s = grouped_matmul_s(
        rows, columns, depth, n_experts, in_bytes + out_bytes + gradient_bytes, rate, hbm, setting.kernels
    )
    return Cost(
        forward_s + cast_s,
        input_gradient_s + gradient_cast_s,
        weight_gradient_s,
        weights,
        2.0 * rows * depth * columns,
    )


@formula
def projection_cost(tokens: float, setting: Setting, plan: Plan) -> Cost:
    """The matmuls around attention: queries, keys and values in, the result out.

    Grouped queries: [h -> (a d + 2 k d) / tp] and [a d / tp -> h]; key-value heads are replicated
    when TP exceeds them. Latent attention: down and up projections of queries and of keys and values;
    the down projections and an indexer's are not divided by TP.
    Source:  [ainslie2023], [deepseek2024v2], [deepseek2025v32]

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> projection_cost(10.0, SETTING, PLAN).params == 4.0 * SETTING.model.hidden * SETTING.model.hidden
    True
    """
    model = setting.model
    heads = float(model.n_heads) / plan.tp
    hidden = float(model.hidden)
    out = linear_cost(tokens, hidden, heads * model.v_head_dim, setting)
    if model.attention == MLA:
        rope = float(model.qk_rope_dim)
        down_kv = linear_cost(tokens, model.kv_lora + rope, hidden, setting)
        up_kv = linear_cost(
            tokens, heads * (model.qk_head_dim - rope + model.v_head_dim), float(model.kv_lora), setting
        )
        cost = add(add(out, down_kv, 1.0), up_kv, 1.0)
        if model.index_heads > 0:
            from_queries = linear_cost(tokens, float(model.index_heads * model.index_dim), float(model.q_lora), setting)
            keys = linear_cost(tokens, float(model.index_dim + model.index_heads), hidden, setting)
            cost = add(add(cost, from_queries, 1.0), keys, 1.0)
        if model.q_lora > 0:
            down_q = linear_cost(tokens, float(model.q_lora), hidden, setting)
            up_q = linear_cost(tokens, heads * model.qk_head_dim, float(model.q_lora), setting)
            return add(add(cost, down_q, 1.0), up_q, 1.0)
        return add(cost, linear_cost(tokens, heads * model.qk_head_dim, hidden, setting), 1.0)
    kv_heads = max(float(model.n_kv_heads) / plan.tp, 1.0)
    columns = heads * model.qk_head_dim + kv_heads * (model.qk_head_dim + model.v_head_dim)
    return add(out, linear_cost(tokens, columns, hidden, setting), 1.0)


@formula
def attention_core_cost(tokens: float, context: float, setting: Setting, plan: Plan) -> Cost:
    """Scores, softmax and weighted values of one layer, forward and backward.

    A fused kernel works on the causal half and keeps scores on chip; its backward pass computes the
    scores again (2.5 times the forward FLOPs, [dao2023]). An unfused one works on whole rows (twice
    the causal FLOPs), its backward does twice the forward, and every score makes round trips to HBM.
    Matrix units take operands whose rows are multiples of 8 elements; others run on vector units.

    tokens   queries of the chip; context  keys per query, causal mean
    Source:  [dao2022], [dao2023], [korthikanti2022]; alignment [nvidia2020matmul]

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> attention_core_cost(10.0, 5.0, SETTING, PLAN).params
    0.0
    """
    model = setting.model
    kernels = setting.kernels
    chip = setting.chip
    heads = float(model.n_heads) / plan.tp
    kv_heads = max(float(model.n_kv_heads) / plan.tp, 1.0)
    if model.attention == MLA:
        kv_heads = heads
    peak = chip.attention_flop_per_s * chip.clock_fraction * setting.stack.attention_factor
    if model.qk_head_dim % 8 != 0:
        peak *= setting.stack.misaligned_factor
    elements = tokens * (heads + kv_heads) * (model.qk_head_dim + model.v_head_dim)
    traffic_bytes = elements * setting.precision.element_bytes
    flop = attention_flop(tokens, context, heads, model.qk_head_dim, model.v_head_dim)
    whole = 1.0
    backward_ratio = 2.5
    if setting.stack.score_bytes > 0.0:
        whole = 2.0
        backward_ratio = 2.0
        traffic_bytes += tokens * 2.0 * context * heads * setting.stack.score_bytes
    hbm = chip.hbm_bytes_per_s
    forward_s = attention_s(whole * flop, traffic_bytes, kernels.attention_forward_fraction, peak, hbm, kernels)
    backward_s = attention_s(
        whole * backward_ratio * flop, 2.0 * traffic_bytes, kernels.attention_backward_fraction, peak, hbm, kernels
    )
    return Cost(forward_s, backward_s, 0.0, 0.0, flop)


@formula
def linear_attention_cost(tokens: float, setting: Setting, plan: Plan) -> Cost:
    """A linear-attention or state-space mixer: its projections and the chunked recurrence.

        projections  one matmul of all its parameters;   recurrence  6 T H d_k d_v FLOPs

    Source:  [yang2024deltanet], [dao2024mamba2]

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> linear_attention_cost(10.0, SETTING, PLAN).flop
    0.0
    """
    model = setting.model
    if model.n_linear_layers == 0:
        return NO_COST
    hidden = float(model.hidden)
    columns = model.linear_params / hidden / plan.tp
    projections = linear_cost(tokens, columns, hidden, setting)
    heads = float(model.linear_v_heads) / plan.tp
    flop = 6.0 * tokens * heads * model.linear_k_dim * model.linear_v_dim
    chip = setting.chip
    elements = tokens * heads * (2.0 * model.linear_k_dim + 2.0 * model.linear_v_dim)
    forward_s = attention_s(
        flop,
        elements * setting.precision.element_bytes,
        setting.kernels.attention_forward_fraction,
        chip.attention_flop_per_s * chip.clock_fraction,
        chip.hbm_bytes_per_s,
        setting.kernels,
    )
    return add(projections, Cost(forward_s, 2.0 * forward_s, 0.0, 0.0, flop), 1.0)


@formula
def element_traffic_bytes(tokens: float, setting: Setting, plan: Plan) -> float:
    """HBM traffic of the element-wise kernels of one layer, forward.

        10 h      two norms (read, write) and two residual sums (read, read, write)
        2 (q + k) rotary position or bias; 2 w in a linear mixer of parameters w h
        3 f or 2 f   activation of a gated or plain MLP; 4 k h for moving tokens to k experts and back

    The first line is divided by TP only with sequence parallelism, the others always are.
    Source:  [korthikanti2022], counted as tensors read and written; the stack's factor scales it

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> element_traffic_bytes(1.0, SETTING, PLAN) == 2 * (10 + 4 + 2 * 4) * SETTING.model.hidden
    True
    """
    model = setting.model
    n_layers = float(model.n_layers)
    n_mixers = float(model.n_full_layers + model.n_window_layers + model.n_linear_layers)
    hidden = float(model.hidden)
    sharded = 1.0 / plan.tp
    spread_share = 1.0
    if plan.sequence_parallel == 1:
        spread_share = sharded
    n_mlps = float(model.n_dense_layers + model.n_moe_layers)
    elements = spread_share * 5.0 * hidden * (n_mixers + n_mlps) / n_layers
    heads = model.n_heads * sharded
    kv_heads = max(model.n_kv_heads * sharded, 1.0)
    if model.attention == MLA:
        kv_heads = heads
    n_attention = float(model.n_full_layers + model.n_window_layers)
    elements += 2.0 * model.qk_head_dim * (heads + kv_heads) * n_attention / n_layers
    elements += 2.0 * model.linear_params / hidden * sharded * model.n_linear_layers / n_layers
    passes = float(model.n_mlp_matrices)
    elements += passes * model.ffn * sharded * model.n_dense_layers / n_layers
    if model.n_moe_layers > 0:
        per_token = passes * (model.n_active_experts * model.expert_ffn + model.shared_ffn) * sharded
        per_token += 4.0 * model.n_active_experts * hidden * sharded
        elements += per_token * model.n_moe_layers / n_layers
    return tokens * elements * setting.precision.element_bytes * setting.stack.element_bytes_factor


@formula
def dense_mlp_cost(tokens: float, width: float, setting: Setting, plan: Plan) -> Cost:
    """A dense MLP (or the shared experts): up (and gate), down.

        [h -> (m - 1) f / tp], [f / tp -> h],   m matrices

    Source:  [shoeybi2019]; gating [shazeer2020]

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> dense_mlp_cost(10.0, 100.0, SETTING, PLAN).params == 2.0 * 100.0 * SETTING.model.hidden
    True
    """
    model = setting.model
    hidden = float(model.hidden)
    width_here = width / plan.tp
    up = linear_cost(tokens, (model.n_mlp_matrices - 1.0) * width_here, hidden, setting)
    return add(up, linear_cost(tokens, hidden, width_here, setting), 1.0)


@formula
def routed_mlp_cost(tokens: float, setting: Setting, plan: Plan) -> Cost:
    """The routed experts of one chip, and the router.

    Each chip brings tokens / tp of its own; EP gathers as many from its peers as it sends away, and
    expert tensor parallelism makes etp chips work on the same tokens, a slice of every expert each.

        rows = tokens / tp * etp * k,   experts here = E / ep,   width = f / etp

    Source:  [fedus2021]; folding of EP and ETP into TP, CP, DP [liu2025moefolding]

    >>> from clustercast.physics.examples import MOE, PLAN, SETTING
    >>> setting = SETTING._replace(model=MOE)
    >>> here = routed_mlp_cost(10.0, setting, PLAN._replace(ep=2)).params
    >>> here == MOE.n_experts / 2 * 2 * MOE.hidden * MOE.expert_ffn + MOE.n_experts * MOE.hidden
    True
    """
    model = setting.model
    hidden = float(model.hidden)
    own_tokens = tokens / plan.tp
    rows = own_tokens * plan.etp * model.n_active_experts
    n_experts = float(model.n_experts) / plan.ep
    width = float(model.expert_ffn) / plan.etp
    up = experts_cost(rows, (model.n_mlp_matrices - 1.0) * width, hidden, n_experts, setting)
    down = experts_cost(rows, hidden, width, n_experts, setting)
    uneven = 1.0 + setting.stack.expert_imbalance * math.log2(float(plan.ep))
    router = linear_cost(own_tokens, float(model.n_experts), hidden, setting)
    both = add(up, down, 1.0)
    slowed = Cost(
        uneven * both.forward_s,
        uneven * both.input_gradient_s,
        uneven * both.weight_gradient_s,
        both.params,
        both.flop,
    )
    return add(slowed, router, 1.0)


@formula
def tp_comm_s(tokens: float, setting: Setting, plan: Plan) -> float:
    """Tensor-parallel communication of one layer, forward (the backward pass moves as much).

    Two all-reduces of the hidden states, or with sequence parallelism an all-gather and a
    reduce-scatter each. A mixture layer whose experts are not sliced (etp = 1) needs only those of
    its attention; with etp > 1 the dispatched tokens are gathered and scattered over etp.
    Source:  [shoeybi2019], [korthikanti2022]

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> tp_comm_s(10.0, SETTING, PLAN)
    0.0
    """
    model = setting.model
    if plan.tp == 1 and plan.etp == 1:
        return 0.0
    n_layers = float(model.n_layers)
    where = spread(plan.tp, 1, setting.cluster)
    payload_bytes = tokens * model.hidden * setting.precision.tp_wire_bytes
    if plan.sequence_parallel == 1:
        once_s = 2.0 * shard_exchange_s(payload_bytes, where, setting.cluster)
    else:
        once_s = all_reduce_s(payload_bytes, where, setting.cluster)
    n_mixers = float(model.n_full_layers + model.n_window_layers + model.n_linear_layers)
    total_s = once_s * (n_mixers + model.n_dense_layers) / n_layers
    if model.n_moe_layers > 0:
        if model.shared_ffn > 0 or plan.sequence_parallel == 0:
            total_s += once_s * model.n_moe_layers / n_layers
        if plan.etp > 1:
            slices = spread(plan.etp, 1, setting.cluster)
            rows = tokens / plan.tp * plan.etp * model.n_active_experts
            sliced_bytes = rows * model.hidden * setting.precision.tp_wire_bytes
            total_s += 2.0 * shard_exchange_s(sliced_bytes, slices, setting.cluster) * model.n_moe_layers / n_layers
    return total_s * setting.stack.collective_factor


@formula
def ep_comm_s(tokens: float, setting: Setting, plan: Plan) -> float:
    """Expert-parallel dispatch and combine of one layer, forward (the backward pass moves as much).

    Source:  [deepseek2024v3], section 3.2.2

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> ep_comm_s(10.0, SETTING, PLAN)
    0.0
    """
    model = setting.model
    if plan.ep == 1 or model.n_moe_layers == 0:
        return 0.0
    where = spread(plan.ep, plan.etp, setting.cluster)
    own_tokens = tokens / plan.tp
    choices = float(model.n_active_experts)
    copied = setting.stack.deduplicated_dispatch
    there_s = dispatch_s(
        own_tokens,
        model.hidden * setting.precision.dispatch_wire_bytes,
        choices,
        model.n_groups,
        model.n_active_groups,
        copied,
        where,
        setting.cluster,
    )
    back_s = dispatch_s(
        own_tokens,
        model.hidden * setting.precision.combine_wire_bytes,
        choices,
        model.n_groups,
        model.n_active_groups,
        copied,
        where,
        setting.cluster,
    )
    return (there_s + back_s) * setting.stack.collective_factor * model.n_moe_layers / model.n_layers


@formula
def cp_comm_s(tokens: float, setting: Setting, plan: Plan) -> float:
    """Context-parallel communication of one layer, forward; backward a ring moves twice as much, an all-to-all as much.

        ring         cp - 1 sends of the local keys and values
        all-to-all   queries, keys, values and the result, sequence against heads

    Source:  [liu2023ring], [jacobs2023ulysses]

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> cp_comm_s(10.0, SETTING, PLAN)
    0.0
    """
    model = setting.model
    if plan.cp == 1:
        return 0.0
    heads = float(model.n_heads) / plan.tp
    kv_heads = max(float(model.n_kv_heads) / plan.tp, 1.0)
    if model.attention == MLA:
        kv_heads = heads
    n_attention = float(model.n_full_layers + model.n_window_layers)
    element_bytes = setting.precision.element_bytes
    kv_bytes = tokens * kv_heads * (model.qk_head_dim + model.v_head_dim) * element_bytes
    if plan.cp_kind == CP_RING:
        once_s = (plan.cp - 1.0) * send_s(kv_bytes, plan.tp * (plan.cp - 1), setting.cluster)
    else:
        q_bytes = tokens * heads * (model.qk_head_dim + model.v_head_dim) * element_bytes
        once_s = even_all_to_all_s(q_bytes + kv_bytes, spread(plan.cp, plan.tp, setting.cluster), setting.cluster)
    return once_s * setting.stack.collective_factor * n_attention / model.n_layers


@formula
def saved_bytes(tokens: float, context: float, selective: int, setting: Setting, plan: Plan) -> float:
    """Activations that one layer keeps per micro-batch until its backward pass.

    Per token, in elements: 2 h for the inputs of the two norms and 2 h for those of the matmuls
    behind them (divided by TP with sequence parallelism); queries, keys, values, the attention's
    result; the MLP's first output and its activation (divided by TP). An unfused attention keeps its
    scores, softmax and dropout too: 5 bytes a score.

    selective  1: without the scores where they are kept; where a fused kernel keeps none, without the norms'
               outputs, the activation's and latent attention's expanded queries, keys and values
    Source:    [korthikanti2022], equations 1 to 4, generalised to grouped heads, gates and experts;
               [deepseek2024v3], section 3.2.3 for what a selective recompute drops beside scores

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> saved_bytes(1.0, 0.0, 0, SETTING, PLAN) == 32 * SETTING.model.hidden
    True
    """
    model = setting.model
    precision = setting.precision
    n_layers = float(model.n_layers)
    sharded = 1.0 / plan.tp
    spread_share = 1.0
    if plan.sequence_parallel == 1:
        spread_share = sharded
    hidden = float(model.hidden)
    n_attention = float(model.n_full_layers + model.n_window_layers)
    n_mixers = n_attention + model.n_linear_layers
    n_mlps = float(model.n_dense_layers + model.n_moe_layers)
    kept = precision.activation_bytes
    light = selective == 1 and setting.stack.score_bytes <= 0.0
    if light:
        kept = 0.0
    per_norm = spread_share * hidden * (precision.element_bytes + kept)
    heads = model.n_heads * sharded
    kv_heads = max(model.n_kv_heads * sharded, 1.0)
    if model.attention == MLA:
        kv_heads = heads
    elements = (heads + kv_heads) * (model.qk_head_dim + model.v_head_dim)
    if light and model.attention == MLA:
        elements = heads * model.v_head_dim + model.q_lora + model.kv_lora + model.qk_rope_dim
    per_attention = precision.element_bytes * elements
    if setting.stack.score_bytes > 0.0 and selective == 0:
        per_attention += 5.0 * heads * 2.0 * context
    per_linear = precision.element_bytes * model.linear_params / hidden * sharded
    per_width = (model.n_mlp_matrices - 1.0) * precision.element_bytes + kept
    total = per_norm * (n_mixers + n_mlps) + per_attention * n_attention + per_linear * model.n_linear_layers
    total += per_width * model.ffn * sharded * model.n_dense_layers
    if model.n_moe_layers > 0:
        rows = sharded * model.n_active_experts
        per_moe = rows * (plan.etp * hidden * precision.activation_bytes + per_width * model.expert_ffn)
        total += (per_moe + per_width * model.shared_ffn * sharded) * model.n_moe_layers
    return tokens * total / n_layers


@formula
def light_recompute_s(tokens: float, setting: Setting, plan: Plan) -> float:
    """Time of a selective recompute beside scores: norms, activations, latent attention's up-projections.

        norms 4 h (two of them, read and write), activation as in the forward pass, [latent -> heads] matmuls

    Source:  [deepseek2024v3], section 3.2.3

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> light_recompute_s(1.0, SETTING, PLAN) > 0.0
    True
    """
    model = setting.model
    n_layers = float(model.n_layers)
    sharded = 1.0 / plan.tp
    spread_share = 1.0
    if plan.sequence_parallel == 1:
        spread_share = sharded
    passes = float(model.n_mlp_matrices)
    n_attention = float(model.n_full_layers + model.n_window_layers)
    n_blocks = n_attention + model.n_linear_layers + model.n_dense_layers + model.n_moe_layers
    elements = 2.0 * spread_share * model.hidden * n_blocks
    elements += passes * model.ffn * sharded * model.n_dense_layers
    expert_width = model.n_active_experts * model.expert_ffn + model.shared_ffn
    elements += passes * expert_width * sharded * model.n_moe_layers
    traffic_bytes = tokens * elements / n_layers * setting.precision.element_bytes * setting.stack.element_bytes_factor
    total_s = element_s(traffic_bytes, 3.0, setting.chip.hbm_bytes_per_s, setting.kernels)
    if model.attention == MLA and n_attention > 0.0:
        heads = model.n_heads * sharded
        nope = model.qk_head_dim - model.qk_rope_dim
        up_s = linear_cost(tokens, heads * (nope + model.v_head_dim), float(model.kv_lora), setting).forward_s
        if model.q_lora > 0:
            up_s += linear_cost(tokens, heads * model.qk_head_dim, float(model.q_lora), setting).forward_s
        total_s += up_s * n_attention / n_layers
    return total_s


@formula
def kernels_cost(tokens: float, setting: Setting, plan: Plan) -> Cost:
    """All kernels of the mean layer but its attention core and element-wise work.

    Source:  the parts above

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> kernels_cost(1.0, SETTING, PLAN).params == 12.0 * SETTING.model.hidden * SETTING.model.hidden
    True
    """
    model = setting.model
    n_layers = float(model.n_layers)
    cost = NO_COST
    n_attention = model.n_full_layers + model.n_window_layers
    if n_attention > 0:
        cost = add(cost, projection_cost(tokens, setting, plan), n_attention / n_layers)
    if model.n_linear_layers > 0:
        cost = add(cost, linear_attention_cost(tokens, setting, plan), model.n_linear_layers / n_layers)
    if model.n_dense_layers > 0:
        dense = dense_mlp_cost(tokens, float(model.ffn), setting, plan)
        cost = add(cost, dense, model.n_dense_layers / n_layers)
    if model.n_moe_layers > 0 and model.shared_ffn > 0:
        shared = dense_mlp_cost(tokens, float(model.shared_ffn), setting, plan)
        cost = add(cost, shared, model.n_moe_layers / n_layers)
    return cost


@formula
def attention_cost(tokens: float, setting: Setting, plan: Plan) -> Cost:
    """The attention cores of the mean layer: full, sparse (indexed) and window.

    An indexer scores every key with few small heads and keeps `index_topk` of them.
    Source:  [deepseek2025v32] for indexed attention

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> attention_cost(1.0, SETTING, PLAN).params
    0.0
    """
    model = setting.model
    n_layers = float(model.n_layers)
    seq_len = float(setting.job.seq_len)
    cost = NO_COST
    if model.n_full_layers > 0:
        context = mean_context(seq_len, float(model.index_topk))
        cost = add(cost, attention_core_cost(tokens, context, setting, plan), model.n_full_layers / n_layers)
        if model.index_topk > 0:
            flop = attention_flop(tokens, 0.5 * seq_len, float(model.index_heads), float(model.index_dim), 0.0)
            chip = setting.chip
            index_s = attention_s(
                flop,
                0.0,
                setting.kernels.attention_forward_fraction,
                chip.matmul_flop_per_s * chip.clock_fraction,
                chip.hbm_bytes_per_s,
                setting.kernels,
            )
            cost = add(cost, Cost(index_s, 2.0 * index_s, 0.0, 0.0, flop), model.n_full_layers / n_layers)
    if model.n_window_layers > 0:
        context = mean_context(seq_len, float(model.window))
        cost = add(cost, attention_core_cost(tokens, context, setting, plan), model.n_window_layers / n_layers)
    return cost


@formula
def layer(setting: Setting, plan: Plan) -> Layer:
    """The mean layer for one micro-batch on one chip.

    The backward pass of element-wise kernels moves 1.2 times what the forward pass does (12 h
    against 10 h in the norms and sums, about that in the activations). Recompute runs kernels and
    communication again: selective the attention core where scores are kept and else what costs little
    (light_recompute_s), full everything, block a share of the layers.

    Communication hides behind compute up to what the stack overlaps; what one kind hides behind is
    not there for the next. Compute beside communication loses `overlap_slowdown` of it.
    Source:  [korthikanti2022] for recompute; [narayanan2021] for overlap

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> one = layer(SETTING, PLAN)
    >>> one.tp_raw_s == 0.0 and one.backward_s > one.forward_s
    True
    """
    model = setting.model
    stack = setting.stack
    chip = setting.chip
    tokens = tokens_per_chip(setting, plan)
    n_layers = float(model.n_layers)
    attention = attention_cost(tokens, setting, plan)
    dense = kernels_cost(tokens, setting, plan)
    routed = NO_COST
    if model.n_moe_layers > 0:
        routed = add(routed, routed_mlp_cost(tokens, setting, plan), model.n_moe_layers / n_layers)
    traffic_bytes = element_traffic_bytes(tokens, setting, plan)
    element_forward_s = element_s(traffic_bytes, 8.0, chip.hbm_bytes_per_s, setting.kernels)
    element_backward_s = element_s(1.2 * traffic_bytes, 8.0, chip.hbm_bytes_per_s, setting.kernels)
    forward_s = attention.forward_s + dense.forward_s + routed.forward_s + element_forward_s
    accumulation_bytes = (dense.params + routed.params) * stack.accumulation_bytes
    accumulation_s = element_s(accumulation_bytes, 0.0, chip.hbm_bytes_per_s, setting.kernels)
    weight_gradient_s = dense.weight_gradient_s + routed.weight_gradient_s + accumulation_s
    backward_s = (
        attention.input_gradient_s
        + dense.input_gradient_s
        + routed.input_gradient_s
        + weight_gradient_s
        + element_backward_s
    )

    again = 0.0
    if plan.recompute == RECOMPUTE_FULL:
        again = 1.0
    if plan.recompute == RECOMPUTE_BLOCK:
        again = min(1.0, plan.recompute_layers * float(plan.pp) / n_layers)
    recompute_s = again * forward_s
    recompute_flop = again * (attention.flop + dense.flop + routed.flop)
    context = mean_context(float(setting.job.seq_len), 0.0)
    whole_bytes = saved_bytes(tokens, context, 0, setting, plan)
    if plan.recompute == RECOMPUTE_SELECTIVE:
        whole_bytes = saved_bytes(tokens, context, 1, setting, plan)
        if stack.score_bytes > 0.0:
            recompute_s += attention.forward_s
            recompute_flop += attention.flop
        else:
            recompute_s += light_recompute_s(tokens, setting, plan)
    spread_share = 1.0
    if plan.sequence_parallel == 1:
        spread_share = 1.0 / plan.tp
    input_bytes = tokens * model.hidden * setting.precision.element_bytes * spread_share

    tp_forward_s = tp_comm_s(tokens, setting, plan)
    ep_forward_s = ep_comm_s(tokens, setting, plan)
    cp_forward_s = cp_comm_s(tokens, setting, plan)
    passes = 2.0 + again
    tp_raw_s = tp_forward_s * passes
    if plan.sequence_parallel == 1:
        tp_raw_s += 0.5 * tp_forward_s
    ep_raw_s = ep_forward_s * passes
    cp_raw_s = cp_forward_s * passes
    if plan.cp_kind == CP_RING:
        cp_raw_s += cp_forward_s
    window_s = forward_s + backward_s + recompute_s
    tp_exposed_s = exposed_s(tp_raw_s, plan.tp_overlap * stack.tp_overlap, window_s)
    window_s -= tp_raw_s - tp_exposed_s
    cp_exposed_s = exposed_s(cp_raw_s, stack.cp_overlap, window_s)
    window_s -= cp_raw_s - cp_exposed_s
    ep_exposed_s = exposed_s(ep_raw_s, stack.ep_overlap, window_s)
    window_s -= ep_raw_s - ep_exposed_s
    hidden_s = tp_raw_s - tp_exposed_s + cp_raw_s - cp_exposed_s + ep_raw_s - ep_exposed_s
    slowdown_s = stack.overlap_slowdown * hidden_s

    moe_share = model.n_moe_layers / n_layers
    host_raw_s = (1.0 + again) * stack.host_layer_forward_s + stack.host_layer_backward_s
    host_raw_s += moe_share * stack.host_moe_layer_s
    device_s = forward_s + backward_s + recompute_s + slowdown_s + tp_exposed_s + cp_exposed_s + ep_exposed_s
    host_s = join_s(device_s, host_raw_s, stack.host_join) - device_s
    return Layer(
        forward_s=forward_s,
        backward_s=backward_s,
        weight_gradient_s=weight_gradient_s,
        recompute_s=recompute_s,
        tp_raw_s=tp_raw_s,
        tp_exposed_s=tp_exposed_s,
        cp_raw_s=cp_raw_s,
        cp_exposed_s=cp_exposed_s,
        ep_raw_s=ep_raw_s,
        ep_exposed_s=ep_exposed_s,
        slowdown_s=slowdown_s,
        host_s=host_s,
        host_raw_s=host_raw_s,
        window_s=window_s,
        dense_params=dense.params,
        expert_params=routed.params,
        saved_bytes=again * input_bytes + (1.0 - again) * whole_bytes,
        peak_bytes=again * max(0.0, whole_bytes - input_bytes),
        model_flop=3.0 * (attention.flop + dense.flop + routed.flop),
        recompute_flop=recompute_flop,
    )


@formula
def ends(setting: Setting, plan: Plan) -> Ends:
    """Embedding on the first stage, head and cross-entropy on the last, for one micro-batch.

    The head is a matmul [T, h] x [h, V / tp] and its two gradients; cross-entropy reads and writes
    every logit `logit_bytes` in all. The logits' gradient is all-reduced over TP (or scattered).
    Source:  [shoeybi2019], section 3

    >>> from clustercast.physics.examples import PLAN, SETTING
    >>> ends(SETTING, PLAN).head_params == SETTING.model.vocab * SETTING.model.hidden
    True
    """
    model = setting.model
    chip = setting.chip
    precision = setting.precision
    tokens = tokens_per_chip(setting, plan)
    hidden = float(model.hidden)
    columns = float(model.vocab) / plan.tp
    rate = chip.head_flop_per_s * chip.clock_fraction * setting.stack.matmul_factor * setting.kernels.head_fraction
    weights = hidden * columns
    traffic_bytes = precision.element_bytes * (tokens * hidden + weights + tokens * columns)
    kernels = setting.kernels
    forward_s = matmul_s(tokens, columns, hidden, traffic_bytes, rate, chip.hbm_bytes_per_s, kernels)
    logits_s = element_s(tokens * columns * setting.stack.logit_bytes, 4.0, chip.hbm_bytes_per_s, kernels)
    backward_s = matmul_s(tokens, hidden, columns, traffic_bytes, rate, chip.hbm_bytes_per_s, kernels)
    backward_s += matmul_s(
        hidden,
        columns,
        tokens,
        traffic_bytes + weights * setting.stack.gradient_pass_bytes,
        rate,
        chip.hbm_bytes_per_s,
        kernels,
    )
    backward_s += element_s(weights * setting.stack.accumulation_bytes, 0.0, chip.hbm_bytes_per_s, kernels)
    embedding_bytes = 4.0 * tokens * hidden * precision.element_bytes
    comm_s = 0.0
    if plan.tp > 1:
        where: Spread = spread(plan.tp, 1, setting.cluster)
        comm_s = 2.0 * all_reduce_s(tokens * hidden * precision.tp_wire_bytes, where, setting.cluster)
        comm_s *= setting.stack.collective_factor
    return Ends(
        embedding_s=element_s(embedding_bytes, 2.0, chip.hbm_bytes_per_s, kernels),
        head_forward_s=forward_s + 0.5 * logits_s,
        head_backward_s=backward_s + 0.5 * logits_s,
        head_comm_s=comm_s,
        embedding_params=weights,
        head_params=weights,
        logit_bytes=tokens * columns * (precision.element_bytes + 4.0),
        model_flop=6.0 * tokens * weights,
    )
