"""What the laws are tried on: settings, legal plans, tiers, clusters, models of every kind.

A whole setting has a hundred numbers. Drawing each of them by hypothesis takes milliseconds, so hypothesis draws one
seed, and plain Python makes the records from it; a failing example prints that seed.
"""

import os
import random
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from hypothesis import strategies as st

from clustercast import records
from clustercast.physics import examples
from clustercast.physics.training import n_slots
from clustercast.plans import rules
from clustercast.records import (
    Chip,
    Cluster,
    Engine,
    Job,
    Kernels,
    Model,
    Plan,
    Precision,
    ServingJob,
    ServingPlan,
    ServingPrecision,
    ServingSetting,
    Setting,
    Stack,
    Tier,
)

T = TypeVar("T")

DENSE = examples.MODEL._replace(n_layers=8, n_kv_heads=4, ffn=3072, n_mlp_matrices=3, n_heads=16, qk_head_dim=64)
MIXTURE = DENSE._replace(
    n_dense_layers=2, n_moe_layers=6, n_experts=16, n_active_experts=4, expert_ffn=768, shared_ffn=768
)
LATENT = MIXTURE._replace(
    attention=records.MLA,
    n_kv_heads=16,
    qk_head_dim=96,
    v_head_dim=64,
    q_lora=384,
    kv_lora=256,
    qk_rope_dim=32,
    n_groups=4,
    n_active_groups=2,
    n_mtp_layers=1,
)
WINDOWED = DENSE._replace(n_full_layers=4, n_window_layers=4, window=512, tied=1)
HYBRID = MIXTURE._replace(
    n_full_layers=2,
    n_window_layers=2,
    n_linear_layers=4,
    window=1024,
    linear_k_heads=8,
    linear_v_heads=16,
    linear_k_dim=64,
    linear_v_dim=64,
    linear_params=4e6,
)
INDEXED = LATENT._replace(index_heads=16, index_dim=32, index_topk=512, n_mtp_layers=0)
KINDS = {
    "dense": DENSE,
    "mixture": MIXTURE,
    "latent": LATENT,
    "windowed": WINDOWED,
    "hybrid": HYBRID,
    "indexed": INDEXED,
}
SEQ_LENS = (2048, 4096, 8192)


class Problem(NamedTuple):
    """A setting and a plan that is legal for it."""

    setting: Setting
    plan: Plan


class Served(NamedTuple):
    """A serving question."""

    setting: ServingSetting
    job: ServingJob
    plan: ServingPlan


# Laws share the problems they draw, so each is built once; a hunt (HYPOTHESIS_PROFILE=search) draws without end.
N_SEEDS = 2**48 if os.environ.get("HYPOTHESIS_PROFILE") == "search" else 2**12
_drawn: dict[tuple[object, int], object] = {}


def seeded(make: Callable[[random.Random], T], *key: object) -> st.SearchStrategy[T]:
    """What `make` draws from a random generator, as a strategy; what is drawn under an equal key is shared."""

    def draw(seed: int) -> T:
        if not key or N_SEEDS > 2**12:
            return make(random.Random(seed))
        if (key, seed) not in _drawn:
            _drawn[key, seed] = make(random.Random(seed))
        return _drawn[key, seed]  # type: ignore[return-value]

    return st.integers(0, N_SEEDS - 1).map(draw)


def log_uniform(rng: random.Random, low: float, high: float) -> float:
    """A number between `low` and `high`, every decade as likely."""
    return low * (high / low) ** rng.random()


