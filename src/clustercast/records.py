"""The records that the physics sees: plain NamedTuples in base units (FLOP, byte, second, watt, USD).

Nothing here reads a file or knows a default. The catalogue builds chips, fabrics, models and
software stacks from YAML; `clustercast.plans` builds plans; the physics reads them all.
Codes are integers so that the compiled driver can carry them.
"""

from typing import Final, NamedTuple, TypeVar

# Recompute of activations in the backward pass.
RECOMPUTE_NONE: Final = 0
RECOMPUTE_SELECTIVE: Final = 1  # the attention core where scores are kept, else norms, activations, latent projections
RECOMPUTE_FULL: Final = 2
RECOMPUTE_BLOCK: Final = 3  # `recompute_layers` of the layers of a stage in full, the others not at all
RECOMPUTE_NAMES: Final = ("none", "selective", "full", "block")

# Pipeline schedules.
SCHEDULE_1F1B: Final = 0  # interleaved when vpp > 1
SCHEDULE_GPIPE: Final = 1
SCHEDULE_ZERO_BUBBLE: Final = 2
SCHEDULE_DUALPIPE: Final = 3
SCHEDULE_NAMES: Final = ("1f1b", "gpipe", "zero-bubble", "dualpipe")

# How context parallelism moves keys and values.
CP_RING: Final = 0
CP_ALL_TO_ALL: Final = 1
CP_NAMES: Final = ("ring", "all-to-all")

# The shape of the scale-up network.
SWITCH: Final = 0
FULL_MESH: Final = 1
CUBE_MESH: Final = 2
TORUS: Final = 3
PCIE_TREE: Final = 4
SHAPE_NAMES: Final = ("switch", "full-mesh", "cube-mesh", "torus", "pcie-tree")

# Attention.
GQA: Final = 0  # also MHA (n_kv_heads = n_heads) and MQA (n_kv_heads = 1)
MLA: Final = 1


class Chip(NamedTuple):
    """One accelerator, with the dense peak that each kind of operation runs at under one precision recipe."""

    matmul_flop_per_s: float  # main matmuls
    expert_flop_per_s: float  # expert matmuls
    attention_flop_per_s: float
    head_flop_per_s: float  # logits and router
    hbm_bytes: float  # as labelled (GiB)
    hbm_bytes_per_s: float
    reserved_bytes: float  # what driver, context and framework keep
    clock_fraction: float  # sustained over boost clock under the power cap in long matmul work
    idle_w: float
    peak_w: float
    host_bytes_per_s: float  # to host memory, one direction, for offload


class Kernels(NamedTuple):
    """What share of the datasheet the kernels of one architecture family reach, per number format in use."""

    matmul_fraction: float  # of peak, large shapes
    matmul_memory_fraction: float  # of HBM bandwidth, small m
    matmul_join: float  # 0: max(compute, memory); 4: their sum (see roofline.join_s)
    matmul_launch_s: float
    expert_fraction: float
    expert_memory_fraction: float
    expert_launch_s: float
    head_fraction: float
    attention_forward_fraction: float  # of peak, on the causal FLOPs
    attention_backward_fraction: float
    attention_launch_s: float
    decode_attention_fraction: float  # of peak
    decode_attention_memory_fraction: float  # of HBM bandwidth
    element_fraction: float  # of HBM bandwidth: norms, activations, rotary, casts
    element_launch_s: float
    tile_rows: float  # rows that a matmul kernel pads m to
    tile_columns: float
    n_cores: float  # tiles that run at once
    wave_weight: float  # 0: waves are smoothed away (split-k, stream-k); 1: a last wave costs a whole one


class Stack(NamedTuple):
    """What one software stack can do: a few numbers that somebody could measure."""

    score_bytes: float  # HBM traffic per attention score, forward (0: a fused kernel keeps scores on chip)
    logit_bytes: float  # HBM traffic per logit of cross-entropy, forward and backward
    gradient_pass_bytes: float  # HBM traffic per parameter and micro-batch for accumulating gradients in the matmul
    accumulation_bytes: float  # the same in a pass of its own (0: fused into the matmul)
    element_bytes_factor: float  # element-wise traffic over the ideal count
    matmul_factor: float  # sustained in-model matmul rate over the micro-benchmark
    attention_factor: float  # rate of this stack's attention kernels over the measured ones of the family
    misaligned_factor: float  # rate of attention matmuls whose head size is no multiple of 8, over that of aligned ones
    expert_factor: float  # rate of grouped expert matmuls over dense ones, many rows per expert
    expert_half_width: float  # side of an expert's matrix (geometric mean) at which that rate is halved
    host_layer_forward_s: float  # host work per layer and micro-batch
    host_layer_backward_s: float
    host_moe_layer_s: float  # more of it in a mixture-of-experts layer
    host_microbatch_s: float
    host_step_s: float
    host_join: float  # 0: the slower of host and device sets the pace; 4: their times add (see roofline.join_s)
    gradient_wire_factor: float  # bytes of a gradient on the wire over the recipe's
    tp_overlap: float  # share of the communication that can hide where there is compute beside it
    cp_overlap: float
    ep_overlap: float
    pp_overlap: float
    dp_overlap: float
    fsdp_overlap: float
    overlap_slowdown: float  # compute lost per second of communication beside it
    deduplicated_dispatch: float  # 1: one copy of a token per node crosses the NIC; 0: one per expert
    expert_imbalance: float  # extra expert time per doubling of EP, from unequal routing
    collective_factor: float  # time of a collective inside a step over the same collective alone
    optimizer_pass_bytes: float  # HBM traffic of the optimizer step per parameter held
    workspace_bytes: float
    fragmentation: float  # allocated and unusable, as a share of what is live
    straggler_per_doubling: float  # of the step, per doubling of the chips


