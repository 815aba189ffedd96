"""What the work consists of: FLOP, HBM traffic and time of each kind of operation, as the formulas count them.

The formulas give seconds. Asked on a bare chip, where every fraction is 1, nothing has to be launched, one of the two
rates is 1 per second and the other without bound, their seconds are the bytes that they move, or the FLOP that they do.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from clustercast import records
from clustercast.physics.layer import (
    Cost,
    attention_cost,
    dense_mlp_cost,
    element_traffic_bytes,
    ends,
    linear_attention_cost,
    projection_cost,
    routed_mlp_cost,
    tokens_per_chip,
)
from clustercast.physics.roofline import element_s
from clustercast.physics.serving import (
    Work,
    decode_mixers,
    head_work,
    layers_work,
    mean_cached_tokens,
    new_tokens,
    prefill_mixers,
)
from clustercast.physics.training import n_slots

TRAINING: Final = "training"
PREFILL: Final = "prefill"
DECODE: Final = "decode"
NARROW: Final = 1e-6  # rows of a tile so small that none is padded
PEAKS: Final = ("matmul_flop_per_s", "expert_flop_per_s", "attention_flop_per_s", "head_flop_per_s")
ENGINE_FACTORS: Final = (
    "matmul_factor", "matmul_memory_factor", "expert_factor", "expert_memory_factor", "kv_factor", "attention_factor",
    "compute_ceiling", "memory_ceiling", "grouped_memory_fraction",
)  # fmt: skip
MIXERS: Final = ("n_full_layers", "n_window_layers", "n_linear_layers")
MLPS: Final = ("n_dense_layers", "n_moe_layers")
BLOCKS: Final = {  # of a served layer, with the element-wise work beside each
    "projections": ("n_full_layers", "n_window_layers"),
    "linear attention": ("n_linear_layers",),
    "MLP": ("n_dense_layers",),
    "experts": ("n_moe_layers",),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of operation on one chip: in training per micro-batch, forward and backward; in serving per step."""

    phase: str  # training, prefill, decode
    kind: str
    flop: float  # that kernels do, without padding
    hbm_bytes: float
    time_s: float
    share: float  # of the time of all kernels of its phase


@dataclass(frozen=True, slots=True)
class Roof:
    """What the datasheet allows the main matmuls of one phase."""

    phase: str
    label: str
    flop_per_s: float
    hbm_bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations of one chip's work and the roofs over them."""

    chip: str
    operations: tuple[Operation, ...]
    roofs: tuple[Roof, ...]
    without_flop: float  # share of the kernels' time that does no arithmetic worth counting, of the first phase

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


Times = dict[str, float]


def of_training(setting: records.Setting, plan: records.Plan) -> tuple[Operation, ...]:
    """Operations of one micro-batch through all layers and the head on one chip, recompute left out."""

    def measured(one: records.Setting) -> Times:
        return _training_s(one, plan)

    moved = measured(_bare(setting, flop_per_s=math.inf, hbm_bytes_per_s=1.0))
    done = measured(_bare(setting, flop_per_s=1.0, hbm_bytes_per_s=math.inf))
    return _operations(TRAINING, measured(setting), done, moved)


def of_serving(
    setting: records.ServingSetting, plan: records.ServingPlan, job: records.ServingJob
) -> tuple[Operation, ...]:
    """Operations of one prefill of one prompt and of one decode step of a full replica, on one chip."""
    found: list[Operation] = []
    moving = _bare_serving(setting, flop_per_s=math.inf, hbm_bytes_per_s=1.0)
    doing = _bare_serving(setting, flop_per_s=1.0, hbm_bytes_per_s=math.inf)
    of_phase: tuple[tuple[str, Callable[..., dict[str, Work]]], ...] = ((PREFILL, _prefill), (DECODE, _decode))
    for phase, work in of_phase:
        spent = {kind: one.compute_s + one.memory_s + one.launch_s for kind, one in work(setting, plan, job).items()}
        moved = {kind: one.memory_s for kind, one in work(moving, plan, job).items()}
        done = {kind: one.compute_s for kind, one in work(doing, plan, job).items()}
        found += _operations(phase, spent, done, moved)
    return tuple(found)


def _operations(phase: str, spent: Times, done: Times, moved: Times) -> tuple[Operation, ...]:
    whole_s = sum(spent.values())
    return tuple(
        Operation(phase, kind, done[kind], moved[kind], time_s, time_s / whole_s)
        for kind, time_s in spent.items()
        if time_s > 0.0
    )