def kernels(rng: random.Random) -> Kernels:
    """Kernels of some family: shares of the datasheet between a fifth and all of it."""
    share = rng.uniform
    return Kernels(
        matmul_fraction=share(0.3, 1.0),
        matmul_memory_fraction=share(0.3, 1.0),
        matmul_join=share(0.0, 4.0),
        matmul_launch_s=share(0.0, 2e-5),
        expert_fraction=share(0.2, 1.0),
        expert_memory_fraction=share(0.3, 1.0),
        expert_launch_s=share(0.0, 2e-5),
        head_fraction=share(0.3, 1.0),
        attention_forward_fraction=share(0.2, 1.0),
        attention_backward_fraction=share(0.2, 1.0),
        attention_launch_s=share(0.0, 2e-5),
        decode_attention_fraction=share(0.1, 1.0),
        decode_attention_memory_fraction=share(0.3, 1.0),
        element_fraction=share(0.3, 1.0),
        element_launch_s=share(0.0, 2e-5),
        tile_rows=float(rng.choice((8, 16, 64, 128))),
        tile_columns=float(rng.choice((64, 128, 256))),
        n_cores=float(rng.choice((80, 108, 132))),
        wave_weight=share(0.0, 1.0),
    )


def tier(rng: random.Random, n_chips: int, bytes_per_s: float, shape: int) -> Tier:
    """A tier of `n_chips`."""
    return Tier(
        n_chips=n_chips,
        bytes_per_s=bytes_per_s,
        fraction=rng.uniform(0.5, 1.0),
        latency_s=rng.uniform(0.0, 2e-5),
        launch_s=rng.uniform(0.0, 5e-5),
        ramp=rng.choice((0.0, 0.5, 1.0, 2.0)),
        shape=shape,
        pair_fraction=rng.choice((0.25, 0.33, 0.5, 1.0)),
        n_axes=rng.choice((1, 2, 3)),
        axis_chips=rng.choice((2, 4, 8, 16)),
        reduction_gain=rng.choice((1.0, 1.0, 1.5)),
    )


def cluster(rng: random.Random) -> Cluster:
    """A cluster of one to a few thousand chips, with or without packages, of every shape of network."""
    n_scale_up = rng.choice((1, 2, 4, 8, 16, 64))
    n_rail = max(n_scale_up, rng.choice((32, 256)))
    n_package = rng.choice((1, 1, 2)) if n_scale_up >= 2 else 1
    up = log_uniform(rng, 1e10, 1e12)
    nic = log_uniform(rng, 1e9, 1e11)
    switched = records.SWITCH
    return Cluster(
        n_chips=4096,
        package=tier(rng, n_package, 2.0 * up, switched),
        scale_up=tier(rng, n_scale_up, up, rng.randrange(len(records.SHAPE_NAMES))),
        rail=tier(rng, n_rail, nic, switched),
        spine=tier(rng, 4096, nic / rng.choice((1.0, 2.0, 4.0)), switched),
        rails_cross=rng.randrange(2),
    )


def chip(rng: random.Random) -> Chip:
    """A chip; attention and head run at most at the peak of the main matmuls."""
    peak = log_uniform(rng, 1e13, 5e15)
    half = peak * rng.choice((1.0, 0.5))
    return Chip(
        matmul_flop_per_s=peak,
        expert_flop_per_s=peak,
        attention_flop_per_s=half,
        head_flop_per_s=half,
        hbm_bytes=rng.choice((32.0, 80.0, 141.0)) * 2**30,
        hbm_bytes_per_s=log_uniform(rng, 5e11, 8e12),
        reserved_bytes=1e9,
        clock_fraction=rng.uniform(0.6, 1.0),
        idle_w=rng.uniform(50.0, 100.0),
        peak_w=rng.uniform(300.0, 1000.0),
        host_bytes_per_s=log_uniform(rng, 1e10, 1e11),
    )