class Precision(NamedTuple):
    """Bytes of every kind under one precision recipe."""

    weight_bytes: float  # per parameter, the copy that computes
    weight_copy_bytes: float  # per matmul parameter, further quantised or transposed copies
    gradient_bytes: float
    optimizer_bytes: float  # master weights and moments
    activation_bytes: float  # per saved element at a matmul's input
    element_bytes: float  # per element elsewhere (norms, residual, attention)
    cast_bytes: float  # HBM traffic per matmul input element for quantising and transposing
    tp_wire_bytes: float  # per element on the wire
    dispatch_wire_bytes: float
    combine_wire_bytes: float
    gradient_wire_bytes: float
    weight_wire_bytes: float
    kv_bytes: float  # per cached element
    matmul_factor: float  # matmul rate over the micro-benchmark's, whose time includes the casts counted here apart
    matmul_ceiling: float  # share of peak that no kernel exceeds


class Tier(NamedTuple):
    """One level of the network, seen from one chip."""

    n_chips: int  # chips that reach one another at this level (1: the level is absent)
    bytes_per_s: float  # per chip, one direction, at the datasheet
    fraction: float  # of it that a collective reaches on large messages
    latency_s: float  # per hop
    launch_s: float  # per collective
    ramp: float  # c in t = a + b + c sqrt(a b): how slowly bandwidth ramps up
    shape: int
    pair_fraction: float  # of the chip's bandwidth that one pair sees (cube mesh)
    n_axes: int  # torus
    axis_chips: int  # torus: chips along one axis
    reduction_gain: float  # in-switch reduction: bus bandwidth of an all-reduce over a ring's (1: none)


class Cluster(NamedTuple):
    """Chips and the tiers between them, inside out."""

    n_chips: int
    package: Tier
    scale_up: Tier
    rail: Tier  # one leaf: same-rank chips of many nodes
    spine: Tier  # everything, oversubscribed
    rails_cross: int  # 1: traffic between different ranks is forwarded inside the node first (rail-optimised)


class Model(NamedTuple):
    """An exact architecture. Mixers (attention) and MLPs are counted apart, so hybrids fit."""

    n_layers: int  # slots that a pipeline divides
    hidden: int
    vocab: int
    tied: int  # 1: the head is the embedding transposed
    # mixers
    n_full_layers: int
    n_window_layers: int
    n_linear_layers: int
    attention: int  # GQA or MLA
    n_heads: int
    n_kv_heads: int
    qk_head_dim: int
    v_head_dim: int
    q_lora: int
    kv_lora: int
    qk_rope_dim: int
    window: int
    index_heads: int
    index_dim: int
    index_topk: int
    linear_k_heads: int
    linear_v_heads: int
    linear_k_dim: int
    linear_v_dim: int
    linear_params: float  # per linear layer, all its matrices
    # MLPs
    n_dense_layers: int
    ffn: int
    n_mlp_matrices: int  # 3 gated, 2 plain
    n_moe_layers: int
    n_experts: int
    n_active_experts: int
    expert_ffn: int
    shared_ffn: int  # width of all shared experts together
    n_groups: int  # node-limited routing: groups of experts (0: free routing)
    n_active_groups: int
    # the rest
    n_mtp_layers: int  # extra whole layers that predict further tokens: in training, and where serving guesses
    other_params: float  # norms, biases, positions: no matmul touches them


class Job(NamedTuple):
    """What one optimizer step has to do."""

    seq_len: int
    global_batch: int  # sequences


