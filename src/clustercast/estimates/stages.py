"""Memory of every pipeline stage of a plan."""

from dataclasses import asdict, dataclass
from typing import Any

from clustercast import records
from clustercast.physics.layer import ends, layer
from clustercast.physics.stages import n_stage_layers, stage_memory
from clustercast.physics.training import n_microbatches, n_slots


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the pipeline: its layers, and the bytes that each of its chips holds."""

    stage: int  # counted from 0
    n_layers: int
    weights: float
    gradients: float
    optimizer: float
    activations: float
    workspace: float
    total: float


@dataclass(frozen=True, slots=True)
class Stages:
    """Memory of all stages, and what a chip has for it, in bytes."""

    chip: str
    capacity: float
    stages: tuple[Stage, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def stages(chip: str, setting: records.Setting, plan: records.Plan) -> Stages:
    """What each stage holds; none more than the fullest chip of the estimate, which counts both ends at their worst."""
    one, end = layer(setting, plan), ends(setting, plan)
    n_batches = n_microbatches(setting.job, plan)
    layer_s = one.forward_s + one.backward_s + one.recompute_s
    head_s = (1.0 + setting.model.n_mtp_layers) * (end.head_forward_s + end.head_backward_s + end.head_comm_s)
    found = []
    for stage in range(plan.pp):
        n_layers = n_stage_layers(layer_s, end.embedding_s, head_s, n_slots(setting.model), stage, plan)
        held = stage_memory(setting, plan, one, end, n_batches, n_layers, stage)
        found.append(Stage(stage, n_layers, *held))
    return Stages(chip, setting.chip.hbm_bytes - setting.chip.reserved_bytes, tuple(found))
