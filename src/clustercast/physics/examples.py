"""Small round records that doctests and tests compute with. Not hardware."""

from clustercast import records

KERNELS = records.Kernels(
    matmul_fraction=0.8,
    matmul_memory_fraction=0.8,
    matmul_join=0.0,
    matmul_launch_s=0.0,
    expert_fraction=0.6,
    expert_memory_fraction=0.8,
    expert_launch_s=0.0,
    head_fraction=0.8,
    attention_forward_fraction=0.6,
    attention_backward_fraction=0.5,
    attention_launch_s=0.0,
    decode_attention_fraction=0.3,
    decode_attention_memory_fraction=0.8,
    element_fraction=0.8,
    element_launch_s=0.0,
    tile_rows=16.0,
    tile_columns=128.0,
    n_cores=100.0,
    wave_weight=0.0,
)

TIER = records.Tier(
    n_chips=8,
    bytes_per_s=1e9,
    fraction=1.0,
    latency_s=0.0,
    launch_s=0.0,
    ramp=0.0,
    shape=records.SWITCH,
    pair_fraction=1.0,
    n_axes=1,
    axis_chips=8,
    reduction_gain=1.0,
)

NO_TIER = TIER._replace(n_chips=1)

CLUSTER = records.Cluster(
    n_chips=64,
    package=NO_TIER,
    scale_up=TIER,
    rail=TIER._replace(n_chips=32, bytes_per_s=1e8),
    spine=TIER._replace(n_chips=64, bytes_per_s=5e7),
    rails_cross=0,
)

CHIP = records.Chip(
    matmul_flop_per_s=1e12,
    expert_flop_per_s=1e12,
    attention_flop_per_s=1e12,
    head_flop_per_s=1e12,
    hbm_bytes=80e9,
    hbm_bytes_per_s=1e11,
    reserved_bytes=1e9,
    clock_fraction=1.0,
    idle_w=100.0,
    peak_w=400.0,
    host_bytes_per_s=2e10,
)

STACK = records.Stack(
    score_bytes=0.0,
    logit_bytes=12.0,
    gradient_pass_bytes=8.0,
    accumulation_bytes=0.0,
    element_bytes_factor=1.0,
    matmul_factor=1.0,
    attention_factor=1.0,
    misaligned_factor=1.0,
    expert_factor=0.8,
    expert_half_width=0.0,
    host_layer_forward_s=0.0,
    host_layer_backward_s=0.0,
    host_moe_layer_s=0.0,
    host_microbatch_s=0.0,
    host_step_s=0.0,
    host_join=0.0,
    tp_overlap=0.0,
    cp_overlap=0.0,
    ep_overlap=0.0,
    pp_overlap=0.0,
    dp_overlap=0.0,
    fsdp_overlap=0.0,
    overlap_slowdown=0.0,
    deduplicated_dispatch=0.0,
    expert_imbalance=0.0,
    collective_factor=1.0,
    optimizer_pass_bytes=32.0,
    workspace_bytes=1e9,
    fragmentation=0.0,
    straggler_per_doubling=0.0,
)

PRECISION = records.Precision(
    weight_bytes=2.0,
    weight_copy_bytes=0.0,
    gradient_bytes=4.0,
    optimizer_bytes=12.0,
    activation_bytes=2.0,
    element_bytes=2.0,
    cast_bytes=0.0,
    tp_wire_bytes=2.0,
    dispatch_wire_bytes=2.0,
    combine_wire_bytes=2.0,
    gradient_wire_bytes=4.0,
    weight_wire_bytes=2.0,
    kv_bytes=2.0,
    matmul_factor=1.0,
    matmul_ceiling=0.95,
)

MODEL = records.Model(
    n_layers=8,
    hidden=1024,
    vocab=32768,
    tied=0,
    n_full_layers=8,
    n_window_layers=0,
    n_linear_layers=0,
    attention=records.GQA,
    n_heads=8,
    n_kv_heads=8,
    qk_head_dim=128,
    v_head_dim=128,
    q_lora=0,
    kv_lora=0,
    qk_rope_dim=0,
    window=0,
    index_heads=0,
    index_dim=0,
    index_topk=0,
    linear_k_heads=0,
    linear_v_heads=0,
    linear_k_dim=0,
    linear_v_dim=0,
    linear_params=0.0,
    n_dense_layers=8,
    ffn=4096,
    n_mlp_matrices=2,
    n_moe_layers=0,
    n_experts=0,
    n_active_experts=0,
    expert_ffn=0,
    shared_ffn=0,
    n_groups=0,
    n_active_groups=0,
    n_mtp_layers=0,
    other_params=0.0,
)

MOE = MODEL._replace(n_dense_layers=0, ffn=0, n_moe_layers=8, n_experts=16, n_active_experts=2, expert_ffn=2048)

PLAN = records.Plan(
    tp=1,
    pp=1,
    vpp=1,
    dp=1,
    cp=1,
    ep=1,
    etp=1,
    zero=0,
    shard=0,
    micro_batch=1,
    recompute=records.RECOMPUTE_NONE,
    recompute_layers=0,
    schedule=records.SCHEDULE_1F1B,
    sequence_parallel=0,
    cp_kind=records.CP_RING,
    offload=0,
)

SETTING = records.Setting(
    chip=CHIP,
    kernels=KERNELS,
    stack=STACK,
    precision=PRECISION,
    cluster=CLUSTER,
    model=MODEL,
    job=records.Job(seq_len=1024, global_batch=8),
)

ENGINE = records.Engine(
    host_step_s=0.0,
    host_sequence_s=0.0,
    layer_s=0.0,
    sparse_layer_s=0.0,
    launch_factor=1.0,
    matmul_factor=1.0,
    matmul_memory_factor=1.0,
    expert_factor=1.0,
    expert_memory_factor=1.0,
    distinct_exponent=1.0,
    expert_traffic_factor=1.0,
    attention_factor=1.0,
    kv_factor=1.0,
    expert_imbalance=0.0,
    all_reduce_s=1e-5,
    exchange_s=1e-5,
    prefill_step_s=0.0,
    first_token_s=0.0,
    handover_s=0.0,
    interference_factor=1.0,
    mixed_share=0.0,
    uncoordinated_share=0.0,
    burst_share=0.0,
    chunk_tokens=8192.0,
    max_batch=1024.0,
    memory_fraction=0.9,
    workspace_bytes=1e9,
)

SERVING_PRECISION = records.ServingPrecision(
    weight_bytes=2.0,
    expert_weight_bytes=2.0,
    activation_bytes=2.0,
    expert_activation_bytes=2.0,
    element_bytes=2.0,
    kv_bytes=2.0,
    wire_bytes=2.0,
    dispatch_wire_bytes=2.0,
    combine_wire_bytes=2.0,
    tile_rows=16.0,
    expert_tile_rows=16.0,
)

SERVING_SETTING = records.ServingSetting(
    chip=CHIP, kernels=KERNELS, precision=SERVING_PRECISION, engine=ENGINE, cluster=CLUSTER, model=MODEL
)

SERVING_PLAN = records.ServingPlan(tp=1, pp=1, attention_dp=1, ep=1, etp=1)

SERVING_JOB = records.ServingJob(input_len=1024, output_len=256, batch=8.0, n_drafts=0.0, accepted_tokens=1.0)