def stack(rng: random.Random) -> Stack:
    """A software stack: fused or unfused attention, any overlap, some host time."""
    share = rng.uniform
    return Stack(
        score_bytes=rng.choice((0.0, 0.0, 8.0)),
        logit_bytes=share(4.0, 16.0),
        gradient_pass_bytes=share(0.0, 12.0),
        accumulation_bytes=share(0.0, 36.0),
        element_bytes_factor=share(0.5, 2.0),
        matmul_factor=share(0.6, 1.0),
        attention_factor=share(0.3, 1.0),
        misaligned_factor=share(0.2, 1.0),
        expert_factor=share(0.4, 1.0),
        expert_half_width=share(0.0, 1000.0),
        host_layer_forward_s=share(0.0, 5e-4),
        host_layer_backward_s=share(0.0, 5e-4),
        host_moe_layer_s=share(0.0, 5e-4),
        host_microbatch_s=share(0.0, 1e-3),
        host_step_s=share(0.0, 1e-2),
        host_join=share(0.0, 4.0),
        gradient_wire_factor=rng.choice((0.5, 1.0)),
        tp_overlap=share(0.0, 1.0),
        cp_overlap=share(0.0, 1.0),
        ep_overlap=share(0.0, 1.0),
        pp_overlap=share(0.0, 1.0),
        dp_overlap=share(0.0, 1.0),
        fsdp_overlap=share(0.0, 1.0),
        overlap_slowdown=share(0.0, 0.3),
        deduplicated_dispatch=float(rng.randrange(2)),
        expert_imbalance=share(0.0, 0.1),
        collective_factor=share(1.0, 2.0),
        optimizer_pass_bytes=share(16.0, 64.0),
        workspace_bytes=share(1e8, 4e9),
        fragmentation=share(0.0, 0.2),
        straggler_per_doubling=share(0.0, 0.02),
    )


def precision(rng: random.Random) -> Precision:
    """Bytes of a 16-bit or an 8-bit recipe."""
    if rng.random() < 0.5:
        return examples.PRECISION
    return examples.PRECISION._replace(
        weight_copy_bytes=1.0, activation_bytes=1.0, cast_bytes=5.0, dispatch_wire_bytes=1.0, kv_bytes=1.0
    )


def model(rng: random.Random, *kinds: str) -> Model:
    """A model of one of `kinds` (any by default), of some depth and width."""
    shape = KINDS[rng.choice(kinds or tuple(KINDS))]
    deeper = rng.choice((1, 1, 2, 3))
    wider = rng.choice((1, 2, 4))
    return shape._replace(
        n_layers=deeper * shape.n_layers,
        n_full_layers=deeper * shape.n_full_layers,
        n_window_layers=deeper * shape.n_window_layers,
        n_linear_layers=deeper * shape.n_linear_layers,
        n_dense_layers=deeper * shape.n_dense_layers,
        n_moe_layers=deeper * shape.n_moe_layers,
        hidden=wider * shape.hidden,
        ffn=wider * shape.ffn,
        linear_params=wider * wider * shape.linear_params,
        vocab=rng.choice((32000, 51200, 128256)),
        other_params=rng.choice((0.0, 1e6)),
    )


def setting(rng: random.Random, *kinds: str, global_batch: int = 0) -> Setting:
    """Everything but the plan."""
    job = Job(rng.choice(SEQ_LENS), global_batch or rng.choice((8, 48, 256)))
    return Setting(chip(rng), kernels(rng), stack(rng), precision(rng), cluster(rng), model(rng, *kinds), job)


def degrees(number: int, most: int) -> list[int]:
    """The divisors of `number` up to `most`."""
    return [each for each in range(1, most + 1) if number % each == 0]