class Plan(NamedTuple):
    """How a job is laid out: TP·PP·CP·DP chips; EP·ETP lives inside TP·CP·DP."""

    tp: int
    pp: int
    vpp: int
    dp: int
    cp: int
    ep: int
    etp: int
    zero: int
    shard: int  # chips that share one copy of sharded state (hybrid shard); 0: the whole DP·CP group
    micro_batch: int  # sequences
    recompute: int
    recompute_layers: int  # of a stage, for RECOMPUTE_BLOCK
    schedule: int
    sequence_parallel: int
    cp_kind: int
    offload: int  # 1: optimizer state lives in host memory
    tp_overlap: int = 1  # 0: tensor-parallel communication never hides behind compute, whatever the stack could do
    dp_overlap: int = 1  # 0: the same of gradients and weights


class Setting(NamedTuple):
    """Everything but the plan: what a step's time depends on."""

    chip: Chip
    kernels: Kernels
    stack: Stack
    precision: Precision
    cluster: Cluster
    model: Model
    job: Job


class Step(NamedTuple):
    """One optimizer step. The ten exposed terms add up to `step_s`."""

    step_s: float
    lower_s: float  # everything that can overlap does
    upper_s: float  # nothing overlaps
    compute_s: float
    tp_comm_s: float
    cp_comm_s: float
    ep_comm_s: float
    pp_comm_s: float
    dp_comm_s: float
    bubble_s: float
    optimizer_s: float
    host_s: float
    straggler_s: float
    weights_bytes: float
    gradients_bytes: float
    optimizer_bytes: float
    activations_bytes: float
    workspace_bytes: float
    memory_bytes: float
    capacity_bytes: float
    n_microbatches: float
    model_flop: float  # per step, all chips: 6 x active matmul parameters, causal attention halved
    hardware_flop: float  # with recompute
    recompute_s: float  # part of compute_s


class Layer(NamedTuple):
    """The mean layer of a model for one micro-batch on one chip: seconds of every kind, raw and exposed."""

    forward_s: float  # kernels
    backward_s: float  # kernels, both gradients
    weight_gradient_s: float  # part of backward_s that zero-bubble schedules may delay
    recompute_s: float  # kernels run again before the backward pass
    tp_raw_s: float  # forward, backward and recompute together
    tp_exposed_s: float
    cp_raw_s: float
    cp_exposed_s: float
    ep_raw_s: float
    ep_exposed_s: float
    slowdown_s: float  # compute lost to the communication beside it
    host_s: float  # exposed
    host_raw_s: float
    window_s: float  # compute that nothing hides behind yet, for sharded weights
    dense_params: float  # held by one chip, sharded over DP and CP
    expert_params: float  # held by one chip, sharded over what EP leaves of TP, CP and DP
    saved_bytes: float  # activations kept per layer and micro-batch until the backward pass
    peak_bytes: float  # live inside one layer while it recomputes
    model_flop: float  # forward and backward, this chip, attention halved when causal
    recompute_flop: float


class Ends(NamedTuple):
    """What the first and the last pipeline stage do beside their layers, per micro-batch on one chip."""

    embedding_s: float
    head_forward_s: float
    head_backward_s: float
    head_comm_s: float
    embedding_params: float
    head_params: float
    logit_bytes: float
    model_flop: float


class ServingJob(NamedTuple):
    """One serving question, per replica."""

    input_len: int
    output_len: int
    batch: float  # sequences in flight on one replica
    n_drafts: float  # tokens guessed beside the next one in a step (0: none)
    accepted_tokens: float  # tokens that a step yields per sequence, the sure one included (1 without guessing)
    hit_fraction: float = 0.0  # of a prompt that the prefix cache holds
    input_square_factor: float = 1.0  # mean square of the lengths over the square of their mean: 1 where all are equal
    output_square_factor: float = 1.0
    n_waves: float = 0.0  # requests of each client, the first of which all come at once; 0: the steady state alone
    elsewhere_s: float = 0.0  # of a request between this pool and its client's next one: decoding in another pool


class ServingPrecision(NamedTuple):
    """Bytes and tiles of every part of a served model."""

    weight_bytes: float  # per parameter of the dense matmuls
    expert_weight_bytes: float  # per parameter of the routed experts
    activation_bytes: float  # per element of a dense matmul's input
    expert_activation_bytes: float
    element_bytes: float  # per element elsewhere; embedding and head
    kv_bytes: float  # per cached element
    wire_bytes: float  # per element of an all-reduce or a send
    dispatch_wire_bytes: float
    combine_wire_bytes: float
    tile_rows: float  # rows that a dense matmul kernel pads to
    expert_tile_rows: float