def _training_s(setting: records.Setting, plan: records.Plan) -> Times:
    """Seconds by kind of one micro-batch, forward and backward, all layers and the head on one chip."""
    model = setting.model
    tokens = tokens_per_chip(setting, plan)
    layers = float(n_slots(model)) / model.n_layers
    found: Times = {}

    def add(kind: str, cost: Cost, n_layers: float) -> None:
        found[kind] = n_layers * layers * (cost.forward_s + cost.input_gradient_s + cost.weight_gradient_s)

    add("attention", attention_cost(tokens, setting, plan), float(model.n_layers))
    if model.n_full_layers + model.n_window_layers > 0:
        add("projections", projection_cost(tokens, setting, plan), float(model.n_full_layers + model.n_window_layers))
    if model.n_linear_layers > 0:
        add("linear attention", linear_attention_cost(tokens, setting, plan), float(model.n_linear_layers))
    if model.n_dense_layers > 0:
        add("MLP", dense_mlp_cost(tokens, float(model.ffn), setting, plan), float(model.n_dense_layers))
    if model.n_moe_layers > 0:
        add("experts", routed_mlp_cost(tokens, setting, plan), float(model.n_moe_layers))
    if model.n_moe_layers > 0 and model.shared_ffn > 0:
        add("shared expert", dense_mlp_cost(tokens, float(model.shared_ffn), setting, plan), float(model.n_moe_layers))
    end = ends(setting, plan)
    found["head"] = (1.0 + model.n_mtp_layers) * (end.head_forward_s + end.head_backward_s)
    traffic_bytes = element_traffic_bytes(tokens, setting, plan)
    # forward, and 1.2 times that backward, as physics.layer.layer counts
    one_s = element_s(2.2 * traffic_bytes, 16.0, setting.chip.hbm_bytes_per_s, setting.kernels)
    found["element-wise"] = model.n_layers * layers * one_s
    return found


def _bare_kernels(kernels: records.Kernels) -> records.Kernels:
    ones = {name: 1.0 for name in kernels._fields if name.endswith("_fraction")}
    none = {name: 0.0 for name in kernels._fields if name.endswith("_launch_s")}
    return kernels._replace(**ones, **none, tile_rows=NARROW, wave_weight=0.0)


def _bare_chip(chip: records.Chip, flop_per_s: float, hbm_bytes_per_s: float) -> records.Chip:
    peaks = dict.fromkeys(PEAKS, flop_per_s)
    return chip._replace(hbm_bytes_per_s=hbm_bytes_per_s, clock_fraction=1.0, **peaks)


def _bare(setting: records.Setting, *, flop_per_s: float, hbm_bytes_per_s: float) -> records.Setting:
    """The same work on a chip on which one of the two rates does not bind and the other is 1 per second."""
    factors = dict.fromkeys(("matmul_factor", "attention_factor", "misaligned_factor", "expert_factor"), 1.0)
    return setting._replace(
        chip=_bare_chip(setting.chip, flop_per_s, hbm_bytes_per_s),
        kernels=_bare_kernels(setting.kernels),
        stack=setting.stack._replace(expert_half_width=0.0, expert_imbalance=0.0, **factors),
        precision=setting.precision._replace(matmul_factor=1.0),
    )


def _bare_serving(
    setting: records.ServingSetting, *, flop_per_s: float, hbm_bytes_per_s: float
) -> records.ServingSetting:
    engine = setting.engine._replace(**dict.fromkeys(ENGINE_FACTORS, 1.0))
    grouped = 1.0 if engine.grouped_fraction > 0.0 else 0.0
    return setting._replace(
        chip=_bare_chip(setting.chip, flop_per_s, hbm_bytes_per_s),
        kernels=_bare_kernels(setting.kernels),
        engine=engine._replace(grouped_fraction=grouped, grouped_tile_rows=NARROW),
        precision=setting.precision._replace(tile_rows=NARROW, expert_tile_rows=NARROW),
    )


def _blocks(
    tokens: float, all_tokens: float, setting: records.ServingSetting, plan: records.ServingPlan
) -> dict[str, Work]:
    """The layers' matmuls and element-wise work by kind of block: each asked of a model that has no other."""
    model = setting.model
    found = {}
    for kind, fields in BLOCKS.items():
        if any(getattr(model, name) for name in fields):
            others = dict.fromkeys([name for name in (*MIXERS, *MLPS) if name not in fields], 0)
            alone = setting._replace(model=model._replace(**others))
            found[kind] = layers_work(tokens, all_tokens, alone, plan)
    return found


def _decode(setting: records.ServingSetting, plan: records.ServingPlan, job: records.ServingJob) -> dict[str, Work]:
    part = max(job.batch / plan.pp, min(job.batch, 1.0))
    tokens = max(part / plan.attention_dp, min(part, 1.0))
    work = _blocks(tokens, part, setting, plan)
    work["attention"] = decode_mixers(tokens, 1.0, mean_cached_tokens(job), setting, plan.tp)
    work["head"] = head_work(tokens, setting, plan)
    return work


def _prefill(setting: records.ServingSetting, plan: records.ServingPlan, job: records.ServingJob) -> dict[str, Work]:
    tokens = min(new_tokens(job), setting.engine.chunk_tokens)
    work = _blocks(tokens, tokens, setting, plan)
    work["attention"] = prefill_mixers(tokens, float(job.input_len), setting, plan.tp)
    work["head"] = head_work(1.0, setting, plan)
    return work