def plan(rng: random.Random, shape: Model, seq_len: int) -> tuple[Plan, int]:
    """A plan that is legal for a model, and the global batch that it is legal with."""
    tp = rng.choice([each for each in (1, 2, 4, 8) if not rules.tp_broken(each, shape)])
    pp = rng.choice((1, 1, 2, 3, 4, 8))
    dp = rng.choice((1, 2, 3, 4, 8, 16))
    cp = rng.choice((1, 1, 2, 4))
    ep = etp = 1
    if shape.n_moe_layers:
        ep = rng.choice([each for each in degrees(shape.n_experts, 16) if (tp * cp * dp) % each == 0])
        etp = rng.choice([each for each in (1, 1, 2, 4) if (tp * cp * dp) % (ep * each) == 0])
    schedule = rng.randrange(len(records.SCHEDULE_NAMES))
    if schedule == records.SCHEDULE_DUALPIPE and pp % 2:
        schedule = records.SCHEDULE_1F1B
    vpp = 1
    if schedule == records.SCHEDULE_1F1B and pp > 1 and n_slots(shape) % pp == 0:
        vpp = rng.choice(degrees(n_slots(shape) // pp, 4))
    n_batches = rng.choice((1, 2, 3, 8))
    if vpp > 1:
        n_batches *= pp
    if schedule == records.SCHEDULE_DUALPIPE:
        n_batches = max(n_batches, 2 * pp)
    zero = rng.randrange(4)
    recompute = rng.randrange(len(records.RECOMPUTE_NAMES))
    micro_batch = rng.choice((1, 1, 2, 4))
    cp_kind = rng.randrange(2) if shape.n_heads % (tp * cp) == 0 else records.CP_RING
    made = Plan(
        tp=tp,
        pp=pp,
        vpp=vpp,
        dp=dp,
        cp=cp,
        ep=ep,
        etp=etp,
        zero=zero,
        shard=rng.choice([0, *degrees(dp * cp, 8)]) if zero == 3 else 0,
        micro_batch=micro_batch,
        recompute=recompute,
        recompute_layers=rng.randint(1, -(-n_slots(shape) // pp)) if recompute == records.RECOMPUTE_BLOCK else 0,
        schedule=schedule,
        sequence_parallel=int(seq_len // cp % tp == 0 and rng.random() < 0.7),
        cp_kind=cp_kind,
        offload=int(rng.random() < 0.2),
        tp_overlap=int(rng.random() < 0.8),
        dp_overlap=int(rng.random() < 0.8),
    )
    return made, dp * micro_batch * n_batches


def problem(rng: random.Random, *kinds: str) -> Problem:
    """A setting and a legal plan."""
    drawn = setting(rng, *kinds)
    made, global_batch = plan(rng, drawn.model, drawn.job.seq_len)
    return Problem(drawn._replace(job=drawn.job._replace(global_batch=global_batch)), made)


def engine(rng: random.Random) -> Engine:
    """A serving engine."""
    share = rng.uniform
    return Engine(
        host_step_s=share(0.0, 5e-3),
        host_sequence_s=share(0.0, 1e-4),
        layer_s=share(0.0, 2e-5),
        sparse_layer_s=share(0.0, 1e-4),
        launch_factor=share(0.5, 1.5),
        matmul_factor=share(0.8, 1.3),
        matmul_memory_factor=share(0.8, 1.3),
        expert_factor=share(0.6, 1.5),
        expert_memory_factor=share(0.8, 1.5),
        grouped_fraction=rng.choice((0.0, 0.6, 0.8)),
        grouped_memory_fraction=share(0.6, 1.0),
        grouped_join=rng.choice((0.0, 2.0)),
        grouped_tile_rows=rng.choice((16.0, 32.0, 64.0)),
        grouped_launch_s=share(1e-6, 2e-5),
        distinct_exponent=share(0.8, 1.0),
        expert_traffic_factor=share(0.5, 3.0),
        attention_factor=share(0.7, 1.5),
        kv_factor=share(0.7, 1.5),
        compute_ceiling=share(0.8, 1.0),
        memory_ceiling=share(0.8, 1.0),
        expert_imbalance=share(0.0, 1.0),
        redundant_experts=float(rng.choice((0, 8, 32))),
        all_reduce_s=share(1e-6, 2e-5),
        exchange_s=share(1e-6, 5e-5),
        forward_s=share(5e-5, 2e-4),
        direct_tokens=rng.choice((64.0, 256.0)),
        forward_core_fraction=share(0.0, 0.3),
        exchange_overlap=share(0.0, 1.0),
        micro_batches=float(rng.choice((1, 2))),
        prefill_step_s=share(0.0, 2e-2),
        first_token_s=share(0.0, 0.3),
        handover_s=share(0.0, 0.3),
        interference_factor=share(0.5, 1.2),
        mixed_share=float(rng.randrange(2)),
        chunk_tokens=rng.choice((2048.0, 8192.0, 16384.0)),
        max_batch=rng.choice((256.0, 1024.0)),
        memory_fraction=share(0.8, 0.95),
        workspace_bytes=share(1e8, 4e9),
    )


def serving_precision(rng: random.Random) -> ServingPrecision:
    """Bytes of a served model: dense weights and experts of 4 to 16 bits each, a cache of 8 or 16."""
    dense, experts = rng.choice((0.5, 1.0, 2.0)), rng.choice((0.5, 1.0, 2.0))
    return ServingPrecision(
        weight_bytes=dense,
        expert_weight_bytes=experts,
        activation_bytes=rng.choice((1.0, 2.0)),
        expert_activation_bytes=rng.choice((1.0, 2.0)),
        element_bytes=2.0,
        kv_bytes=rng.choice((1.0, 2.0)),
        wire_bytes=2.0,
        dispatch_wire_bytes=rng.choice((1.0, 2.0)),
        combine_wire_bytes=2.0,
        tile_rows=float(rng.choice((8, 16, 64))),
        expert_tile_rows=float(rng.choice((8, 16, 64))),
    )


def served(rng: random.Random, *kinds: str) -> Served:
    """A serving question with a legal layout."""
    shape = model(rng, *kinds)
    setting = ServingSetting(chip(rng), kernels(rng), serving_precision(rng), engine(rng), cluster(rng), shape)
    tp = rng.choice([each for each in (1, 2, 4, 8) if not rules.tp_broken(each, shape)])
    pp = rng.choice((1, 1, 2, 4))
    attention_dp = ep = etp = 1
    if shape.n_moe_layers:
        attention_dp = rng.choice((1, 1, 4, 16))
        ep = rng.choice([each for each in degrees(shape.n_experts, 16) if (tp * attention_dp) % each == 0])
        etp = tp * attention_dp // ep
    n_drafts, accepted = rng.choice(((0.0, 1.0), (0.0, 1.0), (1.0, 1.8)))
    lengths = rng.choice((128, 1024, 8192)), rng.choice((16, 256, 1024))
    job = ServingJob(*lengths, float(rng.randint(1, 512)), n_drafts, accepted)
    return Served(records.as_declared(setting), job, ServingPlan(tp, pp, attention_dp, ep, etp))


def legal_plans(rng: random.Random, drawn: Setting, how_many: int) -> list[Plan]:
    """Plans that are legal for one setting as it stands, its global batch included."""
    found: list[Plan] = []
    while len(found) < how_many:
        made, _ = plan(rng, drawn.model, drawn.job.seq_len)
        if not rules.first_broken(made, drawn.model, drawn.job, drawn.cluster.n_chips):
            found.append(made)
    return found


def problems(*kinds: str) -> st.SearchStrategy[Problem]:
    """Settings with legal plans, for models of `kinds`."""
    return seeded(lambda rng: problem(rng, *kinds), "problem", *kinds)


def questions(*kinds: str) -> st.SearchStrategy[Served]:
    """Serving questions, for models of `kinds`."""
    return seeded(lambda rng: served(rng, *kinds), "served", *kinds)


clusters = seeded(cluster, "cluster")
all_kernels = seeded(kernels, "kernels")
sizes = st.floats(1.0, 1e12)
degrees_of_two = st.sampled_from([1, 2, 4, 8, 16, 64, 256])