class Engine(NamedTuple):
    """What a serving engine adds to the device's work, and how its kernels compare with kernels alone."""

    host_step_s: float  # exposed per step
    host_sequence_s: float  # more of it per sequence of one rank
    layer_s: float  # small kernels of a layer that no formula counts
    sparse_layer_s: float  # more of it in a layer with indexed attention
    launch_factor: float  # start of a kernel inside the engine over a kernel alone
    matmul_factor: float  # time of compute-bound matmuls over the micro-benchmark
    matmul_memory_factor: float  # time of weight reading over the micro-benchmark
    expert_factor: float  # the same two for grouped expert matmuls
    expert_memory_factor: float
    grouped_fraction: float  # of peak, of the engine's own grouped matmuls; 0: the chip's measured fused layers hold
    grouped_memory_fraction: float  # of HBM bandwidth
    grouped_join: float  # as matmul_join
    grouped_tile_rows: float
    grouped_launch_s: float
    distinct_exponent: float  # tokens choose as few experts as so small a power of them would, choosing freely
    expert_traffic_factor: float  # traffic of the tokens' activations in a mixture layer over the ideal count
    attention_factor: float  # time of prefill attention over the micro-benchmark
    kv_factor: float  # time of decode attention over the micro-benchmark
    compute_ceiling: float  # share of a peak that no kernel exceeds, whatever the factors say
    memory_ceiling: float  # the same of HBM bandwidth
    expert_imbalance: float  # standard deviation of the tokens of an expert over their mean, after balancing
    redundant_experts: float  # copies of routed experts that a mixture layer holds more
    all_reduce_s: float  # start of a small all-reduce inside a captured graph
    exchange_s: float  # start of a dispatch or a combine of few tokens, sent straight to every chip
    forward_s: float  # start of one of many tokens: counted first, one copy a node, forwarded inside
    direct_tokens: float  # most tokens of a rank that are sent straight
    forward_core_fraction: float  # of the compute, which an exchange of many tokens takes beside it
    exchange_overlap: float  # share of an exchange that can hide behind the compute beside it
    micro_batches: float  # parts that a step of a mixture may be cut into: one computes while another exchanges
    prefill_step_s: float  # per prefill: scheduling, eager launches
    first_token_s: float  # of a request outside the device: tokenising, transport, admission
    handover_s: float  # more of it where a prefill pool hands the cache to a decode pool
    interference_factor: float  # share of the others' prefills that a decoding sequence waits for
    mixed_share: float  # of its weights and launches that a prefill shares with the decode step it rides on
    chunk_tokens: float  # most tokens of one prefill step
    max_batch: float  # most sequences in flight on one rank
    memory_fraction: float  # of the chip's memory that the engine takes
    workspace_bytes: float


class ServingPlan(NamedTuple):
    """How one replica is laid out: tp·pp·attention_dp chips; experts over ep·etp = tp·attention_dp of them."""

    tp: int
    pp: int
    attention_dp: int
    ep: int
    etp: int


class ServingSetting(NamedTuple):
    """Everything but the job and the layout: what serving depends on."""

    chip: Chip
    kernels: Kernels
    precision: ServingPrecision
    engine: Engine
    cluster: Cluster
    model: Model


class Load(NamedTuple):
    """A replica under load: what a client measures. The terms of a token add up to `tpot_s`."""

    ttft_s: float
    tpot_s: float
    latency_s: float  # of one request, or of a whole batch
    requests_per_s: float  # of the replica
    in_flight: float  # sequences that decode at once
    decode_compute_s: float
    decode_weights_s: float
    decode_kv_s: float
    decode_comm_s: float
    decode_host_s: float
    interference_s: float  # part of a token: the prefills of others


class Serving(NamedTuple):
    """Steady state of one replica. The exposed decode terms add up to `tpot_s`, the prefill terms to `ttft_s`."""

    ttft_s: float  # prefill of one sequence, alone
    tpot_s: float
    prefill_tokens_per_s: float  # of the replica, prefilling only
    output_tokens_per_s: float  # of the replica, decoding only
    weights_bytes: float  # per chip
    kv_bytes: float  # per chip, the whole batch at full length
    workspace_bytes: float
    memory_bytes: float
    capacity_bytes: float
    max_batch: float  # sequences that fit the replica at full length
    decode_compute_s: float
    decode_weights_s: float
    decode_kv_s: float
    decode_comm_s: float
    decode_host_s: float
    prefill_compute_s: float
    prefill_comm_s: float
    prefill_host_s: float


Record = TypeVar("Record", bound=tuple[object, ...])


def as_declared(record: Record) -> Record:
    """The same record with every number of its declared type, nested records too: compiled code is typed.

    >>> as_declared(Job(8192.0, 7200))
    Job(seq_len=8192, global_batch=7200)
    """
    values = []
    for name, kind in type(record).__annotations__.items():
        value = getattr(record, name)
        values.append(as_declared(value) if isinstance(value, tuple) else kind(value))
    return type(record)(*values)
